"""Names and layouts of other frameworks' weights; tests/scripts runs the networks themselves."""

import numpy as np
import pytest

from nets import foreign_weights
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
