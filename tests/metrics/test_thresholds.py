"""Thresholds of the best F1, on rankings worked out by hand."""

import csv
import io

import numpy as np
import pytest

from metrics import thresholds, voc


def of_class(label, right, scores, num_objects):
    """A class whose detections, by falling score, are right or not."""
    found = np.cumsum(right)
    return voc.ClassResult(
        label,
        num_objects,
        0,
        len(right),
        *((0.5, 0.5) if num_objects else (None, None)),
        np.array(scores, np.float32),
        found / max(1, num_objects),
        found / np.arange(1, len(right) + 1),
    )


def result_of(*classes):
    return voc.Result(classes, np.zeros(0, np.int8), np.zeros(0, np.int64), 0.5)


# F1 = 2 TP / (detections + objects): 2/5, 4/6, 4/7, 6/8, 6/9; the best keeps four of five.
CAT = of_class("cat", [1, 1, 0, 1, 0], [0.9, 0.8, 0.6, 0.5, 0.25], 4)
# One of one, at 0.3, below three wrong ones: F1 0, 0, 0, 2/5.
DOG = of_class("dog", [0, 0, 0, 1], [0.9, 0.8, 0.7, 0.3], 1)


def test_best_threshold_lies_between_the_last_that_is_kept_and_the_next():
    assert thresholds.best_point(CAT) == pytest.approx((0.375, 0.75, 0.75, 0.75))
    assert thresholds.best_point(DOG) == pytest.approx((0.15, 0.25, 1.0, 0.4))


def test_equal_scores_are_kept_together():
    """The first of the pair alone would have F1 1, and no threshold keeps it alone."""
    pair = of_class("cat", [1, 0], [0.5, 0.5], 1)
    assert thresholds.best_point(pair) == pytest.approx((0.25, 0.5, 1.0, 2 / 3))


def test_of_equal_f1_the_higher_threshold_is_taken():
    """2 of 3 objects in 3, then 3 in 6: F1 4/6 and 6/9."""
    row = of_class("cat", [1, 1, 0, 0, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], 3)
    assert thresholds.best_point(row).threshold == pytest.approx(0.75)


def test_neighbouring_floats_are_told_apart():
    score = np.float32(0.5)
    below = np.nextafter(score, np.float32(0))
    row = of_class("cat", [1, 0], [score, below], 1)
    threshold = np.float32(thresholds.best_point(row).threshold)
    assert score > threshold >= below


@pytest.mark.parametrize(
    "row", [of_class("cat", [], [], 3), of_class("cat", [0, 0], [0.9, 0.8], 3)], ids=["none", "bad"]
)
def test_class_that_is_never_right_has_no_point(row):
    assert thresholds.best_point(row) is None
    assert thresholds.mean_point(result_of(row)) is None
    assert thresholds.suggested(result_of(row)) is None


def test_curves_count_what_is_above_the_threshold():
    """Above 0.5 are three cats, of which two are right; above 0.9 none."""
    made = thresholds.curves(CAT)
    values = {t: [float(curve[round(100 * t)]) for curve in made] for t in (0.0, 0.55, 0.95)}
    assert values[0.0] == pytest.approx([0.6, 0.75, 2 / 3])
    assert values[0.55] == pytest.approx([2 / 3, 0.5, 4 / 7])
    assert values[0.95] == pytest.approx([1.0, 0.0, 0.0])


def test_mean_is_over_classes_with_objects():
    result = result_of(CAT, DOG, of_class("cow", [0], [0.9], 0))
    mean = thresholds.mean_curves(result)
    assert mean.F1[0] == pytest.approx((2 / 3 + 0.4) / 2)
    # From 0.25 on the last cat goes, to 0.30 the dog stays: F1 (0.75 + 0.4) / 2.
    point = thresholds.mean_point(result)
    assert point == pytest.approx((0.25, (0.75 + 0.25) / 2, (0.75 + 1) / 2, 0.575))
    assert thresholds.suggested(result) == pytest.approx((0.375, 0.15, 0.25))


def test_table_has_the_mean_and_every_class_at_every_threshold():
    result = result_of(CAT._replace(label='a "cat", or'), DOG, of_class("cow", [], [], 0))
    rows = list(csv.DictReader(io.StringIO(thresholds.to_csv(result))))
    assert [*rows[0]] == ["class", "threshold", "precision", "recall", "F1"]
    assert [rows[k]["class"] for k in (0, 101, 202)] == ["", 'a "cat", or', "dog"]
    assert len(rows) == 303
    assert (rows[101 + 55]["threshold"], rows[101 + 55]["recall"]) == ("0.55", "0.5")
