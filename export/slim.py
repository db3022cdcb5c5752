"""A checkpoint as slim wrote them: the network's variables by name and nothing else.

TF1-style readers and slim's tools know no `input_scale`; it is folded into the weights of the first
layer, so that a reader who feeds RGB minus mean gets the same numbers. The biases stay: they are
added after the product.
"""

import numpy as np
import tensorflow as tf

from model import checkpoints
from model.detector import Detector
from runtime import files

NAME = "model.ckpt"


def write(detector: Detector, folder: str) -> None:
    """Writes `model.ckpt.index` and `model.ckpt.data-00000-of-00001` into `folder`."""
    path = tf.io.gfile.join(folder, NAME)
    with files.explain_write_errors(path):
        checkpoints.write(path, fold_input_scale(detector))


def fold_input_scale(detector: Detector) -> dict[str, np.ndarray]:
    """The weights by name, as the network's own world has them: for its scale, in its box code."""
    network = detector.network
    tensors = {
        name: network.imports.translate(name, value.numpy())
        for name, value in detector.variables_by_name.items()
    }
    scale = detector.description.input_scale / network.undescribed.input_scale
    tensors[network.first_weights] = tensors[network.first_weights] * scale
    return tensors
