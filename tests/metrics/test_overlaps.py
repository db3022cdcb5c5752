"""Which object a box overlaps most, by hand."""

import numpy as np
import pytest

from metrics import overlaps

SQUARE = (0.0, 0.0, 9.0, 9.0)  # 100 pixels


def iou(first, second):
    return overlaps.paired_iou(np.array([first]), np.array([second])).item()


def best(keys, boxes, object_keys, object_boxes, threshold=0.5):
    def table(rows):
        return np.array(rows, np.float64).reshape(-1, 4)

    keys, object_keys = np.array(keys, np.int64), np.array(object_keys, np.int64)
    matches = overlaps.best_overlaps(
        keys, table(boxes), object_keys, table(object_boxes), threshold=threshold
    )
    return matches.tolist()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (SQUARE, 1.0),
        ((0.0, 5.0, 9.0, 14.0), 50 / 150),
        ((5.0, 0.0, 14.0, 9.0), 50 / 150),
        ((5.0, 5.0, 14.0, 14.0), 25 / 175),
        ((4.0, 4.0, 4.0, 4.0), 1 / 100),
        ((0.0, 9.0, 9.0, 18.0), 10 / 190),  # one column of pixels is in both
        ((0.0, 10.0, 9.0, 19.0), 0.0),
        ((10.0, 10.0, 19.0, 19.0), 0.0),
        ((0.0, 20.0, 9.0, 29.0), 0.0),
        ((20.0, 0.0, 29.0, 9.0), 0.0),
        ((50.0, 50.0, 60.0, 60.0), 0.0),  # apart both ways: two negatives make no positive
    ],
)
def test_paired_iou_counts_the_last_pixel(box, expected):
    assert iou(SQUARE, box) == expected
    assert iou(box, SQUARE) == expected


def test_paired_iou_of_a_box_that_ends_before_it_begins_is_zero():
    inverted = (5.0, 5.0, 3.0, 3.0)
    assert iou(inverted, SQUARE) == 0.0
    assert iou(inverted, inverted) == 0.0
    assert iou((5.0, 5.0, 4.0, 4.0), (5.0, 5.0, 4.0, 4.0)) == 0.0  # no area, no division by it


def test_paired_iou_of_float32_boxes_is_computed_in_float64():
    first = np.array([[0.1, 0.2, 7.3, 9.1]], np.float32)
    second = np.array([[0.3, 0.1, 7.9, 8.7]], np.float32)
    expected = overlaps.paired_iou(first.astype(np.float64), second.astype(np.float64))
    assert overlaps.paired_iou(first, second) == expected


def test_best_overlaps_is_the_row_of_the_largest_iou_above_the_threshold():
    objects = [(0.0, 3.0, 9.0, 12.0), (0.0, 1.0, 9.0, 10.0), (0.0, 2.0, 9.0, 11.0)]
    assert best([7], [SQUARE], [7, 7, 7], objects) == [1]
    assert best([7], [SQUARE], [7, 7, 7], objects, threshold=0.9) == [-1]


def test_best_overlaps_compares_equal_keys_only():
    assert best([3, 1, 2, 9], [SQUARE] * 4, [2, 1], [SQUARE] * 2) == [-1, 1, 0, -1]


def test_best_overlaps_takes_the_first_of_equal_objects():
    assert best([1, 1], [SQUARE] * 2, [1, 0, 1], [SQUARE] * 3) == [0, 0]


def test_best_overlaps_needs_more_than_the_threshold():
    half = (0.0, 0.0, 9.0, 19.0)
    assert best([1], [half], [1], [SQUARE]) == [-1]
    assert best([1], [(30.0, 30.0, 31.0, 31.0)], [1], [SQUARE], threshold=0.0) == [-1]


def test_best_overlaps_of_empty_tables():
    assert best([], [], [], []) == []
    assert best([], [], [1], [SQUARE]) == []
    assert best([1], [SQUARE], [], []) == [-1]
