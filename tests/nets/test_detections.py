"""Detections against a plain NumPy reading of RECIPE, and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from nets import boxes as box_ops
from nets import detections

SCALING = (0.1, 0.1, 0.2, 0.2)
NEVER, SURE = -30.0, 30.0


def f32(values) -> tf.Tensor:
    return tf.constant(values, tf.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def iou(a, b) -> float:
    height = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return height * width / (areas - height * width)


def plain_picture(scores, boxes, *, threshold, top_k, nms, keep):
    """[(score, class, box)] of one image, best first."""
    found = []
    for label in range(1, scores.shape[1]):
        ranked = sorted(range(len(scores)), key=lambda a: -scores[a, label])[:top_k]
        kept = []
        for anchor in ranked:
            overlaps = [iou(boxes[anchor], boxes[other]) for other in kept]
            if scores[anchor, label] > threshold and all(each <= nms for each in overlaps):
                kept.append(anchor)
        found += [(scores[a, label], label, np.clip(boxes[a], 0, 1)) for a in kept]
    return sorted(found, key=lambda each: -each[0])[:keep]


def example(seed: int, *, anchors: int = 60, num_classes: int = 4, spread: float = 1.0):
    """Logits, offsets and anchors of two images; many boxes overlap, some cross the border."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform(0.0, 1.0, (anchors, 2))
    sides = generator.uniform(0.2, 0.5, (anchors, 2))
    places = np.concatenate([centres - sides / 2, centres + sides / 2], 1).astype(np.float32)
    logits = generator.normal(0, 2, (2, anchors, num_classes)).astype(np.float32)
    offsets = generator.normal(0, spread, (2, anchors, 4)).astype(np.float32)
    return logits, offsets, places


