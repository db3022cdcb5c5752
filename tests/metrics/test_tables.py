"""The dict of metrics.json and the printed table."""

import json

import numpy as np
import pytest

from metrics import coco, tables, voc


def class_result(label, objects, difficult, detections, ap_voc07, ap_voc12):
    nothing = np.zeros(0)
    return voc.ClassResult(
        label, objects, difficult, detections, ap_voc07, ap_voc12, nothing, nothing, nothing
    )


def result_of(*classes):
    return voc.Result(classes, np.zeros(0, np.int8), np.zeros(0, np.int64), 0.5)


RESULT = result_of(
    class_result("cat", 12, 1, 1500, 0.5, 0.25),
    class_result("pottedplant", 0, 3, 7, None, None),
    class_result("dog", 5, 0, 0, 0.0, 0.0),
)
SCORES = coco.Scores([0.75, None, 0.0], [0.5, None, 0.0])
NOTHING = {"cat": None, "pottedplant": None, "dog": None}


def test_metrics_json_holds_the_contract():
    assert tables.metrics_json(RESULT, SCORES, step=900, num_images=4) == {
        "step": 900,
        "num_images": 4,
        "num_objects": 17,
        "num_difficult": 4,
        "num_detections": 1507,
        "iou_threshold": 0.5,
        "mAP_VOC07": 0.25,
        "mAP_VOC12": 0.125,
        "mAP50": 0.375,
        "mAP50_95": 0.25,
        "AP_VOC07": {"cat": 0.5, "pottedplant": None, "dog": 0.0},
        "AP_VOC12": {"cat": 0.25, "pottedplant": None, "dog": 0.0},
        "AP50": {"cat": 0.75, "pottedplant": None, "dog": 0.0},
        "AP50_95": {"cat": 0.5, "pottedplant": None, "dog": 0.0},
        "operating_point": None,
        "operating_points": NOTHING,
    }


def test_metrics_json_adds_what_the_caller_knows():
    metrics = tables.metrics_json(RESULT, SCORES, step=None, num_images=4, COCO={"AP": 0.1})
    assert metrics["step"] is None
    assert list(metrics.items())[-1] == ("COCO", {"AP": 0.1})


def test_metrics_json_refuses_to_lose_a_number():
    with pytest.raises(ValueError, match="num_objects"):
        tables.metrics_json(RESULT, SCORES, step=1, num_images=4, num_objects=3)


def test_metrics_json_of_a_real_score_is_strict_json():
    truth = voc.gather_truth([[]], labels=("cat",))
    result = voc.evaluate(voc.concatenate([]), truth, labels=("cat",))
    text = json.dumps(
        tables.metrics_json(result, coco.Scores([None], [None]), step=1, num_images=1),
        allow_nan=False,
    )
    read_back = json.loads(text)
    assert read_back["mAP_VOC07"] is None
    assert read_back["AP_VOC07"] == {"cat": None}


def test_format_table_aligns_names_counts_and_the_mean():
    assert tables.format_table(RESULT, SCORES).split("\n") == [
        "class        objects  difficult  detections  AP_VOC07  AP_VOC12    AP50  AP50_95",
        "-" * 80,
        "cat               12          1        1500    0.5000    0.2500  0.7500   0.5000",
        "pottedplant        0          3           7         -         -       -        -",
        "dog                5          0           0    0.0000    0.0000  0.0000   0.0000",
        "-" * 80,
        "mean of 2         17          4        1507    0.2500    0.1250  0.3750   0.2500",
    ]


def test_points_stand_beside_each_class_and_for_all():
    """A cat found at 0.8 and one missed: F1 2 / 3 between 0.8 and 0, so at 0.4; nothing of dogs."""
    half = np.array([0.5])
    cat = voc.ClassResult("cat", 2, 0, 1, 0.5, 0.5, np.array([0.8]), half, np.ones(1))
    lines = tables.format_points(result_of(cat, class_result("dog", 2, 0, 0, 0.0, 0.0)))
    assert lines.split("\n") == [
        "best F1      threshold  precision  recall     F1",
        "-" * 48,
        "cat              0.400      1.000   0.500  0.667",
        "dog                  -          -       -      -",
        "-" * 48,
        "one for all      0.000      1.000   0.250  0.333",
    ]


def test_format_coco_names_every_number():
    numbers = dict.fromkeys(coco.NAMES, 0.5) | {"AP": 0.12345, "AP_small": None}
    lines = tables.format_coco(numbers).split("\n")
    assert lines[0] == "COCO AP         0.1235  mean over IoU 0.50, 0.55 ... 0.95"
    assert lines[3] == (
        "COCO AP_small        -  objects whose box is below 32 x 32 (COCO goes by the "
        "segmentation's area)"
    )
    assert [line.split()[1] for line in lines] == list(coco.NAMES)


def test_format_table_without_any_ap_has_a_dash_for_the_mean():
    last = tables.format_table(
        result_of(class_result("cat", 0, 0, 3, None, None)), coco.Scores([None], [None])
    ).split("\n")[-1]
    assert last.split() == ["mean", "of", "0", "0", "0", "3", *("-",) * 4]
