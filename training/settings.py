"""The settings of a training: the flags of `train_ssd_network.py`, with their defaults."""

import dataclasses
import re

from datasets.order import MAX_SEED
from nets import nets_factory
from preprocessing import preprocessing_factory
from runtime import hardware
from runtime.errors import InputError
from runtime.settings import (
    changed_by_name,
    check_at_least,
    check_at_most,
    check_below_one,
    refuse_unless,
    require,
    setting,
)
from tf_utils import LEARNING_RATE_DECAY_TYPES, OPTIMIZERS, READ_WITH

LOSS_NORMALIZERS = ("matches", "batch")
MAX_STEPS = 2**40  # as good as for ever


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Names are those of SSD-Tensorflow's and slim's trainers where these have the setting."""

    train_dir: str = setting("", "Folder for checkpoints, metrics and events; resumed when used.")
    overwrite: bool = setting(False, "Start over in a used train_dir; what is there is removed.")

    dataset_name: str = setting("pascalvoc_2007", "Names of the records; see docs/data.md.")
    dataset_split_name: str = setting("train", "Split of the records, or one for each name.")
    dataset_dir: str = setting("", "Folder of the records, or one for each name.")
    dataset_weights: tuple[float, ...] = setting(
        (), "How often pictures of each of several data sets come; all alike when empty."
    )
    labels_file: str | None = setting(None, "Class names, one a line, for records without any.")
    labels_offset: int = setting(0, "Subtracted from the labels in the records.")
    num_classes: int | None = setting(None, "Classes with background; checked against the labels.")
    skip_bad: int = setting(0, "Go on without up to so many bad records, which are named.")
    use_difficult: bool = setting(True, "Learn from objects marked difficult.")
    shuffle: bool = setting(True, "Visit the pictures in a new order every epoch.")
    augment: bool = setting(True, "Distort, expand, crop and flip the pictures.")
    num_readers: int = setting(4, "Records read at a time.")
    num_preprocessing_threads: int | None = setting(None, "Pictures prepared at a time; auto.")
    data_service: tuple[str, ...] = setting(
        (), "grpc://host:port of processes that prepare the batches in turn; see docs/clusters.md."
    )

    model_name: str = setting(nets_factory.DEFAULT, "Network; see nets/nets_factory.py.")
    preprocessing_name: str | None = setting(None, "Preprocessing; the network's own by default.")
    train_image_size: int | None = setting(None, "Checked against the network's picture size.")
    anchors: str | None = setting(
        None,
        "Preset: voc, or coco with smaller ones; or the sides of the squares, small-large a layer: "
        "21-50,60-81,... voc unless imported.",
    )
    depth_multiplier: float = setting(1.0, "Factor on the channels of every layer.")
    input_scale: str = setting("auto", "Factor on RGB minus mean; auto is 1/58 from scratch.")
    precision: str = setting(
        "auto",
        "Arithmetic: float32, bfloat16, or mixed_float16 with dynamic loss scaling, for GPUs; auto "
        "is bfloat16 on a CPU that has it, else float32.",
    )
    jit: bool = setting(
        False, "Compile network, loss and gradients with XLA; for GPUs, slower on CPUs."
    )
    data_format: str = setting("auto", "Checked: auto or NHWC, which TensorFlow arranges itself.")
    trainable_scopes: tuple[str, ...] = setting((), "Train only the variables below these scopes.")

    checkpoint_path: str = setting("", "Checkpoint in slim's names to start a new run from.")
    checkpoint_model_scope: str | None = setting(None, "Its scope; detected by default.")
    checkpoint_exclude_scopes: tuple[str, ...] = setting((), "Scopes that start new.")
    ignore_missing_vars: bool = setting(False, "Start new what the checkpoint lacks.")
    initialize_last_layer: bool = setting(True, "Take the box predictors from the checkpoint.")
    last_layers_contain_logits_only: bool = setting(
        False, "The last layer is the predictors of classes, without those of boxes."
    )
    use_moving_average: bool = setting(
        True, "Start from the averaged weights of checkpoint_path where it has them."
    )
    dry_run: bool = setting(False, "Print where each variable starts from, and stop.")

    batch_size: int = setting(32, "Pictures a clone holds at a time: a step, unless accumulated.")
    accumulate_steps: int = setting(
        1, "Batches whose gradients make one step, exactly that of one batch of all of them."
    )
    max_number_of_steps: int | None = setting(None, "Steps of the whole run; endless by default.")
    seed: int | None = setting(None, "Of weights, order and augmentation; drawn when absent.")
    num_clones: int = setting(1, "Replicas on this host.")
    clone_on_cpu: bool = setting(False, "Put the clones on the CPU even where there are GPUs.")
    num_replicas: int | None = setting(None, "Workers, the chief counted; 1, or as found.")
    task: int | None = setting(None, "Number of this worker; 0 is the chief.")
    worker_hosts: tuple[str, ...] = setting((), "host:port of every worker, chief first.")
    num_ps_tasks: int | None = setting(None, "Parameter servers; 0, or as found.")
    ps_hosts: tuple[str, ...] = setting((), "host:port of every parameter server.")
    job_name: str | None = setting(None, "Job of this process; a worker by default.")
    worker_job_name: str = setting("worker", "Job of the workers in TF_CONFIG and job_name.")
    ps_job_name: str = setting("ps", "Job of the parameter servers in TF_CONFIG and job_name.")
    master: str = setting("", "Refused: workers are named by --worker_hosts.")
    startup_delay_steps: int = setting(15, "Refused: workers keep step with each other.")
    gpu_memory_fraction: float | None = setting(
        None, "Share of each GPU's memory to take; taken as needed by default."
    )
    stall_timeout_secs: float = setting(600.0, "Exit 75 when no step ends in this time; 0 never.")

    loss_alpha: float = setting(1.0, "Weight of the localisation loss.")
    negative_ratio: float = setting(3.0, "Hard negatives for each positive.")
    min_negatives_per_image: int = setting(
        0, "Hard negatives of a picture with few objects or none, which else would teach nothing."
    )
    hard_example_mining_step: int = setting(
        0, "Go over from all negatives to the hard ones in so many steps."
    )
    loss_normalizer: str = setting(
        "matches", "The loss is divided by matched anchors or pictures.", choices=LOSS_NORMALIZERS
    )
    match_threshold: float = setting(0.5, "Overlap from which an anchor is positive.")
    label_smoothing: float = setting(0.0, "Share of the target spread over all classes.")
    weight_decay: float = setting(
        5e-4, "Factor of the L2 loss; with adamw, which decays the weights itself, that loss is 0."
    )
    bias_gradient_multiplier: float = setting(1.0, "On gradients of biases; Caffe's SSD has 2.")
    last_layer_gradient_multiplier: float = setting(1.0, "On gradients of the predictors.")
    clip_gradient_norm: float = setting(0.0, "Largest global gradient norm; 0 clips nothing.")
    moving_average_decay: float | None = setting(
        None, "Keep moving averages of the weights, for eval, detect and export; such as 0.9999."
    )

    check_numerics: bool = setting(
        True, "Leave out updates whose loss or gradient is not finite; stop after five in a row."
    )

    optimizer: str = setting("momentum", "Update rule.", choices=OPTIMIZERS)
    opt_epsilon: float | None = setting(None, "Epsilon; each optimizer's usual by default.")
    momentum: float = setting(0.9, "Of momentum.")
    adam_beta1: float = setting(0.9, "Of adam and adamw.")
    adam_beta2: float = setting(0.999, "Of adam and adamw.")
    adadelta_rho: float = setting(0.95, "Decay of adadelta's averages.")
    adagrad_initial_accumulator_value: float = setting(0.1, "Of adagrad.")
    ftrl_learning_rate_power: float = setting(-0.5, "Of ftrl.")
    ftrl_initial_accumulator_value: float = setting(0.1, "Of ftrl.")
    ftrl_l1: float = setting(0.0, "Of ftrl.")
    ftrl_l2: float = setting(0.0, "Of ftrl.")
    rmsprop_momentum: float = setting(0.9, "Of rmsprop.")
    rmsprop_decay: float = setting(0.9, "Of rmsprop.")

    learning_rate: float = setting(0.001, "Before any decay.")
    learning_rate_decay_type: str = setting(
        "exponential", "How it decays.", choices=LEARNING_RATE_DECAY_TYPES
    )
    end_learning_rate: float = setting(1e-4, "Of polynomial and cosine.")
    learning_rate_decay_factor: float = setting(0.94, "Of exponential and step.")
    num_epochs_per_decay: float = setting(2.0, "Of exponential and polynomial.")
    decay_steps: int | None = setting(None, "Overrides num_epochs_per_decay.")
    learning_rate_decay_boundaries: tuple[int, ...] = setting((), "Steps at which `step` decays.")
    learning_power: float = setting(0.9, "Of poly.")
    slow_start_step: int = setting(0, "Steps of warm-up.")
    slow_start_learning_rate: float = setting(1e-4, "At the start of the warm-up.")
    slow_start_type: str = setting("linear", "Rise or hold.", choices=("linear", "constant"))

    log_every_n_steps: int = setting(10, "Steps between lines of metrics.jsonl.")
    save_summaries_secs: float = setting(60.0, "Seconds between TensorBoard summaries.")
    summarize_gradients: bool = setting(
        False, "Histograms of weights, gradients and activations in TensorBoard, too."
    )
    save_summaries_images: bool = setting(
        False, "Pictures as trained on, with objects and matched anchors, in TensorBoard, too."
    )
    profile_dir: str = setting("", "Folder for a trace of a few steps; see TensorBoard's profiler.")
    save_interval_secs: float = setting(600.0, "Seconds between checkpoints.")
    max_to_keep: int = setting(5, "Newest checkpoints kept; 0 keeps all.")
    keep_checkpoint_every_n_hours: float = setting(
        1.0, "Of the older checkpoints keep one in so many hours; 0 keeps none."
    )

    eval_split: str = setting("", "Split to score on while training; the best stays in best/.")
    eval_every_n_steps: int | None = setting(None, "Steps between two evaluations.")
    eval_every_n_epochs: float | None = setting(None, "Epochs between two evaluations.")
    eval_every_secs: float | None = setting(None, "Seconds between two evaluations; one worker.")
    early_stopping_evals: int = setting(
        0, "End after so many evaluations without a better mAP_VOC07; 0 never."
    )

    def __post_init__(self):
        require(self, "train_dir", "dataset_dir")
        check_at_least(self, 1, "batch_size", "max_number_of_steps", "num_clones", "decay_steps")
        check_at_least(self, 1, "accumulate_steps")
        check_at_least(self, 1, "log_every_n_steps", "num_readers", "num_preprocessing_threads")
        hardware.check_memory_fraction(self.gpu_memory_fraction)
        check_at_least(
            self, 0, "learning_rate", "weight_decay", "clip_gradient_norm", "max_to_keep"
        )
        check_at_least(self, 0, "loss_alpha", "negative_ratio", "slow_start_step", "seed")
        check_at_least(self, 0, "stall_timeout_secs", "skip_bad")
        check_at_least(self, 0, "min_negatives_per_image", "hard_example_mining_step")
        check_at_least(self, 0, "bias_gradient_multiplier", "last_layer_gradient_multiplier")
        refuse_unless(
            self.checkpoint_path,
            self,
            *("checkpoint_model_scope", "checkpoint_exclude_scopes", "initialize_last_layer"),
            "use_moving_average",
            needs="--checkpoint_path",
        )
        check_at_most(self, MAX_SEED, "seed")
        check_at_least(self, 0, "save_interval_secs", "save_summaries_secs")
        self._check_optimizer()
        self._check_learning_rate()
        self._check_distribution()
        self._check_data_service()
        self._check_evaluation()
        if not 0 < self.match_threshold <= 1:
            raise InputError(f"--match_threshold={self.match_threshold} must lie in (0, 1].")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"--label_smoothing={self.label_smoothing} must lie in [0, 1).")
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

    @property
    def global_batch_size(self) -> int:
        """Pictures a step over all clones of all workers that keep step."""
        workers = 1 if self.num_ps_tasks else self.num_replicas or 1
        return self.batch_size * self.accumulate_steps * self.num_clones * workers

    @property
    def idle(self) -> list[str]:
        """Sentences about flags that do nothing beside the chosen optimizer and schedule.

        Flagfiles and old scripts name those of several, so they are told and not refused.
        """
        given = changed_by_name(self)
        sentences = [
            f"WARNING: {given[name]} does nothing with --{choice}={getattr(self, choice)}."
            for choice, readers in READ_WITH.items()
            for name, values in readers.items()
            if name in given and getattr(self, choice) not in values
        ]
        if not self.slow_start_step:
            sentences += [
                f"WARNING: {given[name]} does nothing without --slow_start_step."
                for name in ("slow_start_learning_rate", "slow_start_type")
                if name in given
            ]
        return sentences

    def _check_optimizer(self) -> None:
        check_below_one(self, "momentum", "adam_beta1", "adam_beta2", "adadelta_rho")
        check_below_one(self, "rmsprop_momentum", "rmsprop_decay")
        check_at_least(self, 0, "opt_epsilon", "ftrl_l1", "ftrl_l2")
        check_at_least(
            self, 0, "adagrad_initial_accumulator_value", "ftrl_initial_accumulator_value"
        )
        check_at_most(self, 0, "ftrl_learning_rate_power")

    def _check_learning_rate(self) -> None:
        check_at_least(self, 0, "end_learning_rate", "slow_start_learning_rate", "learning_power")
        factor, epochs = self.learning_rate_decay_factor, self.num_epochs_per_decay
        if not 0 < factor <= 1:
            raise InputError(f"--learning_rate_decay_factor={factor} must lie in (0, 1].")
        if not epochs > 0:
            raise InputError(f"--num_epochs_per_decay={epochs} must be above 0.")

    def _check_distribution(self) -> None:
        if self.master:
            raise InputError(
                f"--master={self.master}: there is no master session; name the workers by "
                "--worker_hosts and --task, TF_CONFIG, or srun."
            )
        if self.startup_delay_steps != 15:
            raise InputError(
                f"--startup_delay_steps={self.startup_delay_steps}: workers keep step with each "
                "other and begin together; drop the flag."
            )

    def _check_data_service(self) -> None:
        for service in self.data_service:
            if not re.fullmatch(r"grpc://.+:\d+", service):
                raise InputError(f"--data_service={service} must have the form grpc://host:port.")
        if self.data_service and self.skip_bad:
            raise InputError(
                f"--skip_bad={self.skip_bad} does not go with --data_service, which knows no next "
                "record: drop one of the flags."
            )

    def _check_evaluation(self) -> None:
        check_at_least(self, 0, "early_stopping_evals", "keep_checkpoint_every_n_hours")
        check_at_least(self, 1, "eval_every_n_steps")
        intervals = ("eval_every_n_steps", "eval_every_n_epochs", "eval_every_secs")
        given = [name for name in intervals if getattr(self, name) is not None]
        for name in given:
            if not getattr(self, name) > 0:
                raise InputError(f"--{name}={getattr(self, name)} must be above 0.")
        if self.eval_split and not given:
            raise InputError(
                f"--eval_split={self.eval_split}: say how often, such as --eval_every_n_epochs=1."
            )
        for name in [*given, "early_stopping_evals"]:
            if getattr(self, name) and not self.eval_split:
                raise InputError(
                    f"--{name}={getattr(self, name)} needs a split to score on: give --eval_split."
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
                "TensorFlow turns convolutions into NCHW where that is faster. Drop the flag."
            )

    def _check_image_size(self) -> None:
        side = nets_factory.get_network(self.model_name).parameters.image_size[0]
        if self.train_image_size not in (None, side):
            raise InputError(
                f"--train_image_size={self.train_image_size}: {self.model_name} takes {side} "
                "pixels; drop the flag."
            )
        name = nets_factory.get_preprocessing_name(self.model_name, self.preprocessing_name)
        preprocessing_factory.get_preprocessing(name, (side, side))
