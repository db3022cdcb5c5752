"""The settings of an export: the flags of `export_ssd_network.py`, with their defaults."""

import dataclasses

from runtime.errors import InputError
from runtime.settings import OnlyWith, check, require, setting

FORMATS = ("saved_model", "tflite", "onnx", "slim")
THRESHOLDS = ("select_threshold", "select_top_k", "nms_threshold", "keep_top_k")
_NETWORK = OnlyWith("format", ("saved_model", "tflite", "onnx"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """What to export, in which forms, and the thresholds that the export keeps."""

    checkpoint_path: str = setting("", "Checkpoint, or train_dir whose newest is taken.")
    export_dir: str = setting("", "Folder to make; an earlier export there is replaced.")
    format: tuple[str, ...] = setting(
        ("saved_model",), "Comma list of saved_model, tflite, onnx and slim."
    )
    use_moving_average: bool = setting(True, "Averaged weights where the checkpoint has them.")
    precision: str = setting(
        "float32",
        "Arithmetic of the SavedModel; the other formats are float32.",
        choices=("float32", "bfloat16"),
    )

    select_threshold: float = setting(
        0.01,
        "Lowest score of a detection; export.json keeps the thresholds, for every format.",
        minimum=0,
        below=1,
        only_with=_NETWORK,
    )
    nms_threshold: float = setting(
        0.45,
        "NMS IoU threshold: of two overlapping boxes of a class, the lower score is dropped.",
        minimum=0,
        below=1,
        only_with=_NETWORK,
    )
    select_top_k: int = setting(
        400, "Best candidates of each class that enter NMS.", minimum=1, only_with=_NETWORK
    )
    keep_top_k: int = setting(
        200, "Most detections per image, over all classes.", minimum=1, only_with=_NETWORK
    )

    tflite_quantization: str = setting(
        "none",
        "Numbers of the TFLite model.",
        choices=("none", "float16", "int8"),
        only_with=OnlyWith("format", ("tflite",), said="is for --format=tflite: add that format"),
    )
    calibration_dir: str = setting("", "Folder of typical images; int8 measures ranges on them.")

    model_name: str | None = setting(
        None, "Checked against the checkpoint's; ssd_300_vgg where it has none."
    )
    num_classes: int | None = setting(None, "Checked against the checkpoint's; with background.")
    anchors: str | None = setting(
        None, "Preset of a checkpoint that does not say its own; coco by default, for old ones."
    )
    labels_file: str | None = setting(None, "Class names, one a line, where it has none.")

    def __post_init__(self):
        check(self)
        require(self, "checkpoint_path", "export_dir")
        unknown = [name for name in self.format if name not in FORMATS]
        if unknown or not self.format:
            raise InputError(
                f"--format={','.join(unknown)} is not known: take some of {', '.join(FORMATS)}."
            )
        self._check_quantization()
        if self.precision != "float32" and "saved_model" not in self.format:
            raise InputError(
                f"--precision={self.precision} is for saved_model, the other formats are "
                "float32: remove the flag."
            )

    def _check_quantization(self) -> None:
        quantization = self.tflite_quantization
        if (quantization == "int8") != bool(self.calibration_dir):
            raise InputError(
                f"--tflite_quantization={quantization} with "
                f"--calibration_dir={self.calibration_dir or 'nothing'}: int8 needs a folder of "
                "typical images, and nothing else reads one."
            )
