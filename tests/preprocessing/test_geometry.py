"""Windows against arithmetic by hand, and resampling against `tf.image`."""

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import geometry
from preprocessing.geometry import Window
from tests.preprocessing import reference

PICTURE = np.random.default_rng(0).integers(0, 256, [90, 120, 3], np.uint8)
BOXES = np.float32([[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0]])


def window(y, x, height, width):
    return Window(tf.constant([y, x], tf.float32), tf.constant([height, width], tf.float32))


def close(ours, expected, tolerance=1e-6):
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance)


def random_windows(count):
    """Final windows as training draws them, from the plain reading."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        _, canvas, crop, *_ = reference.draw_geometry(rng, [(0.3, 0.35, 0.6, 0.8)])
        (y0, x0, height, width), (y, x, tall, wide) = canvas, crop
        yield window(y0 + y * height, x0 + x * width, height * tall, width * wide)


def test_expansion_keeps_the_picture_in_half_of_the_draws():
    canvas = geometry.draw_expansion(tf.constant([0.5, 0.3, 0.9]))
    close(canvas.start, [0, 0])
    close(canvas.size, [1, 1])


def test_expansion_ratio_and_place_follow_the_draws():
    canvas = geometry.draw_expansion(tf.constant([0.25, 0.5, 0.2]))
    close(canvas.size, [2.5, 2.5])  # 1 + 3 * 2 * 0.25
    close(canvas.start, [-0.75, -0.3])  # half and a fifth of the 1.5 that are free


def test_expansion_holds_the_whole_picture_at_its_limits():
    for draw in ([0.4999999, 0, 0.9999999], [0.0, 0.5, 0.5]):
        canvas = geometry.draw_expansion(tf.constant(draw))
        assert np.all(canvas.start <= 0)
        assert np.all(canvas.start + canvas.size >= 1)
        assert np.all(canvas.size <= 4)


def test_expansion_agrees_in_distribution_with_the_plain_reading():
    rng = np.random.default_rng(2)
    draws = rng.uniform(size=[2000, 3]).astype(np.float32)
    ours = tf.data.Dataset.from_tensor_slices(draws).map(
        lambda uniform: tf.concat(geometry.draw_expansion(uniform), 0)
    )
    ours = np.array(list(ours.as_numpy_iterator()))
    canvases = np.array([reference.draw_canvas(rng)[1] for _ in range(2000)])
    for column in range(4):
        assert reference.largest_gap(ours[:, column], canvases[:, column]) < 1.95
    assert abs(np.mean(ours[:, 2] > 1) - 0.5) < 4 * np.sqrt(0.25 / 2000)


def test_compose_scales_and_shifts_the_inner_window():
    both = geometry.compose(window(-1.0, -0.5, 2.0, 4.0), window(0.5, 0.25, 0.5, 0.1))
    close(both.start, [0.0, 0.5])
    close(both.size, [1.0, 0.4])


def test_compose_equals_projecting_twice():
    outer, inner = window(-0.4, -0.2, 2.0, 1.5), window(0.1, 0.3, 0.6, 0.5)
    twice = geometry.project(geometry.project(BOXES, outer), inner)
    close(geometry.project(BOXES, geometry.compose(outer, inner)), twice)


def test_project_by_hand():
    projected = geometry.project(BOXES, window(0.1, 0.1, 0.8, 0.5))
    close(projected, [[0.0, 0.2, 0.5, 1.0], [-0.125, -0.2, 1.125, 1.8]])


def test_project_takes_no_boxes():
    assert geometry.project(tf.zeros([0, 4]), window(0, 0, 1, 1)).shape == [0, 4]


def test_mirrored_window_swaps_left_and_right():
    mirrored = geometry.mirror(window(0, 0, 1, 1), tf.constant(True))
    close(geometry.project(BOXES, mirrored), [[0.1, 0.4, 0.5, 0.8], [0, 0, 1, 1]])
    cropped = geometry.mirror(window(0.1, 0.1, 0.8, 0.5), tf.constant(True))
    close(geometry.project(BOXES, cropped)[0], [0.0, 0.0, 0.5, 0.8])


def test_window_stays_where_the_picture_is_not_flipped():
    same = geometry.mirror(window(0.1, 0.2, 0.3, 0.4), tf.constant(False))
    close(same.start, [0.1, 0.2])
    close(same.size, [0.3, 0.4])


def test_placement_of_the_whole_picture_is_exact():
    placement = geometry.place(window(0, 0, 1, 1), tf.constant([90, 120]), (300, 300))
    pixels = [part.numpy().tolist() for part in placement[:4]]
    assert pixels == [[0, 0], [90, 120], [0, 0], [300, 300]]
    assert np.array_equal(placement.window.start, [0, 0])
    assert np.array_equal(placement.window.size, [1, 1])


def test_placement_of_an_expansion_by_hand():
    placement = geometry.place(window(-0.5, -1.5, 2, 4), tf.constant([90, 120]), (300, 300))
    pixels = [part.numpy().tolist() for part in placement[:4]]
    assert pixels == [[0, 0], [90, 120], [75, 112], [150, 76]]  # 112.5 and 187.5 go to even
    close(placement.window.size, [2, 300 / 76])
    close(placement.window.start, [-0.5, -112 / 76])


def test_placement_of_a_crop_rounds_to_picture_pixels():
    placement = geometry.place(window(0.101, 0.5, 0.5, 0.25), tf.constant([90, 120]), (300, 300))
    pixels = [part.numpy().tolist() for part in placement[:4]]
    assert pixels == [[9, 60], [45, 30], [0, 0], [300, 300]]
    close(placement.window.start, [0.1, 0.5])


def test_placement_is_within_a_pixel_of_its_window():
    sizes = np.array([[90, 120], [300, 300]])
    for wanted in random_windows(150):
        placement = geometry.place(wanted, tf.constant(sizes[0]), tuple(sizes[1]))
        start = np.stack([placement.source_start, placement.target_start])
        size = np.stack([placement.source_size, placement.target_size])
        assert np.all(start >= 0)
        assert np.all(size >= 1)
        assert np.all(start + size <= sizes)
        seen = np.stack([start[0], start[0] + size[0]]) / sizes[0]
        target = np.stack([start[1], start[1] + size[1]])
        close((seen - placement.window.start) / placement.window.size * 300, target, 1e-3)
        drift = (seen - wanted.start) / wanted.size * 300 - target
        pixel = np.maximum(300 / (sizes[0] * wanted.size), 1)
        assert np.all(np.abs(drift) <= 0.5 * pixel + 0.501)


def test_placement_of_a_sliver_keeps_a_pixel():
    for start in (-0.999, 0.999):
        placement = geometry.place(window(0, start, 1, 1), tf.constant([90, 120]), (300, 300))
        assert placement.source_size[1] == 1
        assert placement.target_size[1] == 1
        assert 0 <= placement.target_start[1] <= 299
        assert 0 <= placement.source_start[1] <= 119


def test_take_equals_a_slice_and_tf_image_resize():
    placement = geometry.place(window(0.1, 0.25, 0.7, 0.5), tf.constant([90, 120]), (300, 200))
    expected = tf.image.resize(PICTURE[9:72, 30:90], [300, 200])
    assert np.array_equal(geometry.take(PICTURE, placement), expected)


def test_take_and_put_leave_zeros_around_the_picture():
    placement = geometry.place(window(-0.5, -1, 2, 4), tf.constant([90, 120]), (300, 200))
    canvas = geometry.put(geometry.take(PICTURE, placement), placement, (300, 200)).numpy()
    expected = np.zeros([300, 200, 3], np.float32)
    expected[75:225, 50:100] = tf.image.resize(PICTURE, [150, 50])
    assert np.array_equal(canvas, expected)


@pytest.mark.parametrize("size", [(300, 300), (45, 60), (33, 200), (90, 120)])
def test_resize_equals_tf_image_resize(size):
    ours = geometry.resize(PICTURE, size)
    expected = tf.image.resize(PICTURE, size, method="bilinear", antialias=False)
    assert ours.dtype == tf.float32
    close(ours, expected, 1e-4)


def test_clip_takes_the_area_of_boxes_outside():
    boxes = np.float32([[-0.1, 0.2, 0.5, 1.2], [0.1, 1.1, 0.2, 1.3], [0.2, 0.4, 0.2, 0.6]])
    clipped = geometry.clip(boxes)
    close(clipped, [[0, 0.2, 0.5, 1], [0.1, 1, 0.2, 1], [0.2, 0.4, 0.2, 0.6]])
    assert geometry.have_area(clipped).numpy().tolist() == [True, False, False]


def test_inverted_boxes_have_no_area():
    boxes = tf.constant([[0.5, 0.1, 0.4, 0.9], [0.1, 0.9, 0.4, 0.1], [0.1, 0.1, 0.1001, 0.1001]])
    assert geometry.have_area(boxes).numpy().tolist() == [False, False, True]


def test_centres_on_the_edge_are_inside():
    boxes = tf.constant([[0.25, 0, 0.75, 1], [0.0, 0, 0.5, 0.5], [0.5, 0.5, 1, 0.25]])
    inside = geometry.centres_inside(boxes, window(0.5, 0.375, 0.5, 0.5))
    assert inside.numpy().tolist() == [True, False, True]


def test_centre_on_the_far_edges_is_inside():
    box = tf.constant([[0.25, 0.25, 0.75, 0.75]])
    assert geometry.centres_inside(box, window(0, 0, 0.5, 0.5)).numpy().tolist() == [True]
