"""The linear colour map against hand values, step-by-step arithmetic and OpenCV's HSV."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from preprocessing import colour
from tests.preprocessing import reference

OFF = 0.75  # a draw that leaves its part alone
MEANS = (123.0, 117.0, 104.0)
LUMA = np.array([0.299, 0.587, 0.114])


def drawn(brightness=OFF, contrast=OFF, saturation=OFF, hue=OFF):
    return colour.draw(tf.constant([brightness, contrast, saturation, hue]))


def mixed(pixels, **parts):
    """`pixels` [..., 3] through a distortion, neither clipped nor centred."""
    neutral = {"brightness": 0.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
    values = {name: tf.constant(value, tf.float32) for name, value in (neutral | parts).items()}
    matrix, offset = colour.distortion(**values)
    return np.asarray(pixels, np.float32) @ matrix.numpy() + offset.numpy()


def close(ours, expected, tolerance=1e-3):
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance)


def test_draws_above_a_half_change_nothing():
    matrix, offset = drawn()
    close(matrix, np.eye(3), 1e-6)
    assert offset == 0


@pytest.mark.parametrize(("draw", "expected"), [(0.0, -32), (0.25, 0), (0.375, 16), (0.4999, 32)])
def test_brightness_is_an_offset(draw, expected):
    matrix, offset = drawn(brightness=draw)
    close(matrix, np.eye(3), 1e-6)
    close(offset, expected, 0.02)


@pytest.mark.parametrize(("draw", "expected"), [(0.0, 0.5), (0.25, 1.0), (0.375, 1.25)])
def test_contrast_is_a_factor_about_black(draw, expected):
    matrix, offset = drawn(contrast=draw)
    close(matrix, expected * np.eye(3), 1e-6)
    assert offset == 0


def test_contrast_scales_brightness_too():
    _, offset = drawn(brightness=0.375, contrast=0.0)
    close(offset, 8)


def test_saturation_blends_with_luma():
    pixel = np.array([200.0, 100.0, 50.0])
    close(mixed(pixel, saturation=0.5), 0.5 * pixel + 0.5 * LUMA @ pixel)
    close(mixed(pixel, saturation=0.0), np.full(3, LUMA @ pixel))


def test_hue_of_a_third_of_a_turn_permutes_the_channels():
    close(mixed([200, 100, 50], hue=2 * np.pi / 3), [50, 200, 100])


@pytest.mark.parametrize(
    ("draw", "expected"), [(0.0, -36), (0.25, 0), (0.375, 18), (0.4999, 36), (0.5, 0)]
)
def test_hue_turns_by_up_to_36_degrees(draw, expected):
    red = np.array([1, 0, 0]) @ drawn(hue=draw).matrix.numpy()
    close(reference.turn_from_red(red), expected, 0.1)


def test_hue_turns_the_way_opencv_does():
    red = cv2.cvtColor(np.uint8([[[200, 40, 40]]]), cv2.COLOR_RGB2HSV)
    red[..., 0] += 18
    expected = cv2.cvtColor(red, cv2.COLOR_HSV2RGB)[0, 0].astype(int)
    ours = mixed([200, 40, 40], hue=np.pi / 5)
    assert expected[1] > expected[2] + 50
    assert ours[1] > ours[2] + 50


@pytest.mark.parametrize("draw", [0.0, 0.1, 0.3, 0.49])
def test_greys_stay_grey(draw):
    matrix, _ = drawn(contrast=0.1, saturation=draw, hue=draw)
    close(matrix.numpy().sum(0), np.full(3, 0.7), 1e-5)


def test_parts_equal_one_step_after_another():
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 255, [50, 3])
    luma, mean = np.tile(LUMA, (3, 1)), np.full((3, 3), 1 / 3)
    turn = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    for brightness, contrast, saturation, hue in rng.uniform(-0.5, 0.5, [20, 4]):
        saturate = (1 + saturation) * np.eye(3) - saturation * luma
        rotate = mean + np.cos(hue) * (np.eye(3) - mean) + np.sin(hue) * turn
        expected = (1 + contrast) * (pixels + 60 * brightness) @ saturate.T @ rotate.T
        parts = {"contrast": 1 + contrast, "saturation": 1 + saturation, "hue": hue}
        close(mixed(pixels, brightness=60 * brightness, **parts), expected)


def test_each_part_is_on_in_half_of_the_draws_and_uniform():
    draws = tf.random.stateless_uniform([4000, 4], [1, 2])
    ours = tf.data.Dataset.from_tensor_slices(draws).map(colour.draw).batch(4000)
    matrix, offset = (part.numpy() for part in ours.get_single_element())
    rng = np.random.default_rng(3)
    plain = [reference.draw_colour(rng) for _ in range(4000)]
    contrast = np.array([1.0 if draw.contrast is None else draw.contrast for draw in plain])
    brightness = np.array([draw.brightness or 0.0 for draw in plain])
    assert reference.largest_gap(matrix[:, :, 0].sum(1), contrast) < 1.95
    assert reference.largest_gap(offset, contrast * brightness) < 1.95
    grey = np.abs(matrix / matrix.sum(1, keepdims=True) - np.eye(3)).max((1, 2)) < 1e-6
    assert abs(grey.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)  # neither of two parts


def test_apply_clips_to_bytes_and_subtracts_the_means():
    image = np.float32([[[0, 10, 20], [250, 128, 240]]])
    brighter = colour.apply(tf.constant(image), drawn(brightness=0.375), means=MEANS)
    close(brighter, np.minimum(image + 16, 255) - np.float32(MEANS))
    darker = colour.apply(tf.constant(image), drawn(brightness=0.125), means=MEANS)
    close(darker, np.maximum(image - 16, 0) - np.float32(MEANS))


def test_apply_keeps_the_order_of_pixels():
    image = np.random.default_rng(4).uniform(0, 255, [7, 5, 3]).astype(np.float32)
    distortion = drawn(0.2, 0.3, 0.4, 0.1)
    expected = np.clip(image @ distortion.matrix.numpy() + distortion.offset.numpy(), 0, 255)
    close(colour.apply(tf.constant(image), distortion, means=MEANS), expected - np.float32(MEANS))


def test_subtract_equals_broadcasting():
    image = np.random.default_rng(5).uniform(0, 255, [4, 6, 3]).astype(np.float32)
    close(colour.subtract(tf.constant(image), tf.constant(MEANS)), image - np.float32(MEANS), 0)


def distances(pictures, *, only=None, count=6):
    """Mean absolute differences: ours from OpenCV's chain, and of the chain from the image."""
    rng, ours, moved = np.random.default_rng(6), [], []
    for picture in (picture for picture in pictures for _ in range(count)):
        plain = reference.draw_colour(rng)
        if only:
            low, high = reference.COLOUR_RANGES[only]
            plain = reference.Colour(**{only: rng.uniform(low, high)})
        expected = reference.distort(picture, plain).astype(np.float32)
        parts = {name: value for name, value in plain._asdict().items() if value is not None}
        parts.pop("contrast_first")
        parts["hue"] = parts.get("hue", 0.0) * np.pi / 90  # OpenCV's steps are of 2 degrees
        linear = np.clip(mixed(picture, **parts), 0, 255)
        ours.append(np.abs(linear - expected).mean())
        moved.append(np.abs(picture - expected).mean())
    return np.mean(ours), np.mean(moved)


@pytest.fixture(scope="module")
def pictures(shared):
    paths = sorted((shared / "data" / "voc2007_sample").rglob("*.jpg"))[::6]
    pictures = [cv2.resize(cv2.imread(str(path)), (150, 150)) for path in paths]
    return [cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in pictures]


@pytest.mark.parametrize(
    ("only", "stated"), [(None, 2.6), ("saturation", 3.4), ("hue", 2.9)], ids=str
)
def test_difference_from_opencv_is_what_the_module_says(pictures, only, stated):
    ours, moved = distances(pictures, only=only)
    assert abs(ours - stated) < 0.4
    assert ours < moved
