"""SSD-512: RECIPE's table, and the variables that published checkpoints have."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from nets import anchors
from nets.nets_factory import get_network
from nets.ssd_vgg_512 import EXTRA_BLOCKS, PARAMETERS
from nets.variables import SlimVariables


def test_anchors_are_24564_from_64_cells_to_one():
    assert [layer.size for layer in PARAMETERS.layers] == [64, 32, 16, 8, 4, 2, 1]
    assert [layer.anchors_per_cell for layer in PARAMETERS.layers] == [4, 6, 6, 6, 6, 4, 4]
    assert PARAMETERS.num_anchors == 24564
    assert all(layer.size * layer.step == 512 for layer in PARAMETERS.layers)


@pytest.mark.parametrize(
    ("preset", "first", "last"), [("voc", 35.84, 460.8), ("coco", 20.48, 460.8)]
)
def test_first_square_of_the_first_and_last_layer(preset, first, last):
    """Centre of the first cell (4, 4) pixels; the last layer has one cell, in the middle."""
    made = anchors.make(PARAMETERS, PARAMETERS.sizes_of(preset)) * 512
    half, size = first / 2, last / 2
    np.testing.assert_allclose(made[0], [4 - half, 4 - half, 4 + half, 4 + half], atol=1e-3)
    np.testing.assert_allclose(made[-4], [256 - size] * 2 + [256 + size] * 2, atol=1e-3)


@pytest.mark.parametrize("preset", PARAMETERS.anchor_sizes)
def test_sizes_are_those_of_caffes_rule(preset):
    """From the second on, hundredths of the image in equal steps, each with the next's mean."""
    share, step = {"voc": (15, 15), "coco": (10, 16)}[preset]
    later = [(share + step * k) / 100 * 512 for k in range(7)]
    squares = PARAMETERS.anchor_sizes[preset]
    assert [own for own, _ in squares[1:]] == pytest.approx(later[:6])
    between = [math.sqrt(own * following) for own, following in itertools.pairwise(later)]
    assert [mean for _, mean in squares[1:]] == pytest.approx(between)


def test_block12_shrinks_two_cells_to_one():
    assert [block.pad for block in EXTRA_BLOCKS] == [1] * 5
    assert [block.stride for block in EXTRA_BLOCKS] == [2, 2, 2, 2, 1]


def test_variables_are_those_of_published_checkpoints():
    owner = SlimVariables(seed=0)

    def run(inputs):
        with owner.scope("ssd_512_vgg"):
            build = get_network("ssd_512_vgg").build
            return build(inputs, num_classes=21, depth_multiplier=0.125)

    spec = tf.TensorSpec([1, 512, 512, 3], tf.float32)
    graph = tf.function(run, autograph=False).get_concrete_function(spec)
    logits, offsets, end_points = graph.structured_outputs
    assert (logits.shape, offsets.shape) == ((1, 24564, 21), (1, 24564, 4))
    for layer in PARAMETERS.layers:
        assert end_points[layer.name].shape[1:3] == [layer.size] * 2
    shapes = {name: tuple(variable.shape) for name, variable in owner.by_name.items()}
    assert len(shapes) == 71 + 8
    assert shapes["ssd_512_vgg/block12/conv1x1/weights"] == (1, 1, 32, 16)
    assert shapes["ssd_512_vgg/block12/conv4x4/weights"] == (4, 4, 16, 32)
    assert shapes["ssd_512_vgg/block12_box/conv_loc/weights"] == (3, 3, 32, 16)
    assert shapes["ssd_512_vgg/block11/conv3x3/weights"] == (3, 3, 16, 32)
