"""Matching against a plain loop that takes the largest overlap left, and by hand."""

import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from nets import anchors as anchor_boxes
from nets import boxes as box_ops
from nets import matching, own_anchors
from nets.ssd_vgg_300 import PARAMETERS

SCALING = (0.1, 0.1, 0.2, 0.2)


def f32(values) -> tf.Tensor:
    return tf.constant(values, tf.float32)


def greedy(overlaps: np.ndarray) -> list[int]:
    """Takes the global maximum, strikes out its row and column, and again."""
    left, found = overlaps.astype(float).copy(), {}
    while len(found) < len(overlaps):
        row, column = np.unravel_index(np.argmax(left), left.shape)  # first of equals, row by row
        found[row] = int(column)
        left[row, :] = left[:, column] = -1
    return [found[row] for row in range(len(overlaps))]


def plain_assign(overlaps: np.ndarray, threshold: float) -> list[int]:
    """The object of every anchor: the greedy ones, then those above the threshold."""
    objects = []
    for column in overlaps.T:
        best = int(np.argmax(column)) if len(column) else 0
        objects.append(best if len(column) and column[best] >= threshold else -1)
    for row, column in enumerate(greedy(overlaps)):
        objects[column] = row
    return objects


@st.composite
def overlap_tables(draw) -> np.ndarray:
    """Few different values, so that ties and conflicts abound."""
    objects = draw(st.integers(1, 6))
    anchors = draw(st.integers(objects, 9))
    steps = draw(st.sampled_from([1, 2, 4, 100]))
    cells = st.lists(st.integers(0, steps), min_size=anchors, max_size=anchors)
    rows = draw(st.lists(cells, min_size=objects, max_size=objects))
    return np.array(rows, np.float32) / steps


def crowd(seed: int, objects: int, anchors: int) -> np.ndarray:
    """Overlaps where a few anchors are everyone's favourites."""
    generator = np.random.default_rng(seed)
    favour = generator.uniform(0, 0.9, (1, anchors)) ** 3
    return (favour + generator.uniform(0, 0.1, (objects, anchors))).astype(np.float32)


