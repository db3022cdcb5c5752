"""A network for tests and tries: 32 pixels, four convolutions, some ten thousands of weights.

It keeps every convention of the large ones, trains, scores and exports through the same scripts in
seconds, and finds objects that fill much of an image.
"""

import tensorflow as tf
import tf_slim as slim

from nets import ssd_vgg_300
from nets.network import Network
from nets.parameters import FeatureLayer, SSDParameters, caffe_shapes, chained

_TWO = caffe_shapes(2.0, 1 / 2)
PARAMETERS = SSDParameters(
    name="ssd_32_tiny",
    image_size=(32, 32),
    layers=(
        FeatureLayer("block2", 8, _TWO, 4),
        FeatureLayer("block3", 4, _TWO, 8),
        FeatureLayer("block4", 2, _TWO, 16),
    ),
    anchor_sizes={"voc": chained(6.0, 12.0, 20.0, 30.0), "coco": chained(4.0, 10.0, 18.0, 28.0)},
)
_WIDTHS = {"conv1": 16, "conv2": 32, "conv3": 32, "conv4": 32}


def network(
    inputs: tf.Tensor,
    *,
    num_classes: int,
    depth_multiplier: float = 1.0,
    initializer: str = "xavier",
    training: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
    """Four convolutions, each of which halves the image; as `ssd_vgg_300.network` otherwise."""
    del training  # no layer here behaves in another way
    net, end_points = inputs, {}
    with ssd_vgg_300.arg_scope(initializer):
        for number, (name, width) in enumerate(_WIDTHS.items(), 1):
            depth = ssd_vgg_300.scaled(width, depth_multiplier)
            net = slim.conv2d(net, depth, [3, 3], stride=2, scope=name)
            end_points[f"block{number}"] = net
        return *ssd_vgg_300.predictions(end_points, PARAMETERS, num_classes), end_points


def read_depth_multiplier(shapes, scope: str) -> float:
    """A factor that gives the layers of a checkpoint the channels that they have."""
    widths = {name: shapes[f"{scope}/{name}/weights"][-1] for name in _WIDTHS}
    factor = widths["conv2"] / _WIDTHS["conv2"]
    if any(ssd_vgg_300.scaled(_WIDTHS[name], factor) != n for name, n in widths.items()):
        raise ValueError(f"no factor gives {widths} channels of {_WIDTHS}")
    return factor


NETWORK = Network(
    PARAMETERS,
    network,
    first_layer="conv1",
    read_depth_multiplier=read_depth_multiplier,
)
