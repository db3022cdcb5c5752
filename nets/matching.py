"""Which anchor learns which object.

First every object gets an anchor of its own, greedily by overlap over all layers together; then
every anchor that overlaps some object by the threshold or more goes to its best object. Without
the first rule small objects teach nothing.

Source: `MatchBBox` with PER_PREDICTION in Caffe's bbox_util.cpp.
"""

from typing import NamedTuple

import tensorflow as tf

from nets import boxes as box_ops


class Targets(NamedTuple):
    """What the network should say, an entry an anchor.

    Attributes:
      classes: i32[..., A], 0 for background.
      offsets: f32[..., A, 4] x, y, w, h; zeros where the class is background.
    """

    classes: tf.Tensor
    offsets: tf.Tensor


def match(
    boxes: tf.Tensor,
    labels: tf.Tensor,
    anchors: tf.Tensor,
    *,
    threshold: float = 0.5,
    prior_scaling: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2),
) -> Targets:
    """Targets of one picture.

    Args:
      boxes: f32[N, 4], with area; N may be 0.
      labels: integer [N], from 1.
      anchors: f32[A, 4].
      threshold: overlap from which an anchor is positive.
      prior_scaling: the box coder's variances.

    Returns:
      i32[A] classes and f32[A, 4] offsets.
    """
    objects = assign(box_ops.iou(boxes, anchors), threshold=threshold)
    positive = objects >= 0
    safe = tf.maximum(objects, 0)
    # One extra row, so that a picture without objects can be gathered from.
    boxes = tf.concat([boxes, tf.constant([[0.0, 0.0, 1.0, 1.0]])], axis=0)
    labels = tf.concat([tf.cast(labels, tf.int32), [0]], axis=0)
    offsets = box_ops.encode(tf.gather(boxes, safe), anchors, prior_scaling)
    classes = tf.where(positive, tf.gather(labels, safe), 0)
    return Targets(classes, tf.where(positive[:, None], offsets, 0.0))


def assign(overlaps: tf.Tensor, *, threshold: float) -> tf.Tensor:
    """The object of every anchor, -1 for none: f32[N, A] -> i32[A]."""
    num_objects = tf.shape(overlaps)[0]
    own = best_anchors(overlaps)
    padded = tf.concat([overlaps, tf.fill([1, tf.shape(overlaps)[1]], -1.0)], axis=0)
    best = tf.argmax(padded, axis=0, output_type=tf.int32)
    objects = tf.where(tf.reduce_max(padded, axis=0) >= threshold, best, -1)
    return tf.tensor_scatter_nd_update(objects, own[:, None], tf.range(num_objects))


def best_anchors(overlaps: tf.Tensor) -> tf.Tensor:
    """An anchor for every object, none used twice: f32[N, A] -> i32[N], with N <= A.

    The greedy rule (take the largest overlap left, strike out its row and column, repeat) gives the
    one stable matching of objects and anchors that both prefer larger overlaps. So it may be found
    by deferred acceptance: every object asks for its best anchor, a contested anchor keeps the best
    asker, the others ask on. Two or three rounds do where the greedy rule takes N.

    Equal overlaps: the lower object, then the lower anchor, comes first.
    """
    num_objects, num_anchors = tf.unstack(tf.shape(overlaps))

    def ask(left: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        choice = tf.argmax(left, axis=1, output_type=tf.int32)
        strength = tf.reduce_max(left, axis=1)
        rows = tf.range(num_objects)
        rivals = choice[:, None] == choice[None, :]
        stronger = (strength[None, :] > strength[:, None]) | (
            (strength[None, :] == strength[:, None]) & (rows[None, :] < rows[:, None])
        )
        lost = tf.reduce_any(rivals & stronger, axis=1)
        struck = tf.one_hot(tf.where(lost, choice, -1), num_anchors, on_value=True, off_value=False)
        left = tf.where(struck, -2.0, left)
        # A loop must keep the shapes it begins with; with a static N of 1 they would be forgotten.
        return tf.ensure_shape(left, overlaps.shape), tf.ensure_shape(lost, overlaps.shape[:1])

    left, lost = ask(overlaps, tf.zeros([num_objects], tf.bool))
    left, _ = tf.while_loop(lambda _, lost: tf.reduce_any(lost), ask, (left, lost))
    return tf.argmax(left, axis=1, output_type=tf.int32)