def random_objects(seed: int, count: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres, sides = generator.uniform(0, 1, (count, 2)), generator.uniform(0.02, 0.5, (count, 2))
    corners = np.concatenate([centres - sides / 2, centres + sides / 2], 1)
    return np.clip(corners, 0, 1).astype(np.float32)


@hypothesis.settings(max_examples=120, deadline=None)
@hypothesis.given(overlap_tables())
def test_best_anchors_are_those_of_the_greedy_rule(overlaps):
    made = matching.best_anchors(f32(overlaps)).numpy().tolist()
    assert made == greedy(overlaps)
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("seed", range(20))
def test_best_anchors_of_a_crowd_are_those_of_the_greedy_rule(seed):
    overlaps = crowd(seed, objects=5 + 3 * seed, anchors=70)
    assert matching.best_anchors(f32(overlaps)).numpy().tolist() == greedy(overlaps)


@pytest.mark.parametrize("seed", range(3))
def test_best_anchors_of_real_anchors_are_those_of_the_greedy_rule(seed):
    anchors = f32(anchor_boxes.make(PARAMETERS, PARAMETERS.sizes_of("voc")))
    overlaps = box_ops.iou(f32(random_objects(seed, 60)), anchors)
    assert matching.best_anchors(overlaps).numpy().tolist() == greedy(overlaps.numpy())


def test_contested_anchor_goes_to_the_larger_overlap_and_the_loser_to_its_next():
    overlaps = [[0.6, 0.5, 0.1], [0.7, 0.2, 0.3], [0.1, 0.55, 0.2]]
    # 1 takes anchor 0 (0.7), 2 takes anchor 1 (0.55), and 0 is left with anchor 2.
    assert matching.best_anchors(f32(overlaps)).numpy().tolist() == [2, 0, 1]


def test_equal_overlaps_go_to_the_lower_object_then_the_lower_anchor():
    assert matching.best_anchors(tf.fill([3, 5], 0.5)).numpy().tolist() == [0, 1, 2]


def test_objects_that_overlap_nothing_still_get_anchors_of_their_own():
    assert matching.best_anchors(tf.zeros([4, 4])).numpy().tolist() == [0, 1, 2, 3]


def test_more_objects_than_good_anchors_share_out_the_rest():
    overlaps = np.zeros((6, 8), np.float32)
    overlaps[:, 5] = [0.3, 0.8, 0.4, 0.9, 0.2, 0.1]
    overlaps[:, 2] = [0.5, 0.1, 0.6, 0.2, 0.1, 0.1]
    made = matching.best_anchors(f32(overlaps)).numpy().tolist()
    assert made == greedy(overlaps) == [0, 1, 2, 5, 3, 4]


@pytest.mark.parametrize("seed", range(5))
def test_more_objects_than_anchors_leave_the_weakest_without(seed):
    overlaps = np.random.default_rng(seed).permutation(24).reshape(6, 4).astype(np.float32)
    made = matching.best_anchors(f32(overlaps)).numpy().tolist()
    left, expected = overlaps.copy(), [-1] * 6
    for _ in range(4):
        row, column = np.unravel_index(left.argmax(), left.shape)
        expected[row] = int(column)
        left[row, :] = left[:, column] = -1
    assert made == expected
    objects = matching.assign(f32(overlaps), threshold=100.0).numpy().tolist()
    assert objects == [expected.index(anchor) for anchor in range(4)]


def test_best_anchors_of_no_object_are_none():
    assert matching.best_anchors(tf.zeros([0, 7])).shape == (0,)


@hypothesis.settings(max_examples=80, deadline=None)
@hypothesis.given(overlap_tables(), st.sampled_from([0.25, 0.5, 1.0]))
def test_assign_equals_a_plain_reading_of_the_recipe(overlaps, threshold):
    made = matching.assign(f32(overlaps), threshold=threshold).numpy().tolist()
    assert made == plain_assign(overlaps, threshold)
    assert set(range(len(overlaps))) <= set(made)  # every object teaches something


def test_threshold_itself_is_enough():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    overlaps = [[0.9, 0.5, below, 0.0]]
    assert matching.assign(f32(overlaps), threshold=0.5).numpy().tolist() == [0, 0, -1, -1]


def test_anchor_above_the_threshold_of_two_objects_goes_to_the_better():
    overlaps = [[0.9, 0.6, 0.5], [0.1, 0.7, 0.8]]
    assert matching.assign(f32(overlaps), threshold=0.5).numpy().tolist() == [0, 1, 1]


def test_own_anchor_beats_the_threshold_rule():
    # Object 0 wins anchor 0, so anchor 1 becomes object 1's, though object 0 overlaps it more.
    overlaps = [[0.9, 0.8, 0.1], [0.85, 0.3, 0.1]]
    assert matching.assign(f32(overlaps), threshold=0.5).numpy().tolist() == [0, 1, -1]


def test_assign_without_objects_leaves_every_anchor_to_the_background():
    assert matching.assign(tf.zeros([0, 3]), threshold=0.0).numpy().tolist() == [-1, -1, -1]


def test_match_gives_labels_and_offsets_of_the_right_objects():
    anchors = f32([[0, 0, 0.2, 0.2], [0.5, 0.5, 1, 1], [0, 0.6, 0.3, 0.9], [0.5, 0.5, 1, 0.9]])
    boxes = f32([[0.5, 0.5, 1, 1], [0, 0, 0.1, 0.1]])
    made = matching.match(boxes, tf.constant([7, 3], tf.int64), anchors)
    # Object 1 overlaps anchor 0 by 0.25 only; object 0 overlaps anchor 3 by 0.8.
    assert made.classes.numpy().tolist() == [3, 7, 0, 7]
    assert made.classes.dtype == tf.int32
    np.testing.assert_allclose(
        made.offsets,
        [
            [-2.5, -2.5, np.log(0.5) / 0.2, np.log(0.5) / 0.2],
            [0, 0, 0, 0],
            [0, 0, 0, 0],
            [0.05 / 0.4 / 0.1, 0, np.log(0.5 / 0.4) / 0.2, 0],
        ],
        atol=1e-5,
    )


@pytest.mark.parametrize("seed", range(4))
def test_match_on_real_anchors_decodes_to_the_objects(seed):
    anchors = anchor_boxes.make(PARAMETERS, PARAMETERS.sizes_of("voc"))
    boxes, count = random_objects(seed, 4 + 9 * seed), 4 + 9 * seed
    labels = np.arange(1, count + 1)
    made = matching.match(f32(boxes), tf.constant(labels), f32(anchors))
    classes, decoded = made.classes.numpy(), box_ops.decode(made.offsets, f32(anchors), SCALING)
    assert set(classes) == {0, *labels}
    positive = classes > 0
    np.testing.assert_allclose(
        decoded.numpy()[positive], boxes[classes[positive] - 1], rtol=0, atol=1e-5
    )
    assert not made.offsets.numpy()[~positive].any()
    overlaps = box_ops.iou(f32(boxes), f32(anchors)).numpy()
    assert classes.tolist() == [k + 1 for k in plain_assign(overlaps, 0.5)]


def test_match_without_objects_is_all_background():
    anchors = f32(anchor_boxes.make(PARAMETERS, PARAMETERS.sizes_of("voc")))
    made = matching.match(tf.zeros([0, 4]), tf.zeros([0], tf.int64), anchors)
    assert made.classes.shape == (8732,)
    assert made.offsets.shape == (8732, 4)
    assert not made.classes.numpy().any()
    assert not made.offsets.numpy().any()


@pytest.mark.parametrize("count", [0, 1, 40])
def test_match_says_the_same_inside_a_compiled_pipeline(count):
    anchors = f32(anchor_boxes.make(PARAMETERS, PARAMETERS.sizes_of("voc")))
    boxes, labels = f32(random_objects(5, count)), tf.ones([count], tf.int64)
    data = tf.data.Dataset.from_tensors((boxes, labels))
    inside = next(iter(data.map(lambda b, k: matching.match(b, k, anchors, threshold=0.4))))
    eager = matching.match(boxes, labels, anchors, threshold=0.4)
    np.testing.assert_array_equal(inside[0], eager.classes)
    np.testing.assert_allclose(inside[1], eager.offsets, atol=1e-5)


def test_small_object_far_below_the_threshold_still_teaches():
    anchors = f32(anchor_boxes.make(PARAMETERS, PARAMETERS.sizes_of("voc")))
    speck = f32([[0.5, 0.5, 0.51, 0.51]])  # 3 pixels; the smallest anchor has 30
    made = matching.match(speck, tf.constant([2]), anchors)
    assert float(tf.reduce_max(box_ops.iou(speck, anchors))) < 0.05
    assert np.count_nonzero(made.classes) == 1
    assert np.isfinite(made.offsets).all()


def small_objects(seed: int, count: int, *, sides, area: float, equal: bool = False) -> np.ndarray:
    """Objects in a part of the image; `equal` ones share sides and a grid, so that ties abound."""
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, area, (count, 2))
    corners = np.round(corners * 32) / 32 if equal else corners
    size = np.full((count, 2), sides[0]) if equal else generator.uniform(*sides, (count, 2))
    return np.concatenate([corners, corners + size], 1).astype(np.float32)


