"""The settings of detection, which are the flags of `detect_ssd_network.py`."""

import dataclasses

from runtime.errors import InputError
from runtime.settings import check, require, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectSettings:
    """The flags of `detect_ssd_network.py`."""

    checkpoint_path: str = setting("", "Checkpoint, the train_dir that holds it, or an export_dir.")
    input: str = setting(
        "", "Image, folder, glob (in quotes), video, camera:N, or rtsp:// or http:// of a stream."
    )
    output_dir: str = setting("", "Folder for the results; made where missing.")
    use_moving_average: bool = setting(True, "Averaged weights where the checkpoint has them.")
    model_name: str | None = setting(
        None, "Checked against the checkpoint's; ssd_300_vgg where it has none."
    )
    num_classes: int | None = setting(None, "Checked against the checkpoint's; with background.")
    anchors: str | None = setting(
        None, "Preset of a checkpoint that does not say its own; coco by default, for old ones."
    )
    labels_file: str | None = setting(None, "Class names, one a line, where it has none.")
    select_threshold: float = setting(0.5, "Lowest score that is reported.", minimum=0, below=1)
    nms_threshold: float = setting(
        0.45,
        "NMS IoU threshold: of two overlapping boxes of a class, the lower score is dropped.",
        minimum=0,
        below=1,
    )
    keep_top_k: int = setting(200, "Most detections per image, over all classes.", minimum=1)
    batch_size: int = setting(
        8,
        "Images that go through the network at a time; a TFLite export takes each alone.",
        minimum=1,
    )
    classes: tuple[str, ...] = setting((), "Report only these classes; comma list of names.")
    format: tuple[str, ...] = setting(("jsonl",), "Comma list of jsonl, csv and voc_xml.")
    draw: bool = setting(True, "Write images, or a video, with the detections drawn in.")
    video_out: str | None = setting(
        None, "Drawn video of a video or camera; by default in output_dir, under the input's name."
    )

    def __post_init__(self):
        check(self)
        require(self, "checkpoint_path", "input", "output_dir")
        from detection import writers as detection_writers  # TensorFlow comes with it

        unknown = [name for name in self.format if name not in detection_writers.FORMATS]
        if unknown:
            known = ", ".join(detection_writers.FORMATS)
            raise InputError(f"--format={unknown[0]} is not known: take some of {known}.")
