"""Detects with an exported model: what detection and evaluation ask of a Detector.

Also the reference for what a program around a TFLite or ONNX model has to do: resize, call,
decode, suppress. The last two are the checkpoint's own, and what comes of them is what it gives to
about 1e-5 (of the image, in float32).
"""

import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from datasets.layouts.values import number, shortened
from model import score_thresholds
from model.description import CheckpointOverrides, Description
from model.detector import PictureDetections, unpad
from nets import detections
from nets.detections import PaddedDetections
from runtime import files, limits
from runtime.errors import InputError, one_line

# Files of an export_dir; the first marks it as one.
ABOUT = "export.json"
ANCHORS = "anchors.npy"
TFLITE = "model.tflite"
ONNX = "model.onnx"
FILES = {"saved_model": "saved_model.pb", "tflite": TFLITE, "onnx": ONNX}

# Runs the bare network: RGB f32[B, S, S, 3], 0 to 255 -> logits f32[B, A, C], offsets f32[B, A, 4].
Network = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class ExportedDetector:
    """What an export_dir holds, ready to detect.

    Attributes:
      description: of the network.
      labels: class id k has the name labels[k - 1].
      image_size: height and width of the network's input, pixels.
      preprocessing: from images to `detect_inputs`, as a Detector's.
      step: of the checkpoint that was exported.
      thresholds: of the export; they hold where a call gives none.
    """

    def __init__(self, folder: str, *, format: str | None = None):
        """Loads the model.

        Args:
          folder: an export_dir.
          format: saved_model, tflite or onnx; by default the first of these that is there.

        Raises:
          InputError: no export there, or not of this format.
        """
        about, anchors = _read_about(folder), _read_anchors(folder)
        there = [name for name in NETWORKS if name in about["formats"]]
        if not there or format not in (None, *there):
            or_give = f", or give {folder}/model.ckpt" if "slim" in about["formats"] else ""
            raise InputError(
                f"{folder} holds {', '.join(about['formats'])} and not "
                f"{format or ' or '.join(NETWORKS)}: export that too{or_give}."
            )
        self.description = Description.from_json(json.dumps(about["description"]))
        self.labels = self.description.labels
        self.image_size = tuple(about["image_size"])
        self.preprocessing = self.description.make_preprocessing()
        self.step, self.thresholds = about["step"], about["thresholds"]
        self._means = np.float32(about["rgb_means"])
        self._network = _load(format or there[0], folder, self._means)
        score = self.description.score

        def postprocess(logits: tf.Tensor, offsets: tf.Tensor, **thresholds) -> PaddedDetections:
            scaling = about["prior_scaling"]
            return detections.detect(
                logits, offsets, anchors, prior_scaling=scaling, score=score, **thresholds
            )

        # Eager, its dozen operations take longer than the suppression.
        self._postprocess = tf.function(postprocess, autograph=False, reduce_retracing=True)

    def detect(self, images: Sequence[np.ndarray], **thresholds) -> list[PictureDetections]:
        """Images of any size, uint8[H, W, 3] RGB each; thresholds as of `detections.detect`.

        Those that are not given are the export's; select_threshold may be auto. The images go
        through the network together, but for TFLite's, which takes them one by one.
        """
        if not images:
            return []
        centred = self.description.half_pixel_centers
        size = self.image_size
        if "select_threshold" in thresholds:
            given = thresholds["select_threshold"]
            thresholds["select_threshold"] = score_thresholds.resolve(given, self.description)
        inputs = np.stack([resize(image, size, half_pixel_centers=centred) for image in images])
        return unpad(self._detect(inputs, **thresholds))

    def detect_inputs(self, inputs: tf.Tensor, **thresholds) -> PaddedDetections:
        """f32[B, S, S, 3] network inputs, RGB minus mean -> padded detections, as a Detector's."""
        return self._detect(np.asarray(inputs) + self._means, **thresholds)

    def _detect(self, images: np.ndarray, **thresholds) -> PaddedDetections:
        """RGB f32[B, S, S, 3], 0 to 255."""
        logits, offsets = map(tf.constant, self._network(images))
        return self._postprocess(logits, offsets, **(self.thresholds | thresholds))


def open_export(
    folder: str, *, use_moving_average: bool, hints: CheckpointOverrides
) -> ExportedDetector:
    """The detector of an export_dir that is given as a checkpoint.

    Args:
      folder: an export_dir.
      use_moving_average: False is refused: the weights are chosen.
      hints: what the user says of it.

    Raises:
      InputError: it cannot be run, or is not what the user says.
    """
    if not use_moving_average:
        raise InputError(
            f"--use_moving_average=False: {folder} is an export, whose weights were chosen when it "
            "was made; remove the flag, or export again with it."
        )
    detector = ExportedDetector(folder)
    hints.check(detector.description)
    return detector


