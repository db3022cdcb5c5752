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

    checkpoint_path: str = setting(
        "",
        "Checkpoint, folder of a run (its best checkpoint, else its latest), or name of fetched "
        "weights.",
    )
    export_dir: str = setting("", "Folder for the export; an earlier export there is replaced.")
    format: tuple[str, ...] = setting(
        ("saved_model",), "Export formats: comma list of saved_model, tflite, onnx and slim."
    )
    use_moving_average: bool = setting(
        True, "Use moving averages of the weights where the checkpoint has them."
    )
    precision: str = setting(
        "float32",
        "Arithmetic of the SavedModel; other formats are float32.",
        choices=("float32", "bfloat16"),
    )

    select_threshold: float = setting(
        0.01,
        "Minimum score of a detection; export.json records it for every format.",
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
        400,
        "Number of best candidates of each class that enter NMS.",
        minimum=1,
        only_with=_NETWORK,
    )
    keep_top_k: int = setting(
        200,
        "Maximum number of detections per image, over all classes.",
        minimum=1,
        only_with=_NETWORK,
    )

    tflite_quantization: str = setting(
        "none",
        "Quantization of the TFLite model.",
        choices=("none", "float16", "int8"),
        only_with=OnlyWith("format", ("tflite",), said="is for --format=tflite: add that format"),
    )
    calibration_dir: str = setting(
        "", "Folder of typical images, on which int8 quantization measures ranges."
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
