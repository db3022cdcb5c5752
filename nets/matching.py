"""Which anchor learns which object.

First every object gets an anchor of its own, greedily by IoU over all layers together; then
every anchor whose IoU with some object reaches the threshold goes to its best object. Without
the first rule small objects teach nothing.

Source: `MatchBBox` with PER_PREDICTION in Caffe's bbox_util.cpp.
"""

from typing import NamedTuple

import tensorflow as tf

from nets import boxes as box_ops
from nets import own_anchors
from nets.parameters import PRIOR_SCALING

_MANY = 128  # objects, from which on a table of all overlaps costs more than it is worth


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
    prior_scaling: tuple[float, ...] = PRIOR_SCALING,
) -> Targets:
    """Targets of one image.

    Args:
      boxes: f32[N, 4], with area; N may be 0.
      labels: integer [N], from 1.
      anchors: f32[A, 4].
      threshold: IoU from which an anchor is positive.
      prior_scaling: the box coder's variances.

    Returns:
      i32[A] classes and f32[A, 4] offsets.
    """
    objects = tf.cond(
        tf.shape(boxes)[0] > _MANY,
        lambda: assign_many(boxes, anchors, threshold=threshold),
        lambda: assign(box_ops.iou(boxes, anchors), threshold=threshold),
    )
    index = tf.where(objects >= 0)  # few: only they need offsets
    theirs = tf.gather(objects, index[:, 0])
    offsets = box_ops.encode(
        tf.gather(boxes, theirs), tf.gather(anchors, index[:, 0]), prior_scaling
    )
    classes = tf.gather(tf.cast(labels, tf.int32), theirs)
    shape = tf.shape(anchors, tf.int64)
    return Targets(
        tf.ensure_shape(tf.scatter_nd(index, classes, shape[:1]), anchors.shape[:1]),
        tf.ensure_shape(tf.scatter_nd(index, offsets, shape), anchors.shape),
    )


def assign(overlaps: tf.Tensor, *, threshold: float) -> tf.Tensor:
    """The object of every anchor, -1 for none: f32[N, A] -> i32[A]."""
    num_anchors = tf.shape(overlaps)[1]
    index = tf.where(tf.reduce_max(overlaps, axis=0) >= threshold)
    candidates = tf.gather(overlaps, index[:, 0], axis=1)
    # A row more, so that there is a largest one where there are no objects.
    candidates = tf.pad(candidates, [[0, 1], [0, 0]], constant_values=-1.0)
    best = tf.argmax(candidates, axis=0, output_type=tf.int32)
    objects = tf.tensor_scatter_nd_update(tf.fill([num_anchors], -1), index, best)
    return _with_own(objects, best_anchors(overlaps))


def assign_many(boxes: tf.Tensor, anchors: tf.Tensor, *, threshold: float) -> tf.Tensor:
    """As `assign`, of f32[N, 4] boxes: in time and memory that grow as N does."""
    own, best = own_anchors.of_many(boxes, anchors)
    return _with_own(tf.where(best.strengths >= threshold, best.objects, -1), own)


def _with_own(objects: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
    """The object of every anchor i32[A], where every object has its own anchor i32[N]."""
    served = tf.where(own >= 0)[:, 0]
    return tf.tensor_scatter_nd_update(
        objects, tf.gather(own, served)[:, None], tf.cast(served, tf.int32)
    )


def best_anchors(overlaps: tf.Tensor) -> tf.Tensor:
    """An anchor for every object, none used twice: f32[N, A] -> i32[N]; -1 once none is left.

    Mostly no two objects have the same best anchor, and a search for the largest overlap of each,
    which costs a fifth of the search for its N largest, is all.
    """
    best = tf.math.top_k(overlaps, k=1).indices[:, 0]
    contested = tf.size(tf.unique(best).y) < tf.size(best)
    return tf.cond(contested, lambda: own_anchors.of_overlaps(overlaps), lambda: best)
