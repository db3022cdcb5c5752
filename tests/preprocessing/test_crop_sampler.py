"""The crop sampler against hand values and, in distribution, against the plain reading."""

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import crop_sampler
from tests.preprocessing import reference

NUM = 1000
SCENES = {
    "one large": [[0.1, 0.05, 0.9, 0.95]],
    "one small, at the border": [[0.0, 0.0, 0.1, 0.12]],
    "several": [[0.1, 0.2, 0.5, 0.6], [0.3, 0.5, 0.95, 0.9], [0.6, 0.05, 0.7, 0.2]],
}


def draw_many(boxes, *, num=NUM, seed=0):
    """NumPy (windows [num, 4] as start and size, kept [num, N])."""
    boxes = tf.reshape(tf.constant(boxes, tf.float32), [-1, 4])

    def draw(k):
        uniform = tf.random.stateless_uniform([crop_sampler.NUM_DRAWS], tf.stack([seed, k]))
        window, kept = crop_sampler.draw(uniform, boxes)
        return tf.concat(window, 0), kept

    drawn = tf.data.Dataset.range(num).map(draw).batch(num).get_single_element()
    return [part.numpy() for part in drawn]


def draw_plainly(boxes, *, num=NUM, seed=1):
    """As `draw_many`, by the plain reading, the fallback to the whole image included."""
    rng, windows, kept = np.random.default_rng(seed), [], np.zeros([num, len(boxes)], bool)
    for k in range(num):
        window = reference.draw_crop(rng, boxes)
        if not reference.surviving(boxes, window):
            window = reference.WHOLE
        windows.append(window)
        kept[k, reference.surviving(boxes, window)] = True
    return np.array(windows), kept


@pytest.fixture(scope="module", params=SCENES)
def scene(request):
    boxes = SCENES[request.param]
    return draw_many(boxes), draw_plainly(boxes)


def test_windows_agree_in_distribution_with_the_plain_reading(scene):
    (ours, _), (plain, _) = scene
    area, aspect = (lambda w: w[:, 2] * w[:, 3]), (lambda w: w[:, 3] / w[:, 2])
    for measure in (*(lambda w, c=c: w[:, c] for c in range(4)), area, aspect):
        assert reference.largest_gap(measure(ours), measure(plain)) < 1.95


def test_surviving_objects_agree_with_the_plain_reading(scene):
    (_, ours), (_, plain) = scene
    spread = np.sqrt(2 * 0.25 / NUM)
    assert np.all(np.abs(ours.mean(0) - plain.mean(0)) < 3.3 * spread)
    assert reference.largest_gap(ours.sum(1), plain.sum(1)) < 1.95


def test_whole_pictures_are_as_frequent_as_in_the_plain_reading(scene):
    (ours, _), (plain, _) = scene
    ours, plain = (np.mean(windows[:, 2] * windows[:, 3] == 1) for windows in (ours, plain))
    assert abs(ours - plain) < 3.3 * np.sqrt(2 * plain * (1 - plain) / NUM)


def test_kept_objects_are_those_with_a_centre_inside():
    boxes = SCENES["several"]
    windows, kept = draw_many(boxes, num=300)
    for window, keeps in zip(windows, kept, strict=True):
        assert np.flatnonzero(keeps).tolist() == reference.surviving(boxes, window)


def test_no_crop_loses_every_object(scene):
    (_, kept), _ = scene
    assert kept.any(1).all()  # Caffe keeps such crops


def covered(window, box):
    """The part of the object inside, which others take for IoU."""
    y0, x0, y1, x1 = reference.clip(reference.project(box, window))
    return (y1 - y0) * (x1 - x0) * window[2] * window[3] / ((box[2] - box[0]) * (box[3] - box[1]))


def test_agreement_notices_coverage_in_place_of_iou():
    (ours, _), rng = draw_many(SCENES["several"]), np.random.default_rng(6)
    plain = [reference.draw_crop(rng, SCENES["several"], overlap=covered) for _ in range(NUM)]
    assert reference.largest_gap(ours[:, 2], np.array(plain)[:, 2]) > 1.95


def test_windows_lie_in_the_picture_and_within_the_stretch():
    uniform = np.random.default_rng(3).uniform(size=[4, 5000]).astype(np.float32)
    uniform[:, :3] = [[0, 0, 0.9999999]] * 4
    start, size = (part.numpy() for part in crop_sampler.windows(tf.constant(uniform)))
    assert np.all(start >= 0)
    assert np.all(size > 0)
    assert np.all(start + size <= 1 + 1e-6)
    stretch = size[1] / size[0]
    assert np.all((stretch > 0.5 - 1e-5) & (stretch < 2 + 1e-5))
    np.testing.assert_allclose(size.prod(0), (0.3 + 0.7 * uniform[0]) ** 2, rtol=1e-5)