@hypothesis.settings(max_examples=25, deadline=None)
@hypothesis.given(
    st.integers(0, 10**6),
    st.integers(1, 90),
    st.sampled_from([(0.01, 0.02), (0.02, 0.2), (0.1, 0.9), (0.03125, 0.0625)]),
    st.sampled_from([0.1, 0.6, 1.0]),
    st.booleans(),
    st.sampled_from([0.0, 0.3, 0.5]),
)
def test_assignment_of_many_is_that_of_the_plain_loop(seed, count, sides, area, equal, threshold):
    boxes = small_objects(seed, count, sides=sides, area=area, equal=equal)
    anchors = random_objects(seed + 1, 400)
    made = matching.assign_many(f32(boxes), f32(anchors), threshold=threshold)
    overlaps = box_ops.iou(f32(boxes), f32(anchors)).numpy()
    assert made.numpy().tolist() == plain_assign(overlaps, threshold)


@pytest.mark.parametrize(
    "sides, area, equal",
    [((0.003, 0.004), 0.1, False), ((0.02, 0.3), 0.8, False), ((0.03125, 0.04), 0.2, True)],
)
def test_hundreds_of_objects_match_as_in_the_plain_loop(sides, area, equal):
    """More than an object lists at once, so that lists are made anew."""
    anchors = f32(anchor_boxes.make(PARAMETERS, PARAMETERS.sizes_of("voc")))
    boxes = f32(small_objects(3, 400, sides=sides, area=area, equal=equal))
    made = matching.match(boxes, tf.range(1, 401), anchors).classes.numpy()
    overlaps = box_ops.iou(boxes, anchors).numpy()
    assert made.tolist() == [k + 1 for k in plain_assign(overlaps, 0.5)]
    assert {*made} == {*range(401)}


def test_many_objects_more_than_anchors_leave_the_last_without():
    boxes = small_objects(0, 30, sides=(0.1, 0.3), area=0.7)
    anchors = random_objects(1, 20)
    own, _ = own_anchors.of_many(f32(boxes), f32(anchors))
    overlaps = box_ops.iou(f32(boxes), f32(anchors))
    assert own.numpy().tolist() == matching.best_anchors(overlaps).numpy().tolist()
    assert sorted(own.numpy().tolist())[:11] == [*[-1] * 10, 0]


def test_two_thousand_objects_take_no_time_that_grows_with_their_square():
    anchors = f32(anchor_boxes.make(PARAMETERS, PARAMETERS.sizes_of("coco")))
    signature = [tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int64)]
    match = tf.function(lambda b, k: matching.match(b, k, anchors), input_signature=signature)
    boxes = f32(small_objects(0, 2000, sides=(0.0028, 0.0029), area=0.25))
    seconds = []
    for _ in range(4):
        start = time.process_time()
        made = match(boxes, tf.ones([2000], tf.int64))
        seconds.append(time.process_time() - start)
    assert np.count_nonzero(made.classes) >= 2000
    assert min(seconds) < 1  # 13 with the table of all pairs; the machine may be busy
