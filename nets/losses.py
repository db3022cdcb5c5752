"""The multibox loss, as sums: the caller divides by the number of positives of the global batch.

Source: `MultiBoxLoss` of Caffe SSD. Hard negatives are chosen per picture, by rank, so that ties
give exactly the number asked for and the layout of clones changes nothing.
"""

from typing import NamedTuple

import tensorflow as tf

from nets.matching import Targets


class LossSums(NamedTuple):
    """f32 scalars: sums over the pictures and anchors of a batch."""

    classification: tf.Tensor
    localisation: tf.Tensor


def multibox(
    logits: tf.Tensor,
    offsets: tf.Tensor,
    targets: Targets,
    *,
    negative_ratio: float = 3.0,
    min_negatives: int = 0,
    mining_progress: tf.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> LossSums:
    """Softmax cross-entropy over positives and hard negatives; smooth L1 over positives.

    Args:
      logits: f32[B, A, C].
      offsets: f32[B, A, 4].
      targets: classes i32[B, A] and offsets f32[B, A, 4].
      negative_ratio: negatives for each positive of a picture.
      min_negatives: as of `hard_negatives`.
      mining_progress: as of `hard_negatives`.
      label_smoothing: share of the target spread over all classes.
    """
    positive = targets.classes > 0
    entropy = cross_entropy(logits, targets.classes, label_smoothing=label_smoothing)
    chosen = positive | hard_negatives(
        entropy,
        positive,
        negative_ratio=negative_ratio,
        min_negatives=min_negatives,
        mining_progress=mining_progress,
    )
    distance = tf.reduce_sum(smooth_l1(offsets - targets.offsets), axis=-1)
    return LossSums(
        classification=tf.reduce_sum(tf.where(chosen, entropy, 0.0)),
        localisation=tf.reduce_sum(tf.where(positive, distance, 0.0)),
    )


def cross_entropy(
    logits: tf.Tensor, classes: tf.Tensor, *, label_smoothing: float = 0.0
) -> tf.Tensor:
    """f32[..., C] logits and i32[...] classes -> f32[...]."""
    if not label_smoothing:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits)
    num_classes = logits.shape[-1]
    hot = tf.one_hot(classes, num_classes) * (1 - label_smoothing) + label_smoothing / num_classes
    return tf.nn.softmax_cross_entropy_with_logits(labels=hot, logits=logits)


def hard_negatives(
    entropy: tf.Tensor,
    positive: tf.Tensor,
    *,
    negative_ratio: float,
    min_negatives: int = 0,
    mining_progress: tf.Tensor | None = None,
) -> tf.Tensor:
    """The background anchors that each picture learns from, most wrong first.

    Exactly max(negative_ratio * positives, min_negatives) of each picture, or all its background
    anchors where these are fewer.

    Args:
      entropy: f32[B, A], loss of each anchor.
      positive: bool[B, A].
      negative_ratio: negatives for each positive.
      min_negatives: of each picture, so that one without objects teaches too.
      mining_progress: f32 scalar in [0, 1], for a start with all background anchors: the
        share of those that mining would drop which is dropped. None drops them all.

    Returns:
      bool[B, A].
    """
    score = tf.stop_gradient(tf.where(positive, -1.0, entropy))
    order = tf.argsort(score, axis=1, direction="DESCENDING", stable=True)
    # As float32, exact for so few anchors: GPUs leave comparing int32 to the host.
    rank = tf.argsort(tf.cast(order, tf.float32), axis=1, stable=True)
    num_positive = tf.reduce_sum(tf.cast(positive, tf.float32), axis=1)
    wanted = tf.maximum(tf.floor(negative_ratio * num_positive), float(min_negatives))
    if mining_progress is not None:
        available = tf.cast(tf.shape(entropy)[1], tf.float32) - num_positive
        wanted = available - tf.floor(mining_progress * tf.maximum(available - wanted, 0.0))
    return (tf.cast(rank, tf.float32) < wanted[:, None]) & ~positive


def smooth_l1(values: tf.Tensor) -> tf.Tensor:
    """x^2 / 2 within +-1, |x| - 1/2 outside (Girshick 2015), by element."""
    size = tf.abs(values)
    return tf.where(size < 1.0, 0.5 * size * size, size - 0.5)


def l2(weights: list[tf.Tensor]) -> tf.Tensor:
    """Sum of squares / 2 over all `weights`, if any: the regularisation loss before its factor."""
    return tf.add_n([tf.constant(0.0), *(tf.nn.l2_loss(weight) for weight in weights)])
