"""Whole images through the augmentation: exact where it must be, and its distribution."""

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import ssd_vgg_preprocessing as ssd
from tests.preprocessing import reference

SIZE = (300, 300)
MEANS = np.float32([123, 117, 104])
PICTURE = np.random.default_rng(0).integers(0, 256, [90, 120, 3], np.uint8)
PNG = tf.io.encode_png(PICTURE)
BOXES = np.float32([[0.1, 0.2, 0.5, 0.6], [0.3, 0.5, 0.95, 0.9], [0.6, 0.05, 0.7, 0.2]])
LABELS = np.int64([7, 8, 9])


def augment_many(count, *, encoded=PNG, boxes=BOXES, labels=LABELS, size=SIZE, threads=1):
    """NumPy (image, boxes, labels) for the seeds (5, 0), (5, 1), ..."""
    boxes, labels = tf.reshape(tf.constant(boxes, tf.float32), [-1, 4]), tf.constant(labels)

    def augment(k):
        seed = tf.stack([5, k])
        return ssd.preprocess_for_train(encoded, boxes, labels, seed=seed, image_size=size)

    drawn = tf.data.Dataset.range(count).map(augment, num_parallel_calls=threads)
    return list(drawn.as_numpy_iterator())


def augment(encoded=PNG, boxes=BOXES, labels=LABELS, seed=(5, 0)):
    drawn = ssd.preprocess_for_train(
        encoded, tf.constant(boxes), tf.constant(labels), seed=tf.constant(seed), image_size=SIZE
    )
    return [part.numpy() for part in drawn]


def picture(rows):
    """PNG of u8[H, W] or u8[H, W, 3]."""
    return tf.io.encode_png(np.broadcast_to(np.atleast_3d(rows), [*np.shape(rows)[:2], 3]))


def test_decode_takes_png_jpeg_and_grey():
    assert np.array_equal(ssd.decode(PNG), PICTURE)
    jpeg = tf.io.encode_jpeg(PICTURE, quality=95)
    assert np.array_equal(ssd.decode(jpeg), tf.image.decode_jpeg(jpeg))
    grey = ssd.decode(tf.io.encode_png(PICTURE[:, :, :1]))
    assert np.array_equal(grey, np.repeat(PICTURE[:, :, :1], 3, 2))


@pytest.mark.parametrize("broken", [b"", b"no image", tf.io.encode_jpeg(PICTURE).numpy()[:900]])
def test_decode_refuses_what_is_no_whole_picture(broken):
    with pytest.raises(tf.errors.InvalidArgumentError):
        ssd.decode(tf.constant(broken))


def test_eval_equals_tf_image_resize_minus_the_means():
    expected = tf.image.resize(PICTURE, SIZE, method="bilinear", antialias=False) - MEANS
    ours = ssd.preprocess_for_eval(tf.constant(PICTURE), image_size=SIZE)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4)


def test_without_augmentation_equals_eval_and_clips_boxes():
    boxes = np.float32([[0.1, 0.2, 0.3, 0.4], [-0.2, 0.5, 0.5, 1.5], [0.2, 0.2, 0.2, 0.9]])
    image, boxes, labels = ssd.preprocess_without_augmentation(
        PNG, tf.constant(boxes), tf.constant(LABELS), image_size=SIZE
    )
    assert np.array_equal(image, ssd.preprocess_for_eval(tf.constant(PICTURE), image_size=SIZE))
    assert np.array_equal(boxes, np.float32([[0.1, 0.2, 0.3, 0.4], [0, 0.5, 0.5, 1]]))
    assert labels.numpy().tolist() == [7, 8]  # the box without area is gone


