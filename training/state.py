"""Everything of a training that a checkpoint holds, and what may not change when it is resumed."""

import dataclasses
import json
import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

import tf_utils
from datasets.layouts.values import shortened
from model.checkpoints import text_in
from model.description import Description
from model.detector import Detector
from nets import losses, nets_factory
from optimization.averages import MovingAverages
from optimization.loss_scale import LossScale
from optimization.optimizers import Optimizer, Rule
from optimization.schedules import Schedule
from runtime import hardware
from runtime.errors import InputError, one_line
from training.initial_weights import InitialWeights, check_fits
from training.settings import ResolvedSettings, TrainSettings
from training.step import StepOptions, TrainStep, is_decayed

_IMMUTABLE_ON_RESUME = (
    *("seed", "optimizer", "global_batch_size", "shuffle", "augment", "moving_average_decay"),
    *("dataset_name", "dataset_split_name", "dataset_weights", "batch_norm"),
)
# What a fact is called that is no flag; the others are, under their names.
_FLAG_NAMES = {
    "labels": "The list of classes in the records",
    "num_samples": "The number of images in the records",
    "fingerprint": "The checksum of the records",
    "global_batch_size": "The number of images a step takes (--batch_size of every clone)",
}


class TrainState:
    """Network, optimizer and step counter of one run. Make it inside `strategy.scope()`.

    Attributes:
      detector: the network.
      step: the compiled training step and its counter.
      description: is in every checkpoint.
    """

    def __init__(
        self,
        settings: ResolvedSettings,
        description: Description,
        *,
        num_samples: int,
        fingerprint: str = "",
        initializer: str = "he",
    ):
        self.description = description
        self._facts = resume_invariants(settings, num_samples=num_samples, fingerprint=fingerprint)
        self._train_dir = settings.train_dir
        self.detector = Detector(description, seed=settings.seed, initializer=initializer)
        trained = tf_utils.get_variables_to_train(
            self.detector.variables_by_name, settings.trainable_scopes
        )
        self._optimizer = Optimizer(
            _update_rule(settings),
            trained,
            decayed=[name for name in trained if is_decayed(name)],
        )
        decay = settings.moving_average_decay
        self._averages = (
            None if decay is None else MovingAverages(decay, self.detector.variables_by_name)
        )
        is_float16 = description.precision == "mixed_float16"
        self._loss_scale = LossScale() if is_float16 else None
        self.step = TrainStep(
            self.detector,
            self._optimizer,
            _schedule(settings, num_samples=num_samples),
            trained=trained,
            options=_step_options(settings),
            averages=self._averages,
            multipliers=tf_utils.get_gradient_multipliers(
                variables=trained.keys(),
                bias_gradient_multiplier=settings.bias_gradient_multiplier,
                last_layer_gradient_multiplier=settings.last_layer_gradient_multiplier,
                last_layers_contain_logits_only=settings.last_layers_contain_logits_only,
                model_name=settings.model_name,
            ),
            loss_scale=self._loss_scale,
        )

    def tensors(self) -> dict[str, tf.Tensor | tf.Variable]:
        """What a checkpoint holds, by name."""
        return {
            **self.variables(),
            "description": tf.constant(self.description.to_json()),
            "training": tf.constant(json.dumps(self._facts)),
        }

    def check_fits(self, tensors: dict[str, np.ndarray]) -> InputError | None:
        """What keeps a checkpoint from being restored: a variable missing or of another shape."""
        for name, variable in self.variables().items():
            if name not in tensors or tensors[name].shape != tuple(variable.shape):
                return InputError(
                    f"The checkpoint in --train_dir={self._train_dir} does not fit these "
                    f"flags at {name}: start a new train_dir, or pass --overwrite to start over."
                )
        return None

    def restore(self, tensors: dict[str, np.ndarray]) -> None:
        """Resumes from the tensors of a checkpoint that fits."""
        for name, variable in self.variables().items():
            variable.assign(tensors[name])

    def begin_with(self, weights: Mapping[str, np.ndarray]) -> None:
        """Starts a new run from other weights than its random ones."""
        for name, variable in self.detector.variables_by_name.items():
            variable.assign(weights[name])
        if self._averages:
            self._averages.restart()

    def variables(self) -> dict[str, tf.Variable]:
        """Weights, slots, moving averages, loss scale and step counter by name."""
        return {
            **self.detector.variables_by_name,
            **self._optimizer.slots,
            **(self._averages.slots if self._averages else {}),
            **(self._loss_scale.slots if self._loss_scale else {}),
            "global_step": self.step.step,
        }


