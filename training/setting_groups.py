"""Groups of training flags, as `--helpfull` lists them; `training/settings.py` joins them.

Those of the learning rate and the optimizer are in `optimization/setting_groups.py`.
"""

import dataclasses

from runtime.limits import MAX_SEED
from runtime.settings import OnlyWith, setting

BATCH_NORMS = ("frozen", "trained")
LOSS_NORMALIZERS = ("matches", "batch")
_IMPORTED = OnlyWith("checkpoint_path")
_SCORED = OnlyWith("eval_split", said="needs a split to score on: give --eval_split")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Data."""

    dataset_name: str = setting(
        "pascalvoc_2007",
        "Name of the data set, or a comma list of several; see docs/data.md.",
        common=True,
    )
    dataset_split_name: str = setting(
        "train", "Split of the data set, or one for each name.", common=True
    )
    dataset_dir: str = setting("", "Folder of the TFRecords, or one for each name.", common=True)
    dataset_weights: tuple[float, ...] = setting(
        (), "Share of each data set in the samples; by default every image is seen equally often."
    )
    labels_file: str | None = setting(
        None, "File of class names, one a line, for records that do not name their classes."
    )
    labels_offset: int = setting(0, "Number to subtract from the class ids in the records.")
    num_classes: int | None = setting(
        None, "Number of classes with background; only checked against the data set's labels."
    )
    skip_bad: int = setting(0, "Skip up to so many bad records and name each of them.", minimum=0)
    use_difficult: bool = setting(True, "Train on objects marked difficult too.")
    shuffle: bool = setting(True, "Shuffle the images anew every epoch.")
    num_readers: int = setting(4, "Number of records read in parallel.", minimum=1)
    num_preprocessing_threads: int | None = setting(
        None, "Number of images prepared in parallel; chosen automatically by default.", minimum=1
    )
    data_service: tuple[str, ...] = setting(
        (),
        "Comma list of grpc://host:port of data services that prepare the batches; see "
        "docs/clusters.md.",
    )
    batch_size: int = setting(32, "Images per replica and step.", common=True, minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Run."""

    train_dir: str = setting(
        "",
        "Folder for checkpoints, metrics and events; a run that is in it is resumed.",
        common=True,
    )
    overwrite: bool = setting(
        False, "Remove the run that is in train_dir and start over.", common=True
    )
    max_number_of_steps: int | None = setting(
        None, "Step at which training ends; endless by default.", common=True, minimum=1
    )
    epochs: float | None = setting(
        None,
        "Length of the training in passes over the images, instead of max_number_of_steps.",
        common=True,
        above=0,
    )
    seed: int | None = setting(
        None,
        "Random seed; chosen at random if not given.",
        common=True,
        minimum=0,
        maximum=MAX_SEED,
    )
    save_interval_secs: float = setting(600.0, "Seconds between checkpoints.", minimum=0)
    max_to_keep: int = setting(5, "Number of newest checkpoints to keep; 0 keeps all.", minimum=0)
    keep_checkpoint_every_n_hours: float = setting(
        1.0, "Hours between older checkpoints that are kept as well; 0 keeps none.", minimum=0
    )
    stall_timeout_secs: float = setting(
        600.0,
        "Exit with code 75 if no step ends within so many seconds; 0 waits forever.",
        minimum=0,
    )
    precision: str = setting(
        "auto",
        "Arithmetic: float32, bfloat16, or mixed_float16 with dynamic loss scaling, for GPUs; auto "
        "is bfloat16 on a CPU that has it, else float32.",
        common=True,
    )
    jit: bool = setting(
        False, "Compile network, loss and gradients with XLA; meant for GPUs, slower on CPUs."
    )
    data_format: str = setting(
        "auto", "Must be auto or NHWC: TensorFlow chooses the layout itself."
    )
    check_numerics: bool = setting(
        True, "Skip updates whose loss or gradient is not finite; stop after five in a row."
    )
    gpu_memory_fraction: float | None = setting(
        None, "Fraction of each GPU's memory to reserve; by default it grows as needed."
    )
    export: str = setting(
        "none",
        "Export the best checkpoint, else the last, to train_dir/export at the end of training.",
        choices=("none", "saved_model", "tflite"),
    )
    dry_run: bool = setting(False, "Print how each variable would be initialised, and exit.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Model."""

    model_name: str = setting(
        "ssd_300_vgg", "Name of the network; nets/nets_factory.py lists them.", common=True
    )
    preprocessing_name: str | None = setting(
        None, "Name of the preprocessing; the network's own by default."
    )
    train_image_size: int | None = setting(None, "Image size; only checked against the network's.")
    anchors: str | None = setting(
        None,
        "Anchor sizes: voc, coco (smaller ones), or two sides in pixels for each layer: "
        "21-50,60-81,...; by default those of the imported weights, else voc.",
        common=True,
    )
    depth_multiplier: float = setting(
        1.0, "Width multiplier: factor on the channels of every layer."
    )
    input_scale: str = setting(
        "auto", "Factor on the input after the mean is subtracted; auto is the network's own."
    )
    batch_norm: str | None = setting(
        None,
        "Batch norm: frozen uses the moving statistics, trained those of the batch; by default "
        "frozen with imported weights, else trained.",
        choices=BATCH_NORMS,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitialWeightsSettings:
    """Initial weights."""

    checkpoint_path: str = setting(
        "", "Checkpoint that initialises a new run, or the name of fetched weights.", common=True
    )
    checkpoint_model_scope: str | None = setting(
        None,
        "Scope of the network's variables in checkpoint_path; detected by default.",
        only_with=_IMPORTED,
    )
    checkpoint_exclude_scopes: tuple[str, ...] = setting(
        (),
        "Comma list of scopes whose variables are not restored from checkpoint_path.",
        common=True,
        only_with=_IMPORTED,
    )
    ignore_missing_vars: bool = setting(
        False,
        "Initialise variables that checkpoint_path lacks at random; else they are an error.",
        only_with=_IMPORTED._replace(refused=False),
    )
    initialize_last_layer: bool = setting(
        True, "Restore the box and class predictors from checkpoint_path.", only_with=_IMPORTED
    )
    last_layers_contain_logits_only: bool = setting(
        False,
        'Let "last layer" in other flags mean the class predictors without the box predictors.',
    )
    use_moving_average: bool = setting(
        True,
        "Restore moving averages of the weights where checkpoint_path has them.",
        only_with=_IMPORTED,
    )
    trainable_scopes: tuple[str, ...] = setting(
        (), "Comma list of scopes: train only the variables in these.", common=True
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossSettings:
    """Loss."""

    loss_alpha: float = setting(1.0, "Weight of the localisation loss.", minimum=0)
    negative_ratio: float = setting(
        3.0, "Number of hard negatives for each positive anchor.", minimum=0
    )
    min_negatives_per_image: int = setting(
        0,
        "Minimum number of hard negatives of an image, so that one without objects trains too.",
        minimum=0,
    )
    hard_example_mining_step: int = setting(
        0,
        "Steps of the transition from all negatives to hard ones; 0 has hard ones only.",
        minimum=0,
    )
    loss_normalizer: str = setting(
        "matches",
        "Divide the loss by the number of matched anchors (matches) or of images (batch).",
        choices=LOSS_NORMALIZERS,
    )
    match_threshold: float = setting(
        0.5, "IoU with an object from which an anchor is positive.", above=0, maximum=1
    )
    label_smoothing: float = setting(
        0.0,
        "Label smoothing: share of the classification target that is spread over all classes.",
        minimum=0,
        below=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationSettings:
    """Augmentation."""

    augment: bool = setting(True, "Augment the images: distort the colours, expand, crop and flip.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoggingSettings:
    """Logging."""

    log_every_n_steps: int = setting(10, "Steps between two lines of metrics.jsonl.", minimum=1)
    save_summaries_secs: float = setting(
        60.0, "Seconds between two histograms or images in TensorBoard.", minimum=0
    )
    summarize_gradients: bool = setting(
        False, "Also write histograms of weights, gradients and activations to TensorBoard."
    )
    save_summaries_images: bool = setting(
        False, "Also write training images with objects and matched anchors to TensorBoard."
    )
    profile_dir: str = setting(
        "", "Folder for a profile of a few steps, for TensorBoard's profiler."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Evaluation."""

    eval_split: str = setting(
        "", "Split to evaluate during training; the best checkpoint is kept in best/.", common=True
    )
    eval_every_n_steps: int | None = setting(
        None, "Steps between two evaluations of eval_split.", minimum=1, only_with=_SCORED
    )
    eval_every_n_epochs: float | None = setting(
        None,
        "Epochs between two evaluations of eval_split.",
        common=True,
        only_with=_SCORED,
        above=0,
    )
    eval_every_secs: float | None = setting(
        None,
        "Seconds between two evaluations of eval_split; with one worker only.",
        only_with=_SCORED,
        above=0,
    )
    early_stopping_evals: int = setting(
        0,
        "Stop after so many evaluations without a better mAP_VOC07; 0 disables it.",
        minimum=0,
        only_with=_SCORED,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Cluster."""

    num_clones: int = setting(1, "Number of replicas (GPUs) on this host.", common=True, minimum=1)
    clone_on_cpu: bool = setting(False, "Put the replicas on the CPU even if there are GPUs.")
    num_replicas: int | None = setting(
        None, "Number of workers with the chief; detected by default, else 1."
    )
    task: int | None = setting(None, "Index of this process in its job; worker 0 is the chief.")
    worker_hosts: tuple[str, ...] = setting(
        (), "Comma list of host:port of every worker, chief first."
    )
    num_ps_tasks: int | None = setting(
        None, "Number of parameter servers; detected by default, else 0."
    )
    ps_hosts: tuple[str, ...] = setting((), "Comma list of host:port of every parameter server.")
    job_name: str | None = setting(
        None, "Job of this process, worker or ps; detected by default, else worker."
    )
    worker_job_name: str = setting("worker", "Name of the workers' job in TF_CONFIG and job_name.")
    ps_job_name: str = setting(
        "ps", "Name of the parameter servers' job in TF_CONFIG and job_name."
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class InheritedSettings:
    """Inherited."""

    master: str = setting("", "Not supported: name the workers by --worker_hosts.")
    startup_delay_steps: int = setting(
        15, "Must be 15: workers train synchronously and begin together."
    )
