"""The eight optimizers, on TensorFlow's fused update kernels.

The inherited seven have the arithmetic of the slim era because they call the kernels that the
slim-era optimizers called: RMSProp's mean square starts at one and its epsilon stands inside the
root; momentum multiplies by the rate outside the accumulator. Each update is one pass over a
variable.

A rule (what one update does) knows nothing of strategies; `Optimizer` holds the slots by slim name
(`ssd_300_vgg/conv6/weights/Momentum`) and applies the rule on every replica's copy.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

Update = Callable[..., None]


class Rule(NamedTuple):
    """One optimizer's arithmetic.

    Attributes:
      slots: name -> initial value, in the order in which `update` takes them.
      update: (variable, gradient, rate, step, *slots) -> None; step counts from 0.
      decay: decoupled weight decay, applied to the decayed variables; 0 for none.
    """

    slots: Mapping[str, float]
    update: Update
    decay: float = 0.0


def sgd() -> Rule:
    """variable -= rate * gradient."""

    def update(variable, gradient, rate, step):
        del step
        tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)

    return Rule({}, update)


def momentum(momentum: float) -> Rule:
    """m = momentum * m + gradient; variable -= rate * m."""

    def update(variable, gradient, rate, step, accumulator):
        del step
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=accumulator.handle,
            lr=rate,
            grad=gradient,
            momentum=momentum,
        )

    return Rule({"Momentum": 0.0}, update)


def adam(beta1: float, beta2: float, epsilon: float) -> Rule:
    """Kingma and Ba 2015, in the form with epsilon outside the corrected root ("epsilon hat")."""

    def update(variable, gradient, rate, step, first, second):
        count = tf.cast(step + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=tf.pow(beta1, count),
            beta2_power=tf.pow(beta2, count),
            lr=rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            grad=gradient,
        )

    return Rule({"Adam": 0.0, "Adam_1": 0.0}, update)


def adamw(beta1: float, beta2: float, epsilon: float, weight_decay: float) -> Rule:
    """Adam, and variable -= rate * weight_decay * variable (Loshchilov and Hutter 2019)."""
    return adam(beta1, beta2, epsilon)._replace(decay=weight_decay)


def rmsprop(decay: float, momentum: float, epsilon: float) -> Rule:
    """ms = decay * ms + (1 - decay) * g^2; m = momentum * m + rate * g / sqrt(ms + epsilon)."""

    def update(variable, gradient, rate, step, mean_square, accumulator):
        del step
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=mean_square.handle,
            mom=accumulator.handle,
            lr=rate,
            rho=decay,
            momentum=momentum,
            epsilon=epsilon,
            grad=gradient,
        )

    return Rule({"RMSProp": 1.0, "RMSProp_1": 0.0}, update)


def adagrad(initial_accumulator_value: float) -> Rule:
    """a += g^2; variable -= rate * g / sqrt(a) (Duchi et al. 2011)."""

    def update(variable, gradient, rate, step, accumulator):
        del step
        tf.raw_ops.ResourceApplyAdagrad(
            var=variable.handle, accum=accumulator.handle, lr=rate, grad=gradient
        )

    return Rule({"Adagrad": initial_accumulator_value}, update)


def adadelta(rho: float, epsilon: float) -> Rule:
    """Zeiler 2012, times the rate."""

    def update(variable, gradient, rate, step, accumulator, accumulated_update):
        del step
        tf.raw_ops.ResourceApplyAdadelta(
            var=variable.handle,
            accum=accumulator.handle,
            accum_update=accumulated_update.handle,
            lr=rate,
            rho=rho,
            epsilon=epsilon,
            grad=gradient,
        )

    return Rule({"Adadelta": 0.0, "Adadelta_1": 0.0}, update)


def ftrl(
    learning_rate_power: float, initial_accumulator_value: float, l1: float, l2: float
) -> Rule:
    """Follow the regularised leader, proximal (McMahan et al. 2013)."""

    def update(variable, gradient, rate, step, accumulator, linear):
        del step
        tf.raw_ops.ResourceApplyFtrl(
            var=variable.handle,
            accum=accumulator.handle,
            linear=linear.handle,
            grad=gradient,
            lr=rate,
            l1=l1,
            l2=l2,
            lr_power=learning_rate_power,
        )

    return Rule({"Ftrl": initial_accumulator_value, "Ftrl_1": 0.0}, update)


class Optimizer(tf.Module):
    """A rule, its slots and the variables it trains. Make it inside `strategy.scope()`.

    Attributes:
      slots: slot variables by name, `VARIABLE/SLOT`.
    """

    def __init__(
        self, rule: Rule, variables: Mapping[str, tf.Variable], *, decayed: Collection[str] = ()
    ):
        super().__init__(name="optimizer")
        self._rule, self._variables = rule, dict(variables)
        self._decayed = frozenset(decayed)
        self.slots = {
            f"{name}/{slot}": _slot(variable, f"{name}/{slot}", value)
            for name, variable in self._variables.items()
            for slot, value in rule.slots.items()
        }

    def apply(
        self, gradients: Sequence[tf.Tensor], *, rate: tf.Tensor, step: tf.Tensor, keep: tf.Tensor
    ) -> None:
        """One update; call in replica context with gradients that are the same on every replica.

        Args:
          gradients: one per variable, in their order.
          rate: f32 scalar, the learning rate.
          step: i64 scalar, updates made so far.
          keep: bool scalar; False leaves variables and slots as they are.
        """
        context = tf.distribute.get_replica_context()
        context.merge_call(self._apply_everywhere, args=(list(gradients), rate, step, keep))

    def _apply_everywhere(self, strategy, gradients, rate, step, keep) -> None:
        for (name, variable), gradient in zip(self._variables.items(), gradients, strict=True):
            slots = [self.slots[f"{name}/{slot}"] for slot in self._rule.slots]
            decay = self._rule.decay if name in self._decayed else 0.0
            strategy.extended.update(
                variable, self._update, args=(decay, gradient, rate, step, keep, *slots)
            )

    def _update(self, variable, decay, gradient, rate, step, keep, *slots) -> None:
        def update():
            if decay:
                variable.assign_sub(rate * decay * variable)
            self._rule.update(variable, gradient, rate, step, *slots)
            return tf.no_op()

        tf.cond(keep, update, tf.no_op)


def _slot(variable: tf.Variable, name: str, value: float) -> tf.Variable:
    strategy = tf.distribute.get_strategy()
    with strategy.extended.colocate_vars_with(variable):
        return tf.Variable(tf.fill(variable.shape, value), name=name, trainable=False)
