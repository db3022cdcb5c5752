"""SSD on VGG-16, in slim: fully convolutional VGG, extra blocks, and a box predictor per layer.

Source: Liu et al., "SSD: Single Shot MultiBox Detector" (2016), and its Caffe code. Variable names
are those of published slim and Caffe-converted checkpoints. One function describes the network for
every image size; what differs is in `SSDParameters` and in the list of extra blocks, as in
`ssd_vgg_512.py`.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf
import tf_slim as slim

from nets import custom_layers, vgg_weights
from nets.network import Network, Shapes
from nets.parameters import FeatureLayer, SSDParameters, caffe_shapes, chained
from nets.variables import INITIALIZERS, constant, layer_scope


class Block(NamedTuple):
    """An extra block: 1x1 down to `squeeze`, then `kernel` x `kernel` up to `depth`."""

    name: str
    squeeze: int
    depth: int
    stride: int
    kernel: int = 3

    @property
    def pad(self) -> int:
        """Pixels of zeros on each side: none where a 3x3 kernel alone shrinks the map."""
        return 0 if (self.stride, self.kernel) == (1, 3) else 1


_NARROWEST = 8  # channels, whatever the factor
_TWO, _FOUR = caffe_shapes(2.0, 1 / 2), caffe_shapes(2.0, 1 / 2, 3.0, 1 / 3)
PARAMETERS = SSDParameters(
    name="ssd_300_vgg",
    image_size=(300, 300),
    layers=(
        FeatureLayer("block4", 38, _TWO, 8, normalization=20.0),
        FeatureLayer("block7", 19, _FOUR, 16),
        FeatureLayer("block8", 10, _FOUR, 32),
        FeatureLayer("block9", 5, _FOUR, 64),
        FeatureLayer("block10", 3, _TWO, 100),
        FeatureLayer("block11", 1, _TWO, 300),
    ),
    anchor_sizes={
        "voc": chained(30.0, 60.0, 111.0, 162.0, 213.0, 264.0, 315.0),
        "coco": chained(21.0, 45.0, 99.0, 153.0, 207.0, 261.0, 315.0),
    },
)
# Full widths: every layer but the predictors has one of these.
WIDTHS = {
    "conv1/conv1_1": 64,
    "conv2/conv2_1": 128,
    "conv3/conv3_1": 256,
    "conv4/conv4_1": 512,
    "conv7": 1024,
}
EXTRA_BLOCKS = (
    Block("block8", 256, 512, 2),
    Block("block9", 128, 256, 2),
    Block("block10", 128, 256, 1),
    Block("block11", 128, 256, 1),
)


def network(
    inputs: tf.Tensor,
    *,
    num_classes: int,
    parameters: SSDParameters = PARAMETERS,
    extra_blocks: Sequence[Block] = EXTRA_BLOCKS,
    depth_multiplier: float = 1.0,
    initializer: str = "xavier",
    training: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
    """SSD on VGG-16; call inside `SlimVariables.scope(parameters.name)`.

    Args:
      inputs: f[B, S, S, 3] of the parameters' image size, RGB minus mean, already times the
        input scale.
      num_classes: C, background counted.
      parameters: the geometry.
      extra_blocks: what follows conv7, in their order; each is an end point.
      depth_multiplier: factor on every layer's channels.
      initializer: "xavier" (the reference) or "he" (from scratch).
      training: nothing here depends on it.

    Returns:
      logits f[B, A, C], offsets f[B, A, 4] in the order x, y, w, h, and the end points by name.
    """
    del training
    with arg_scope(initializer):
        end_points = backbone(inputs, depth_multiplier)
        net = end_points["block7"]
        for block in extra_blocks:
            net = extra_block(net, block, depth_multiplier)
            end_points[block.name] = net
        return *predictions(end_points, parameters, num_classes), end_points


@contextlib.contextmanager
def arg_scope(initializer: str) -> Iterator[None]:
    """SAME padding, ReLU, zero biases and the named initializer on every convolution."""
    with (
        slim.arg_scope([slim.conv2d, slim.max_pool2d], padding="SAME"),
        slim.arg_scope(
            [slim.conv2d, custom_layers.dilated_conv2d],
            activation_fn=tf.nn.relu,
            weights_initializer=INITIALIZERS[initializer],
            biases_initializer=constant(0.0),
        ),
    ):
        yield


def backbone(inputs: tf.Tensor, depth_multiplier: float) -> dict[str, tf.Tensor]:
    """VGG-16 with fc6 and fc7 as convolutions: end points block1 to block7 (conv7)."""
    end_points, net = {}, inputs
    for number, (repeats, depth) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        depth = scaled(depth, depth_multiplier)
        net = slim.repeat(net, repeats, slim.conv2d, depth, [3, 3], scope=f"conv{number}")
        end_points[f"block{number}"] = net
        kernel, stride = ([3, 3], 1) if number == 5 else ([2, 2], 2)
        net = slim.max_pool2d(net, kernel, stride=stride, scope=f"pool{number}")
    depth = scaled(1024, depth_multiplier)
    net = custom_layers.dilated_conv2d(net, depth, [3, 3], rate=6, scope="conv6")
    end_points["block6"] = net
    end_points["block7"] = slim.conv2d(net, depth, [1, 1], scope="conv7")
    return end_points


def extra_block(inputs: tf.Tensor, block: Block, depth_multiplier: float) -> tf.Tensor:
    """conv1x1, then a convolution that shrinks the feature map."""
    with layer_scope(block.name):
        squeeze = scaled(block.squeeze, depth_multiplier)
        net = slim.conv2d(inputs, squeeze, [1, 1], scope="conv1x1")
        if block.pad:
            net = custom_layers.pad2d(net, block.pad)
        depth, kernel = scaled(block.depth, depth_multiplier), [block.kernel] * 2
        scope = f"conv{block.kernel}x{block.kernel}"
        return slim.conv2d(net, depth, kernel, stride=block.stride, padding="VALID", scope=scope)


def predictions(
    end_points: dict[str, tf.Tensor], parameters: SSDParameters, num_classes: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits [B, A, C] and offsets [B, A, 4]: anchors in the order layer, row, column, anchor."""
    logits, offsets = [], []
    for layer in parameters.layers:
        net = end_points[layer.name]
        with layer_scope(f"{layer.name}_box"):
            if layer.normalization is not None:
                net = custom_layers.l2_normalization(net, scale=layer.normalization)
            offsets.append(_predictor(net, layer.anchors_per_cell, 4, "conv_loc"))
            logits.append(_predictor(net, layer.anchors_per_cell, num_classes, "conv_cls"))
    return tf.concat(logits, axis=1), tf.concat(offsets, axis=1)


