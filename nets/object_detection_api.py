"""Conventions of the TensorFlow Object Detection API, whose model zoo has COCO detectors.

Source: its label map `mscoco_label_map.pbtxt` and `FasterRcnnBoxCoder`. Class ids are COCO's own,
1 to 90, of which ten were never used.
"""

from collections.abc import Mapping

import numpy as np

from runtime.errors import InputError

_NAMES = """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
fire hydrant, , stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, , backpack, umbrella, , , handbag, tie, suitcase, frisbee, skis, snowboard,
sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, ,
wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
hot dog, pizza, donut, cake, chair, couch, potted plant, bed, , dining table, , , toilet, , tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, , book,
clock, vase, scissors, teddy bear, hair drier, toothbrush"""
LABELS = tuple(name.strip() or f"unused {k}" for k, name in enumerate(_NAMES.split(","), 1))


def permute_box_code(name: str, value: np.ndarray) -> np.ndarray:
    """A box predictor between the API's order y, x, h, w and this project's x, y, w, h.

    Args:
      name: of the variable; others than a box predictor's are left as they are.
      value: weights or biases, [..., 4 k].
    """
    if "/BoxEncodingPredictor/" not in f"/{name}":
        return value
    codes = value.reshape(*value.shape[:-1], -1, 4)
    return codes[..., [1, 0, 3, 2]].reshape(value.shape)


def from_graph_model(
    weights: Mapping[str, np.ndarray], *, epsilon: float = 1e-3
) -> dict[str, np.ndarray]:
    """The variables of a detector from its TensorFlow.js graph model, in the API's names.

    There batch norm is folded: a convolution has its weights merged and a sum `batchnorm/sub`, a
    depthwise one a factor `batchnorm/mul` besides. Moving statistics are made that compute the same
    function: mean 0, variance 1 - epsilon.

    Args:
      weights: by name, of `graph_model.read`.
      epsilon: of the network's batch norm.

    Raises:
      InputError: there is no box predictor.
    """
    found = {}
    for name, value in weights.items():
        if not name.startswith(("FeatureExtractor/", "BoxPredictor_")) or value.dtype != np.float32:
            continue
        if name.endswith("/BatchNorm/batchnorm/sub"):
            norm = name.removesuffix("/batchnorm/sub")
            factor = weights.get(f"{norm}/batchnorm/mul", np.ones_like(value))
            found[f"{norm}/gamma"], found[f"{norm}/beta"] = factor, value
            found[f"{norm}/moving_mean"] = np.zeros_like(value)
            found[f"{norm}/moving_variance"] = np.full_like(value, 1 - epsilon)
        elif name.endswith("/Conv2D/merged_input"):
            found[f"{name.removesuffix('/Conv2D/merged_input')}/weights"] = value
        elif not name.endswith("/batchnorm/mul"):
            found[name] = value
    if not any("/BoxEncodingPredictor/" in name for name in found):
        raise InputError(
            "The graph model has no BoxEncodingPredictor: give an SSD of the Object Detection API."
        )
    return found
