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
class EvalSettings:
    """Names are those of SSD-Tensorflow's evaluation where it has the setting."""

    checkpoint_path: str = setting(
        "", "Checkpoint, train_dir whose newest is taken, or an export_dir."
    )
    eval_dir: str = setting("", "Folder for metrics.json and TensorBoard's scalars.")
    wait_for_checkpoints: bool = setting(
        False, "Score every checkpoint of a train_dir as it comes."
    )
    eval_interval_secs: float = setting(
        60.0,
        "With wait_for_checkpoints: time between two looks for a new one.",
        minimum=0,
        only_with=OnlyWith("wait_for_checkpoints"),
    )
    eval_timeout_secs: float | None = setting(
        None,
        "With wait_for_checkpoints: end when none came for so long; never by default.",
        minimum=0,
        only_with=OnlyWith("wait_for_checkpoints"),
    )
    write_detections: bool = setting(False, "Write comp4_det_test_CLASS.txt to eval_dir.")
    contact_sheet: str | None = setting(None, "PNG to draw: truth and detections side by side.")
    coco: bool = setting(False, "COCO's twelve numbers beside VOC's.")
    summary_pictures: int = setting(
        4, "Images drawn for TensorBoard, truth beside detections.", minimum=0
    )
    report_dir: str = setting("", "Folder for a page of tables, curves, errors and images.")

    dataset_name: str = setting("pascalvoc_2007", "Names of the records; see docs/data.md.")
    dataset_split_name: str = setting("test", "Split of the records, or of voc_dir.")
    dataset_dir: str = setting("", "Folder of the records.")
    labels_file: str | None = setting(None, "Class names, one a line, for records without any.")
    labels_offset: int = setting(0, "Subtracted from the labels in the records.")
    skip_bad: int = setting(0, "Leave out up to so many bad records, which are named.", minimum=0)
    num_preprocessing_threads: int | None = setting(
        None, "Images prepared at a time; auto.", minimum=1
    )
    preprocessing_name: str | None = setting(None, "Preprocessing; the network's own by default.")
    eval_resize: int = setting(
        4, "To the network's size: 1 not at all, 2 central crop, 3 shrink and pad, 4 warp."
    )
    eval_image_size: int | None = setting(None, "Checked against the network's image size.")
    batch_size: int = setting(8, "Images a step; scores do not depend on it.", minimum=1)
    max_num_batches: int | None = setting(None, "Stop after so many batches.", minimum=1)

    detections_dir: str = setting("", "Score these devkit files; no network is run.")
    voc_dir: str = setting(
        "",
        "VOC folder whose annotations detections_dir is held to.",
        only_with=OnlyWith("detections_dir", said="belongs to --detections_dir: give that too"),
    )

    model_name: str | None = setting(
        None, "Checked against the checkpoint's; ssd_300_vgg where it has none."
    )
    num_classes: int | None = setting(None, "Checked against the checkpoint's.")
    use_moving_average: bool = setting(True, "Averaged weights where the checkpoint has them.")
    moving_average_decay: float | None = setting(
        None, "Insist on averages; its value has acted in the training already."
    )
    anchors: str | None = setting(
        None, "Preset of a checkpoint that does not say its own; coco by default, for old ones."
    )
    master: str = setting("", "Refused: an evaluation is one process.")
    gpu_memory_fraction: float | None = setting(
        None, "Share of each GPU's memory to take; taken as needed by default."
    )
    precision: str = setting("auto", "Arithmetic; auto is the fastest that the machine has.")

    select_threshold: float = setting(0.01, "Lowest score of a detection.", minimum=0, below=1)
    select_top_k: int = setting(400, "Best candidates of each class that enter NMS.", minimum=1)
    keep_top_k: int = setting(200, "Most detections per image, over all classes.", minimum=1)
    nms_threshold: float = setting(
        0.45,
        "NMS IoU threshold: of two overlapping boxes of a class, the lower score is dropped.",
        minimum=0,
        below=1,
    )
    matching_threshold: float = setting(0.5, "IoU needed for a true positive.", minimum=0, below=1)
    remove_difficult: bool = setting(True, "Ignore objects marked difficult in the score.")

    def __post_init__(self):
        check(self)
        if self.detections_dir:
            require(self, "voc_dir")
        else:
            require(self, "checkpoint_path", "eval_dir", "dataset_dir")
        if self.wait_for_checkpoints and self.detections_dir:
            raise InputError(
                f"--wait_for_checkpoints with --detections_dir={self.detections_dir}: files of "
                "detections do not change; drop one of the two."
            )
        if self.eval_resize not in (1, 2, 3, 4):
            raise InputError(f"--eval_resize={self.eval_resize} must be 1, 2, 3 or 4.")
        from runtime import hardware  # TensorFlow comes with it

        hardware.resolve_precision(self.precision)
        hardware.check_memory_fraction(self.gpu_memory_fraction)
        if self.moving_average_decay is not None and not self.use_moving_average:
            raise InputError(
                f"--moving_average_decay={self.moving_average_decay} asks for the averages that "
                "--use_moving_average=False declines: drop one of them."
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
