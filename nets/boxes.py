"""Box arithmetic and the box coder. Centre form lives only in here.

Boxes are float32 [ymin, xmin, ymax, xmax], relative to the image. Offsets are in the order x, y,
w, h of slim SSD checkpoints.
"""

import tensorflow as tf


def area(boxes: tf.Tensor) -> tf.Tensor:
    """f32[..., 4] -> f32[...]; an inverted box has area 0."""
    height = tf.maximum(boxes[..., 2] - boxes[..., 0], 0.0)
    return height * tf.maximum(boxes[..., 3] - boxes[..., 1], 0.0)


def iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Intersection over union of every pair: f32[N, 4], f32[M, 4] -> f32[N, M].

    0 where both are empty.
    """
    # Side by side rather than in pairs: broadcasting over an inner dimension of 2 is slow.
    ymin, xmin, ymax, xmax = tf.unstack(boxes[:, :, None], num=4, axis=1)
    other_ymin, other_xmin, other_ymax, other_xmax = _columns(others)
    height = tf.minimum(ymax, other_ymax) - tf.maximum(ymin, other_ymin)
    width = tf.minimum(xmax, other_xmax) - tf.maximum(xmin, other_xmin)
    intersection = tf.maximum(height, 0.0) * tf.maximum(width, 0.0)
    other_area = tf.maximum(other_ymax - other_ymin, 0.0) * tf.maximum(other_xmax - other_xmin, 0.0)
    union = area(boxes)[:, None] + other_area - intersection
    return tf.math.divide_no_nan(intersection, union)


def _columns(boxes: tf.Tensor) -> list[tf.Tensor]:
    """ymin, xmin, ymax and xmax; of a constant they are constants, taken apart once for a graph."""
    known = tf.get_static_value(boxes)
    return tf.unstack(boxes, num=4, axis=1) if known is None else list(map(tf.constant, known.T))


def encode(boxes: tf.Tensor, anchors: tf.Tensor, prior_scaling: tuple[float, ...]) -> tf.Tensor:
    """What the network has to predict for `anchors` to become `boxes`.

    Source: SSD's center_variance coder, `EncodeBBox` in Caffe's bbox_util.cpp.

    Args:
      boxes: f32[..., 4] with positive sides.
      anchors: f32[..., 4] with positive sides, same shape.
      prior_scaling: variances of x, y, w, h.

    Returns:
      f32[..., 4] offsets x, y, w, h.
    """
    # In the order y, x until the end: every operation costs more than what it computes here.
    low, size = anchors[..., :2], anchors[..., 2:] - anchors[..., :2]
    shift = ((boxes[..., :2] + boxes[..., 2:]) / 2 - (low + anchors[..., 2:]) / 2) / size
    stretch = tf.math.log((boxes[..., 2:] - boxes[..., :2]) / size)
    offsets = tf.gather(tf.concat([shift, stretch], axis=-1), [1, 0, 3, 2], axis=-1)
    return offsets / tf.constant(prior_scaling, tf.float32)


def decode(offsets: tf.Tensor, anchors: tf.Tensor, prior_scaling: tuple[float, ...]) -> tf.Tensor:
    """The inverse of `encode`: f32[..., 4] offsets -> f32[..., 4] boxes, not clipped."""
    anchor = _centre_form(anchors)
    scaled = offsets * tf.constant(prior_scaling, tf.float32)
    centre = anchor[..., :2] + scaled[..., :2] * anchor[..., 2:]
    half = anchor[..., 2:] * tf.exp(scaled[..., 2:]) / 2
    low, high = centre - half, centre + half
    return tf.stack([low[..., 1], low[..., 0], high[..., 1], high[..., 0]], axis=-1)


def _centre_form(boxes: tf.Tensor) -> tf.Tensor:
    """[ymin, xmin, ymax, xmax] -> [x, y, w, h]."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
    return tf.stack([(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin], axis=-1)
