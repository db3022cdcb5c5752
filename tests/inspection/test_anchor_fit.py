"""How anchors fit boxes, against plain arithmetic, and k-means on shapes that are known."""

import numpy as np
import pytest

from inspection import anchor_fit
from nets import anchors
from nets.parameters import write_anchor_sizes
from nets.ssd_vgg_300 import PARAMETERS

VOC = PARAMETERS.sizes_of("voc")


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


def squares_at_random(sides, count: int = 300) -> np.ndarray:
    """Boxes f32[N, 4] of the sides (pixels of 300), anywhere in the image."""
    draw = np.random.default_rng(0)
    size = np.repeat(sides, count)[:, None] / 300
    low = draw.uniform(0, 1 - size, (len(size), 2))
    return np.hstack([low, low + size]).astype(np.float32)


@pytest.mark.parametrize("number", range(6))
def test_nearest_anchor_of_a_layer_overlaps_most(number):
    layer = PARAMETERS.layers[number]
    before = sum(each.size**2 * each.anchors_per_cell for each in PARAMETERS.layers[:number])
    made = anchors.make(PARAMETERS, VOC)[before:][: layer.size**2 * layer.anchors_per_cell]
    shapes = np.stack(anchors.shapes(layer, *VOC[number]), 1)
    boxes = np.random.default_rng(number).uniform(0, 0.6, (50, 4))
    boxes[:, 2:] = boxes[:, :2] + 0.05 + boxes[:, 2:]
    for kind, shape in enumerate(shapes):
        expected = anchor_fit.best_overlaps(boxes, made[kind :: layer.anchors_per_cell])
        overlaps = anchor_fit.on_grid(boxes, PARAMETERS, layer, shape)
        np.testing.assert_allclose(overlaps, expected, atol=1e-5)


def test_sides_go_to_the_layer_whose_grid_is_fine_enough():
    boxes = squares_at_random([20, 48])
    after = anchor_fit.fit_squares(boxes, PARAMETERS, VOC, sides=[20, 48])
    assert after == ((20, 48), *VOC[1:])
    overlaps = [
        anchor_fit.best_overlaps(boxes, anchors.make(PARAMETERS, squares))
        for squares in (VOC, after)
    ]
    recall = [(each >= 0.5).mean() for each in overlaps]
    assert recall[0] < 0.9 < 0.99 < recall[1]


def test_squares_stay_in_order():
    """Anchors of 48 pixels on coarse layers would fit the few objects that lie right."""
    boxes = squares_at_random([48], 2000)
    after = anchor_fit.fit_squares(boxes, PARAMETERS, VOC, sides=[46, 47, 48, 49, 50])
    sides = [side for pair in after for side in pair]
    assert sides == sorted(sides)
    assert after != VOC


def test_proposal_is_a_flag_or_nothing():
    boxes = squares_at_random([20, 48])
    shapes = anchor_fit.propose(300.0 * (boxes[:, 2:] - boxes[:, :2]), 2)
    proposal = anchor_fit.propose_sides(boxes, PARAMETERS, VOC, shapes)
    flag = write_anchor_sizes(proposal)
    assert flag == "20-48,60-81.6,111-134.1,162-185.8,213-237.1,264-288.4"
    assert PARAMETERS.sizes_of(flag) == proposal
    assert anchor_fit.propose_sides(boxes, PARAMETERS, proposal, shapes) is None
    assert anchor_fit.propose_sides(boxes[:0], PARAMETERS, VOC, shapes) is None
    assert anchor_fit.propose_sides(boxes, PARAMETERS, VOC, shapes[:0]) is None