OPTIONS = {
    "the reference's": {},
    "few candidates": {"select_top_k": 7},
    "few detections": {"keep_top_k": 9},
    "one detection": {"keep_top_k": 1},
    "high threshold": {"select_threshold": 0.6},
    "no overlap allowed": {"nms_threshold": 0.05},
    "no suppression": {"nms_threshold": 1.0},
    "all at once": {"select_top_k": 20, "keep_top_k": 15, "nms_threshold": 0.3},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("seed", range(3))
def test_detections_equal_a_plain_reading_of_the_recipe(seed, options):
    logits, offsets, anchors = example(seed)
    made = detections.detect(f32(logits), f32(offsets), f32(anchors), **options)
    keep = options.get("keep_top_k", 200)
    assert made.boxes.shape == (2, keep, 4)
    for picture in range(2):
        expected = plain_picture(
            softmax(logits[picture]),
            box_ops.decode(f32(offsets[picture]), f32(anchors), SCALING).numpy(),
            threshold=options.get("select_threshold", 0.01),
            top_k=options.get("select_top_k", 400),
            nms=options.get("nms_threshold", 0.45),
            keep=keep,
        )
        count = int(made.num_detections[picture])
        assert count == len(expected) > 0
        scores, classes, boxes = zip(*expected, strict=True)
        np.testing.assert_allclose(made.scores[picture, :count], scores, rtol=1e-5)
        np.testing.assert_array_equal(made.classes[picture, :count], classes)
        np.testing.assert_allclose(made.boxes[picture, :count], boxes, atol=1e-5)
        for padded in made[:3]:
            assert not padded[picture, count:].numpy().any()


def certain(classes: list[int], *, num_classes: int = 4) -> np.ndarray:
    """f32[1, A, C] logits that are sure of these classes; a later anchor is a little less sure."""
    logits = np.full((1, len(classes), num_classes), -4.0, np.float32)
    for anchor, label in enumerate(classes):
        logits[0, anchor, label] = 4.0 - 0.1 * anchor
    return logits


def corner_boxes(count: int) -> np.ndarray:
    """f32[count, 4]: boxes apart from each other."""
    starts = 0.9 * np.arange(count)[:, None] / count
    return np.tile(starts, (1, 4)) + np.array([0, 0, 0.05, 0.05])


def detect(logits, anchors, **options) -> detections.PaddedDetections:
    offsets = tf.zeros([*logits.shape[:2], 4])
    return detections.detect(f32(logits), offsets, f32(anchors), **options)


def test_classes_count_from_1_with_background_left_out():
    made = detect(certain([3, 0, 1]), corner_boxes(3), select_threshold=0.5, keep_top_k=5)
    assert made.classes.numpy().tolist() == [[3, 1, 0, 0, 0]]
    assert made.num_detections.numpy().tolist() == [2]
    np.testing.assert_allclose(made.boxes[0, 1], corner_boxes(3)[2], atol=1e-6)


def test_dtypes_are_those_of_the_contract():
    made = detect(certain([1]), corner_boxes(1))
    assert [part.dtype for part in made] == [tf.float32, tf.int64, tf.float32, tf.int32]


def test_all_background_gives_nothing():
    logits = np.full((2, 6, 3), NEVER, np.float32)
    logits[..., 0] = SURE
    made = detect(logits, corner_boxes(6), keep_top_k=4)
    assert made.num_detections.numpy().tolist() == [0, 0]
    for part in made[:3]:
        assert not part.numpy().any()


def test_suppression_stays_within_a_class():
    same_place = np.tile([[0.2, 0.2, 0.6, 0.6]], (3, 1))
    made = detect(certain([1, 2, 1]), same_place, select_threshold=0.5)
    assert made.classes[0, :2].numpy().tolist() == [1, 2]
    assert made.num_detections.numpy().tolist() == [2]


def test_overlap_equal_to_the_threshold_survives():
    pair = [[0, 0, 1, 1], [0, 0, 0.5, 1]]  # they overlap by exactly 0.5
    counts = [
        int(detect(certain([1, 1]), pair, select_threshold=0.5, nms_threshold=t).num_detections[0])
        for t in (0.5, 0.49)
    ]
    assert counts == [2, 1]


def test_200_are_kept_of_a_picture_over_all_classes():
    classes = [1, 2, 3] * 100
    logits = np.concatenate([certain([k]) for k in classes], axis=1)
    logits *= np.linspace(1, 0.5, 300, dtype=np.float32)[None, :, None]
    side = np.arange(300) / 300
    rows = np.stack([side, np.zeros(300), side + 1 / 400, np.ones(300)], axis=1)
    made = detect(logits, rows, select_threshold=0.1)
    assert made.num_detections.numpy().tolist() == [200]
    assert made.classes.shape == (1, 200)
    assert np.bincount(made.classes[0], minlength=4).tolist() == [0, 67, 67, 66]
    assert (np.diff(made.scores[0]) <= 0).all()


def test_400_of_each_class_enter_the_suppression():
    # The best 400 lie on one place, so that the 401st, elsewhere, would survive if it were let in.
    logits = np.zeros((1, 402, 2), np.float32)
    logits[0, :, 1] = np.linspace(4, 3, 402)
    places = np.tile([[0.1, 0.1, 0.3, 0.3]], (402, 1))
    places[400:] = [[0.5, 0.5, 0.6, 0.6], [0.7, 0.7, 0.8, 0.8]]
    assert int(detect(logits, places).num_detections[0]) == 1
    assert int(detect(logits, places, select_top_k=401).num_detections[0]) == 2


def test_all_detections_of_an_image_may_be_of_one_class():
    steps = np.arange(121)
    corners = np.stack([steps // 11, steps % 11], axis=1) / 11
    boxes = np.concatenate([corners, corners + 1 / 22], axis=1)  # a grid of 11 x 11, all apart
    made = detect(np.tile([[[-4.0, 4.0]]], (1, 121, 1)), boxes, keep_top_k=200)
    assert made.num_detections.numpy().tolist() == [121]


def test_boxes_are_clipped_to_the_picture_after_suppression():
    # Clipped to the image both would be the same box; before, they overlap by a quarter.
    boxes = [[-0.8, 0.0, 0.2, 1.0], [-0.05, 0.0, 0.2, 1.0]]
    made = detect(certain([1, 1]), boxes, select_threshold=0.5)
    assert int(made.num_detections[0]) == 2
    np.testing.assert_allclose(made.boxes[0, :2], [[0, 0, 0.2, 1]] * 2, atol=1e-6)


def test_score_must_exceed_the_threshold():
    made = detect(np.zeros((1, 2, 2), np.float32), corner_boxes(2), select_threshold=0.5)
    assert made.num_detections.numpy().tolist() == [0]
    made = detect(np.zeros((1, 2, 2), np.float32), corner_boxes(2), select_threshold=0.4999)
    assert made.num_detections.numpy().tolist() == [2]


def test_prior_scaling_is_that_of_the_caller():
    offsets = f32([[[1.0, 0.0, 0.0, 0.0]]])
    made = detections.detect(
        f32(certain([1])), offsets, f32([[0, 0, 0.2, 0.2]]), prior_scaling=(0.5, 1, 1, 1)
    )
    np.testing.assert_allclose(made.boxes[0, 0], [0, 0.1, 0.2, 0.3], atol=1e-6)


def test_detections_are_the_same_compiled():
    logits, offsets, anchors = map(f32, example(9))
    eager = detections.detect(logits, offsets, anchors)
    compiled = tf.function(detections.detect)(logits, offsets, anchors)
    for mine, other in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
