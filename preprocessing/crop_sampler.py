"""The batch sampler of Caffe's SSD: which part of an image to train on.

Seven samplers: the whole image, a part with an IoU of at least .1, .3, .5, .7 or .9 with some
object, any part. Each has 50 trials and offers its first success; one offer is taken at random.
All trials of an image are drawn and judged at once, since a trial costs nothing next to an op.

Deviation: Caffe keeps a crop that has lost every object (its IoU was good, but no centre is
inside); here such an image is taken whole. So are images without objects, as in Caffe.
Source: `GenerateBatchSamples` in Caffe's sampler.cpp, `batch_sampler` in ssd_pascal.py.
"""

import numpy as np
import tensorflow as tf

from preprocessing.geometry import Window, centres_inside, clip, have_area, project

MIN_OVERLAPS = (0.1, 0.3, 0.5, 0.7, 0.9)
MAX_TRIALS = 50
MIN_SCALE = 0.3
MAX_STRETCH = 2.0  # width / height lies in 1/2 .. 2

NUM_SAMPLERS = len(MIN_OVERLAPS) + 2
WHOLE = 0  # then "any", then the overlaps
NUM_TRIALS = 1 + len(MIN_OVERLAPS) * MAX_TRIALS  # "any" takes its first trial, whatever it is
NUM_DRAWS = NUM_SAMPLERS + 4 * NUM_TRIALS


def draw(uniform: tf.Tensor, boxes: tf.Tensor) -> tuple[Window, tf.Tensor]:
    """A window of an image, and which of its objects stay.

    Args:
      uniform: f32[NUM_DRAWS] in [0, 1).
      boxes: f32[N, 4] relative to the image, within [0, 1].

    Returns:
      The window, and bool[N]: whose centre is inside and of which an area is left. All N where
      the image is taken whole.
    """
    priority, trials = tf.split(uniform, [NUM_SAMPLERS, 4 * NUM_TRIALS])
    start, size = windows(tf.reshape(trials, [4, NUM_TRIALS]))
    sampler, trial = choose(priority, best_overlaps(start, size, boxes))
    window = Window(start[:, trial], size[:, trial])
    kept = centres_inside(boxes, window) & have_area(clip(project(boxes, window)))
    cropped = tf.reduce_any(kept) & (sampler != WHOLE)
    start, size = tf.where(cropped, window.start, 0.0), tf.where(cropped, window.size, 1.0)
    return Window(start, size), kept | ~cropped


def windows(uniform: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Starts and sizes f32[2, T] from f32[4, T]: scale, stretch, y, x (`SampleBBox`)."""
    scale = MIN_SCALE + (1.0 - MIN_SCALE) * uniform[0]
    area = scale * scale
    low, high = tf.maximum(1.0 / MAX_STRETCH, area), tf.minimum(MAX_STRETCH, 1.0 / area)
    root = tf.sqrt(low + (high - low) * uniform[1])
    size = tf.minimum(tf.stack([scale / root, scale * root]), 1.0)
    return uniform[2:] * (1.0 - size), size


def best_overlaps(start: tf.Tensor, size: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """f32[T]: each trial's IoU with the object that it fits best, below 0 without objects."""
    low, high = tf.unstack(tf.transpose(tf.reshape(boxes, [-1, 2, 2, 1]), [1, 2, 3, 0]))
    start, size = start[:, :, None], size[:, :, None]
    sides = tf.minimum(start + size, high) - tf.maximum(start, low)  # [2, T, N]
    shared = tf.reduce_prod(tf.maximum(sides, 0.0), 0)
    total = tf.reduce_prod(size, 0) + tf.reduce_prod(high - low, 0)
    return tf.reduce_max(shared / (total - shared), 1)


def choose(priority: tf.Tensor, overlaps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The sampler taken and its trial: of those that succeeded, the one of highest priority."""
    good = tf.reshape(overlaps[1:], [-1, MAX_TRIALS]) >= np.float32(MIN_OVERLAPS)[:, None]
    succeeded = tf.concat([[True, True], tf.reduce_any(good, 1)], 0)
    sampler = tf.argmax(tf.where(succeeded, priority, -1.0), output_type=tf.int32)
    before = 1 + MAX_TRIALS * np.arange(len(MIN_OVERLAPS), dtype=np.int32)
    first = before + tf.argmax(good, 1, output_type=tf.int32)
    return sampler, tf.concat([[0, 0], first], 0)[sampler]
