"""Weights of torchvision's ssd300_vgg16, Keras' VGG16 and MobileNetV2 as slim's variables.

Only names and layouts change, with two exceptions. Keras' first layer reads BGR, so its input
channels are turned round. torchvision cuts the sides of its anchors to the image's, which ours
may exceed in the last layer; the difference is folded into the predictors of these anchors, so
that the boxes are the same.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from nets import anchors, ssd_vgg_300
from runtime.errors import InputError

TORCHVISION_ANCHORS = "coco"
_STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")
_CONVOLUTIONS = [  # of VGG-16, in their order
    f"conv{block}/conv{block}_{number}"
    for block, repeats in enumerate((2, 2, 3, 3, 3), 1)
    for number in range(1, repeats + 1)
]
# Where torchvision has each layer: a Sequential's numbers count activations and pools too.
_FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)
_TORCHVISION = {
    **dict(zip(_CONVOLUTIONS[:10], [f"features.{k}" for k in _FEATURES], strict=True)),
    **dict(zip(_CONVOLUTIONS[10:], [f"extra.0.{k}" for k in (1, 3, 5)], strict=True)),
    "conv6": "extra.0.7.1",
    "conv7": "extra.0.7.3",
    **{f"block{k + 7}/conv1x1": f"extra.{k}.0" for k in (1, 2, 3, 4)},
    **{f"block{k + 7}/conv3x3": f"extra.{k}.2" for k in (1, 2, 3, 4)},
}


def from_torchvision(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The variables of `ssd_300_vgg` from a state dict of torchvision's ssd300_vgg16.

    Its input is that of this project, RGB minus (123, 117, 104), its anchors those of `coco`, and
    class 0 is the background.

    Args:
      state: name -> array; convolutions are [out, in, height, width].

    Raises:
      InputError: a tensor is missing.
    """
    where = {name: f"backbone.{place}" for name, place in _TORCHVISION.items()}
    for k, layer in enumerate(ssd_vgg_300.PARAMETERS.layers):
        for head, kind in (("conv_cls", "classification"), ("conv_loc", "regression")):
            where[f"{layer.name}_box/{head}"] = f"head.{kind}_head.module_list.{k}"
    try:
        found = {}
        for name, place in where.items():
            found[f"{name}/weights"] = state[f"{place}.weight"].transpose(2, 3, 1, 0)
            found[f"{name}/biases"] = state[f"{place}.bias"]
        found["block4_box/L2Normalization/gamma"] = state["backbone.scale_weight"]
    except KeyError as error:
        raise InputError(
            f"The file has no {error.args[0]}: give a state dict of torchvision's ssd300_vgg16."
        ) from error
    _fold_cut_anchors(found)
    return {f"{ssd_vgg_300.PARAMETERS.name}/{name}": value for name, value in found.items()}


def from_keras(layers: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """The variables of slim's `vgg_16` from those of Keras' VGG16; its classifier is left out.

    Args:
      layers: layer -> (kernel [height, width, in, out] or [in, out], bias [out]). They have the
        model's names (`block1_conv1`, `fc1`) or those that Keras gives (`conv2d_3`, `dense`).

    Returns:
      conv1 to conv5; fc6 f32[7, 7, 512, 4096] and fc7 f32[1, 1, 4096, 4096] where they are there.

    Raises:
      InputError: a convolution is missing.
    """
    by_model = {
        name: re.sub(r"conv(\d)/conv\d_(\d)", r"block\1_conv\2", name) for name in _CONVOLUTIONS
    } | {"fc6": "fc1", "fc7": "fc2"}
    if "block1_conv1" not in layers:
        kinds = (("conv2d", _CONVOLUTIONS), ("dense", ("fc6", "fc7")))
        by_model = {
            name: kind if k == 0 else f"{kind}_{k}"
            for kind, names in kinds
            for k, name in enumerate(names)
        }
    missing = [by_model[name] for name in _CONVOLUTIONS if by_model[name] not in layers]
    if missing:
        raise InputError(f"The file has no layer {missing[0]}: give the weights of Keras' VGG16.")
    found = {}
    for name, place in by_model.items():
        if place in layers:
            kernel, bias = layers[place]
            if kernel.ndim == 2:
                side = 7 if name == "fc6" else 1
                kernel = kernel.reshape(side, side, -1, kernel.shape[-1])
            found[f"vgg_16/{name}/weights"], found[f"vgg_16/{name}/biases"] = kernel, bias
    first = "vgg_16/conv1/conv1_1/weights"
    found[first] = found[first][:, :, ::-1]
    return found


def _fold_cut_anchors(found: dict[str, np.ndarray]) -> None:
    """Makes offsets from anchors cut to the image's sides offsets from whole ones.

    A centre moves by x * scaling * width, so x shrinks as the width grows; a width is
    exp(w * scaling) * width, so w loses the logarithm.
    """
    parameters, first = ssd_vgg_300.PARAMETERS, 0
    boxes = anchors.make(parameters, parameters.sizes_of(TORCHVISION_ANCHORS))
    for layer in parameters.layers:
        cell = boxes[first : first + layer.anchors_per_cell]
        first += layer.size**2 * layer.anchors_per_cell
        sides = np.stack([cell[:, 3] - cell[:, 1], cell[:, 2] - cell[:, 0]], 1)  # width, height
        cut = np.minimum(sides, 1.0) / sides
        factor = np.concatenate([cut, np.ones_like(cut)], 1).reshape(-1).astype(np.float32)
        scaling = np.array(parameters.prior_scaling[2:])
        shift = np.concatenate([np.zeros_like(cut), np.log(cut) / scaling], 1).reshape(-1)
        name = f"{layer.name}_box/conv_loc"
        found[f"{name}/weights"] = found[f"{name}/weights"] * factor
        found[f"{name}/biases"] = (found[f"{name}/biases"] * factor + shift).astype(np.float32)


def mobilenet_v2_from_keras(layers: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    """The variables of slim's `MobilenetV2` from those of Keras' MobileNetV2, without classifier.

    Both take pixels from -1 to 1, pad alike at even sizes and have the same epsilon.

    Args:
      layers: layer's name -> its weights: a kernel, or gamma, beta, moving mean and variance.

    Raises:
      InputError: a layer is missing.
    """
    found = {}
    for block in range(17):
        here = f"MobilenetV2/expanded_conv{f'_{block}' * bool(block)}"
        there = f"block_{block}" if block else "expanded_conv"
        for part in ("expand", "depthwise", "project")[not block :]:
            found[f"{here}/{part}"] = (f"{there}_{part}", f"{there}_{part}_BN")
    places = {
        "MobilenetV2/Conv": ("Conv1", "bn_Conv1"),
        **found,
        "MobilenetV2/Conv_1": ("Conv_1", "Conv_1_bn"),
    }
    tensors = {}
    try:
        for name, (convolution, norm) in places.items():
            kind = "depthwise_weights" if name.endswith("/depthwise") else "weights"
            (tensors[f"{name}/{kind}"],) = layers[convolution]
            for each, value in zip(_STATISTICS, layers[norm], strict=True):
                tensors[f"{name}/BatchNorm/{each}"] = value
    except (KeyError, ValueError) as error:
        raise InputError(
            f"The layers of Keras' MobileNetV2 are not whole ({error}): give its weights."
        ) from error
    return tensors
