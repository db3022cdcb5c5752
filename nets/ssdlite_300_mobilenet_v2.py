"""SSDLite on MobileNetV2, 300 pixels, as the Object Detection API built it (model zoo 1).

Sources: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), and the
checkpoint `ssdlite_mobilenet_v2_coco_2018_05_09`, whose variable names these are; no scope stands
above them. Every predictor and extra layer is a depthwise convolution and one of 1x1.

Surprising: SAME padding everywhere, also where strides are 2; checkpoints of the API have another
order of box codes (`object_detection_api`), a depth multiplier keeps channels multiples of 8.
"""

import itertools
from collections.abc import Mapping

import tensorflow as tf
import tf_slim as slim

from nets import object_detection_api
from nets.network import CheckpointDefaults, ImportRules, Network, Shapes
from nets.normalized_layers import BatchNorm, conv2d, depthwise_conv2d
from nets.parameters import LARGE, SMALL, FeatureLayer, SSDParameters
from nets.variables import INITIALIZERS, Initializer, constant, layer_scope

_BACKBONE = "FeatureExtractor/MobilenetV2"
# Expansion, channels, repeats, stride of the first: table 2 of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_LAST, _FIRST = 1280, 32
_TAP = "expanded_conv_13"  # its expansion is the first map
_EXTRA_DEPTHS = (512, 256, 256, 128)

_FIRST_MAP = ((SMALL, 1.0), (LARGE, 2.0), (LARGE, 0.5))
_OTHER_MAPS = (*((SMALL, ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 0.3333)), (LARGE, 1.0))
_SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
_SQUARES = (
    (0.1 * 300, 0.2 * 300),
    *((300 * a, 300 * (a * b) ** 0.5) for a, b in itertools.pairwise(_SCALES[1:])),
)
PARAMETERS = SSDParameters(
    name="ssdlite_300_mobilenet_v2",
    image_size=(300, 300),
    layers=(
        FeatureLayer(_TAP, 19, _FIRST_MAP, 300 / 19),
        FeatureLayer("Conv_1", 10, _OTHER_MAPS, 300 / 10),
        FeatureLayer("extra_2", 5, _OTHER_MAPS, 300 / 5),
        FeatureLayer("extra_3", 3, _OTHER_MAPS, 300 / 3),
        FeatureLayer("extra_4", 2, _OTHER_MAPS, 300 / 2),
        FeatureLayer("extra_5", 1, _OTHER_MAPS, 300 / 1),
    ),
    anchor_sizes={"voc": _SQUARES, "coco": _SQUARES},  # the API has one set for both
)


def network(
    inputs: tf.Tensor,
    *,
    num_classes: int,
    depth_multiplier: float = 1.0,
    initializer: str = "he",
    training: bool = False,
) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
    """Call inside `SlimVariables.scope("")`; as `ssd_vgg_300.network` otherwise.

    Args:
      inputs: f[B, 300, 300, 3] in -1 to 1.
      num_classes: C, background counted.
      depth_multiplier: factor on every layer's channels, which stay multiples of 8.
      initializer: of weights, by name.
      training: whether batch norm takes the batch's statistics.
    """
    with slim.arg_scope(
        [conv2d, depthwise_conv2d],
        norm=BatchNorm(training=training),
        initializer=INITIALIZERS[initializer],
    ):
        with layer_scope("FeatureExtractor"), layer_scope("MobilenetV2"):
            end_points = backbone(inputs, depth_multiplier)
            net = end_points["Conv_1"]
            for number, depth in enumerate(_EXTRA_DEPTHS, 2):
                net = _extra(net, number, depth, depth_multiplier)
                end_points[f"extra_{number}"] = net
        predictions = _predictions(end_points, num_classes, INITIALIZERS[initializer])
    return *predictions, end_points


def backbone(inputs: tf.Tensor, depth_multiplier: float) -> dict[str, tf.Tensor]:
    """MobileNetV2 without its classifier: the end of every block, of one what it expands to."""
    end_points, names = {}, map("expanded_conv_{}".format, itertools.count())
    net = conv2d(inputs, scaled(_FIRST, depth_multiplier), 3, stride=2, scope="Conv")
    for factor, depth, repeats, stride in _STAGES:
        depth = scaled(depth, depth_multiplier)
        for repeat in range(repeats):
            name = next(names).removesuffix("_0")
            net, expanded = _bottleneck(net, factor, depth, 1 if repeat else stride, scope=name)
            end_points[name] = expanded if name == _TAP else net
    end_points["Conv_1"] = conv2d(net, scaled(_LAST, depth_multiplier), 1, scope="Conv_1")
    return end_points