def is_export(path: str) -> bool:
    """Whether a path is an export_dir (and not a train_dir or a checkpoint)."""
    return tf.io.gfile.exists(os.path.join(path, ABOUT))


def _read_about(folder: str) -> dict[str, Any]:
    """What export.json says. Raises InputError where it is none."""
    path = os.path.join(folder, ABOUT)
    try:
        about = json.loads(files.read(path))
        kinds = {
            "formats": list,
            "description": dict,
            "image_size": list,
            "step": int,
            "thresholds": dict,
            "rgb_means": list,
            "prior_scaling": list,
        }
        for key, kind in kinds.items():
            if not isinstance(about[key], kind):
                raise ValueError(f"{key} is {shortened(about[key])}")
        for key in ("image_size", "rgb_means", "prior_scaling"):
            np.array(about[key], np.float32)
        if not all(isinstance(name, str) for name in about["formats"]):
            raise ValueError(f"formats is {shortened(about['formats'])}")
        for name, value in about["thresholds"].items():
            number(value, where=name)
        return about
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{folder} holds no export of export_ssd_network.py ({one_line(error)})."
        ) from error


def _read_anchors(folder: str) -> np.ndarray:
    path = os.path.join(folder, ANCHORS)
    try:
        anchors = np.load(io.BytesIO(files.read(path)))  # which takes no pickled objects
        if anchors.ndim != 2 or anchors.shape[1] != 4 or anchors.dtype.kind != "f":
            raise ValueError("they are not f32[A, 4]")
        return anchors
    except (ValueError, EOFError, MemoryError, AttributeError, OSError) as error:
        raise InputError(f"{path} holds no anchors ({one_line(error)}): export anew.") from error


def resize(
    image: np.ndarray, size: tuple[int, int], *, half_pixel_centers: bool = True
) -> np.ndarray:
    """uint8[H, W, 3] -> f32[h, w, 3]: bilinear, no antialiasing; see `geometry.resize`."""
    pixels = np.asarray(image, np.float32)
    if half_pixel_centers:
        return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
    for axis, wanted in enumerate(size):
        place = np.arange(wanted, dtype=np.float32) * np.float32(pixels.shape[axis] / wanted)
        below = place.astype(int)
        above = np.minimum(below + 1, pixels.shape[axis] - 1)
        share = (place - below).astype(np.float32).reshape(-1, *[1] * (2 - axis))
        low, high = (np.take(pixels, rows, axis) for rows in (below, above))
        pixels = low + (high - low) * share
    return pixels


def _load(format: str, folder: str, means: np.ndarray) -> Network:
    try:
        return NETWORKS[format](folder, means)
    except InputError:
        raise
    except Exception as error:  # whatever a runtime says of a file that is none of its own
        raise InputError(
            f"{os.path.join(folder, FILES[format])} cannot be loaded ({one_line(error)}): export "
            "it anew."
        ) from error


def _saved_model(folder: str, means: np.ndarray) -> Network:
    print(
        f"{folder} is a SavedModel, a program that runs with your rights: load none of a stranger.",
        file=sys.stderr,
    )
    model = tf.saved_model.load(folder)  # its functions live as long as this does

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = model.signatures["raw"](inputs=tf.constant(images - means))
        return found["logits"].numpy(), found["offsets"].numpy()

    return run


def _tflite(folder: str, _: np.ndarray) -> Network:
    content = files.read(os.path.join(folder, TFLITE), most=limits.MAX_WEIGHT_BYTES)
    with warnings.catch_warnings():
        # TensorFlow asks to use the package ai_edge_litert instead, with the same interface.
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated.*")
        signature = tf.lite.Interpreter(model_content=content).get_signature_runner()

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = [signature(images=image[None]) for image in images]  # the model's batch is 1
        logits, offsets = (
            np.concatenate([one[name] for one in found]) for name in ("logits", "offsets")
        )
        return logits, offsets

    return run


def _onnx(folder: str, _: np.ndarray) -> Network:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError("Running ONNX needs onnxruntime: pip install -e '.[onnx]'.") from error
    session = onnxruntime.InferenceSession(os.path.join(folder, ONNX))

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, offsets = session.run(["logits", "offsets"], {"images": images})
        return logits, offsets

    return run


NETWORKS: dict[str, Callable[[str, np.ndarray], Network]] = {
    "saved_model": _saved_model,
    "tflite": _tflite,
    "onnx": _onnx,
}