def test_window_by_hand():
    start, size = crop_sampler.windows(tf.constant([[0.0], [0.5], [0.25], [1.0]]))
    root = np.sqrt(1.25)  # half way between 0.5 and 2
    height, width = 0.3 / root, 0.3 * root
    np.testing.assert_allclose(size[:, 0], [height, width], rtol=1e-6)
    np.testing.assert_allclose(start[:, 0], [0.25 * (1 - height), 1 - width], rtol=1e-6)


def test_large_windows_are_nearly_square():
    _, size = crop_sampler.windows(tf.constant([[6 / 7], [0.0], [0.0], [0.0]]))
    np.testing.assert_allclose(size[1] / size[0], 0.81, rtol=1e-5)  # scale 0.9: 0.9 squared


def test_best_overlaps_by_hand():
    start = tf.constant([[0.0, 0.5, 0.0], [0.0, 0.5, 0.0]])
    size = tf.constant([[0.5, 0.5, 1.0], [0.5, 0.5, 1.0]])
    boxes = tf.constant([[0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 0.75, 0.75]])
    overlaps = crop_sampler.best_overlaps(start, size, boxes)
    np.testing.assert_allclose(overlaps, [1, 0.0625 / 0.4375, 0.25], rtol=1e-6)


def test_best_overlaps_equal_the_plain_iou():
    rng = np.random.default_rng(4)
    start = rng.uniform(0, 0.5, [2, 40])
    size = rng.uniform(0.1, 0.5, [2, 40])
    low = rng.uniform(0, 0.6, [5, 2])
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.4, [5, 2])], 1)
    ours = crop_sampler.best_overlaps(*(tf.constant(x, tf.float32) for x in (start, size, boxes)))
    windows = np.concatenate([start, size]).T
    expected = [max(reference.iou(window, box) for box in boxes) for window in windows]
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def overlaps_where(successes):
    """Overlaps of all trials: `successes` maps a sampler (0 for 0.1 ...) to its good trials."""
    overlaps = np.zeros([5, 50], np.float32)
    for sampler, trials in successes.items():
        overlaps[sampler, trials] = 0.95
    return tf.constant(np.append(0.95, overlaps.ravel()), tf.float32)


def test_first_success_of_a_sampler_is_taken():
    priority = tf.constant([0.1, 0.2, 0.3, 0.4, 0.9, 0.95, 0.8])
    overlaps = overlaps_where({0: [0], 2: [7, 8, 30], 4: [1]})
    sampler, trial = crop_sampler.choose(priority, overlaps)
    assert sampler == 4  # the 0.5 of five: 0.95 of the 0.7 failed
    assert trial == 1 + 2 * 50 + 7


@pytest.mark.parametrize(("number", "threshold"), list(enumerate([0.1, 0.3, 0.5, 0.7, 0.9])))
def test_overlap_at_the_threshold_succeeds_and_below_fails(number, threshold):
    overlaps, priority = np.zeros(251, np.float32), np.zeros(7, np.float32)
    priority[2 + number] = 1
    last = 1 + number * 50 + 49  # the sampler's last trial
    overlaps[last] = threshold
    sampler, trial = crop_sampler.choose(tf.constant(priority), tf.constant(overlaps))
    assert (sampler, trial) == (2 + number, last)
    overlaps[last] = threshold - 1e-3
    sampler, _ = crop_sampler.choose(tf.constant(priority), tf.constant(overlaps))
    assert sampler < 2  # the whole image, or any part


def test_samplers_that_succeeded_are_equally_likely():
    priorities = tf.random.stateless_uniform([4000, 7], [8, 9])
    overlaps = overlaps_where({1: [3], 3: [0, 1, 2]})
    chosen = tf.data.Dataset.from_tensor_slices(priorities).map(
        lambda priority: crop_sampler.choose(priority, overlaps)[0]
    )
    counts = np.bincount(list(chosen.as_numpy_iterator()), minlength=7)
    assert counts[[2, 4, 6]].sum() == 0
    assert np.all(np.abs(counts[[0, 1, 3, 5]] - 1000) < 4 * np.sqrt(4000 * 0.25 * 0.75))


def test_picture_without_objects_is_taken_whole():
    windows, kept = draw_many([], num=200)
    assert np.array_equal(windows, np.tile([0, 0, 1, 1], [200, 1]))
    assert kept.shape == (200, 0)


def test_object_too_small_for_an_overlap_is_never_lost():
    windows, kept = draw_many([[0.6, 0.6, 0.65, 0.65]], num=500)
    assert kept.all()
    whole = np.all(windows == [0, 0, 1, 1], 1)
    assert 0.6 < whole.mean() < 0.9  # half of the draws, and the rest's fallbacks
    assert np.all(windows[~whole, :2] <= 0.625)
    assert np.all(windows[~whole, :2] + windows[~whole, 2:] >= 0.625)


def test_boxes_without_area_are_no_reason_to_crop():
    windows, kept = draw_many([[0.5, 0.5, 0.5, 0.5]], num=100)
    assert np.array_equal(windows, np.tile([0, 0, 1, 1], [100, 1]))
    assert np.isfinite(windows).all()
    assert kept.all()
