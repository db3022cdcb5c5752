"""Exports a checkpoint: `export_ssd_network.py` as a call.

The folder is made beside its final place and renamed when it is whole, so that a name never stands
for half an export. `export.json`, which every export holds, marks a folder as ours to replace; any
other folder with something in it is refused. Nothing else is ever removed: the names beside it are
new in every export.
"""

import json

import numpy as np
import tensorflow as tf
from absl import logging

from export import onnx, slim, tflite
from export.saved_model import write_saved_model
from export.settings import THRESHOLDS, ExportSettings
from model import checkpoints, score_thresholds
from model.description import CheckpointOverrides
from model.detector import Detector
from model.exported import ABOUT, ANCHORS
from runtime import files
from runtime.errors import InputError
from runtime.files import write_text


def export(settings: ExportSettings) -> list[str]:
    """Writes every format that `settings` asks for and returns the names in export_dir.

    Raises:
      InputError: the checkpoint cannot be used, export_dir holds something else, or a package that
        a format needs is not installed.
    """
    logging.set_verbosity(logging.ERROR)  # the converters tell of every function they see
    tf.get_logger().setLevel("ERROR")
    folder = settings.export_dir.rstrip("/")
    with files.replacing_folder(folder, check=_check_place) as partial:
        path = checkpoints.resolve(settings.checkpoint_path)
        files.make_folder(partial, given=f"--export_dir={folder}")
        tensors = checkpoints.read(path)
        described = CheckpointOverrides.of_flags(settings).describe(tensors)
        description = score_thresholds.with_evaluation(described, path)
        detector = Detector(description, precision="float32")
        weights = detector.weights_of(tensors, use_moving_average=settings.use_moving_average)
        detector.load(weights)
        _write_formats(partial, detector, weights, settings)
        _write_about(partial, detector, settings, step=checkpoints.step_of(path))
    return sorted(name.rstrip("/") for name in tf.io.gfile.listdir(folder))


def _write_formats(
    folder: str,
    detector: Detector,
    weights: dict[str, np.ndarray],
    settings: ExportSettings,
) -> None:
    anchors = tf.io.gfile.join(folder, ANCHORS)
    with files.explain_write_errors(anchors), tf.io.gfile.GFile(anchors, "wb") as file:
        np.save(file, detector.anchors.numpy())
    if "saved_model" in settings.format:
        served = detector
        if settings.precision != "float32":
            served = Detector(detector.description, precision=settings.precision)
            served.load(weights)
        thresholds = {name: getattr(settings, name) for name in THRESHOLDS}
        write_saved_model(served, folder, **thresholds)
    if "slim" in settings.format:
        slim.write(detector, folder)
    if "tflite" in settings.format:
        quantization, calibration = settings.tflite_quantization, settings.calibration_dir
        tflite.write(detector, folder, quantization=quantization, calibration_dir=calibration)
    if "onnx" in settings.format:
        onnx.write(detector, folder)


def _write_about(folder: str, detector: Detector, settings: ExportSettings, *, step: int) -> None:
    description = detector.description
    about = {
        "formats": list(settings.format),
        "step": step,
        "description": json.loads(description.to_json()),
        "image_size": detector.image_size,
        "prior_scaling": detector.parameters.prior_scaling,
        "rgb_means": detector.preprocessing.rgb_means,
        "thresholds": {name: getattr(settings, name) for name in THRESHOLDS},
    }
    write_text(folder, "labels.txt", description.labels)
    write_text(folder, ABOUT, json.dumps(about, indent=2).split("\n"))


def _check_place(folder: str) -> None:
    if not tf.io.gfile.exists(folder):
        return
    if not tf.io.gfile.isdir(folder):
        raise InputError(f"--export_dir={folder} is a file: choose another name.")
    if tf.io.gfile.listdir(folder) and not tf.io.gfile.exists(tf.io.gfile.join(folder, ABOUT)):
        raise InputError(
            f"--export_dir={folder} holds files that are no earlier export: choose an empty or "
            "new folder."
        )
