"""Dynamic loss scaling: keeps the gradients of float16 within its range, with nothing to tune.

float16 holds nothing below 6e-8, and many gradients are smaller. So the loss is multiplied before
its gradient is taken, and the gradient, in float32 by then, divided again. The factor doubles after
2,000 steps without an overflow and is halved by each (Micikevicius et al. 2018).

Surprising: an overflow is no fault. It says that the factor is too large, and its update is left
out. Only below the factor 1 is a gradient that is not finite the training's own.
"""

import tensorflow as tf

INITIAL, LEAST, MOST = 2.0**15, 1.0, 2.0**24
PATIENCE = 2000


class LossScale(tf.Module):
    """The factor. Make it inside `strategy.scope()`.

    Attributes:
      slots: what a checkpoint holds of it, by name: the factor, and the steps since it changed.
    """

    def __init__(self):
        super().__init__(name="loss_scale")
        self.value = _variable(INITIAL, tf.float32, "loss_scale")
        self._steps = _variable(0, tf.int64, "loss_scale/steps")
        self.slots = {"loss_scale": self.value, "loss_scale/steps": self._steps}

    def is_overflow(self, *, loss: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        """Whether the factor is to blame for a gradient: bool scalars, whether each is finite."""
        return loss & ~gradient & (self.value > LEAST)

    def after_step(self, overflowed: tf.Tensor) -> None:
        """Adjusts the factor to a step's bool scalar; call outside replica context."""
        steps = self._steps + 1
        is_long_ago = ~overflowed & (steps >= PATIENCE)
        larger = tf.where(is_long_ago, tf.minimum(2.0 * self.value, MOST), self.value)
        self.value.assign(tf.where(overflowed, tf.maximum(self.value / 2.0, LEAST), larger))
        self._steps.assign(tf.where(overflowed | is_long_ago, tf.zeros_like(steps), steps))


def _variable(value: float, dtype: tf.DType, name: str) -> tf.Variable:
    aggregation = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return tf.Variable(value, dtype=dtype, trainable=False, name=name, aggregation=aggregation)
