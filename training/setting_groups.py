"""Groups of training flags, as `--helpfull` lists them; `training/settings.py` joins them."""

import dataclasses

from optimization.names import LEARNING_RATE_DECAY_TYPES, OPTIMIZERS
from runtime.limits import MAX_SEED
from runtime.settings import OnlyWith, setting

BATCH_NORMS = ("frozen", "trained")
LOSS_NORMALIZERS = ("matches", "batch")
_IMPORTED = OnlyWith("checkpoint_path")
_SLOW_START = OnlyWith("slow_start_step", refused=False)
_SCORED = OnlyWith("eval_split", said="needs a split to score on: give --eval_split")


def _optimizer(*names: str) -> OnlyWith:
    return OnlyWith("optimizer", names, refused=False)


def _decay(*types: str) -> OnlyWith:
    return OnlyWith("learning_rate_decay_type", types, refused=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Data."""

    dataset_name: str = setting(
        "pascalvoc_2007", "Names of the records; see docs/data.md.", common=True
    )
    dataset_split_name: str = setting(
        "train", "Split of the records, or one for each name.", common=True
    )
    dataset_dir: str = setting("", "Folder of the records, or one for each name.", common=True)
    dataset_weights: tuple[float, ...] = setting(
        (), "How often images of each of several data sets come; all alike when empty."
    )
    labels_file: str | None = setting(None, "Class names, one a line, for records without any.")
    labels_offset: int = setting(0, "Subtracted from the labels in the records.")
    num_classes: int | None = setting(None, "Classes with background; checked against the labels.")
    skip_bad: int = setting(
        0, "Go on without up to so many bad records, which are named.", minimum=0
    )
    use_difficult: bool = setting(True, "Learn from objects marked difficult.")
    shuffle: bool = setting(True, "Visit the images in a new order every epoch.")
    num_readers: int = setting(4, "Records read at a time.", minimum=1)
    num_preprocessing_threads: int | None = setting(
        None, "Images prepared at a time; auto.", minimum=1
    )
    data_service: tuple[str, ...] = setting(
        (), "grpc://host:port of processes that prepare the batches in turn; see docs/clusters.md."
    )
    batch_size: int = setting(32, "Images per replica and step.", common=True, minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Run."""

    train_dir: str = setting(
        "", "Folder for checkpoints, metrics and events; resumed when used.", common=True
    )
    overwrite: bool = setting(
        False, "Start over in a used train_dir; what is there is removed.", common=True
    )
    max_number_of_steps: int | None = setting(
        None, "Steps of the whole run; endless by default.", common=True, minimum=1
    )
    seed: int | None = setting(
        None,
        "Random seed; chosen at random if not given.",
        common=True,
        minimum=0,
        maximum=MAX_SEED,
    )
    save_interval_secs: float = setting(600.0, "Seconds between checkpoints.", minimum=0)
    max_to_keep: int = setting(5, "Newest checkpoints kept; 0 keeps all.", minimum=0)
    keep_checkpoint_every_n_hours: float = setting(
        1.0, "Of the older checkpoints keep one in so many hours; 0 keeps none.", minimum=0
    )
    stall_timeout_secs: float = setting(
        600.0, "Exit with 75 when no step ends in this many seconds; 0 waits forever.", minimum=0
    )
    precision: str = setting(
        "auto",
        "Arithmetic: float32, bfloat16, or mixed_float16 with dynamic loss scaling, for GPUs; auto "
        "is bfloat16 on a CPU that has it, else float32.",
        common=True,
    )
    jit: bool = setting(
        False, "Compile network, loss and gradients with XLA; for GPUs, slower on CPUs."
    )
    data_format: str = setting("auto", "Checked: auto or NHWC, which TensorFlow arranges itself.")
    check_numerics: bool = setting(
        True, "Leave out updates whose loss or gradient is not finite; stop after five in a row."
    )
    gpu_memory_fraction: float | None = setting(
        None, "Share of each GPU's memory to take; taken as needed by default."
    )
    dry_run: bool = setting(False, "Print where each variable starts from, and stop.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Model."""

    model_name: str = setting("ssd_300_vgg", "Network; see nets/nets_factory.py.", common=True)
    preprocessing_name: str | None = setting(None, "Preprocessing; the network's own by default.")
    train_image_size: int | None = setting(None, "Checked against the network's image size.")
    anchors: str | None = setting(
        None,
        "Preset: voc, or coco with smaller ones; or the sides of the squares, small-large a layer: "
        "21-50,60-81,... voc unless imported.",
        common=True,
    )
    depth_multiplier: float = setting(1.0, "Factor on the channels of every layer.")
    input_scale: str = setting("auto", "Factor on RGB minus mean; auto is the network's own.")
    batch_norm: str | None = setting(
        None,
        "Batch norm: frozen uses moving statistics, trained the batch's; by default frozen with "
        "imported weights and trained from scratch.",
        choices=BATCH_NORMS,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitialWeightsSettings:
    """Initial weights."""

    checkpoint_path: str = setting(
        "", "Checkpoint in slim's names to start a new run from.", common=True
    )
    checkpoint_model_scope: str | None = setting(
        None, "Scope of the variables in checkpoint_path; detected by default.", only_with=_IMPORTED
    )
    checkpoint_exclude_scopes: tuple[str, ...] = setting(
        (),
        "Scopes whose variables are not read from checkpoint_path.",
        common=True,
        only_with=_IMPORTED,
    )
    ignore_missing_vars: bool = setting(
        False,
        "Initialise what checkpoint_path lacks, instead of refusing.",
        only_with=_IMPORTED._replace(refused=False),
    )
    initialize_last_layer: bool = setting(
        True, "Take the box predictors from the checkpoint.", only_with=_IMPORTED
    )
    last_layers_contain_logits_only: bool = setting(
        False, "The last layer is the predictors of classes, without those of boxes."
    )
    use_moving_average: bool = setting(
        True,
        "Start from the averaged weights of checkpoint_path where it has them.",
        only_with=_IMPORTED,
    )
    trainable_scopes: tuple[str, ...] = setting(
        (), "Train only the variables below these scopes.", common=True
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """Schedule."""

    learning_rate: float = setting(0.001, "Learning rate before any decay.", common=True, minimum=0)
    learning_rate_decay_type: str = setting(
        "exponential",
        "How the learning rate decays.",
        choices=LEARNING_RATE_DECAY_TYPES,
        common=True,
    )
    end_learning_rate: float = setting(
        1e-4,
        "Final learning rate of polynomial and cosine decay.",
        minimum=0,
        only_with=_decay("polynomial", "cosine"),
    )
    learning_rate_decay_factor: float = setting(
        0.94,
        "Factor at each decay of exponential and step.",
        only_with=_decay("exponential", "step"),
        above=0,
        maximum=1,
    )
    num_epochs_per_decay: float = setting(
        2.0,
        "Epochs per decay of exponential and polynomial.",
        only_with=_decay("exponential", "polynomial"),
        above=0,
    )
    decay_steps: int | None = setting(
        None,
        "Steps per decay; overrides num_epochs_per_decay.",
        minimum=1,
        only_with=_decay("exponential", "polynomial"),
    )
    learning_rate_decay_boundaries: tuple[int, ...] = setting(
        (), "Steps at which step decay multiplies the rate.", only_with=_decay("step")
    )
    learning_power: float = setting(
        0.9, "Power of poly decay.", minimum=0, only_with=_decay("poly")
    )
    slow_start_step: int = setting(0, "Warm-up steps.", minimum=0)
    slow_start_learning_rate: float = setting(
        1e-4, "Learning rate at the start of the warm-up.", minimum=0, only_with=_SLOW_START
    )
    slow_start_type: str = setting(
        "linear",
        "Rise linearly during the warm-up, or hold its rate.",
        choices=("linear", "constant"),
        only_with=_SLOW_START,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """Optimizer."""

    optimizer: str = setting("momentum", "Optimizer.", choices=OPTIMIZERS, common=True)
    accumulate_steps: int = setting(
        1, "Batches whose gradients are accumulated into one step, exactly.", minimum=1
    )
    opt_epsilon: float | None = setting(
        None,
        "Epsilon of the optimizer; by default each optimizer's usual.",
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
        0.95, "Decay of adadelta's averages.", minimum=0, below=1, only_with=_optimizer("adadelta")
    )
    adagrad_initial_accumulator_value: float = setting(
        0.1, "Initial accumulator of adagrad.", minimum=0, only_with=_optimizer("adagrad")
    )
    ftrl_learning_rate_power: float = setting(
        -0.5, "Learning-rate power of ftrl.", maximum=0, only_with=_optimizer("ftrl")
    )
    ftrl_initial_accumulator_value: float = setting(
        0.1, "Initial accumulator of ftrl.", minimum=0, only_with=_optimizer("ftrl")
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
        0.9, "Decay of rmsprop's averages.", minimum=0, below=1, only_with=_optimizer("rmsprop")
    )
    weight_decay: float = setting(
        5e-4,
        "Factor of the L2 loss; with adamw, which decays the weights itself, that loss is 0.",
        common=True,
        minimum=0,
    )
    bias_gradient_multiplier: float = setting(
        1.0, "Factor on the gradients of biases; Caffe's SSD has 2.", minimum=0
    )
    last_layer_gradient_multiplier: float = setting(
        1.0, "Factor on the gradients of the box and class predictors.", minimum=0
    )
    clip_gradient_norm: float = setting(
        0.0, "Largest global gradient norm; 0 clips nothing.", minimum=0
    )
    moving_average_decay: float | None = setting(
        None,
        "Keep moving averages of the weights, for eval, detect and export; such as 0.9999.",
        common=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Loss."""

    loss_alpha: float = setting(1.0, "Weight of the localisation loss.", minimum=0)
    negative_ratio: float = setting(3.0, "Hard negatives for each positive.", minimum=0)
    min_negatives_per_image: int = setting(
        0,
        "Hard negatives of an image with few objects or none, which else would teach nothing.",
        minimum=0,
    )
    hard_example_mining_step: int = setting(
        0, "Go over from all negatives to the hard ones in so many steps.", minimum=0
    )
    loss_normalizer: str = setting(
        "matches", "The loss is divided by matched anchors or images.", choices=LOSS_NORMALIZERS
    )
    match_threshold: float = setting(
        0.5, "IoU from which an anchor is positive.", above=0, maximum=1
    )
    label_smoothing: float = setting(
        0.0, "Share of the classification target spread over all classes.", minimum=0, below=1
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationSettings:
    """Augmentation."""

    augment: bool = setting(True, "Distort, expand, crop and flip the images.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoggingSettings:
    """Logging."""

    log_every_n_steps: int = setting(10, "Steps between lines of metrics.jsonl.", minimum=1)
    save_summaries_secs: float = setting(60.0, "Seconds between TensorBoard summaries.", minimum=0)
    summarize_gradients: bool = setting(
        False, "Histograms of weights, gradients and activations in TensorBoard, too."
    )
    save_summaries_images: bool = setting(
        False, "Images as trained on, with objects and matched anchors, in TensorBoard, too."
    )
    profile_dir: str = setting("", "Folder for a trace of a few steps; see TensorBoard's profiler.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Evaluation."""

    eval_split: str = setting(
        "", "Split to score on while training; the best stays in best/.", common=True
    )
    eval_every_n_steps: int | None = setting(
        None, "Steps between two evaluations.", minimum=1, only_with=_SCORED
    )
    eval_every_n_epochs: float | None = setting(
        None, "Epochs between two evaluations.", common=True, only_with=_SCORED, above=0
    )
    eval_every_secs: float | None = setting(
        None, "Seconds between two evaluations; one worker.", only_with=_SCORED, above=0
    )
    early_stopping_evals: int = setting(
        0,
        "End after so many evaluations without a better mAP_VOC07; 0 never.",
        minimum=0,
        only_with=_SCORED,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Cluster."""

    num_clones: int = setting(1, "Replicas (GPUs) on this host.", common=True, minimum=1)
    clone_on_cpu: bool = setting(False, "Put the clones on the CPU even where there are GPUs.")
    num_replicas: int | None = setting(None, "Workers, the chief counted; 1, or as found.")
    task: int | None = setting(None, "Index of this worker; 0 is the chief.")
    worker_hosts: tuple[str, ...] = setting((), "host:port of every worker, chief first.")
    num_ps_tasks: int | None = setting(None, "Parameter servers; 0, or as found.")
    ps_hosts: tuple[str, ...] = setting((), "host:port of every parameter server.")
    job_name: str | None = setting(None, "Job of this process; a worker by default.")
    worker_job_name: str = setting("worker", "Job of the workers in TF_CONFIG and job_name.")
    ps_job_name: str = setting("ps", "Job of the parameter servers in TF_CONFIG and job_name.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InheritedSettings:
    """Inherited."""

    master: str = setting("", "Refused: name the workers by --worker_hosts.")
    startup_delay_steps: int = setting(
        15, "Refused unless 15: workers train synchronously and begin together."
    )
