"""Detects with an exported model: what detection and evaluation ask of a Detector.

Also the reference for what a program around a TFLite or ONNX model has to do: resize, call,
decode, suppress. Everything besides the call is NumPy and OpenCV, and gives what the checkpoint
gives to about 1e-5 (of the image, in float32).
"""

import json
import os
import warnings
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import tensorflow as tf

from model.description import CheckpointOverrides, Description
from model.detector import PictureDetections
from nets.detections import Detections
from runtime.errors import InputError

# Files of an export_dir; the first marks it as one.
ABOUT = "export.json"
ANCHORS = "anchors.npy"
TFLITE = "model.tflite"
ONNX = "model.onnx"

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
        try:
            with tf.io.gfile.GFile(os.path.join(folder, ABOUT)) as file:
                about = json.load(file)
            with tf.io.gfile.GFile(os.path.join(folder, ANCHORS), "rb") as file:
                self._anchors = np.load(file)
        except (tf.errors.OpError, ValueError) as error:
            raise InputError(f"{folder} holds no export of export_ssd_network.py.") from error
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
        self._means, self._prior_scaling = np.float32(about["rgb_means"]), about["prior_scaling"]
        self._network = NETWORKS[format or there[0]](folder, self._means)

    def detect(self, images: Sequence[np.ndarray], **thresholds) -> list[PictureDetections]:
        """Images of any size, uint8[H, W, 3] RGB each; thresholds as of `postprocess`.

        Those that are not given are the export's. The images go through the network together,
        but for TFLite's, which takes them one by one.
        """
        if not images:
            return []
        centred = self.description.half_pixel_centers
        size = self.image_size
        inputs = np.stack([resize(image, size, half_pixel_centers=centred) for image in images])
        return self._detect(inputs, self.thresholds | thresholds)

    def detect_inputs(self, inputs: tf.Tensor, **thresholds) -> Detections:
        """f32[B, S, S, 3] network inputs, RGB minus mean -> padded detections, as a Detector's."""
        thresholds = self.thresholds | thresholds
        found = self._detect(np.asarray(inputs) + self._means, thresholds)
        return pad(found, thresholds["keep_top_k"])

    def _detect(self, images: np.ndarray, thresholds: dict) -> list[PictureDetections]:
        """RGB f32[B, S, S, 3], 0 to 255; all thresholds."""
        score = self.description.score
        found = []
        for logits, offsets in zip(*self._network(images), strict=True):
            boxes = decode(offsets, self._anchors, self._prior_scaling)
            found.append(postprocess(logits, boxes, score=score, **thresholds))
        return found


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
        share = (place - below).reshape(-1, *[1] * (2 - axis))
        low, high = (np.take(pixels, rows, axis) for rows in (below, above))
        pixels = low + (high - low) * share
    return pixels


def decode(offsets: np.ndarray, anchors: np.ndarray, prior_scaling: Sequence[float]) -> np.ndarray:
    """f32[A, 4] offsets x, y, w, h -> f32[A, 4] boxes ymin, xmin, ymax, xmax, not clipped."""
    scaled = offsets * np.float32(prior_scaling)
    size = (anchors[:, 2:] - anchors[:, :2])[:, ::-1]
    centre = (anchors[:, 2:] + anchors[:, :2])[:, ::-1] / 2 + scaled[:, :2] * size
    half = size * np.exp(scaled[:, 2:]) / 2
    return np.concatenate([(centre - half)[:, ::-1], (centre + half)[:, ::-1]], axis=1)


def softmax(logits: np.ndarray) -> np.ndarray:
    """f32[A, C] -> scores of the same shape that sum to 1 over the classes."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """f32[A, C] -> scores of the same shape, each by itself."""
    return 0.5 + 0.5 * np.tanh(logits / 2)


# Those of `nets.detections`, in NumPy.
SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"softmax": softmax, "sigmoid": sigmoid}


def postprocess(
    logits: np.ndarray,
    boxes: np.ndarray,
    *,
    score: str = "softmax",
    select_threshold: float = 0.01,
    select_top_k: int = 400,
    nms_threshold: float = 0.45,
    keep_top_k: int = 200,
) -> PictureDetections:
    """Scores, suppression class by class, the best of the image.

    Args:
      logits: f32[A, C].
      boxes: f32[A, 4].
      score: a name of `SCORES`.
      select_threshold: score that a detection must exceed.
      select_top_k: candidates of each class that enter the suppression.
      nms_threshold: overlap above which the lower score goes.
      keep_top_k: detections of an image over all classes.
    """
    all_scores = SCORES[score](logits)
    rows, classes = [np.zeros(0, int)], [np.zeros(0, int)]
    for k in range(1, logits.shape[1]):
        best = np.argsort(-all_scores[:, k], kind="stable")[:select_top_k]
        best = best[all_scores[best, k] > select_threshold]
        kept = suppress(boxes[best], nms_threshold)
        rows.append(best[kept])
        classes.append(np.full(len(kept), k))
    row, ids = np.concatenate(rows), np.concatenate(classes)
    scores = all_scores[row, ids]
    order = np.argsort(-scores, kind="stable")[:keep_top_k]
    best = np.clip(boxes[row[order]], 0, 1)
    return PictureDetections(best, ids[order].astype(np.int64), scores[order])


def pad(found: Sequence[PictureDetections], count: int) -> Detections:
    """Detections of each of B images, up to `count`, padded with zeros to as many."""

    def column(values: Sequence[np.ndarray]) -> tf.Tensor:
        rest = [[(0, count - len(v)), (0, 0)][: v.ndim] for v in values]
        return tf.stack([np.pad(v, r) for v, r in zip(values, rest, strict=True)])

    boxes, classes, scores = zip(*found, strict=True)
    counts = tf.constant([len(one) for one in scores], tf.int32)
    return Detections(column(boxes), column(classes), column(scores), counts)


def suppress(boxes: np.ndarray, threshold: float) -> list[int]:
    """Rows of f32[K, 4], best first, that overlap no kept row before them by more than that."""
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    kept, left = [], np.arange(len(boxes))
    while len(left):
        first, left = left[0], left[1:]
        kept.append(int(first))
        low = np.maximum(boxes[first, :2], boxes[left, :2])
        high = np.minimum(boxes[first, 2:], boxes[left, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        union = area[first] + area[left] - shared
        left = left[shared <= threshold * union]
    return kept


def _saved_model(folder: str, means: np.ndarray) -> Network:
    model = tf.saved_model.load(folder)  # its functions live as long as this does

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = model.signatures["raw"](inputs=tf.constant(images - means))
        return found["logits"].numpy(), found["offsets"].numpy()

    return run


def _tflite(folder: str, _: np.ndarray) -> Network:
    with tf.io.gfile.GFile(os.path.join(folder, TFLITE), "rb") as file:
        content = file.read()
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
