"""The settings of a training: the flags of `train_ssd_network.py`, with their defaults."""

import dataclasses
import math
import re
from typing import Any

from optimization.setting_groups import OptimizerSettings, ScheduleSettings
from runtime.errors import InputError
from runtime.settings import check, require
from training.setting_groups import (
    AugmentationSettings,
    ClusterSettings,
    DataSettings,
    EvaluationSettings,
    InheritedSettings,
    InitialWeightsSettings,
    LoggingSettings,
    LossSettings,
    ModelSettings,
    RunSettings,
)

MAX_STEPS = 2**40  # as good as forever


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSettings(
    InheritedSettings,
    ClusterSettings,
    EvaluationSettings,
    LoggingSettings,
    AugmentationSettings,
    LossSettings,
    OptimizerSettings,
    ScheduleSettings,
    InitialWeightsSettings,
    ModelSettings,
    RunSettings,
    DataSettings,
):
    """Names are those of SSD-Tensorflow's and slim's trainers where these have the setting."""

    def __post_init__(self):
        check(self)
        require(self, "train_dir", "dataset_dir")
        from runtime import hardware  # TensorFlow comes with it

        hardware.check_memory_fraction(self.gpu_memory_fraction)
        self._check_length()
        self._check_distribution()
        self._check_data_service()
        self._check_evaluation()
        if self.moving_average_decay is not None and not 0 < self.moving_average_decay < 1:
            raise InputError(
                f"--moving_average_decay={self.moving_average_decay} must lie in (0, 1): 0.9999 is "
                "usual; without the flag there are no averages."
            )
        if self.precision not in hardware.PRECISIONS:
            hardware.resolve_precision(self.precision)
        self._check_image_size()
        self._check_data_format()

    @property
    def last_step(self) -> int:
        """The step at which the run ends."""
        return self.max_number_of_steps or MAX_STEPS

    def in_steps(self, num_samples: int) -> "TrainSettings":
        """The settings with --epochs as a number of steps, once the images are counted."""
        if self.epochs is None:
            return self
        steps = math.ceil(self.epochs * num_samples / self.global_batch_size)
        return dataclasses.replace(self, epochs=None, max_number_of_steps=steps)

    @property
    def global_batch_size(self) -> int:
        """Images a step over all clones of all workers that train synchronously."""
        workers = 1 if self.num_ps_tasks else self.num_replicas or 1
        return self.batch_size * self.accumulate_steps * self.num_clones * workers

    def _check_length(self) -> None:
        if self.epochs is not None and self.max_number_of_steps is not None:
            raise InputError(
                f"--epochs={self.epochs} and --max_number_of_steps={self.max_number_of_steps} "
                "both say how long to train: give one of them."
            )

    def _check_distribution(self) -> None:
        if self.master:
            raise InputError(
                f"--master={self.master}: there is no master session; name the workers by "
                "--worker_hosts and --task, TF_CONFIG, or srun."
            )
        if self.startup_delay_steps != 15:
            raise InputError(
                f"--startup_delay_steps={self.startup_delay_steps}: workers train synchronously "
                "and begin together; remove the flag."
            )

    def _check_data_service(self) -> None:
        for service in self.data_service:
            if not re.fullmatch(r"grpc://.+:\d+", service):
                raise InputError(f"--data_service={service} must have the form grpc://host:port.")
        if self.data_service and self.skip_bad:
            raise InputError(
                f"--skip_bad={self.skip_bad} does not go with --data_service, which has no next "
                "record: remove one of the flags."
            )

    def _check_evaluation(self) -> None:
        intervals = ("eval_every_n_steps", "eval_every_n_epochs", "eval_every_secs")
        if self.eval_split and all(getattr(self, name) is None for name in intervals):
            raise InputError(
                f"--eval_split={self.eval_split}: say how often, such as --eval_every_n_epochs=1."
            )
        if self.eval_every_secs and (self.num_replicas or 1) > 1:
            raise InputError(
                f"--eval_every_secs={self.eval_every_secs} with {self.num_replicas} workers: they "
                "have no clock in common; give --eval_every_n_steps or --eval_every_n_epochs."
            )

    def _check_data_format(self) -> None:
        if self.data_format not in ("auto", "NHWC"):
            raise InputError(
                f"--data_format={self.data_format}: the network is written in NHWC; on a GPU "
                "TensorFlow turns convolutions into NCHW where that is faster. Remove the flag."
            )

    def _check_image_size(self) -> None:
        from nets import nets_factory  # TensorFlow comes with them
        from preprocessing import preprocessing_factory

        side = nets_factory.get_network(self.model_name).parameters.image_size[0]
        if self.train_image_size not in (None, side):
            raise InputError(
                f"--train_image_size={self.train_image_size}: {self.model_name} takes {side} "
                "pixels; remove the flag."
            )
        name = nets_factory.get_preprocessing_name(self.model_name, self.preprocessing_name)
        preprocessing_factory.get_preprocessing(name, (side, side))


def _filled_in(name: str) -> Any:
    """A field of `TrainSettings` that must be given, under the same bounds."""
    fields = {field.name: field for field in dataclasses.fields(TrainSettings)}
    return dataclasses.field(metadata=fields[name].metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResolvedSettings(TrainSettings):
    """Settings of a run that begins: what was left to the program is filled in.

    `state.resolve` makes them on the chief, which tells the other workers. What may still be None
    has no value, such as the end of an endless run.
    """

    seed: int = _filled_in("seed")
    precision: str = _filled_in("precision")  # not auto
    input_scale: str = _filled_in("input_scale")  # a number, as the flag has it
    anchors: str = _filled_in("anchors")

    @classmethod
    def fill_in(
        cls,
        settings: TrainSettings,
        *,
        seed: int,
        precision: str,
        input_scale: str,
        anchors: str,
        batch_norm: str | None,
    ) -> "ResolvedSettings":
        """The given settings with these instead of theirs."""
        filled_in = {
            "seed": seed,
            "precision": precision,
            "input_scale": input_scale,
            "anchors": anchors,
            "batch_norm": batch_norm,  # None where the network has none
        }
        return cls(**{**vars(settings), **filled_in})
