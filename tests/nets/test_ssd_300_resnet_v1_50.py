"""SSD-300 on ResNet-50: names, sizes and widths, and slim's own network on the same weights."""

import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim
from tf_slim.nets import resnet_v1

from model import checkpoints
from nets import analysis, pretrained, ssd_300_resnet_v1_50
from nets.pretrained import Request
from nets.ssd_300_resnet_v1_50 import NETWORK, PARAMETERS
from nets.ssd_vgg_300 import scaled
from nets.variables import SlimVariables
from runtime.errors import InputError

SHAPES = {  # by hand from the paper's table, slim's names and NVIDIA's extra layers
    "resnet_v1_50/conv1/weights": (7, 7, 3, 64),
    "resnet_v1_50/conv1/BatchNorm/moving_variance": (64,),
    "resnet_v1_50/block1/unit_1/bottleneck_v1/shortcut/weights": (1, 1, 64, 256),
    "resnet_v1_50/block1/unit_1/bottleneck_v1/conv1/weights": (1, 1, 64, 64),
    "resnet_v1_50/block1/unit_3/bottleneck_v1/conv2/weights": (3, 3, 64, 64),
    "resnet_v1_50/block2/unit_1/bottleneck_v1/shortcut/BatchNorm/gamma": (512,),
    "resnet_v1_50/block2/unit_4/bottleneck_v1/conv3/weights": (1, 1, 128, 512),
    "resnet_v1_50/block3/unit_1/bottleneck_v1/shortcut/weights": (1, 1, 512, 1024),
    "resnet_v1_50/block3/unit_6/bottleneck_v1/conv3/weights": (1, 1, 256, 1024),
    "extra_1/conv1x1/weights": (1, 1, 1024, 256),
    "extra_1/conv3x3/weights": (3, 3, 256, 512),
    "extra_3/conv1x1/BatchNorm/beta": (128,),
    "extra_5/conv3x3/weights": (3, 3, 128, 256),
    "block3_box/conv_cls/weights": (3, 3, 1024, 4 * 81),
    "extra_1_box/conv_loc/biases": (6 * 4,),
    "extra_5_box/conv_cls/biases": (4 * 81,),
}
# Slim's own strides but for the second and third block's, which are 2 there.
SLIM_BLOCKS = (("block1", 64, 3, 2), ("block2", 128, 4, 1), ("block3", 256, 6, 1))


def build(
    owner: SlimVariables, inputs: tf.Tensor, *, width: float = 1.0, num_classes: int = 3
) -> dict[str, tf.Tensor]:
    """The end points."""
    with owner.scope(PARAMETERS.name):
        return ssd_300_resnet_v1_50.network(
            inputs, num_classes=num_classes, depth_multiplier=width
        )[2]


def trace(*, width: float = 1.0, num_classes: int = 3) -> tuple[SlimVariables, tf.Graph, dict]:
    """Variables, graph and shapes of the end points; nothing is computed."""
    owner = SlimVariables(seed=0)
    found = tf.function(
        lambda inputs: build(owner, inputs, width=width, num_classes=num_classes), autograph=False
    ).get_concrete_function(tf.TensorSpec([1, 300, 300, 3]))
    maps = {name: tuple(shape[1:]) for name, shape in found.output_shapes.items()}
    return owner, found.graph, maps


def shapes_of(owner: SlimVariables) -> dict[str, tuple[int, ...]]:
    return {name: tuple(each.shape) for name, each in owner.by_name.items()}


@pytest.fixture(scope="module")
def full():
    return trace(num_classes=81)


def test_variables_have_slims_names(full):
    shapes = {name.removeprefix(f"{PARAMETERS.name}/"): s for name, s in shapes_of(full[0]).items()}
    assert SHAPES.items() <= shapes.items()
    # 1 + 3 blocks' shortcuts + 3 in each of 13 units + 2 in each of 5 extra layers, then 12 heads.
    assert len(shapes) == 53 * 5 + 12 * 2
    assert [name for name in shapes if "shortcut/weights" in name] == [
        f"resnet_v1_50/block{k}/unit_1/bottleneck_v1/shortcut/weights" for k in (1, 2, 3)
    ]


def test_sizes_are_those_of_nvidias_network_but_for_where_the_stride_is(full):
    """22.9 M parameters and 20.2 G multiply-adds are published for 81 classes."""
    owner, graph, _ = full
    trained = [each for each in owner.by_name.values() if each.trainable]
    assert sum(np.prod(each.shape) for each in trained) == 22_894_902
    found = sum(row.multiply_adds for row in analysis.layers(graph, owner.by_name))
    assert found == 19_791_273_216
    later = (
        9 * 64 * 64 + 64 * 256 + 256 * 128
    )  # what is strided in block1 here, and in block2 there
    assert (found + later * (75**2 - 38**2)) / 1e9 == pytest.approx(20.2, abs=0.06)


def test_maps_are_those_of_ssd_300(full):
    assert full[2] == {
        "block1": (38, 38, 256),
        "block2": (38, 38, 512),
        "block3": (38, 38, 1024),
        "extra_1": (19, 19, 512),
        "extra_2": (10, 10, 512),
        "extra_3": (5, 5, 256),
        "extra_4": (3, 3, 256),
        "extra_5": (1, 1, 256),
    }
    assert PARAMETERS.num_anchors == 8732
    assert [layer.anchors_per_cell for layer in PARAMETERS.layers] == [4, 6, 6, 6, 4, 4]


