"""The network as a TFLite model, for phones and small boards: float32, float16 or int8.

`images` f32[1, S, S, 3], RGB from 0 to 255 at the network's size, to `logits` f32[1, A, C] and
`offsets` f32[1, A, 4]. The mean is subtracted inside. Resizing before and decoding and suppression
after are left to the caller (`exported.py` shows how): TFLite has no suppression
per class, and int8 boxes would be off by hundredths of the image.

Surprising: int8 keeps float inputs and outputs, converted at the model's edges. What is integer is
the arithmetic in between.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import tensorflow as tf

from datasets.layouts.decoding import read_picture
from datasets.layouts.image_file import pictures_in
from model.detector import Detector
from model.exported import TFLITE
from runtime import files
from runtime.errors import InputError, one_line

CALIBRATION_PICTURES = 200


def write(detector: Detector, folder: str, *, quantization: str, calibration_dir: str) -> None:
    """Writes `model.tflite`; the arguments are the flags of these names.

    Raises:
      InputError: the calibration folder holds no readable image.
    """
    paths = list_pictures(calibration_dir) if quantization == "int8" else []
    function = network_of_pictures(detector, batch=1).get_concrete_function()
    variables = tf.Module()
    variables.all = list(detector.variables_by_name.values())
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], variables)
    if quantization != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: calibration_inputs(detector, paths)
    content, path = converter.convert(), tf.io.gfile.join(folder, TFLITE)
    with files.explain_write_errors(path), tf.io.gfile.GFile(path, "wb") as file:
        file.write(content)


def network_of_pictures(detector: Detector, *, batch: int | None):
    """The tf.function from `images` (RGB, 0 to 255) to `logits` and `offsets`."""

    def network(images: tf.Tensor) -> dict[str, tf.Tensor]:
        means = tf.constant(detector.preprocessing.rgb_means, tf.float32)
        return detector.predict(images - means)._asdict()

    spec = tf.TensorSpec([batch, *detector.image_size, 3], tf.float32, "images")
    return tf.function(network, input_signature=[spec], autograph=False)


def list_pictures(folder: str) -> list[str]:
    """Paths of up to 200 images, spread evenly over the folder's names.

    Raises:
      InputError: there is none.
    """
    paths = pictures_in(folder)
    if not paths:
        raise InputError(
            f"--calibration_dir={folder} holds no image: give a folder of a hundred or so "
            "typical images."
        )
    count = min(len(paths), CALIBRATION_PICTURES)
    return [paths[i] for i in np.linspace(0, len(paths) - 1, count).round().astype(int)]


def calibration_inputs(detector: Detector, paths: Sequence[str]) -> Iterator[list[np.ndarray]]:
    """The images as the model takes them, f32[1, S, S, 3].

    One that cannot be read is skipped and named.

    Raises:
      InputError: none can be read.
    """
    unreadable = 0
    for path in paths:
        try:
            image = tf.constant(read_picture(path))
        except (ValueError, tf.errors.OpError, cv2.error) as error:
            unreadable += 1
            print(f"--calibration_dir: {path} is skipped ({one_line(error)}).", flush=True)
            continue
        pixels = detector.preprocess(image) + np.float32(detector.preprocessing.rgb_means)
        yield [pixels[None].numpy()]
    if unreadable == len(paths):
        raise InputError("--calibration_dir holds no image that can be read: give another folder.")
