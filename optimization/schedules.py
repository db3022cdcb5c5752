"""Learning rates as plain functions: step (integer tensor) -> rate (f32 scalar).

Each factory takes numbers and returns a function that may be called in a `tf.function`, so that the
rate is a part of the compiled step. `tf_utils.configure_learning_rate` picks one by name.
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

Schedule = Callable[[tf.Tensor], tf.Tensor]


def fixed(learning_rate: float) -> Schedule:
    """The same rate forever."""
    return lambda step: tf.constant(learning_rate, tf.float32)


def exponential(learning_rate: float, *, decay_steps: int, factor: float) -> Schedule:
    """rate * factor^floor(step / decay_steps): a staircase, as slim's trainers have it."""

    def schedule(step: tf.Tensor) -> tf.Tensor:
        stairs = tf.cast(step // decay_steps, tf.float32)
        return learning_rate * tf.pow(tf.constant(factor, tf.float32), stairs)

    return schedule


def polynomial(
    learning_rate: float, *, decay_steps: int, end_learning_rate: float, power: float = 1.0
) -> Schedule:
    """From `learning_rate` to `end_learning_rate` over `decay_steps`, then flat (no cycle)."""

    def schedule(step: tf.Tensor) -> tf.Tensor:
        left = 1.0 - _progress(step, decay_steps)
        return end_learning_rate + (learning_rate - end_learning_rate) * tf.pow(left, power)

    return schedule


def stepwise(learning_rate: float, *, boundaries: Sequence[int], factor: float) -> Schedule:
    """Times `factor` at every boundary: from step b on the rate is lower."""
    edges = tf.constant(sorted(boundaries), tf.int64)

    def schedule(step: tf.Tensor) -> tf.Tensor:
        passed = tf.reduce_sum(tf.cast(tf.cast(step, tf.int64) >= edges, tf.float32))
        return learning_rate * tf.pow(tf.constant(factor, tf.float32), passed)

    return schedule


def cosine(learning_rate: float, *, total_steps: int, end_learning_rate: float) -> Schedule:
    """Half a cosine from `learning_rate` to `end_learning_rate` (Loshchilov and Hutter 2017)."""

    def schedule(step: tf.Tensor) -> tf.Tensor:
        wave = 0.5 * (1.0 + tf.cos(math.pi * _progress(step, total_steps)))
        return end_learning_rate + (learning_rate - end_learning_rate) * wave

    return schedule


def slow_start(schedule: Schedule, *, steps: int, start: float, constant: bool = False) -> Schedule:
    """Before step `steps`: `start` held, or a line from `start` to what `schedule` says then."""
    if not steps:
        return schedule

    def started(step: tf.Tensor) -> tf.Tensor:
        rate = schedule(step)
        share = 0.0 if constant else _progress(step, steps)
        return tf.where(step < steps, start + (rate - start) * share, rate)

    return started


def _progress(step: tf.Tensor, total: int) -> tf.Tensor:
    return tf.minimum(tf.cast(step, tf.float32) / float(max(total, 1)), 1.0)