@pytest.mark.parametrize("width", [0.02, 1 / 3])
def test_width_of_a_checkpoint_is_told_by_its_shapes(width):
    owner = trace(width=width)[0]
    classes, told = NETWORK.read_shapes(shapes_of(owner))
    assert classes == 3
    for full in (64, 128, 256, 512, 1024):  # every layer but the heads has one of these
        assert scaled(full, told) == scaled(full, width)
    wrong = {**shapes_of(owner), f"{PARAMETERS.name}/resnet_v1_50/conv1/weights": (7, 7, 3, 24)}
    with pytest.raises(ValueError, match="no factor gives"):
        NETWORK.read_shapes(wrong)


def test_full_width_is_told_by_its_shapes(full):
    assert NETWORK.read_shapes(shapes_of(full[0])) == (81, 1.0)


def batch_norm(inputs: tf.Tensor, *, epsilon: float, **others) -> tf.Tensor:
    """Slim's in evaluation, which needs a package that is not here, tf_keras."""
    del others
    with tf.compat.v1.variable_scope("BatchNorm"):
        mean, variance, beta, gamma = (
            tf.compat.v1.get_variable(name, [inputs.shape[-1]])
            for name in ("moving_mean", "moving_variance", "beta", "gamma")
        )
    return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, epsilon)


def slims_network(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
    """End points of slim's ResNet-50 without its fourth block, in a TF 1 graph."""
    with (
        slim.arg_scope(resnet_v1.resnet_arg_scope()),
        slim.arg_scope([slim.conv2d], normalizer_fn=batch_norm),
    ):
        return resnet_v1.resnet_v1(
            inputs,
            [resnet_v1.resnet_v1_block(*each) for each in SLIM_BLOCKS],
            is_training=False,
            global_pool=False,
            scope="resnet_v1_50",
        )[1]


def random_values(variables: list[tf.Variable]) -> dict[str, np.ndarray]:
    draw, values = np.random.default_rng(0), {}
    for variable in variables:
        name, shape = variable.op.name, variable.shape
        values[name] = draw.normal(0.0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        if name.endswith(("gamma", "moving_variance")):
            values[name] = draw.uniform(0.5, 1.5, shape)
    return {name: value.astype(np.float32) for name, value in values.items()}


def test_backbone_computes_what_slims_does_from_the_same_checkpoint(tmp_path):
    path, v1, graph = str(tmp_path / "resnet_v1_50.ckpt"), tf.compat.v1, tf.Graph()
    image = np.random.default_rng(1).normal(0.0, 60.0, (1, 300, 300, 3)).astype(np.float32)
    with graph.as_default():
        end_points = slims_network(tf.constant(image))
        tensors = random_values(v1.global_variables())
    checkpoints.write(path, tensors)
    with graph.as_default(), v1.Session() as session:
        v1.train.Saver().restore(session, path)
        wanted = session.run(end_points)
    owner = SlimVariables(seed=0)
    build(owner, tf.constant(image))
    there = {name: value.shape for name, value in tensors.items()}
    plan = pretrained.make_plan(shapes_of(owner), there, Request(path), network=NETWORK)
    for name, value in pretrained.values(plan, tensors.__getitem__, network=NETWORK).items():
        owner.by_name[name].assign(value)
    made = build(owner, tf.constant(image))
    for name, *_ in SLIM_BLOCKS:
        (value,) = (each for place, each in wanted.items() if place.endswith(f"/{name}"))
        np.testing.assert_allclose(made[name], value, atol=1e-4 * np.abs(value).max())


def test_plan_fills_the_backbone_and_starts_the_rest_new(full):
    """Names of slim's resnet_v1_50.ckpt, which has a fourth block, a classifier and a mean."""
    shapes = shapes_of(full[0])
    scope = f"{PARAMETERS.name}/"
    there = {
        name.removeprefix(scope): shape
        for name, shape in shapes.items()
        if name.startswith(f"{scope}resnet_v1_50/")
    }
    count = len(there)
    assert count == (1 + 3 + 13 * 3) * 5
    there["resnet_v1_50/block4/unit_1/bottleneck_v1/conv1/weights"] = (1, 1, 1024, 512)
    there["resnet_v1_50/logits/weights"] = (1, 1, 2048, 1000)
    there["resnet_v1_50/mean_rgb"] = (3,)
    plan = pretrained.make_plan(shapes, there, Request("c"), network=NETWORK)
    assert (plan.count("renamed"), plan.count("new")) == (count, len(shapes) - count)
    first = "resnet_v1_50/conv1/weights"
    assert plan.rows[0] == (f"{scope}{first}", "renamed", first)
    new = {row.name.split("/")[1] for row in plan.rows if row.action == "new"}
    extras = [f"extra_{k}" for k in range(1, 6)]
    assert new == {*extras, "block3_box", *(f"{name}_box" for name in extras)}
    with pytest.raises(InputError, match="a checkpoint of SSD or ResNet-50 in slim's names"):
        pretrained.make_plan(shapes, {"conv1/weights": (1,)}, Request("c"), network=NETWORK)
