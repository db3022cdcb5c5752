"""The ways to the network's size against `tf.image`, and the way back against hand arithmetic."""

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import eval_resize, geometry
from preprocessing import ssd_vgg_preprocessing as ssd
from preprocessing.eval_resize import EvalResize

SIZE = (300, 300)
SIZES = [(300, 300), (301, 517), (640, 333), (90, 120), (299, 2000), (1, 900), (900, 301)]
MEANS = np.float32([123, 117, 104])
WHOLE = [0.0, 0.0, 1.0, 1.0]


def picture(size):
    return np.random.default_rng(sum(size)).integers(0, 256, [*size, 3], np.uint8)


def to_picture(boxes, size, resize):
    return eval_resize.to_picture(tf.constant([boxes]), tf.constant([size]), SIZE, resize)[0]


def test_numbers_are_those_of_ssd_tensorflow():
    assert [mode.name for mode in EvalResize] == ["NONE", "CENTRAL_CROP", "PAD_AND_RESIZE", "WARP"]
    assert [int(mode) for mode in EvalResize] == [1, 2, 3, 4]


@pytest.mark.parametrize("size", SIZES)
def test_crop_equals_tf_image_bit_for_bit(size):
    image = tf.constant(picture(size))
    ours = ssd.preprocess_for_eval(image, image_size=SIZE, resize=EvalResize.CENTRAL_CROP)
    expected = tf.image.resize_with_crop_or_pad(tf.cast(image, tf.float32) - MEANS, *SIZE)
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("size", SIZES)
def test_padding_shrinks_as_tf_image_and_never_enlarges(size):
    image = tf.constant(picture(size))
    factor = min(1.0, 300 / max(size))
    small = [max(1, int(side * factor + 1e-9)) for side in size]  # exact where it is whole
    expected = tf.image.resize(image, small, method="bilinear", antialias=False) - MEANS
    expected = tf.image.resize_with_crop_or_pad(expected, *SIZE)
    ours = ssd.preprocess_for_eval(image, image_size=SIZE, resize=EvalResize.PAD_AND_RESIZE)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4)


def test_longer_side_fills_the_network_whatever_the_size():
    sides = np.arange(300, 5000)
    sizes = np.stack([sides, sides // 2], 1).astype(np.int32)
    placement = eval_resize.place(tf.constant(sizes), SIZE, EvalResize.PAD_AND_RESIZE)
    heights, widths = placement.target_size.numpy().T
    assert set(heights) == {300}
    assert set(widths) == {149, 150}


@pytest.mark.parametrize(
    ("resize", "size", "seen"),
    [
        (EvalResize.WARP, (400, 500), WHOLE),
        (EvalResize.NONE, (300, 300), WHOLE),
        (EvalResize.CENTRAL_CROP, (400, 500), [0.125, 0.2, 0.875, 0.8]),  # 50 of 400, 100 of 500
        (EvalResize.CENTRAL_CROP, (301, 300), [0, 0, 300 / 301, 1]),
        (EvalResize.CENTRAL_CROP, (200, 600), [0, 0.25, 1, 0.75]),  # the padded border is cut off
        (EvalResize.PAD_AND_RESIZE, (600, 200), WHOLE),
        (EvalResize.PAD_AND_RESIZE, (90, 120), WHOLE),
    ],
)
def test_networks_whole_input_is_what_it_saw_of_the_picture(resize, size, seen):
    np.testing.assert_allclose(to_picture([WHOLE], size, resize)[0], seen, atol=1e-6)


def test_padded_box_goes_back_by_hand():
    # 600 x 200 pixels are shrunk to 300 x 100, in columns 100 to 200 of the network's input.
    half = [0.5, 100 / 300, 1.0, 150 / 300]
    right, beside = [0.0, 0.6, 0.1, 1.0], [0.0, 0.0, 1.0, 0.25]
    found = to_picture([half, right, beside], (600, 200), EvalResize.PAD_AND_RESIZE)
    expected = [[0.5, 0, 1, 0.5], [0, 0.8, 0.1, 1], [0, 0, 1, 0]]  # the last has no area
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("resize", list(EvalResize))
def test_way_back_undoes_the_way_there_in_a_batch(resize):
    sizes = tf.constant(SIZES)
    windows = eval_resize.place(sizes, SIZE, resize).window
    seen = np.float32([[0.45, 0.45, 0.55, 0.5], [0.5, 0.4, 0.6, 0.6]])  # of the input, in the crop
    back = eval_resize.to_picture(tf.tile(seen[None], [len(SIZES), 1, 1]), sizes, SIZE, resize)
    for k in range(len(SIZES)):
        window = geometry.Window(windows.start[k], windows.size[k])
        inside = ((back[k].numpy() > 0) & (back[k].numpy() < 1)).all(1)
        again = geometry.project(back[k], window).numpy()
        np.testing.assert_allclose(again[inside], seen[inside], atol=1e-5)
        assert inside.any() or SIZES[k] == (1, 900)


def test_warp_leaves_boxes_as_they_are():
    boxes = tf.random.stateless_uniform([2, 5, 4], seed=[1, 2])
    assert eval_resize.to_picture(boxes, tf.constant(SIZES[:2]), SIZE, EvalResize.WARP) is boxes
