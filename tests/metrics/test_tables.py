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


def test_metrics_json_holds_the_contract():
    assert tables.metrics_json(RESULT, step=900, num_images=4) == {
        "step": 900,
        "num_images": 4,
        "num_objects": 17,
        "num_difficult": 4,
        "num_detections": 1507,
        "iou_threshold": 0.5,
        "mAP_VOC07": 0.25,
        "mAP_VOC12": 0.125,
        "AP_VOC07": {"cat": 0.5, "pottedplant": None, "dog": 0.0},
        "AP_VOC12": {"cat": 0.25, "pottedplant": None, "dog": 0.0},
    }


def test_metrics_json_adds_what_the_caller_knows():
    metrics = tables.metrics_json(RESULT, step=None, num_images=4, COCO={"AP": 0.1})
    assert metrics["step"] is None
    assert list(metrics.items())[-1] == ("COCO", {"AP": 0.1})


def test_metrics_json_refuses_to_lose_a_number():
    with pytest.raises(ValueError, match="num_objects"):
        tables.metrics_json(RESULT, step=1, num_images=4, num_objects=3)


def test_metrics_json_of_a_real_score_is_strict_json():
    truth = voc.gather_truth([[]], labels=("cat",))
    result = voc.evaluate(voc.concatenate([]), truth, labels=("cat",))
    text = json.dumps(tables.metrics_json(result, step=1, num_images=1), allow_nan=False)
    read_back = json.loads(text)
    assert read_back["mAP_VOC07"] is None
    assert read_back["AP_VOC07"] == {"cat": None}


def test_format_table_aligns_names_counts_and_the_mean():
    assert tables.format_table(RESULT).split("\n") == [
        "class        objects  difficult  detections  AP_VOC07  AP_VOC12",
        "-" * 63,
        "cat               12          1        1500    0.5000    0.2500",
        "pottedplant        0          3           7         -         -",
        "dog                5          0           0    0.0000    0.0000",
        "-" * 63,
        "mean of 2         17          4        1507    0.2500    0.1250",
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
    last = tables.format_table(result_of(class_result("cat", 0, 0, 3, None, None))).split("\n")[-1]
    assert last.split() == ["mean", "of", "0", "0", "0", "3", "-", "-"]
