"""Exponential moving averages of weights, under the names that slim's checkpoints give them.

Evaluating the averages of a noisy training often scores better than its last weights (Polyak and
Juditsky 1992). The arithmetic is that of `tf.train.ExponentialMovingAverage` with `num_updates`.

Surprising: every network variable has an average, trained or not, because readers of slim's
checkpoints ask for all of them. The average of a variable that never moves is the variable.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

SUFFIX = "/ExponentialMovingAverage"


class MovingAverages(tf.Module):
    """average -= (1 - d) * (average - variable), after every update of the variables.

    d = min(decay, (1 + step) / (10 + step)): short at first, so that the random start is forgotten.
    Make it inside `strategy.scope()`.

    Attributes:
      slots: the averages by name, `VARIABLE/ExponentialMovingAverage`; they start as the variables.
    """

    def __init__(self, decay: float, variables: Mapping[str, tf.Variable]):
        super().__init__(name="moving_averages")
        self._decay, self._variables = decay, dict(variables)
        self.slots = {
            f"{name}{SUFFIX}": _copy(variable, f"{name}{SUFFIX}")
            for name, variable in self._variables.items()
        }

    def restart(self) -> None:
        """Begins again at the variables, which were given other values."""
        for name, variable in self._variables.items():
            self.slots[f"{name}{SUFFIX}"].assign(variable)

    def apply(self, *, step: tf.Tensor, keep: tf.Tensor) -> None:
        """Moves every average; call in replica context, after the optimizer.

        Args:
          step: i64 scalar, updates made before this one.
          keep: bool scalar; False leaves the averages as they are.
        """
        count = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, (1.0 + count) / (10.0 + count))
        share = tf.where(keep, 1.0 - decay, 0.0)
        context = tf.distribute.get_replica_context()
        context.merge_call(self._apply_everywhere, args=(share,))

    def _apply_everywhere(self, strategy, share) -> None:
        for name, variable in self._variables.items():
            average = self.slots[f"{name}{SUFFIX}"]
            strategy.extended.update(average, _move, args=(share, variable))


def averaged(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint, weights replaced by their averages where there are any."""
    averages = {
        name.removesuffix(SUFFIX): value for name, value in tensors.items() if name.endswith(SUFFIX)
    }
    return {**tensors, **averages}


def _move(average, share, variable) -> None:
    average.assign_sub(share * (average - variable))


def _copy(variable: tf.Variable, name: str) -> tf.Variable:
    strategy = tf.distribute.get_strategy()
    with strategy.extended.colocate_vars_with(variable):
        return tf.Variable(variable.read_value(), name=name, trainable=False)
