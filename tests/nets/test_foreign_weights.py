"""Names and layouts of other frameworks' weights; tests/scripts runs the networks themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

from model.description import Description
from model.detector import Detector
from nets import foreign_weights, pretrained, ssdlite_300_mobilenet_v2
from nets.normalized_layers import BatchNorm, conv2d, depthwise_conv2d
from nets.pretrained import Request
from nets.variables import SlimVariables, he_normal, layer_scope
from runtime.errors import InputError

DEPTHS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]


def keras_layers(names: list[str], *, width: int = 64) -> dict:
    """VGG's convolutions, `width` times narrower, each bias filled with the layer's number."""
    depths = [depth // width for depth in DEPTHS]
    inputs = [3, *depths]
    draw = np.random.default_rng(1)
    return {
        name: (
            draw.normal(size=(3, 3, inputs[k], depths[k])).astype(np.float32),
            np.full(depths[k], k, np.float32),
        )
        for k, name in enumerate(names)
    }


MODEL_NAMES = [
    f"block{b}_conv{k}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for k in range(1, n + 1)
]
KERAS_NAMES = ["conv2d", *(f"conv2d_{k}" for k in range(1, 13))]


@pytest.mark.parametrize("names", [MODEL_NAMES, KERAS_NAMES], ids=["models", "keras"])
def test_keras_layers_get_slims_names_in_their_order(names):
    found = foreign_weights.from_keras(keras_layers(names))
    assert len(found) == 26
    for k, name in ((0, "conv1/conv1_1"), (4, "conv3/conv3_1"), (12, "conv5/conv5_3")):
        assert found[f"vgg_16/{name}/biases"][0] == k


def test_first_keras_layer_reads_rgb_afterwards():
    layers = keras_layers(MODEL_NAMES)
    kernel = layers["block1_conv1"][0]
    weights = foreign_weights.from_keras(layers)["vgg_16/conv1/conv1_1/weights"]
    np.testing.assert_array_equal(weights[:, :, 0], kernel[:, :, 2])
    np.testing.assert_array_equal(weights[:, :, 1], kernel[:, :, 1])


@pytest.mark.parametrize("names", [("fc1", "fc2"), ("dense", "dense_1")])
def test_dense_layers_become_convolutions(names):
    """Row r of fc1's kernel belongs to height r // (7 * 8), width r // 8 % 7, channel r % 8."""
    layers = keras_layers(MODEL_NAMES if names[0] == "fc1" else KERAS_NAMES)
    kernel = np.arange(7 * 7 * 8 * 4, dtype=np.float32).reshape(7 * 7 * 8, 4)
    layers[names[0]] = kernel, np.zeros(4, np.float32)
    layers[names[1]] = np.eye(4, dtype=np.float32), np.ones(4, np.float32)
    found = foreign_weights.from_keras(layers)
    assert found["vgg_16/fc6/weights"].shape == (7, 7, 8, 4)
    assert found["vgg_16/fc6/weights"][2, 3, 5, 1] == kernel[(2 * 7 + 3) * 8 + 5, 1]
    np.testing.assert_array_equal(found["vgg_16/fc7/weights"][0, 0], np.eye(4))
    np.testing.assert_array_equal(found["vgg_16/fc7/biases"], 1.0)


def test_missing_layers_are_named():
    layers = keras_layers(MODEL_NAMES)
    del layers["block3_conv2"]
    with pytest.raises(InputError, match="no layer block3_conv2: give the weights of Keras' VGG16"):
        foreign_weights.from_keras(layers)
    with pytest.raises(InputError, match=r"no backbone\.features\.0\.weight: give a state dict"):
        foreign_weights.from_torchvision({})


def test_keras_mobilenet_v2_computes_what_ours_does():
    """Random weights and statistics: every name and layout has to be right."""
    model = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(300, 300, 3)
    )
    draw = np.random.default_rng(3)
    for layer in model.layers:
        values = layer.get_weights()
        if len(values) == 4:  # batch norm
            layer.set_weights([draw.uniform(0.5, 1.5, value.shape) for value in values])
    inputs = draw.uniform(-1, 1, (1, 300, 300, 3)).astype(np.float32)
    wanted = model(inputs, training=False)
    layers = {layer.name: layer.get_weights() for layer in model.layers}
    tensors = foreign_weights.mobilenet_v2_from_keras(layers)
    owner = SlimVariables(seed=0)

    def build():
        with (
            owner.scope(""),
            slim.arg_scope([conv2d, depthwise_conv2d], norm=BatchNorm(), initializer=he_normal),
            layer_scope("MobilenetV2"),
        ):
            return ssdlite_300_mobilenet_v2.backbone(tf.constant(inputs), 1.0)["Conv_1"]

    build()
    assert owner.by_name.keys() == tensors.keys()
    for name, variable in owner.by_name.items():
        variable.assign(tensors[name])
    made = build()
    np.testing.assert_allclose(made, wanted, atol=1e-4 * float(tf.reduce_max(wanted)))
    del layers["block_3_project"]
    with pytest.raises(InputError, match="block_3_project"):
        foreign_weights.mobilenet_v2_from_keras(layers)


def test_backbone_of_slims_classifier_fills_the_detectors():
    """Names of slim's mobilenet_v2_1.0_224.ckpt: predictors and extra layers are not in it."""
    detector = Detector(Description(model_name="ssdlite_300_mobilenet_v2", labels=("cat",)))
    shapes = {name: tuple(each.shape) for name, each in detector.variables_by_name.items()}
    here = "FeatureExtractor/MobilenetV2/"
    there = {
        name.removeprefix("FeatureExtractor/"): shape
        for name, shape in shapes.items()
        if name.startswith(here) and "layer_19" not in name
    }
    there["MobilenetV2/Logits/Conv2d_1c_1x1/weights"] = (1, 1, 1280, 1001)
    plan = pretrained.make_plan(shapes, there, Request("c"), network=detector.network)
    by_name = {row.name: row for row in plan.rows}
    assert by_name[f"{here}Conv/weights"].source == "MobilenetV2/Conv/weights"
    assert plan.count("renamed") == len(there) - 1 == 260
    assert plan.count("new") == len(shapes) - 260
    assert {name.split("/")[0] for name, row in by_name.items() if row.action == "new"} == {
        "FeatureExtractor",
        *(f"BoxPredictor_{k}" for k in range(6)),
    }
