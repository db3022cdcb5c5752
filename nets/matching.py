"""Which anchor learns which object.

First every object gets an anchor of its own, greedily by IoU over all layers together; then
every anchor whose IoU with some object reaches the threshold goes to its best object. Without
the first rule small objects teach nothing.

Source: `MatchBBox` with PER_PREDICTION in Caffe's bbox_util.cpp.
"""

from typing import NamedTuple

import tensorflow as tf

from nets import boxes as box_ops
from nets.parameters import PRIOR_SCALING


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
    objects = assign(box_ops.iou(boxes, anchors), threshold=threshold)
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
    num_objects, num_anchors = tf.unstack(tf.shape(overlaps))
    index = tf.where(tf.reduce_max(overlaps, axis=0) >= threshold)
    candidates = tf.gather(overlaps, index[:, 0], axis=1)
    # A row more, so that there is a largest one where there are no objects.
    candidates = tf.pad(candidates, [[0, 1], [0, 0]], constant_values=-1.0)
    best = tf.argmax(candidates, axis=0, output_type=tf.int32)
    objects = tf.tensor_scatter_nd_update(tf.fill([num_anchors], -1), index, best)
    own = best_anchors(overlaps)
    served = tf.where(own >= 0)[:, 0]
    return tf.tensor_scatter_nd_update(
        objects, tf.gather(own, served)[:, None], tf.gather(tf.range(num_objects), served)
    )


def best_anchors(overlaps: tf.Tensor) -> tf.Tensor:
    """An anchor for every object, none used twice: f32[N, A] -> i32[N]; -1 once none is left.

    Mostly no two objects have the same best anchor, and a search for the largest overlap of each,
    which costs a fifth of the search for its N largest, is all.

    Equal overlaps: the lower object, then the lower anchor, comes first.
    """
    best = tf.math.top_k(overlaps, k=1).indices[:, 0]
    contested = tf.size(tf.unique(best).y) < tf.size(best)
    return tf.cond(contested, lambda: _resolve_conflicts(overlaps), lambda: best)


def _resolve_conflicts(overlaps: tf.Tensor) -> tf.Tensor:
    """`best_anchors` where objects share a best anchor.

    The greedy rule (take the largest overlap left, strike out its row and column, repeat) gives the
    one stable matching of objects and anchors that both prefer larger overlaps. So it may be found
    by deferred acceptance: every object asks for its best anchor, a contested anchor keeps the best
    asker, the others ask on. Two or three rounds do where the greedy rule takes N. As only N - 1
    anchors can be kept from an object by others, it asks none but its N best.
    """
    num_objects, num_anchors = tf.unstack(tf.shape(overlaps))
    length = tf.minimum(num_objects, num_anchors)
    strengths, choices = tf.math.top_k(overlaps, k=length)
    rows = tf.range(num_objects)

    def chosen(place: tf.Tensor) -> tf.Tensor:
        """i32[N]; -1 for an object that has asked all."""
        asked = tf.gather_nd(choices, tf.stack([rows, tf.minimum(place, length - 1)], axis=1))
        return tf.where(place < length, asked, -1)

    def losers(place: tf.Tensor) -> tf.Tensor:
        """bool[N]: whose anchor is asked for by a better one."""
        choice = chosen(place)
        strength = tf.gather_nd(strengths, tf.stack([rows, tf.minimum(place, length - 1)], axis=1))
        rivals = (choice[:, None] == choice[None, :]) & (choice >= 0)[:, None]
        stronger = (strength[None, :] > strength[:, None]) | (
            (strength[None, :] == strength[:, None]) & (rows[None, :] < rows[:, None])
        )
        return tf.reduce_any(rivals & stronger, axis=1)

    def ask(place: tf.Tensor, lost: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        place = tf.ensure_shape(place + tf.cast(lost, tf.int32), overlaps.shape[:1])
        # A loop must keep the shapes it begins with; with a static N of 1 they would be forgotten.
        return place, tf.ensure_shape(losers(place), overlaps.shape[:1])

    start = ask(tf.zeros_like(rows), tf.zeros_like(rows, tf.bool))
    place, _ = tf.while_loop(lambda _, lost: tf.reduce_any(lost), ask, start)
    return chosen(place)
