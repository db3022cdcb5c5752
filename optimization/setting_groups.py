"""Groups of flags for the learning rate and the optimizer; `training/settings.py` joins them."""

import dataclasses

from optimization.names import LEARNING_RATE_DECAY_TYPES, OPTIMIZERS
from runtime.settings import OnlyWith, setting

_SLOW_START = OnlyWith("slow_start_step", refused=False)


def _optimizer(*names: str) -> OnlyWith:
    return OnlyWith("optimizer", names, refused=False)


def _decay(*types: str) -> OnlyWith:
    return OnlyWith("learning_rate_decay_type", types, refused=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """Schedule."""

    learning_rate: float = setting(
        0.001, "Learning rate after the warm-up and before any decay.", common=True, minimum=0
    )
    learning_rate_decay_type: str = setting(
        "exponential",
        "Learning-rate schedule.",
        choices=LEARNING_RATE_DECAY_TYPES,
        common=True,
    )
    end_learning_rate: float = setting(
        1e-4,
        "Final learning rate of the polynomial and cosine schedules.",
        minimum=0,
        only_with=_decay("polynomial", "cosine"),
    )
    learning_rate_decay_factor: float = setting(
        0.94,
        "Factor of each decay in the exponential and step schedules.",
        only_with=_decay("exponential", "step"),
        above=0,
        maximum=1,
    )
    num_epochs_per_decay: float = setting(
        2.0,
        "Epochs per decay in the exponential and polynomial schedules.",
        only_with=_decay("exponential", "polynomial"),
        above=0,
    )
    decay_steps: int | None = setting(
        None,
        "Steps per decay in the exponential and polynomial schedules, instead of "
        "num_epochs_per_decay.",
        minimum=1,
        only_with=_decay("exponential", "polynomial"),
    )
    learning_rate_decay_boundaries: tuple[int, ...] = setting(
        (),
        "Comma list of the steps at which the learning rate of the step schedule decays.",
        only_with=_decay("step"),
    )
    learning_power: float = setting(
        0.9, "Power of the poly schedule.", minimum=0, only_with=_decay("poly")
    )
    slow_start_step: int = setting(0, "Number of warm-up steps.", minimum=0)
    slow_start_learning_rate: float = setting(
        1e-4, "Learning rate at the start of the warm-up.", minimum=0, only_with=_SLOW_START
    )
    slow_start_type: str = setting(
        "linear",
        "Learning rate during the warm-up: linear rises to learning_rate, constant does not.",
        choices=("linear", "constant"),
        only_with=_SLOW_START,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Optimizer."""

    optimizer: str = setting("momentum", "Optimizer.", choices=OPTIMIZERS, common=True)
    accumulate_steps: int = setting(
        1, "Number of batches whose gradients are accumulated into one step.", minimum=1
    )
    opt_epsilon: float | None = setting(
        None,
        "Epsilon of the optimizer; each optimizer's usual one by default.",
        minimum=0,
        only_with=_optimizer("adadelta", "adam", "adamw", "rmsprop"),
    )
    momentum: float = setting(
        0.9,
        "Momentum coefficient of the momentum optimizer.",
        minimum=0,
        below=1,
        only_with=_optimizer("momentum"),
    )
    adam_beta1: float = setting(
        0.9, "Beta 1 of adam and adamw.", minimum=0, below=1, only_with=_optimizer("adam", "adamw")
    )
    adam_beta2: float = setting(
        0.999,
        "Beta 2 of adam and adamw.",
        minimum=0,
        below=1,
        only_with=_optimizer("adam", "adamw"),
    )
    adadelta_rho: float = setting(
        0.95,
        "Decay (rho) of the moving averages of adadelta.",
        minimum=0,
        below=1,
        only_with=_optimizer("adadelta"),
    )
    adagrad_initial_accumulator_value: float = setting(
        0.1, "Initial value of adagrad's accumulators.", minimum=0, only_with=_optimizer("adagrad")
    )
    ftrl_learning_rate_power: float = setting(
        -0.5, "Power of ftrl's learning rate.", maximum=0, only_with=_optimizer("ftrl")
    )
    ftrl_initial_accumulator_value: float = setting(
        0.1, "Initial value of ftrl's accumulators.", minimum=0, only_with=_optimizer("ftrl")
    )
    ftrl_l1: float = setting(
        0.0, "L1 regularisation of ftrl.", minimum=0, only_with=_optimizer("ftrl")
    )
    ftrl_l2: float = setting(
        0.0, "L2 regularisation of ftrl.", minimum=0, only_with=_optimizer("ftrl")
    )
    rmsprop_momentum: float = setting(
        0.9, "Momentum coefficient of rmsprop.", minimum=0, below=1, only_with=_optimizer("rmsprop")
    )
    rmsprop_decay: float = setting(
        0.9,
        "Decay of the moving averages of rmsprop.",
        minimum=0,
        below=1,
        only_with=_optimizer("rmsprop"),
    )
    weight_decay: float = setting(
        5e-4,
        "Factor of the L2 loss; with adamw its decoupled weight decay, and no L2 loss.",
        common=True,
        minimum=0,
    )
    bias_gradient_multiplier: float = setting(
        1.0, "Factor on the gradients of biases; 2 in Caffe's SSD.", minimum=0
    )
    last_layer_gradient_multiplier: float = setting(
        1.0, "Factor on the gradients of the last layer: the box and class predictors.", minimum=0
    )
    clip_gradient_norm: float = setting(
        0.0, "Maximum global gradient norm; 0 disables clipping.", minimum=0
    )
    moving_average_decay: float | None = setting(
        None,
        "Decay of moving averages of the weights, such as 0.9999, which evaluation, detection "
        "and export use; none by default.",
        common=True,
    )
