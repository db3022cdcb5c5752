"""SSD-300 on ResNet-50: slim's `resnet_v1_50` to its third block, and extra layers with batch norm.

Sources: He et al., "Deep Residual Learning for Image Recognition" (2015); slim's `resnet_v1_50`,
whose checkpoints fill the backbone; and NVIDIA's SSD300 (DeepLearningExamples, PyTorch), whose
extra layers, predictors and anchors these are.

A first map of 38 cells needs stride 8 after block3: conv1 300 -> 150, pool 75, block1 75 -> 38,
block2 and block3 38. slim has a block's stride in the 3x3 of its last unit: block1 keeps it, block2
and block3 do without. NVIDIA takes torchvision's ResNet, which has it in the first unit, and
removes that of the third block. In both, block3 runs at stride 8 where it was trained at 16, and is
not dilated.

Surprising: block1's last 3x3 and 1x1 and block2's first 1x1 see 38 x 38 cells here and 75 x 75 in
torchvision's: (9 * 64 * 64 + 64 * 256 + 256 * 128) * (75^2 - 38^2) = 0.36 G multiply-adds less. At
81 classes this network has 19.79 G, NVIDIA's 20.15 G; the weights have the same shapes, 22.9 M
numbers that are trained. Strided convolutions pad both ends alike (slim's `conv2d_same`), where
SAME pads an even side at its end only; the pool's padding is SAME.
"""

import tensorflow as tf
import tf_slim as slim

from nets import ssd_vgg_300
from nets.network import ImportRules, Network, Shapes
from nets.normalized_layers import BatchNorm, conv2d
from nets.ssd_vgg_300 import Block, scaled
from nets.variables import INITIALIZERS, layer_scope

_BACKBONE = "resnet_v1_50"
_EPSILON = 1e-5
_EXPANSION = 4  # output of a unit, in channels of its 3x3
# Channels of the 3x3, units, stride of the last: table 1 of the paper, the strides those above.
_BLOCKS = {"block1": (64, 3, 2), "block2": (128, 4, 1), "block3": (256, 6, 1)}
_TAP = "block3"
_EXTRA_BLOCKS = (
    Block("extra_1", 256, 512, 2),
    Block("extra_2", 256, 512, 2),
    Block("extra_3", 128, 256, 2),
    Block("extra_4", 128, 256, 1),
    Block("extra_5", 128, 256, 1),
)
# The anchors of SSD-300, which has maps of these sizes too; nothing has to be brought to a scale.
PARAMETERS = ssd_vgg_300.PARAMETERS._replace(
    name="ssd_300_resnet_v1_50",
    layers=tuple(
        layer._replace(name=name, normalization=None)
        for name, layer in zip(
            (_TAP, *(block.name for block in _EXTRA_BLOCKS)),
            ssd_vgg_300.PARAMETERS.layers,
            strict=True,
        )
    ),
)
# Full widths by which a checkpoint's is read.
_WIDTHS = {
    "conv1": 64,
    "block1/unit_1/bottleneck_v1/conv3": 256,
    "block2/unit_1/bottleneck_v1/conv1": 128,
    "block2/unit_1/bottleneck_v1/conv3": 512,
    "block3/unit_1/bottleneck_v1/conv3": 1024,
}


def network(
    inputs: tf.Tensor,
    *,
    num_classes: int,
    depth_multiplier: float = 1.0,
    initializer: str = "he",
    training: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
    """As `ssd_vgg_300.network`; `training` is whether batch norm takes the batch's statistics."""
    with (
        ssd_vgg_300.arg_scope(initializer),
        slim.arg_scope(
            [conv2d],
            norm=BatchNorm(epsilon=_EPSILON, training=training),
            initializer=INITIALIZERS[initializer],
            activation=tf.nn.relu,
        ),
    ):
        with layer_scope(_BACKBONE):
            end_points = backbone(inputs, depth_multiplier)
        net = end_points[_TAP]
        for block in _EXTRA_BLOCKS:
            net = _extra(net, block, depth_multiplier)
            end_points[block.name] = net
        return *ssd_vgg_300.predictions(end_points, PARAMETERS, num_classes), end_points


def backbone(inputs: tf.Tensor, depth_multiplier: float) -> dict[str, tf.Tensor]:
    """ResNet-50 without its fourth block and its classifier: the end of every block."""
    depth = scaled(_WIDTHS["conv1"], depth_multiplier)
    net = conv2d(inputs, depth, 7, stride=2, padding=3, scope="conv1")
    net = slim.max_pool2d(net, [3, 3], stride=2, scope="pool1")
    end_points = {}
    for name, (base, units, last_stride) in _BLOCKS.items():
        squeeze, depth = (scaled(each, depth_multiplier) for each in (base, base * _EXPANSION))
        with layer_scope(name):
            for number in range(1, units + 1):
                stride = last_stride if number == units else 1
                with layer_scope(f"unit_{number}"), layer_scope("bottleneck_v1"):
                    net = _bottleneck(net, squeeze, depth, stride=stride, widens=number == 1)
        end_points[name] = net
    return end_points


def _bottleneck(
    inputs: tf.Tensor, squeeze: int, depth: int, *, stride: int, widens: bool
) -> tf.Tensor:
    """1x1, 3x3 and 1x1, added to the input: to every `stride`-th cell of it, or a 1x1 of it."""
    if widens:
        shortcut = conv2d(inputs, depth, 1, stride=stride, scope="shortcut", activation=tf.identity)
    else:
        shortcut = inputs[:, ::stride, ::stride]
    net = conv2d(inputs, squeeze, 1, scope="conv1")
    padding = "SAME" if stride == 1 else 1
    net = conv2d(net, squeeze, 3, stride=stride, padding=padding, scope="conv2")
    net = conv2d(net, depth, 1, scope="conv3", activation=tf.identity)
    return tf.nn.relu(shortcut + net)


def _extra(inputs: tf.Tensor, block: Block, depth_multiplier: float) -> tf.Tensor:
    """1x1, then a 3x3 that shrinks the map."""
    squeeze, depth = (scaled(each, depth_multiplier) for each in (block.squeeze, block.depth))
    padding = block.pad or "VALID"
    with layer_scope(block.name):
        net = conv2d(inputs, squeeze, 1, scope="conv1x1")
        return conv2d(net, depth, 3, stride=block.stride, padding=padding, scope="conv3x3")


def read_depth_multiplier(shapes: Shapes, scope: str) -> float:
    """A factor that gives the backbone's layers the channels that they have."""
    widths = {name: shapes[f"{scope}/{_BACKBONE}/{name}/weights"][-1] for name in _WIDTHS}
    return ssd_vgg_300.find_depth_multiplier(widths, full=_WIDTHS)


NETWORK = Network(
    PARAMETERS,
    network,
    first_layer=f"{_BACKBONE}/conv1",
    rgb_means=(123.68, 116.779, 103.939),
    has_batch_norm=True,
    read_depth_multiplier=read_depth_multiplier,
    imports=ImportRules(classifier="ResNet-50"),
)