def _bottleneck(
    inputs: tf.Tensor, factor: int, depth: int, stride: int, *, scope: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Expand, filter and project; returns the block's output and what was expanded."""
    with layer_scope(scope):
        expanded = inputs
        if factor > 1:
            expanded = conv2d(inputs, inputs.shape[-1] * factor, 1, scope="expand")
        net = depthwise_conv2d(expanded, stride=stride, scope="depthwise")
        net = conv2d(net, depth, 1, scope="project", activation=tf.identity)
        return (inputs + net if inputs.shape[1:] == net.shape[1:] else net), expanded


def _extra(inputs: tf.Tensor, number: int, depth: int, depth_multiplier: float) -> tf.Tensor:
    """A layer of the feature pyramid: squeeze, depthwise with stride 2, widen."""
    squeezed, widened = (max(16, int(d * depth_multiplier)) for d in (depth // 2, depth))
    net = conv2d(inputs, squeezed, 1, scope=f"layer_19_1_Conv2d_{number}_1x1_{depth // 2}")
    name = f"layer_19_2_Conv2d_{number}_3x3_s2_{depth}"
    net = depthwise_conv2d(net, stride=2, scope=f"{name}_depthwise")
    return conv2d(net, widened, 1, scope=name)


def _predictions(
    end_points: Mapping[str, tf.Tensor], num_classes: int, initializer: Initializer
) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits [B, A, C] and offsets [B, A, 4]: anchors in the order layer, row, column, anchor."""
    logits, offsets = [], []
    for number, layer in enumerate(PARAMETERS.layers):
        with layer_scope(f"BoxPredictor_{number}"):
            for scope, values, found in (
                ("BoxEncodingPredictor", 4, offsets),
                ("ClassPredictor", num_classes, logits),
            ):
                net = depthwise_conv2d(end_points[layer.name], scope=f"{scope}_depthwise")
                net = slim.conv2d(
                    net,
                    layer.anchors_per_cell * values,
                    [1, 1],
                    activation_fn=None,
                    weights_initializer=initializer,
                    biases_initializer=constant(0.0),
                    scope=scope,
                )
                cells = layer.size**2 * layer.anchors_per_cell
                found.append(tf.reshape(net, [tf.shape(net)[0], cells, values]))
    return tf.concat(logits, axis=1), tf.concat(offsets, axis=1)


def scaled(depth: int, depth_multiplier: float) -> int:
    """Channels of a layer that has `depth` at full width: a multiple of 8, slim's rule."""
    wanted = depth * depth_multiplier
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def read_depth_multiplier(shapes: Shapes, scope: str) -> float:
    """The width that gives the first, the tapped and the last layer their channels."""
    del scope
    widths = {
        "Conv": (_FIRST, shapes[f"{_BACKBONE}/Conv/weights"][-1]),
        "expanded_conv_12/project": (
            96,
            shapes[f"{_BACKBONE}/expanded_conv_12/project/weights"][-1],
        ),
        "Conv_1": (_LAST, shapes[f"{_BACKBONE}/Conv_1/weights"][-1]),
    }
    for factor in (1.0, widths["Conv_1"][1] / _LAST, 0.35, 0.5, 0.75, 1.3, 1.4):
        if all(scaled(full, factor) == there for full, there in widths.values()):
            return factor
    found = {name: there for name, (_, there) in widths.items()}
    raise ValueError(f"no factor gives {found} channels")


NETWORK = Network(
    PARAMETERS,
    network,
    scope="",
    first_layer=f"{_BACKBONE}/Conv",
    class_head="BoxPredictor_{number}/ClassPredictor",
    box_head="BoxPredictor_{number}/BoxEncodingPredictor",
    rgb_means=(127.5, 127.5, 127.5),
    input_scale=1 / 127.5,
    undescribed=CheckpointDefaults(
        anchors="coco",
        input_scale=1 / 127.5,
        score="sigmoid",
        half_pixel_centers=False,
        labels=object_detection_api.LABELS,
    ),
    has_batch_norm=True,
    read_depth_multiplier=read_depth_multiplier,
    imports=ImportRules(
        classifier="MobileNetV2",
        backbone=(_BACKBONE, "MobilenetV2"),
        translate=object_detection_api.permute_box_code,
    ),
)
