"""From predictions to detections: scores, boxes, suppression per class, best of an image."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from nets import boxes as box_ops
from nets.parameters import PRIOR_SCALING


class PaddedDetections(NamedTuple):
    """Detections of a batch, best first, padded with zeros.

    Attributes:
      boxes: f32[B, K, 4] relative, clipped to the image.
      classes: i64[B, K], from 1.
      scores: f32[B, K].
      num_detections: i32[B].
    """

    boxes: tf.Tensor
    classes: tf.Tensor
    scores: tf.Tensor
    num_detections: tf.Tensor


# What makes scores f32[B, A, C] of logits.
SCORES: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "softmax": tf.nn.softmax,
    "sigmoid": tf.sigmoid,  # the background's logit is ignored
}


def detect(
    logits: tf.Tensor,
    offsets: tf.Tensor,
    anchors: tf.Tensor,
    *,
    prior_scaling: tuple[float, ...] = PRIOR_SCALING,
    score: str = "softmax",
    select_threshold: float | Sequence[float] = 0.01,
    select_top_k: int = 400,
    nms_threshold: float = 0.45,
    keep_top_k: int = 200,
) -> PaddedDetections:
    """The reference's post-processing (`DetectionOutput` of Caffe SSD).

    Args:
      logits: f32[B, A, C].
      offsets: f32[B, A, 4].
      anchors: f32[A, 4].
      prior_scaling: the box coder's variances.
      score: a name of `SCORES`.
      select_threshold: score that a detection must exceed; or one for each class.
      select_top_k: candidates of each class that enter the suppression.
      nms_threshold: IoU above which the box of lower score is dropped.
      keep_top_k: K, detections of an image over all classes.
    """
    boxes = box_ops.decode(offsets, anchors, prior_scaling)
    scores = tf.transpose(SCORES[score](logits)[..., 1:], [0, 2, 1])
    if isinstance(select_threshold, Sequence):
        limits = tf.constant(select_threshold, tf.float32)[:, None]
        scores = tf.where(scores > limits, scores, 0.0)
        select_threshold = min(select_threshold)
    top_k = min(select_top_k, anchors.shape[0])
    best_scores, best = tf.math.top_k(scores, top_k)
    best_boxes = tf.gather(boxes, best, batch_dims=1)
    result = tf.image.combined_non_max_suppression(
        tf.transpose(best_boxes, [0, 2, 1, 3]),
        tf.transpose(best_scores, [0, 2, 1]),
        max_output_size_per_class=top_k,
        max_total_size=keep_top_k,
        iou_threshold=nms_threshold,
        score_threshold=select_threshold,
        clip_boxes=True,
    )
    kept, kept_scores, classes, count = result
    real = tf.sequence_mask(count, keep_top_k)
    classes = tf.where(real, tf.cast(classes, tf.int64) + 1, 0)
    return PaddedDetections(kept, classes, kept_scores, count)
