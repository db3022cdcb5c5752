"""Sizes as shares of the image, and the score of each size alone."""

import numpy as np
import pytest

from metrics.by_size import LIMITS, evaluate_by_size, relative_areas
from metrics.voc import Detections, GroundTruth, evaluate

SIZES = np.array([[480, 640]])
SMALL, MEDIUM, LARGE = (0, 0, 30, 30), (100, 100, 150, 150), (200, 200, 400, 400)


def table(boxes, scores=None):
    zeros = np.zeros(len(boxes), np.int64)
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    if scores is None:
        return GroundTruth(zeros, zeros + 1, boxes, np.zeros(len(boxes), bool))
    return Detections(zeros, zeros + 1, np.array(scores), boxes)


def precisions(found, truth):
    result = evaluate(found, truth, labels=("a",))
    by_size = evaluate_by_size(found, truth, result, labels=("a",), sizes=SIZES)
    return {name: one.classes[0].ap_voc12 for name, one in by_size.items()}


def test_areas_are_shares_of_each_picture():
    boxes = np.array([[0, 0, 10, 20], [0, 0, 10, 20], [5, 5, 4, 9]], float)
    areas = relative_areas(boxes, np.array([0, 1, 1]), np.array([[10, 20], [20, 20]]))
    np.testing.assert_allclose(areas, [1.0, 0.5, 0.0])


def test_limits_are_those_of_coco_on_its_usual_picture():
    assert LIMITS["small"][1] * 640 * 480 == pytest.approx(32**2)
    assert LIMITS["large"][0] * 640 * 480 == pytest.approx(96**2)


def test_each_size_is_scored_alone():
    truth = table([SMALL, MEDIUM, LARGE])
    assert precisions(table([SMALL, LARGE], [0.9, 0.8]), truth) == {
        "small": 1.0,
        "medium": 0.0,
        "large": 1.0,
    }


def test_false_detections_count_against_their_own_size_only():
    truth = table([SMALL, LARGE])
    elsewhere = (300, 0, 330, 30)  # small, on nothing
    assert precisions(table([elsewhere, SMALL, LARGE], [0.9, 0.8, 0.7]), truth) == {
        "small": 0.5,
        "medium": None,
        "large": 1.0,
    }


def test_difficult_objects_stay_difficult():
    truth = table([SMALL])._replace(difficult=np.array([True]))
    assert set(precisions(table([SMALL], [0.9]), truth).values()) == {None}
