"""Box arithmetic by hand, by brute force, and encode against decode."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from nets import boxes

SCALING = (0.1, 0.1, 0.2, 0.2)
QUICK = hypothesis.settings(max_examples=60, deadline=None)


def f32(values) -> tf.Tensor:
    return tf.constant(values, tf.float32)


@st.composite
def some_boxes(draw, least: int = 0) -> np.ndarray:
    """Boxes with corners on a grid of 1/16, some of them empty or inverted."""
    count = draw(st.integers(least, 6))
    corners = draw(
        st.lists(
            st.lists(st.integers(-4, 20), min_size=4, max_size=4), min_size=count, max_size=count
        )
    )
    return np.array(corners, np.float32).reshape(-1, 4) / 16


def random_boxes(generator: np.random.Generator, shape, *, low=0.01, high=0.6) -> np.ndarray:
    centres = generator.uniform(-0.2, 1.2, (*shape, 2))
    sides = np.exp(generator.uniform(np.log(low), np.log(high), (*shape, 2)))
    return np.concatenate([centres - sides / 2, centres + sides / 2], -1).astype(np.float32)


def plain_iou(a, b) -> float:
    height = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (a, b)]
    union = sum(areas) - height * width
    return height * width / union if union > 0 else 0.0


def test_area_is_height_times_width_and_0_for_inverted_boxes():
    proper = [[0, 0, 1, 1], [0.1, 0.2, 0.4, 0.6], [0.5, 0, 0.5, 1]]
    inverted = [[0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.1, 0.9], [0.1, 0.9, 0.9, 0.1]]
    np.testing.assert_allclose(boxes.area(f32(proper + inverted)), [1, 0.12, 0, 0, 0, 0], atol=1e-7)


def test_area_keeps_leading_dimensions():
    assert boxes.area(tf.ones([2, 3, 4])).shape == (2, 3)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1),
        ([0, 0, 1, 1], [0, 0, 0.5, 1], 0.5),
        ([0, 0, 0.5, 0.5], [0.25, 0.25, 0.75, 0.75], 1 / 7),
        ([0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], 0),  # they touch
        ([0, 0, 0.2, 0.2], [0.5, 0.5, 1, 1], 0),
        ([0, 0, 0.2, 0.2], [0.5, 0, 1, 0.2], 0),  # same columns, other rows
        ([0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5], 0),  # a point against itself
        ([0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1], 0),
    ],
)
def test_iou_is_as_worked_out_by_hand(a, b, expected):
    np.testing.assert_allclose(boxes.iou(f32([a]), f32([b])), [[expected]], rtol=1e-6)


@QUICK
@hypothesis.given(some_boxes(), some_boxes())
def test_iou_equals_brute_force(first, second):
    expected = np.array([[plain_iou(a, b) for b in second] for a in first])
    made = boxes.iou(f32(first), f32(second)).numpy()
    assert made.shape == (len(first), len(second))
    np.testing.assert_allclose(made, expected.reshape(made.shape), rtol=1e-5, atol=1e-6)


@QUICK
@hypothesis.given(some_boxes(), some_boxes())
def test_iou_is_symmetric_and_lies_between_0_and_1(first, second):
    made = boxes.iou(f32(first), f32(second)).numpy()
    np.testing.assert_array_equal(made, boxes.iou(f32(second), f32(first)).numpy().T)
    assert ((made >= 0) & (made <= 1)).all()


def test_iou_takes_no_boxes_at_all():
    assert boxes.iou(tf.zeros([0, 4]), tf.zeros([3, 4])).shape == (0, 3)


def test_encoding_the_anchor_itself_gives_zeros():
    anchor = f32([[0.1, 0.2, 0.5, 0.9]])
    np.testing.assert_allclose(boxes.encode(anchor, anchor, SCALING), np.zeros([1, 4]), atol=1e-6)


def test_encode_gives_x_y_w_h_as_worked_out_by_hand():
    anchor = f32([0.2, 0.2, 0.4, 0.6])  # centre (0.3, 0.4) of y, x; height 0.2, width 0.4
    box = f32([0.3, 0.4, 0.7, 0.6])  # centre (0.5, 0.5); height 0.4, width 0.2
    expected = [
        (0.5 - 0.4) / 0.4 / 0.1,
        (0.5 - 0.3) / 0.2 / 0.1,
        np.log(0.2 / 0.4) / 0.2,
        np.log(0.4 / 0.2) / 0.2,
    ]
    np.testing.assert_allclose(boxes.encode(box, anchor, SCALING), expected, rtol=1e-5)
    np.testing.assert_allclose(expected, [2.5, 10, -3.4657359, 3.4657359], rtol=1e-6)


def test_decode_reads_x_y_w_h_as_worked_out_by_hand():
    anchor = f32([0.2, 0.2, 0.4, 0.6])
    offsets = f32([1.0, -2.0, np.log(2) / 0.2, np.log(0.5) / 0.2])
    # x = 0.4 + 1 * 0.1 * 0.4, y = 0.3 - 2 * 0.1 * 0.2, width 0.8, height 0.1
    np.testing.assert_allclose(
        boxes.decode(offsets, anchor, SCALING), [0.21, 0.04, 0.31, 0.84], atol=1e-6
    )


def test_decode_of_zeros_gives_the_anchors_unclipped():
    anchors = f32([[-0.1, -0.2, 0.4, 1.6], [0.2, 0.2, 0.3, 0.3]])
    np.testing.assert_allclose(boxes.decode(tf.zeros([2, 4]), anchors, SCALING), anchors, atol=1e-6)


def test_each_prior_scaling_acts_on_its_own_offset():
    anchor, box = f32([0.0, 0.0, 1.0, 1.0]), f32([0.1, 0.2, 0.9, 0.7])
    plain = boxes.encode(box, anchor, (1.0, 1.0, 1.0, 1.0)).numpy()
    scaled = boxes.encode(box, anchor, (0.5, 0.25, 0.2, 0.1)).numpy()
    np.testing.assert_allclose(scaled, plain * [2, 4, 5, 10], rtol=1e-6)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("scaling", [SCALING, (1.0, 0.3, 0.7, 0.5)])
def test_decode_is_the_inverse_of_encode(seed, scaling):
    generator = np.random.default_rng(seed)
    wanted, anchors = random_boxes(generator, (3, 50)), random_boxes(generator, (3, 50), low=0.05)
    offsets = boxes.encode(f32(wanted), f32(anchors), scaling)
    np.testing.assert_allclose(boxes.decode(offsets, f32(anchors), scaling), wanted, atol=2e-6)


@pytest.mark.parametrize("seed", range(8))
def test_encode_is_the_inverse_of_decode(seed):
    generator = np.random.default_rng(seed)
    offsets = generator.uniform(-3, 3, (50, 4)).astype(np.float32)
    anchors = f32(random_boxes(generator, (50,), low=0.05))
    decoded = boxes.decode(f32(offsets), anchors, SCALING)
    np.testing.assert_allclose(boxes.encode(decoded, anchors, SCALING), offsets, atol=2e-3)


def test_one_set_of_anchors_serves_a_batch():
    generator = np.random.default_rng(3)
    offsets, anchors = generator.normal(size=(2, 5, 4)), f32(random_boxes(generator, (5,)))
    together = boxes.decode(f32(offsets), anchors, SCALING)
    for picture in range(2):
        alone = boxes.decode(f32(offsets[picture]), anchors, SCALING)
        np.testing.assert_allclose(together[picture], alone, atol=1e-6)
