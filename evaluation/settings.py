"""The settings of an evaluation: the flags of `eval_ssd_network.py`, with their defaults."""

import dataclasses

from runtime.errors import InputError
from runtime.settings import OnlyWith, check, refuse_unless, require, setting

# What acts when files of detections are scored; everything else is about running a network.
_OF_FILES = (
    *("detections_dir", "voc_dir", "dataset_split_name", "eval_dir", "report_dir", "coco"),
    *("matching_threshold", "remove_difficult", "gpu_memory_fraction"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """The flags of `compare_runs.py`, besides the folders."""

    output_dir: str = setting("", "Folder for index.html, runs.csv and curves.png.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalSettings:
    """Names are those of SSD-Tensorflow's evaluation where it has the setting."""

    checkpoint_path: str = setting(
        "",
        "Checkpoint, folder of a run (its best checkpoint, else its latest), export_dir, or name "
        "of fetched weights.",
    )
    eval_dir: str = setting("", "Folder for metrics.json and TensorBoard events.")
    wait_for_checkpoints: bool = setting(
        False, "Evaluate every checkpoint of a train_dir when it is written."
    )
    eval_interval_secs: float = setting(
        60.0,
        "With wait_for_checkpoints: seconds between two checks for a new checkpoint.",
        minimum=0,
        only_with=OnlyWith("wait_for_checkpoints"),
    )
    eval_timeout_secs: float | None = setting(
        None,
        "With wait_for_checkpoints: end after so many seconds without a new one; never by default.",
        minimum=0,
        only_with=OnlyWith("wait_for_checkpoints"),
    )
    write_detections: bool = setting(
        False, "Also write the detections as VOC devkit files, eval_dir/comp4_det_test_CLASS.txt."
    )
    contact_sheet: str | None = setting(
        None, "PNG file to write, with ground truth and detections of some images side by side."
    )
    coco: bool = setting(False, "Also compute COCO's twelve metrics.")
    summary_pictures: int = setting(
        4, "Number of images for TensorBoard, with ground truth and detections.", minimum=0
    )
    report_dir: str = setting("", "Folder for an HTML report of tables, curves, errors and images.")

    dataset_name: str = setting(
        "",
        "Name of the data set, or a comma list of several; see docs/data.md. By default the "
        "training's, else pascalvoc_2007.",
    )
    dataset_split_name: str = setting("test", "Split of the data set, or of voc_dir.")
    dataset_dir: str = setting("", "Folder of the TFRecords; by default the training's.")
    labels_file: str | None = setting(
        None, "File of class names, one a line, for records that do not name their classes."
    )
    labels_offset: int = setting(0, "Number to subtract from the class ids in the records.")
    skip_bad: int = setting(0, "Skip up to so many bad records and name each of them.", minimum=0)
    num_preprocessing_threads: int | None = setting(
        None, "Number of images prepared in parallel; chosen automatically by default.", minimum=1
    )
    preprocessing_name: str | None = setting(
        None, "Name of the preprocessing; the network's own by default."
    )
    eval_resize: int = setting(
        4,
        "How images get the network's size: 1 not at all, 2 central crop, 3 shrink and pad, "
        "4 warp.",
    )
    eval_image_size: int | None = setting(None, "Image size; only checked against the network's.")
    batch_size: int = setting(8, "Images per batch; the scores do not depend on it.", minimum=1)
    max_num_batches: int | None = setting(
        None, "Evaluate only so many batches; all by default.", minimum=1
    )

    detections_dir: str = setting(
        "", "Folder of VOC devkit files to score instead of running a network."
    )
    voc_dir: str = setting(
        "",
        "VOC folder with the ground truth of detections_dir.",
        only_with=OnlyWith("detections_dir", said="belongs to --detections_dir: give that too"),
    )

    model_name: str | None = setting(
        None,
        "Name of the network; checked against the checkpoint's, and ssd_300_vgg if it has none.",
    )
    num_classes: int | None = setting(
        None, "Number of classes with background; only checked against the checkpoint's."
    )
    use_moving_average: bool = setting(
        True, "Use moving averages of the weights where the checkpoint has them."
    )
    moving_average_decay: float | None = setting(
        None, "Require a checkpoint with moving averages; the number itself is not used."
    )
    anchors: str | None = setting(
        None,
        "Anchor preset of a checkpoint that does not name its own, as old ones; coco by default.",
    )
    master: str = setting("", "Not supported: an evaluation is one process.")
    gpu_memory_fraction: float | None = setting(
        None, "Fraction of each GPU's memory to reserve; by default it grows as needed."
    )
    precision: str = setting(
        "auto", "Arithmetic of the network; auto is the fastest that the machine has."
    )

    select_threshold: float = setting(0.01, "Minimum score of a detection.", minimum=0, below=1)
    select_top_k: int = setting(
        400, "Number of best candidates of each class that enter NMS.", minimum=1
    )
    keep_top_k: int = setting(
        200, "Maximum number of detections per image, over all classes.", minimum=1
    )
    nms_threshold: float = setting(
        0.45,
        "NMS IoU threshold: of two overlapping boxes of a class, the lower score is dropped.",
        minimum=0,
        below=1,
    )
    matching_threshold: float = setting(
        0.5, "IoU with an object needed for a true positive.", minimum=0, below=1
    )
    remove_difficult: bool = setting(True, "Leave objects marked difficult out of the evaluation.")

    def __post_init__(self):
        check(self)
        if self.detections_dir:
            require(self, "voc_dir")
        else:
            require(self, "checkpoint_path", "eval_dir")
        if self.wait_for_checkpoints and self.detections_dir:
            raise InputError(
                f"--wait_for_checkpoints with --detections_dir={self.detections_dir}: files of "
                "detections do not change; remove one of the two."
            )
        if self.eval_resize not in (1, 2, 3, 4):
            raise InputError(f"--eval_resize={self.eval_resize} must be 1, 2, 3 or 4.")
        from runtime import hardware  # TensorFlow comes with it

        hardware.resolve_precision(self.precision)
        hardware.check_memory_fraction(self.gpu_memory_fraction)
        if self.moving_average_decay is not None and not self.use_moving_average:
            raise InputError(
                f"--moving_average_decay={self.moving_average_decay} asks for the averages that "
                "--use_moving_average=False declines: remove one of them."
            )
        if self.master:
            raise InputError(
                f"--master={self.master}: there is no master session, an evaluation is one "
                "process; remove the flag."
            )
        of_networks = {field.name for field in dataclasses.fields(self)} - {*_OF_FILES}
        refuse_unless(
            not self.detections_dir,
            self,
            *of_networks,
            needs=f"a network that is run, instead of --detections_dir={self.detections_dir}",
        )
