"""COCO's numbers on cases small enough to know, and the quirks of pycocotools."""

import copy

import numpy as np
import pytest

from metrics import coco, voc
from runtime.errors import InputError

TRUTH = {
    "images": [{"id": 7}, {"id": 8}],
    "categories": [{"id": 3, "name": "cat"}],
    "annotations": [{"id": 0, "image_id": 7, "category_id": 3, "bbox": [10.0, 10.0, 50.0, 40.0]}],
}
RIGHT = {"image_id": 7, "category_id": 3, "bbox": [10.0, 10.0, 50.0, 40.0], "score": 0.9}


def test_perfect_detection_scores_one_where_an_object_is():
    numbers = coco.evaluate([RIGHT], TRUTH)
    assert tuple(numbers) == coco.NAMES
    absent = {name for name, value in numbers.items() if value is None}
    assert absent == {"AP_small", "AP_large", "AR_small", "AR_large"}  # 2000 pixels are medium
    assert [value for value in numbers.values() if value is not None] == pytest.approx([1.0] * 8)


def test_annotation_with_id_zero_can_be_matched():
    assert coco.evaluate([RIGHT, RIGHT | {"score": 0.5}], TRUTH)["AP"] == pytest.approx(1.0)


def test_loose_box_counts_at_the_lower_thresholds_only():
    loose = RIGHT | {"bbox": [10.0, 10.0, 50.0, 57.0]}  # IoU 40 / 57 = 0.70
    numbers = coco.evaluate([loose], TRUTH)
    assert (numbers["AP50"], numbers["AP75"]) == (pytest.approx(1.0), 0.0)
    assert numbers["AP"] == pytest.approx(0.5)  # 0.5, 0.55, 0.6, 0.65, 0.7 of ten
    assert numbers["AR_100"] == pytest.approx(0.5)


def test_no_detections_score_zero():
    numbers = coco.evaluate([], TRUTH)
    assert (numbers["AP"], numbers["AR_100"], numbers["AP_small"]) == (0.0, 0.0, None)


def test_no_objects_have_no_numbers():
    truth = TRUTH | {"annotations": []}
    assert set(coco.evaluate([RIGHT], truth).values()) == {None}
    assert set(coco.evaluate([], truth).values()) == {None}


def test_evaluate_prints_nothing_and_leaves_its_arguments_alone(capsys):
    detections, truth = [copy.deepcopy(RIGHT)], copy.deepcopy(TRUTH)
    coco.evaluate(detections, truth)
    assert (detections, truth) == ([RIGHT], TRUTH)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("key", "table"), [("image_id", "2 images"), ("category_id", "1 categories")]
)
def test_unknown_picture_or_category_is_refused(key, table):
    with pytest.raises(InputError, match=f"{key} 99, which is not among the {table}"):
        coco.evaluate([RIGHT, RIGHT | {key: 99}], TRUTH)


def test_voc_tables_become_cocos_with_difficult_objects_as_crowds():
    truth = voc.GroundTruth(
        np.array([0, 2]),
        np.array([1, 2]),
        np.array([[1.0, 2.0, 11.0, 32.0], [5.0, 5.0, 50.0, 60.0]]),
        np.array([False, True]),
    )
    labels = ("cat", "dog")
    as_coco = coco.truth_of(truth, num_images=3, labels=labels)
    assert [row["id"] for row in as_coco["images"]] == [0, 1, 2]
    assert as_coco["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert as_coco["annotations"] == [
        {"image_id": 0, "category_id": 1, "bbox": [2.0, 1.0, 30.0, 10.0], "iscrowd": 0},
        {"image_id": 2, "category_id": 2, "bbox": [5.0, 5.0, 55.0, 45.0], "iscrowd": 1},
    ]
    results = coco.results_of(
        voc.Detections(truth.images, truth.classes, np.array([0.5, 0.25]), truth.boxes)
    )
    assert results[1] == {
        "image_id": 2,
        "category_id": 2,
        "bbox": [5.0, 5.0, 55.0, 45.0],
        "score": 0.25,
    }
    assert coco.evaluate(results, as_coco)["AP"] == pytest.approx(1.0)


def test_classes_have_the_aps_whose_mean_is_cocos():
    """Cats: one found well, one at IoU 0.7, of two. Dogs: none of one. Cows: only a difficult."""
    boxes = np.array([[0, 0, 100, 100], [0, 0, 100, 100], [0, 0, 50, 50], [0, 0, 9, 9]], float)
    truth = voc.GroundTruth(
        np.array([0, 1, 1, 0]), np.array([1, 1, 2, 3]), boxes, np.array([False, False, False, True])
    )
    loose = boxes[:2].copy()
    loose[1, 2] = 70  # covers 0.7 of the second cat
    found = voc.Detections(np.array([0, 1]), np.array([1, 1]), np.array([0.9, 0.8]), loose)
    given = {"num_images": 2, "labels": ("cat", "dog", "cow")}
    scores = coco.score(found, truth, **given, all_numbers=True)
    assert [pytest.approx(1.0), 0.0, None] == scores.AP50
    # Up to 0.70 both are found, 1.0; above, one of two: 51 of 101 recall levels.
    high = pytest.approx((5 * 1.0 + 5 * 51 / 101) / 10)
    assert [high, 0.0, None] == scores.AP50_95
    assert scores.numbers["AP50"] == pytest.approx(0.5)
    assert scores.numbers["AP"] == pytest.approx(scores.AP50_95[0] / 2)
    alone = coco.score(found, truth, **given)
    assert alone == scores._replace(numbers=None)
    nothing = voc.concatenate([])
    assert coco.score(nothing, truth, **given).AP50 == [0.0, 0.0, None]
