"""The settings of a training: the flags of `train_ssd_network.py`, with their defaults."""

import dataclasses

from deployment import hardware
from errors import InputError
from nets import nets_factory
from settings import check_at_least, require, setting
from tf_utils import LEARNING_RATE_DECAY_TYPES, OPTIMIZERS

MAX_STEPS = 2**40  # as good as for ever


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Names are those of SSD-Tensorflow's and slim's trainers where these have the setting."""

    train_dir: str = setting("", "Folder for checkpoints, metrics and events; resumed when used.")
    overwrite: bool = setting(False, "Start over in a used train_dir; what is there is removed.")

    dataset_name: str = setting("pascalvoc_2007", "Name of the records; see docs/data.md.")
    dataset_split_name: str = setting("train", "Split of the records.")
    dataset_dir: str = setting("", "Folder of the records.")
    labels_file: str | None = setting(None, "Class names, one a line, for records without any.")
    labels_offset: int = setting(0, "Subtracted from the labels in the records.")
    num_classes: int | None = setting(None, "Classes with background; checked against the labels.")
    use_difficult: bool = setting(True, "Learn from objects marked difficult.")
    shuffle: bool = setting(True, "Visit the pictures in a new order every epoch.")
    augment: bool = setting(True, "Distort, expand, crop and flip the pictures.")
    num_preprocessing_threads: int | None = setting(None, "Pictures prepared at a time; auto.")

    model_name: str = setting("ssd_300_vgg", "Network; see nets/nets_factory.py.")
    preprocessing_name: str | None = setting(None, "Preprocessing; the network's own by default.")
    train_image_size: int | None = setting(None, "Checked against the network's picture size.")
    anchors: str | None = setting(
        None, "Preset of anchor sizes: voc, or coco with smaller ones. voc unless imported."
    )
    depth_multiplier: float = setting(1.0, "Factor on the channels of every layer.")
    input_scale: str = setting("auto", "Factor on RGB minus mean; auto is 1/58 from scratch.")
    precision: str = setting("auto", "Arithmetic; auto is the fastest that the machine has.")
    trainable_scopes: tuple[str, ...] = setting((), "Train only the variables below these scopes.")

    checkpoint_path: str = setting("", "Checkpoint in slim's names to start a new run from.")
    checkpoint_model_scope: str | None = setting(None, "Its scope; detected by default.")
    checkpoint_exclude_scopes: tuple[str, ...] = setting((), "Scopes that start new.")
    ignore_missing_vars: bool = setting(False, "Start new what the checkpoint lacks.")
    initialize_last_layer: bool = setting(True, "Take the box predictors from the checkpoint.")
    last_layers_contain_logits_only: bool = setting(
        False, "Without initialize_last_layer: start only the class predictors new."
    )
    dry_run: bool = setting(False, "Print where each variable starts from, and stop.")

    batch_size: int = setting(32, "Pictures a step, for each clone.")
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
    stall_timeout_secs: float = setting(600.0, "Exit 75 when no step ends in this time; 0 never.")

    loss_alpha: float = setting(1.0, "Weight of the localisation loss.")
    negative_ratio: float = setting(3.0, "Hard negatives for each positive.")
    match_threshold: float = setting(0.5, "Overlap from which an anchor is positive.")
    label_smoothing: float = setting(0.0, "Share of the target spread over all classes.")
    weight_decay: float = setting(5e-4, "Factor of the L2 loss; decoupled decay with adamw.")
    clip_gradient_norm: float = setting(0.0, "Largest global gradient norm; 0 clips nothing.")

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
    save_summaries_secs: float = setting(60.0, "Seconds between TensorBoard scalars.")
    save_interval_secs: float = setting(600.0, "Seconds between checkpoints.")
    max_to_keep: int = setting(5, "Newest checkpoints kept; 0 keeps all.")

    def __post_init__(self):
        require(self, "train_dir", "dataset_dir")
        check_at_least(self, 1, "batch_size", "max_number_of_steps", "num_clones", "decay_steps")
        check_at_least(self, 1, "log_every_n_steps", "num_preprocessing_threads")
        check_at_least(
            self, 0, "learning_rate", "weight_decay", "clip_gradient_norm", "max_to_keep"
        )
        check_at_least(self, 0, "loss_alpha", "negative_ratio", "slow_start_step", "seed")
        check_at_least(self, 0, "stall_timeout_secs")
        self._check_distribution()
        if not 0 < self.match_threshold <= 1:
            raise InputError(f"--match_threshold={self.match_threshold} must lie in (0, 1].")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"--label_smoothing={self.label_smoothing} must lie in [0, 1).")
        if self.precision not in hardware.PRECISIONS:
            hardware.resolve_precision(self.precision)
        self._check_image_size()

    @property
    def last_step(self) -> int:
        """The step at which the run ends."""
        return self.max_number_of_steps or MAX_STEPS

    @property
    def global_batch_size(self) -> int:
        """Pictures a step over all clones of all workers that keep step."""
        workers = 1 if self.num_ps_tasks else self.num_replicas or 1
        return self.batch_size * self.num_clones * workers

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

    def _check_image_size(self) -> None:
        side = nets_factory.get_network(self.model_name).parameters.image_size[0]
        if self.train_image_size not in (None, side):
            raise InputError(
                f"--train_image_size={self.train_image_size}: {self.model_name} takes {side} "
                "pixels; drop the flag."
            )
