"""The network as an ONNX model: the same inputs and outputs as the TFLite one, batches of any size.

Needs the packages of the extra `onnx` (tf2onnx), which nothing else of this project imports.
"""

import tensorflow as tf

from export.tflite import network_of_pictures
from model.detector import Detector
from model.exported import ONNX
from runtime import files
from runtime.errors import InputError

OPSET = 17


def write(detector: Detector, folder: str) -> None:
    """Writes `model.onnx`.

    Raises:
      InputError: tf2onnx is not installed.
    """
    try:
        import tf2onnx
    except ImportError as error:
        raise InputError(
            "--format=onnx needs the package tf2onnx: pip install -e '.[onnx]'."
        ) from error
    function = network_of_pictures(detector, batch=None)
    model, _ = tf2onnx.convert.from_function(
        function, input_signature=function.input_signature, opset=OPSET
    )
    path = tf.io.gfile.join(folder, ONNX)
    with files.explain_write_errors(path), tf.io.gfile.GFile(path, "wb") as file:
        file.write(model.SerializeToString())