def _predictor(net: tf.Tensor, anchors: int, values: int, scope: str) -> tf.Tensor:
    net = slim.conv2d(net, anchors * values, [3, 3], activation_fn=None, scope=scope)
    return tf.reshape(net, [tf.shape(net)[0], net.shape[1] * net.shape[2] * anchors, values])


def find_depth_multiplier(widths: Mapping[str, int], full: Mapping[str, int] = WIDTHS) -> float:
    """A factor that gives a network's layers the channels that they have.

    Several factors give the same network, since channels are whole numbers; of each layer's range
    of factors, all have to hold.

    Args:
      widths: channels of each layer of `full`.
      full: full widths.

    Raises:
      ValueError: no factor gives all of them.
    """
    wider = {name: n for name, n in widths.items() if n > _NARROWEST}
    lowest = max(((n - 0.5) / full[name] for name, n in wider.items()), default=0.0)
    highest = min((n + 0.5) / full[name] for name, n in widths.items())
    widest = max(full, key=lambda name: full[name])
    for factor in (widths[widest] / full[widest], (lowest + highest) / 2):
        if all(scaled(full[name], factor) == n for name, n in widths.items()):
            return factor
    raise ValueError(f"no factor gives {dict(widths)} channels of {dict(full)}")


def scaled(depth: int, depth_multiplier: float) -> int:
    """Channels of a layer that has `depth` at full width."""
    return max(_NARROWEST, round(depth * depth_multiplier))


def read_depth_multiplier(shapes: Shapes, scope: str) -> float:
    """`find_depth_multiplier` of the variables below `scope`."""
    widths = {name: shapes[f"{scope}/{name}/weights"][-1] for name in WIDTHS}
    return find_depth_multiplier(widths)


NETWORK = Network(
    PARAMETERS,
    network,
    first_layer="conv1/conv1_1",
    read_depth_multiplier=read_depth_multiplier,
    imports=vgg_weights.IMPORTS,
)
