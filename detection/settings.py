"""The settings of detection, which are the flags of `detect_ssd_network.py`."""

import dataclasses

from runtime.errors import InputError
from runtime.settings import check, require, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectSettings:
    """The flags of `detect_ssd_network.py`."""

    checkpoint_path: str = setting(
        "",
        "Checkpoint, folder of a run (its best checkpoint, else its latest), export_dir, or name "
        "of fetched weights.",
    )
    input: str = setting(
        "",
        "Image, folder, glob (in quotes), video, camera:N, https:// address of an image, or "
        "rtsp:// or http:// address of a stream.",
    )
    output_dir: str = setting("", "Folder for the results; created if missing.")
    use_moving_average: bool = setting(
        True, "Use moving averages of the weights where the checkpoint has them."
    )
    model_name: str | None = setting(
        None,
        "Name of the network; checked against the checkpoint's, and ssd_300_vgg if it has none.",
    )
    num_classes: int | None = setting(
        None, "Number of classes with background; only checked against the checkpoint's."
    )
    anchors: str | None = setting(
        None,
        "Anchor preset of a checkpoint that does not name its own, as old ones; coco by default.",
    )
    labels_file: str | None = setting(
        None, "File of class names, one a line, for a checkpoint that has none."
    )
    select_threshold: str | float = setting(
        "auto",
        "Minimum score of a detection; auto is each class's score of the best F1 where an "
        "evaluation found it, else 0.3.",
    )
    nms_threshold: float = setting(
        0.45,
        "NMS IoU threshold: of two overlapping boxes of a class, the lower score is dropped.",
        minimum=0,
        below=1,
    )
    keep_top_k: int = setting(
        200, "Maximum number of detections per image, over all classes.", minimum=1
    )
    batch_size: int = setting(
        8,
        "Images per batch; a TFLite export takes one at a time.",
        minimum=1,
    )
    classes: tuple[str, ...] = setting((), "Comma list of the classes to report; all by default.")
    format: tuple[str, ...] = setting(
        ("jsonl",), "Output formats: comma list of jsonl, csv and voc_xml."
    )
    draw: bool = setting(True, "Also write the images or the video with the detections drawn in.")
    video_out: str | None = setting(
        None,
        "File for the drawn video of a video or camera; by default in output_dir, named "
        "after the input.",
    )

    def __post_init__(self):
        check(self)
        require(self, "checkpoint_path", "input", "output_dir")
        from detection import writers as detection_writers  # TensorFlow comes with it
        from model import score_thresholds

        score_thresholds.parse(self.select_threshold)

        unknown = [name for name in self.format if name not in detection_writers.FORMATS]
        if unknown:
            known = ", ".join(detection_writers.FORMATS)
            raise InputError(f"--format={unknown[0]} is not known: take some of {known}.")