def _update_rule(settings: ResolvedSettings) -> Rule:
    return tf_utils.configure_optimizer(
        optimizer=settings.optimizer,
        opt_epsilon=settings.opt_epsilon,
        weight_decay=settings.weight_decay,
        adadelta_rho=settings.adadelta_rho,
        adagrad_initial_accumulator_value=settings.adagrad_initial_accumulator_value,
        adam_beta1=settings.adam_beta1,
        adam_beta2=settings.adam_beta2,
        ftrl_learning_rate_power=settings.ftrl_learning_rate_power,
        ftrl_initial_accumulator_value=settings.ftrl_initial_accumulator_value,
        ftrl_l1=settings.ftrl_l1,
        ftrl_l2=settings.ftrl_l2,
        momentum=settings.momentum,
        rmsprop_momentum=settings.rmsprop_momentum,
        rmsprop_decay=settings.rmsprop_decay,
    )


def _schedule(settings: ResolvedSettings, *, num_samples: int) -> Schedule:
    return tf_utils.configure_learning_rate(
        learning_rate_decay_type=settings.learning_rate_decay_type,
        learning_rate=settings.learning_rate,
        num_samples=num_samples,
        global_batch_size=settings.global_batch_size,
        num_epochs_per_decay=settings.num_epochs_per_decay,
        decay_steps=settings.decay_steps,
        learning_rate_decay_factor=settings.learning_rate_decay_factor,
        learning_rate_decay_boundaries=settings.learning_rate_decay_boundaries,
        end_learning_rate=settings.end_learning_rate,
        learning_power=settings.learning_power,
        max_number_of_steps=settings.max_number_of_steps,
        slow_start_step=settings.slow_start_step,
        slow_start_learning_rate=settings.slow_start_learning_rate,
        slow_start_type=settings.slow_start_type,
    )


def _step_options(settings: ResolvedSettings) -> StepOptions:
    is_decoupled = settings.optimizer == "adamw"  # a part of the update, not of the loss
    return StepOptions(
        loss=losses.make("multibox", dataclasses.asdict(settings)),
        loss_normalizer=settings.loss_normalizer,
        weight_decay=0.0 if is_decoupled else settings.weight_decay,
        clip_gradient_norm=settings.clip_gradient_norm,
        accumulate_steps=settings.accumulate_steps,
        check_numerics=settings.check_numerics,
        summarize_gradients=settings.summarize_gradients,
        jit=settings.jit,
        batch_norm=settings.batch_norm,
    )


def resolve(
    settings: TrainSettings,
    labels: tuple[str, ...],
    earlier: dict[str, np.ndarray] | None,
    origin: InitialWeights,
    *,
    num_samples: int,
    fingerprint: str = "",
) -> tuple[ResolvedSettings, Description]:
    """Fills in what was left to the program: seed, precision, anchors, input scale.

    Args:
      settings: as the flags say.
      labels: of the data set.
      earlier: the checkpoint to resume from; None for a new run.
      origin: where the weights of a new run come from.
      num_samples: images of the data set.
      fingerprint: of its records.

    Raises:
      InputError: a flag or the data differ from the earlier run's in what may not change, or from
        what the weights of `origin` were made for; or the checkpoint is not one of a training.
    """
    was, facts = _read_earlier(earlier, settings) if earlier else (None, {})
    drawn = facts.get("seed", random.SystemRandom().randrange(2**31))
    precision = was.precision if was and settings.precision == "auto" else settings.precision
    resolved = ResolvedSettings.fill_in(
        settings,
        seed=drawn if settings.seed is None else settings.seed,
        precision=hardware.resolve_precision(precision),
        input_scale=_input_scale(
            settings.input_scale, was.input_scale if was else origin.input_scale
        ),
        anchors=settings.anchors or (was.anchors if was else origin.anchors),
        batch_norm=_batch_norm(settings, facts.get("batch_norm"), origin),
    )
    description = describe(resolved, labels)
    check_fits(origin, description)
    if was:
        _refuse_changes(dataclasses.asdict(was), dataclasses.asdict(description), resolved)
        now = resume_invariants(resolved, num_samples=num_samples, fingerprint=fingerprint)
        _refuse_changes(facts, now, resolved)
    return resolved, description


