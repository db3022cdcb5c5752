"""The SavedModel: images in, detections out, in any process that has TensorFlow.

Signatures: `serving_default` takes uint8 images of one size, `encoded` takes JPEG or PNG bytes,
`raw` is the bare network. Resizing, mean subtraction, decoding and suppression are inside, with the
thresholds of the export.

Surprising: the saved object is not the Detector but a module of functions and variables, so that
nothing else of this project is needed to load it.
"""

import tensorflow as tf

from model.detector import Detector
from nets.detections import PaddedDetections
from runtime import files


def write_saved_model(detector: Detector, folder: str, **thresholds) -> None:
    """Writes `saved_model.pb` and `variables/` into `folder`.

    Args:
      detector: the network, its weights and anchors.
      folder: exists already.
      **thresholds: of `detections.detect`; they become constants.
    """
    module = tf.Module(name=detector.parameters.name)
    module.weights = list(detector.variables_by_name.values())
    functions = make_signatures(detector, **thresholds)
    module.functions = list(functions.values())  # called as plain methods by those who load it
    with files.explain_write_errors(folder):
        tf.saved_model.save(module, folder, signatures=functions)


def make_signatures(detector: Detector, **thresholds) -> dict[str, tf.types.experimental.Callable]:
    """The functions by signature name: arguments by name in, tensors by name out."""

    decode = detector.preprocessing.decode

    def detect(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        found: PaddedDetections = detector.postprocess(detector.predict(inputs), **thresholds)
        return found._asdict()

    def serving_default(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return detect(_each(detector.preprocess, images, detector.image_size))

    def encoded(encoded_images: tf.Tensor) -> dict[str, tf.Tensor]:
        def read(one: tf.Tensor) -> tf.Tensor:
            return detector.preprocess(decode(one))

        return detect(_each(read, encoded_images, detector.image_size))

    def raw(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return detector.predict(inputs)._asdict()

    size = detector.image_size
    specs = {
        serving_default: tf.TensorSpec([None, None, None, 3], tf.uint8, "images"),
        encoded: tf.TensorSpec([None], tf.string, "encoded_images"),
        raw: tf.TensorSpec([None, *size, 3], tf.float32, "inputs"),
    }
    return {
        function.__name__: tf.function(function, input_signature=[spec], autograph=False)
        for function, spec in specs.items()
    }


def _each(function, values: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """`function` of every image, f32[B, S, S, 3]; B may be 0."""
    spec = tf.TensorSpec([*size, 3], tf.float32)
    return tf.map_fn(function, values, fn_output_signature=spec)
