"""Kinds of errors, worked out by hand on one image, and what each of them costs."""

import numpy as np
import pytest

from metrics.errors_by_kind import ERRORS, Kind, confusion, costs, count_best, diagnose
from metrics.voc import Detections, GroundTruth, evaluate

LABELS = ("cat", "dog")
CAT, DOG = 1, 2


def detections(*rows) -> Detections:
    """Rows (class, score, box) on image 0."""
    return Detections(
        images=np.zeros(len(rows), np.int64),
        classes=np.array([row[0] for row in rows], np.int64),
        scores=np.array([row[1] for row in rows], np.float32),
        boxes=np.array([row[2] for row in rows], np.float64).reshape(-1, 4),
    )


def objects(*rows, difficult=()) -> GroundTruth:
    """Rows (class, box) on image 0."""
    return GroundTruth(
        images=np.zeros(len(rows), np.int64),
        classes=np.array([row[0] for row in rows], np.int64),
        boxes=np.array([row[1] for row in rows], np.float64).reshape(-1, 4),
        difficult=np.isin(np.arange(len(rows)), difficult),
    )


def diagnosed(found: Detections, truth: GroundTruth):
    return diagnose(found, truth, evaluate(found, truth, labels=LABELS))


LEFT, RIGHT, FAR = (0, 0, 99, 99), (0, 200, 99, 299), (300, 300, 399, 399)
SHIFTED = (0, 60, 99, 159)  # IoU 40 x 100 / 16000 = 0.25 with LEFT


@pytest.mark.parametrize(
    ("found", "kind", "thing"),
    [
        ((CAT, 0.5, LEFT), Kind.RIGHT, 0),
        ((CAT, 0.5, SHIFTED), Kind.LOCALISATION, 0),
        ((DOG, 0.5, LEFT), Kind.CLASS, 0),
        ((DOG, 0.5, SHIFTED), Kind.BOTH, 0),
        ((CAT, 0.5, FAR), Kind.BACKGROUND, -1),
        ((DOG, 0.5, RIGHT), Kind.IGNORED, 1),
    ],
)
def test_a_detection_has_the_kind_of_the_first_rule_that_holds(found, kind, thing):
    truth = objects((CAT, LEFT), (DOG, RIGHT), difficult=(1,))
    diagnosis = diagnosed(detections(found), truth)
    assert diagnosis.kinds.tolist() == [kind]
    assert diagnosis.objects.tolist() == [thing]


def test_the_lower_of_two_detections_of_an_object_is_a_duplicate():
    diagnosis = diagnosed(detections((CAT, 0.4, LEFT), (CAT, 0.9, LEFT)), objects((CAT, LEFT)))
    assert diagnosis.kinds.tolist() == [Kind.DUPLICATE, Kind.RIGHT]
    assert not diagnosis.unfound.any()


def test_a_class_error_goes_before_a_localisation_error():
    truth = objects((CAT, LEFT), (DOG, SHIFTED))
    assert diagnosed(detections((CAT, 0.5, SHIFTED)), truth).kinds.tolist() == [Kind.CLASS]


def test_an_overlap_of_exactly_a_tenth_is_background():
    truth = objects((CAT, (0, 0, 0, 54)))  # 55 pixels, 10 of them shared with 55: 10 / 100
    found = detections((CAT, 0.5, (0, 45, 0, 99)))
    assert diagnosed(found, truth).kinds.tolist() == [Kind.BACKGROUND]


def test_objects_are_missed_when_no_error_explains_them():
    truth = objects((CAT, LEFT), (DOG, RIGHT), (CAT, FAR), difficult=(2,))
    diagnosis = diagnosed(detections((CAT, 0.5, SHIFTED)), truth)
    assert diagnosis.unfound.tolist() == [True, True, False]
    assert diagnosis.missed.tolist() == [False, True, False]


def test_only_as_many_detections_count_as_the_class_has_objects():
    truth = objects((CAT, LEFT), (CAT, RIGHT))
    found = detections((CAT, 0.9, LEFT), (CAT, 0.8, FAR), (CAT, 0.7, RIGHT), (DOG, 0.9, LEFT))
    counts = count_best(found, truth, diagnosed(found, truth), num_classes=2)
    assert counts[0].tolist() == [1, 0, 0, 0, 0, 0, 1]
    assert counts[1].sum() == 0


def gained(found, truth) -> dict[str, list[float]]:
    result = costs(found, truth, diagnosed(found, truth), labels=LABELS, iou_threshold=0.5)
    return {name: np.round(values, 6).tolist() for name, values in result.items()}


def test_cost_is_the_precision_gained_by_the_repair():
    truth = objects((CAT, LEFT))
    cost = gained(detections((CAT, 0.9, FAR), (CAT, 0.5, LEFT)), truth)
    assert cost["background"][0] == 0.5  # AP 1/2 -> 1
    assert np.isnan(cost["background"][1])  # no dogs there
    assert {cost[kind.name.lower()][0] for kind in ERRORS if kind != Kind.BACKGROUND} == {0.0}


@pytest.mark.parametrize("found", [(CAT, 0.9, SHIFTED), (DOG, 0.9, LEFT)])
def test_a_repaired_place_or_class_is_right(found):
    truth = objects((CAT, LEFT), (DOG, RIGHT))
    name = "localisation" if found[0] == CAT else "class"
    assert gained(detections(found), truth)[name][0] == 1.0


def test_a_repaired_detection_of_a_found_object_is_dropped():
    truth = objects((CAT, LEFT))
    cost = gained(detections((CAT, 0.9, SHIFTED), (CAT, 0.5, LEFT)), truth)
    assert cost["localisation"][0] == 0.5


def test_missed_objects_cost_their_recall():
    truth = objects((CAT, LEFT), (CAT, RIGHT), (DOG, FAR))
    cost = gained(detections((CAT, 0.9, LEFT)), truth)
    assert cost["missed"] == [0.5, 1.0]


def test_nothing_costs_anything_where_all_is_right():
    truth = objects((CAT, LEFT), (DOG, RIGHT))
    cost = gained(detections((CAT, 0.9, LEFT), (DOG, 0.8, RIGHT)), truth)
    assert set(map(tuple, cost.values())) == {(0.0, 0.0)}


def test_confusion_counts_each_object_once():
    truth = objects((CAT, LEFT), (DOG, RIGHT), (CAT, (500, 500, 599, 599)))
    found = detections(
        (DOG, 0.9, LEFT), (CAT, 0.8, LEFT), (DOG, 0.7, RIGHT), (CAT, 0.6, FAR), (CAT, 0.1, FAR)
    )
    matrix = confusion(found, truth, num_classes=2, score_threshold=0.5, iou_threshold=0.5)
    assert matrix.tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 1]]


def test_confusion_leaves_difficult_objects_out():
    truth = objects((CAT, LEFT), difficult=(0,))
    matrix = confusion(
        detections((DOG, 0.9, LEFT)), truth, num_classes=2, score_threshold=0.5, iou_threshold=0.5
    )
    assert matrix.sum() == 0


def test_nothing_found_and_nothing_there_is_no_error():
    nothing, empty = detections(), objects()
    diagnosis = diagnosed(nothing, empty)
    assert len(diagnosis.kinds) == len(diagnosis.unfound) == 0
    assert diagnosed(nothing, objects((CAT, LEFT))).missed.tolist() == [True]
    assert np.isnan(gained(nothing, empty)["missed"]).all()