def _batch_norm(settings: TrainSettings, earlier: str | None, origin: InitialWeights) -> str | None:
    """How batch norm behaves; None for a network without any.

    Raises:
      InputError: the network has none, or the batch's statistics would not be those of a step.
    """
    asked, name = settings.batch_norm, settings.model_name
    if not nets_factory.get_network(name).has_batch_norm:
        if asked:
            raise InputError(f"--batch_norm={asked}: {name} has no batch norm; remove the flag.")
        return None
    chosen = asked or earlier or ("frozen" if origin.request else "trained")
    reasons = {
        f"--accumulate_steps={settings.accumulate_steps}, whose parts differ in statistics": (
            settings.accumulate_steps > 1
        ),
        "--num_ps_tasks, whose workers take steps of their own": bool(settings.num_ps_tasks),
        "--jit and several clones or workers, which XLA cannot connect": (
            settings.jit and settings.num_clones * (settings.num_replicas or 1) > 1
        ),
    }
    for reason, holds in reasons.items():
        if chosen == "trained" and holds:
            raise InputError(
                f"--batch_norm=trained does not go with {reason}: start from weights "
                "(--checkpoint_path) with --batch_norm=frozen, or remove the other flag."
            )
    return chosen


def warn_of_schedule(settings: ResolvedSettings, *, num_samples: int) -> str:
    """What a user may not expect of the learning rate, in a sentence; else ""."""
    return tf_utils.warn_of_early_floor(
        learning_rate_decay_type=settings.learning_rate_decay_type,
        num_samples=num_samples,
        global_batch_size=settings.global_batch_size,
        num_epochs_per_decay=settings.num_epochs_per_decay,
        decay_steps=settings.decay_steps,
        end_learning_rate=settings.end_learning_rate,
        max_number_of_steps=settings.max_number_of_steps,
    )


def describe(settings: ResolvedSettings, labels: tuple[str, ...]) -> Description:
    """What checkpoints of a run say of themselves."""
    preprocessing = settings.preprocessing_name
    return Description(
        model_name=settings.model_name,
        labels=labels,
        anchors=settings.anchors,
        depth_multiplier=settings.depth_multiplier,
        input_scale=float(settings.input_scale),
        precision=settings.precision,
        preprocessing_name=None if preprocessing == settings.model_name else preprocessing,
    )


def resume_invariants(
    settings: ResolvedSettings, *, num_samples: int, fingerprint: str = ""
) -> dict[str, Any]:
    """What decides the course of a run and must stay when it is resumed."""
    facts = {name: getattr(settings, name) for name in _IMMUTABLE_ON_RESUME}
    facts |= {"num_samples": num_samples, "fingerprint": fingerprint}
    return json.loads(json.dumps(facts))  # as a checkpoint gives them back


def _read_earlier(
    earlier: dict[str, np.ndarray], settings: TrainSettings
) -> tuple[Description, dict[str, Any]]:
    if not {"description", "training"} <= earlier.keys():
        raise InputError(
            f"--train_dir={settings.train_dir} holds a checkpoint that is not one of a training of "
            "this program: use another folder for the training."
        )
    try:
        facts = dict(json.loads(text_in(earlier["training"])))
        if unknown := facts.keys() - {*_IMMUTABLE_ON_RESUME, "num_samples", "fingerprint"}:
            raise ValueError(f"it has {shortened(min(unknown))}")
        for name, kind in (("seed", int), ("batch_norm", str | None)):
            if name in facts and not isinstance(facts[name], kind):
                raise ValueError(f"{name} is {shortened(facts[name])}")
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"--train_dir={settings.train_dir}: what the checkpoint says of its training cannot be "
            f"understood ({one_line(error)}): restore it from a copy, or start over with "
            "--overwrite."
        ) from error
    description = Description.from_tensors(earlier)
    # A checkpoint of best/ has thresholds, which training has no use for.
    return dataclasses.replace(description, thresholds=None, thresholds_from=""), facts


def _refuse_changes(before: dict, now: dict, settings: ResolvedSettings) -> None:
    for name, value in before.items():
        if now[name] != value:
            own, earlier = _shown(now[name]), _shown(value)
            what = f"{_FLAG_NAMES[name]}, {own}," if name in _FLAG_NAMES else f"--{name}={own}"
            raise InputError(
                f"{what} differs from the {earlier} of the run in "
                f"--train_dir={settings.train_dir}: keep to {earlier}, start a new train_dir, or "
                "start over with --overwrite."
            )


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _input_scale(text: str, otherwise: float) -> str:
    """What the flag says, or else a number as it would say it; kept as given, for other workers."""
    if text == "auto":
        return str(otherwise)
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise InputError(f"--input_scale={text} must be auto or a number above 0.")
    return text
