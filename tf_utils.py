"""The factories of the training script: learning rate, optimizer, trained variables, start.

Plain functions of values. The names are those of the slim research code's `tf_utils`; what they
return is described in `optimization/`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from nets import analysis, nets_factory, pretrained
from nets.variables import in_scope
from optimization import averages, optimizers, schedules
from runtime.errors import InputError


def configure_learning_rate(
    *,
    learning_rate_decay_type: str,
    learning_rate: float,
    num_samples: int,
    global_batch_size: int,
    num_epochs_per_decay: float,
    decay_steps: int | None,
    learning_rate_decay_factor: float,
    learning_rate_decay_boundaries: Sequence[int],
    end_learning_rate: float,
    learning_power: float,
    max_number_of_steps: int | None,
    slow_start_step: int,
    slow_start_learning_rate: float,
    slow_start_type: str,
) -> schedules.Schedule:
    """The learning rate as a function of the step; the arguments are the flags of these names.

    Raises:
      InputError: the decay type needs a value that is missing.
    """
    if learning_rate_decay_type in ("poly", "cosine") and not max_number_of_steps:
        raise InputError(
            f"--learning_rate_decay_type={learning_rate_decay_type} decays over the whole run: "
            "give --max_number_of_steps."
        )
    if learning_rate_decay_type == "step" and not learning_rate_decay_boundaries:
        raise InputError(
            "--learning_rate_decay_type=step has no boundary: give "
            "--learning_rate_decay_boundaries=80000,100000 or so."
        )
    total_steps = max_number_of_steps or 0
    decay_steps = decay_steps or _steps_of(num_epochs_per_decay, num_samples, global_batch_size)
    makers = {
        "fixed": lambda: schedules.fixed(learning_rate),
        "exponential": lambda: schedules.exponential(
            learning_rate, decay_steps=decay_steps, factor=learning_rate_decay_factor
        ),
        "polynomial": lambda: schedules.polynomial(
            learning_rate, decay_steps=decay_steps, end_learning_rate=end_learning_rate
        ),
        "step": lambda: schedules.stepwise(
            learning_rate,
            boundaries=learning_rate_decay_boundaries,
            factor=learning_rate_decay_factor,
        ),
        "poly": lambda: schedules.polynomial(
            learning_rate,
            decay_steps=total_steps,
            end_learning_rate=0.0,
            power=learning_power,
        ),
        "cosine": lambda: schedules.cosine(
            learning_rate, total_steps=total_steps, end_learning_rate=end_learning_rate
        ),
    }
    return schedules.slow_start(
        _pick(makers, learning_rate_decay_type, "learning_rate_decay_type")(),
        steps=slow_start_step,
        start=slow_start_learning_rate,
        constant=slow_start_type == "constant",
    )


def warn_of_early_floor(
    *,
    learning_rate_decay_type: str,
    num_samples: int,
    global_batch_size: int,
    num_epochs_per_decay: float,
    decay_steps: int | None,
    end_learning_rate: float,
    max_number_of_steps: int | None,
) -> str:
    """What the user of slim's polynomial decay may not expect, in a sentence; else "".

    Over its usual two epochs it is at its floor for nearly all of a run.
    """
    end = _steps_of(num_epochs_per_decay, num_samples, global_batch_size)
    total = max_number_of_steps
    if learning_rate_decay_type != "polynomial" or decay_steps or (total and end >= total):
        return ""
    return (
        f"The learning rate falls to --end_learning_rate={end_learning_rate} by step {end} of "
        f"{total or 'an endless run'} and stays there: polynomial decays over "
        f"--num_epochs_per_decay={num_epochs_per_decay}; give --decay_steps={total or 'N'} to "
        "decay over so many steps."
    )


def _steps_of(epochs: float, num_samples: int, global_batch_size: int) -> int:
    return max(1, int(num_samples * epochs / global_batch_size))


def configure_optimizer(
    *,
    optimizer: str,
    opt_epsilon: float | None,
    weight_decay: float,
    adadelta_rho: float,
    adagrad_initial_accumulator_value: float,
    adam_beta1: float,
    adam_beta2: float,
    ftrl_learning_rate_power: float,
    ftrl_initial_accumulator_value: float,
    ftrl_l1: float,
    ftrl_l2: float,
    momentum: float,
    rmsprop_momentum: float,
    rmsprop_decay: float,
) -> optimizers.Rule:
    """The update rule; the arguments are the flags of these names.

    `weight_decay` matters to adamw alone: with the others it is a part of the loss.
    """
    epsilon = opt_epsilon if opt_epsilon is not None else 1e-10 if optimizer == "rmsprop" else 1e-8
    makers = {
        "adadelta": lambda: optimizers.adadelta(adadelta_rho, epsilon),
        "adagrad": lambda: optimizers.adagrad(adagrad_initial_accumulator_value),
        "adam": lambda: optimizers.adam(adam_beta1, adam_beta2, epsilon),
        "adamw": lambda: optimizers.adamw(adam_beta1, adam_beta2, epsilon, weight_decay),
        "ftrl": lambda: optimizers.ftrl(
            ftrl_learning_rate_power, ftrl_initial_accumulator_value, ftrl_l1, ftrl_l2
        ),
        "momentum": lambda: optimizers.momentum(momentum),
        "rmsprop": lambda: optimizers.rmsprop(rmsprop_decay, rmsprop_momentum, epsilon),
        "sgd": optimizers.sgd,
    }
    return _pick(makers, optimizer, "optimizer")()


def get_variables_to_train(
    variables: Mapping[str, tf.Variable], trainable_scopes: Sequence[str] = ()
) -> dict[str, tf.Variable]:
    """The variables below one of the scopes, or all of them when no scope is given, but for state.

    A scope matches whole path components: `ssd_300_vgg/conv1` holds `conv1/conv1_1`, not `conv10`.

    Raises:
      InputError: a scope holds no variable.
    """
    variables = {name: each for name, each in variables.items() if each.trainable}
    if not trainable_scopes:
        return variables
    for scope in trainable_scopes:
        if not any(in_scope(name, scope) for name in variables):
            first = sorted({"/".join(name.split("/")[:2]) for name in variables})
            raise InputError(
                f"--trainable_scopes: {scope!r} holds no variable: there are {', '.join(first)}."
            )
    return {
        name: variable
        for name, variable in variables.items()
        if any(in_scope(name, scope) for scope in trainable_scopes)
    }


def get_gradient_multipliers(
    *,
    variables: Iterable[str],
    bias_gradient_multiplier: float,
    last_layer_gradient_multiplier: float,
    last_layers_contain_logits_only: bool,
    model_name: str = nets_factory.DEFAULT,
) -> dict[str, float]:
    """Factors on the gradients of the variables for which they are not 1, by name.

    A bias of the last layer gets both. The arguments are the flags of these names.
    """

    network = nets_factory.get_network(model_name)

    def factor(name: str) -> float:
        is_last = network.is_head(name, classes_only=last_layers_contain_logits_only)
        return (bias_gradient_multiplier if name.endswith("/biases") else 1.0) * (
            last_layer_gradient_multiplier if is_last else 1.0
        )

    return {name: factor(name) for name in variables if factor(name) != 1.0}


def get_init_fn(
    request: pretrained.Request, variables: Mapping[str, tf.Variable], *, model_name: str
) -> tuple[pretrained.Plan, Callable[[], None]]:
    """How a network starts from a checkpoint in slim's names: the plan, and what carries it out.

    Args:
      request: the checkpoint (its path resolved) and how to read it.
      variables: the network's, by name.
      model_name: the network, and their scope.

    Raises:
      InputError: the checkpoint does not fit; see `pretrained.make_plan`.
    """
    reader = tf.train.load_checkpoint(request.checkpoint_path)
    there = reader.get_variable_to_shape_map()
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    average = averages.SUFFIX if request.use_moving_average else ""
    network = nets_factory.get_network(model_name)
    plan = pretrained.make_plan(shapes, there, request, network=network, average=average)

    def init_fn() -> None:
        values = pretrained.values(
            plan, reader.get_tensor, network=network, is_described="description" in there
        )
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise InputError(f"{name} holds NaN or infinity")
            variables[name].assign(value)

    return plan, init_fn


def format_configuration(flags: Sequence[str], layers: Sequence[analysis.Layer]) -> list[str]:
    """Lines that say what a run is made of.

    Args:
      flags: lines `--name=value`.
      layers: of the network.
    """
    lines = ["Flags that are not at their defaults:", *(f"  {flag}" for flag in flags)]
    return [*lines, "", *analysis.format_table(layers)]


def _pick(makers: dict, name: str, flag: str):
    if name not in makers:
        raise InputError(f"--{flag}={name} is unknown: use one of {', '.join(sorted(makers))}.")
    return makers[name]