def test_same_seed_gives_the_same_bits_everywhere():
    once = augment_many(8)
    again = augment_many(8, threads=4)
    for one, other in zip(once, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    for a, b in zip(once[3], augment(seed=np.int32([5, 3])), strict=True):
        assert np.array_equal(a, b)  # eager, and another integer type


def test_different_seeds_differ():
    pictures = [image for image, _, _ in augment_many(12)]
    pictures.append(augment(seed=(6, 0))[0])
    for k, one in enumerate(pictures):
        assert not any(np.array_equal(one, other) for other in pictures[:k])


def test_shapes_are_known_to_the_graph():
    @tf.function
    def traced(encoded, boxes, labels, seed):
        return ssd.preprocess_for_train(encoded, boxes, labels, seed=seed, image_size=(300, 200))

    specs = [((), tf.string), ((None, 4), tf.float32), ((None,), tf.int64), ((2,), tf.int64)]
    image, boxes, labels = traced.get_concrete_function(
        *(tf.TensorSpec(*spec) for spec in specs)
    ).outputs
    assert image.shape == [300, 200, 3]
    assert boxes.shape.as_list() == [None, 4]
    assert labels.shape.as_list() == [None]


def test_values_stay_in_the_range_of_bytes_minus_the_means():
    for image, _, _ in augment_many(40):
        assert image.dtype == np.float32
        assert np.all(image + MEANS > -1e-3)
        assert np.all(image + MEANS < 255 + 1e-3)


@pytest.mark.parametrize(
    "boxes",
    [
        np.zeros([0, 4]),
        [[0.4, 0.4, 0.6, 0.6]],
        [[0.0, 0.0, 0.1, 0.1], [0.9, 0.9, 1.0, 1.0], [0, 0, 1, 1]],
        [[-0.1, -0.5, 0.2, 0.3], [0.8, 0.7, 1.0000001, 1.3]],
        [[0.5, 0.5, 0.5, 0.5], [0.2, 0.9, 0.4, 0.1], [0.999, 0.999, 1, 1]],
    ],
    ids=["no object", "one object", "at the border", "beyond the border", "degenerate"],
)
def test_boxes_stay_inside_and_have_area(boxes):
    labels = np.arange(len(boxes))
    for image, after, names in augment_many(60, boxes=boxes, labels=labels):
        assert np.isfinite(image).all()
        assert after.shape == (len(names), 4)
        assert np.all((after >= 0) & (after <= 1))
        assert np.all(after[:, :2] < after[:, 2:])
        assert set(names) <= set(labels)


def test_labels_and_pixels_follow_their_boxes():
    rows = np.full([120, 160], 128, np.uint8)
    rows[12:60, 16:64], rows[48:114, 80:144] = 0, 255
    boxes, margin = [[0.1, 0.1, 0.5, 0.4], [0.4, 0.5, 0.95, 0.9]], 8  # blurred by magnification
    together = 0
    for image, after, labels in augment_many(
        80, encoded=picture(rows), boxes=boxes, labels=np.int64([1, 2])
    ):
        shades, grey = {}, (image + MEANS).mean(2)
        for (y0, x0, y1, x1), label in zip(np.rint(after * 300).astype(int), labels, strict=True):
            inside = grey[y0 + margin : y1 - margin, x0 + margin : x1 - margin]
            if inside.size:
                assert np.ptp(inside) < 1e-2
                shades[label] = inside.mean()
        if len(shades) == 2:
            together += 1
            assert shades[1] < shades[2] - 50
    assert together > 10


def ends(seen):
    """First True of a line, and one after the last."""
    first, last = np.flatnonzero(seen)[[0, -1]]
    return first, last + 1


def test_around_an_expanded_picture_is_exactly_the_mean():
    rng, heights = np.random.default_rng(1), []
    encoded = picture(np.full([60, 60, 3], np.uint8([250, 5, 250])))
    for image, _, _ in augment_many(250, encoded=encoded, boxes=[], labels=np.int64([])):
        seen = np.any(image != 0, 2)
        y0, y1, x0, x1 = (*ends(seen.any(1)), *ends(seen.any(0)))
        assert seen[y0:y1, x0:x1].all()  # a rectangle, and 0 around it
        assert seen.sum() == (y1 - y0) * (x1 - x0)
        assert abs((y1 - y0) - (x1 - x0)) <= 1
        heights.append((y1 - y0) / 300)
    plain = [1 / reference.draw_canvas(rng)[0] for _ in range(4000)]
    assert reference.largest_gap(np.array(heights), np.array(plain)) < 1.95


def test_hue_of_half_of_the_pictures_turns_by_up_to_36_degrees():
    count, rng, turns = 300, np.random.default_rng(2), []
    encoded = picture(np.full([60, 60, 3], np.uint8([110, 80, 80])))  # red, too pale to be clipped
    for image, _, _ in augment_many(
        count, encoded=encoded, boxes=[], labels=np.int64([]), size=(16, 16)
    ):
        turns.append(reference.turn_from_red(image[np.any(image != 0, 2)][0] + MEANS))
    turns = np.round(turns, 1)
    assert 34 < np.abs(turns).max() <= 36
    plain = [2 * (reference.draw_colour(rng).hue or 0.0) for _ in range(4000)]
    assert reference.largest_gap(turns, np.round(plain, 1)) < 1.95


def test_half_of_the_pictures_are_flipped():
    rows = np.tile(np.uint8([0] * 40 + [255] * 40), (60, 1))
    flips = []
    for image, _, _ in augment_many(300, encoded=picture(rows), boxes=[], labels=np.int64([])):
        columns = image.sum((0, 2))
        seen = columns[slice(*ends(columns != 0))]
        flips.append(seen[0] > seen[-1])
    assert abs(np.mean(flips) - 0.5) < 4 * np.sqrt(0.25 / 300)


def test_boxes_agree_in_distribution_with_the_plain_reading():
    count, rng = 1000, np.random.default_rng(7)
    ours = augment_many(count, encoded=picture(np.zeros([300, 300], np.uint8)))
    plain = [reference.draw_geometry(rng, BOXES.tolist()) for _ in range(count)]
    for which, label in enumerate(LABELS):
        one = np.concatenate([boxes[labels == label] for _, boxes, labels in ours])
        other = np.concatenate([draw.boxes[np.equal(draw.kept, which)] for draw in plain])
        rate = len(other) / count
        assert abs(len(one) - len(other)) < 3.3 * np.sqrt(2 * count * rate * (1 - rate))
        for measure in (*(lambda b, c=c: b[:, c] for c in range(4)), areas):
            assert reference.largest_gap(measure(one), measure(other)) < 1.95


def areas(boxes):
    return np.prod(boxes[:, 2:] - boxes[:, :2], 1)
