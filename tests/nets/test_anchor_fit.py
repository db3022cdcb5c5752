"""How anchors fit boxes, against plain arithmetic, and k-means on shapes that are known."""

import numpy as np
import pytest

from nets import anchor_fit


def f32(values) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 4)


def test_best_overlap_is_the_largest_iou():
    anchors = f32([[0, 0, 0.5, 1], [0, 0, 1, 1], [0.5, 0, 1, 0.5]])
    boxes = f32([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [2, 2, 3, 3]])
    np.testing.assert_allclose(anchor_fit.best_overlaps(boxes, anchors), [0.5, 1, 0])


def test_many_boxes_are_taken_in_parts():
    boxes = np.random.default_rng(0).uniform(0, 0.5, (600, 4)).astype(np.float32)
    boxes[:, 2:] += boxes[:, :2] + 0.01
    whole = anchor_fit.best_overlaps(boxes, boxes[:7])
    assert whole.shape == (600,)
    np.testing.assert_allclose(whole[590:], anchor_fit.best_overlaps(boxes[590:], boxes[:7]))


def test_no_boxes_have_no_overlaps():
    assert anchor_fit.best_overlaps(f32([]), f32([0, 0, 1, 1])).shape == (0,)


def test_unwarped_boxes_lie_in_the_middle_of_the_square():
    sides = np.array([[50, 100], [100, 50]], np.float32)
    made = anchor_fit.unwarped(f32([[0, 0, 1, 1], [0, 0, 0.5, 1]]), sides)
    np.testing.assert_allclose(made, [[0.25, 0, 0.75, 1], [0, 0.25, 0.5, 0.75]])


def test_shape_overlaps_are_those_of_concentric_boxes():
    overlaps = anchor_fit.shape_overlaps(np.array([[2.0, 4.0]]), np.array([[4.0, 2.0], [2.0, 4.0]]))
    np.testing.assert_allclose(overlaps, [[4 / 12, 1]])


def test_proposal_finds_the_shapes_there_are():
    shapes = np.repeat([[100.0, 50.0], [10.0, 20.0], [50.0, 50.0]], [5, 40, 9], axis=0)
    jitter = np.random.default_rng(1).uniform(0.97, 1.03, shapes.shape)
    made = anchor_fit.propose(shapes * jitter, 3)
    np.testing.assert_allclose(made, [[10, 20], [50, 50], [100, 50]], rtol=0.03)


def test_proposal_has_no_more_shapes_than_the_data():
    assert anchor_fit.propose(np.array([[3.0, 4.0]] * 5), 4).tolist() == [[3.0, 4.0]]


@pytest.mark.parametrize("count", [0, 3])
def test_proposal_of_nothing_is_empty(count):
    assert anchor_fit.propose(np.zeros((0, 2)), count).shape == (0, 2)
