"""Losses, as named sums: the caller divides by the number of positives of the global batch.

A loss is an object made from its own options. Its sums are trained on and logged under their names,
so that another part needs no edit elsewhere.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from nets.matching import Targets


class Predictions(NamedTuple):
    """What the network says.

    Attributes:
      logits: f32[B, A, C].
      offsets: f32[B, A, 4] in the order x, y, w, h.
    """

    logits: tf.Tensor
    offsets: tf.Tensor


class Loss(Protocol):
    """What a training descends."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the sums, in order."""

    def __call__(
        self, predictions: Predictions, targets: Targets, *, step: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Sums over the images and anchors of a batch, f32 scalars by name.

        Args:
          predictions: of the batch.
          targets: classes i32[B, A] and offsets f32[B, A, 4].
          step: integer scalar, updates made before; None for the loss as it is in the end.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Multibox:
    """Softmax cross-entropy over positives and hard negatives; smooth L1 over positives.

    Source: `MultiBoxLoss` of Caffe SSD. Hard negatives are chosen per image, by rank, so that
    ties give exactly the number asked for and the layout of clones changes nothing.

    Attributes:
      loss_alpha: weight of the localisation.
      negative_ratio: hard negatives for each positive of an image.
      min_negatives_per_image: hard negatives of an image with few positives or none.
      hard_example_mining_step: mining sets in over so many steps; 0 is from the start.
      label_smoothing: share of the target spread over all classes.
      parts: names of the sums.
    """

    loss_alpha: float = 1.0
    negative_ratio: float = 3.0
    min_negatives_per_image: int = 0
    hard_example_mining_step: int = 0
    label_smoothing: float = 0.0
    parts = ("classification", "localisation")

    def __call__(
        self, predictions: Predictions, targets: Targets, *, step: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Sums by name, as of `Loss`."""
        positive = targets.classes > 0
        entropy = cross_entropy(
            predictions.logits, targets.classes, label_smoothing=self.label_smoothing
        )
        chosen = positive | hard_negatives(
            entropy,
            positive,
            negative_ratio=self.negative_ratio,
            min_negatives=self.min_negatives_per_image,
            mining_progress=self._mining_progress(step),
        )
        distance = tf.reduce_sum(smooth_l1(predictions.offsets - targets.offsets), axis=-1)
        return {
            "classification": tf.reduce_sum(tf.where(chosen, entropy, 0.0)),
            "localisation": self.loss_alpha * tf.reduce_sum(tf.where(positive, distance, 0.0)),
        }

    def _mining_progress(self, step: tf.Tensor | None) -> tf.Tensor | None:
        """How far the mining of hard negatives has set in; None for all the way."""
        if step is None or not self.hard_example_mining_step:
            return None
        return tf.minimum(tf.cast(step, tf.float32) / self.hard_example_mining_step, 1.0)


LOSSES: dict[str, Any] = {"multibox": Multibox}  # name -> dataclass of its options
MULTIBOX = Multibox()


def make(name: str, options: Mapping[str, Any]) -> Loss:
    """The loss of a name, with those of the options that it has."""
    kind = LOSSES[name]
    own = {field.name for field in dataclasses.fields(kind)}
    return kind(**{option: value for option, value in options.items() if option in own})


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
    """The background anchors that each image learns from, most wrong first.

    Exactly max(negative_ratio * positives, min_negatives) of each image, or all its background
    anchors where these are fewer.

    Args:
      entropy: f32[B, A], loss of each anchor.
      positive: bool[B, A].
      negative_ratio: negatives for each positive.
      min_negatives: of each image, so that one without objects teaches too.
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
