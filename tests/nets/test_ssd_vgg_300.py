"""The network: the checkpoint contract, RECIPE's geometry, and a plain reading with tf.nn."""

import numpy as np
import pytest
import tensorflow as tf

from nets import ssd_vgg_300
from nets.ssd_vgg_300 import EXTRA_BLOCKS, PARAMETERS, Block
from nets.variables import SlimVariables, constant

VGG = {1: [64] * 2, 2: [128] * 2, 3: [256] * 3, 4: [512] * 3, 5: [512] * 3}
EXTRAS = {"block8": (256, 512), "block9": (128, 256), "block10": (128, 256), "block11": (128, 256)}
HEADS = {
    "block4": (512, 4),
    "block7": (1024, 6),
    "block8": (512, 6),
    "block9": (256, 6),
    "block10": (256, 4),
    "block11": (256, 4),
}
SIZES = {"block4": 38, "block7": 19, "block8": 10, "block9": 5, "block10": 3, "block11": 1}
NARROW = 0.125


def wanted_shapes(num_classes: int) -> dict[str, tuple[int, ...]]:
    """FLAGS.md, 'Checkpoint names', with the depths of RECIPE.md."""
    found, depth = {}, 3

    def convolution(name: str, kernel: int, inputs: int, outputs: int) -> int:
        found[f"ssd_300_vgg/{name}/weights"] = (kernel, kernel, inputs, outputs)
        found[f"ssd_300_vgg/{name}/biases"] = (outputs,)
        return outputs

    for block, depths in VGG.items():
        for number, outputs in enumerate(depths, 1):
            depth = convolution(f"conv{block}/conv{block}_{number}", 3, depth, outputs)
    depth = convolution("conv7", 1, convolution("conv6", 3, depth, 1024), 1024)
    for name, (squeeze, outputs) in EXTRAS.items():
        squeezed = convolution(f"{name}/conv1x1", 1, depth, squeeze)
        depth = convolution(f"{name}/conv3x3", 3, squeezed, outputs)
    found["ssd_300_vgg/block4_box/L2Normalization/gamma"] = (512,)
    for name, (inputs, anchors) in HEADS.items():
        convolution(f"{name}_box/conv_loc", 3, inputs, anchors * 4)
        convolution(f"{name}_box/conv_cls", 3, inputs, anchors * num_classes)
    return found


def build(owner: SlimVariables, inputs, *, num_classes=2, depth_multiplier=NARROW, **options):
    dtype = options.pop("dtype", tf.float32)
    with owner.scope("ssd_300_vgg"):
        return ssd_vgg_300.network(
            tf.cast(inputs, dtype),
            num_classes=num_classes,
            depth_multiplier=depth_multiplier,
            **options,
        )


def picture(batch: int = 1) -> tf.Tensor:
    return tf.random.stateless_uniform([batch, 300, 300, 3], [3, 4], -2.0, 2.0)


@pytest.fixture(scope="module")
def owner() -> SlimVariables:
    """A narrow network with random biases, so that every variable shows in the result."""
    owner = SlimVariables(seed=1)
    build(owner, picture(), initializer="he")
    for k, (name, variable) in enumerate(owner.by_name.items()):
        if name.endswith("biases"):
            variable.assign(tf.random.stateless_normal(variable.shape, [k, 9], stddev=0.3))
    return owner


def plain_forward(weights: dict[str, tf.Variable], net: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """RECIPE.md with tf.nn alone, pads spelled out; for 2 classes."""

    def convolve(net, name, *, pad, stride=1, rate=1, relu=True):
        kernel = weights[f"ssd_300_vgg/{name}/weights"]
        padding = [[0, 0], [pad, pad], [pad, pad], [0, 0]]
        net = tf.nn.conv2d(net, kernel, stride, padding, dilations=rate)
        net = net + weights[f"ssd_300_vgg/{name}/biases"]
        return tf.nn.relu(net) if relu else net

    layers = {}
    for block, depths in VGG.items():
        for number in range(1, len(depths) + 1):
            net = convolve(net, f"conv{block}/conv{block}_{number}", pad=1)
        if block == 4:
            length = tf.sqrt(tf.reduce_sum(net**2, -1, keepdims=True) + 1e-10)
            gamma = weights["ssd_300_vgg/block4_box/L2Normalization/gamma"]
            layers["block4"] = net / length * gamma
        net = (
            tf.nn.max_pool2d(net, 3, 1, "SAME")
            if block == 5
            else tf.nn.max_pool2d(net, 2, 2, "SAME")
        )
    net = convolve(net, "conv6", pad=6, rate=6)
    layers["block7"] = net = convolve(net, "conv7", pad=0)
    for name, (pad, stride) in zip(EXTRAS, ((1, 2), (1, 2), (0, 1), (0, 1)), strict=True):
        net = convolve(net, f"{name}/conv1x1", pad=0)
        layers[name] = net = convolve(net, f"{name}/conv3x3", pad=pad, stride=stride)
    heads = {"conv_cls": [], "conv_loc": []}
    for name, net in layers.items():
        for head, found in heads.items():
            made = convolve(net, f"{name}_box/{head}", pad=1, relu=False)
            found.append(made.numpy().reshape(len(made), -1, 2 if head == "conv_cls" else 4))
    return tuple(np.concatenate(found, axis=1) for found in heads.values())


def test_variables_of_21_classes_are_those_of_published_checkpoints():
    owner = SlimVariables(seed=0)
    spec = tf.TensorSpec([None, 300, 300, 3], tf.float32)
    full = tf.function(lambda x: build(owner, x, num_classes=21, depth_multiplier=1.0)[:2])
    logits, offsets = full.get_concrete_function(spec).structured_outputs
    made = {name: tuple(variable.shape) for name, variable in owner.by_name.items()}
    assert made == wanted_shapes(21)
    assert len(made) == 71
    assert sum(int(np.prod(shape)) for shape in made.values()) == 26_285_486
    assert logits.shape.as_list() == [None, 8732, 21]
    assert offsets.shape.as_list() == [None, 8732, 4]


def test_scale_of_conv4_3_starts_at_20():
    owner = SlimVariables(seed=0)
    build(owner, picture())
    gamma = owner.by_name["ssd_300_vgg/block4_box/L2Normalization/gamma"].numpy()
    assert gamma.tolist() == [20.0] * 64


def test_biases_start_at_zero_and_weights_do_not():
    owner = SlimVariables(seed=0)
    build(owner, picture())
    for name, variable in owner.by_name.items():
        assert np.any(variable) != name.endswith("biases"), name


@pytest.mark.parametrize(("initializer", "variance"), [("xavier", 1), ("he", 2)])
def test_initializer_has_its_variance_over_fan_in(initializer, variance):
    owner = SlimVariables(seed=0)
    build(owner, picture(), initializer=initializer)
    weights = owner.by_name["ssd_300_vgg/conv6/weights"].numpy()
    np.testing.assert_allclose(weights.var() * 9 * 64, variance, rtol=0.02)


def test_feature_maps_have_the_recipes_sizes(owner):
    _, _, end_points = build(owner, picture())
    assert {name: end_points[name].shape[1] for name in SIZES} == SIZES
    assert {name: end_points[name].shape[2] for name in SIZES} == SIZES
    assert [layer.size for layer in PARAMETERS.layers] == list(SIZES.values())
    early = {name: end_points[name].shape[1] for name in ("block1", "block2", "block3", "block5")}
    assert early == {"block1": 300, "block2": 150, "block3": 75, "block5": 19}


def test_network_equals_a_plain_reading_of_the_recipe(owner):
    logits, offsets, _ = build(owner, picture(2))
    expected = plain_forward(owner.by_name, picture(2))
    np.testing.assert_allclose(logits, expected[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(offsets, expected[1], rtol=1e-3, atol=1e-4)
    assert np.std(expected[0][0] - expected[0][1]) > 0.01  # the images tell


def test_two_calls_give_identical_results_so_nothing_is_dropped(owner):
    first, second = build(owner, picture()), build(owner, picture())
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_network_says_the_same_eagerly_and_compiled(owner):
    eager = build(owner, picture())
    compiled = tf.function(lambda inputs: build(owner, inputs)[:2])(picture())
    np.testing.assert_allclose(compiled[0], eager[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(compiled[1], eager[1], rtol=1e-3, atol=1e-4)


def test_gradient_reaches_every_variable(owner):
    with tf.GradientTape() as tape:
        logits, offsets, _ = build(owner, picture())
        loss = tf.reduce_mean(logits**2) + tf.reduce_mean(offsets**2)
    gradients = tape.gradient(loss, owner.by_name)
    assert len(gradients) == 71
    for name, gradient in gradients.items():
        assert np.isfinite(gradient).all(), name
        assert np.any(gradient), name


def test_bfloat16_network_keeps_float32_variables_and_gradients(owner):
    with tf.GradientTape() as tape:
        logits, offsets, _ = build(owner, picture(), dtype=tf.bfloat16)
        loss = tf.reduce_mean(tf.cast(logits, tf.float32) ** 2)
    gradient = tape.gradient(loss, owner.by_name["ssd_300_vgg/conv1/conv1_1/weights"])
    assert (logits.dtype, offsets.dtype, gradient.dtype) == (tf.bfloat16, tf.bfloat16, tf.float32)
    assert {variable.dtype for variable in owner.by_name.values()} == {tf.float32}
    exact = build(owner, picture())[0].numpy()
    error = np.abs(tf.cast(logits, tf.float32) - exact)
    assert error.mean() < 0.02 * exact.std()


@pytest.mark.parametrize(
    ("depth_multiplier", "depths"),
    [(0.25, (16, 128, 64, 256)), (0.125, (8, 64, 32, 128)), (0.03, (8, 15, 8, 31))],
)
def test_depth_multiplier_scales_every_layer_but_the_heads(depth_multiplier, depths):
    owner = SlimVariables(seed=0)
    logits, offsets, _ = build(owner, picture(), depth_multiplier=depth_multiplier)
    assert (logits.shape, offsets.shape) == ((1, 8732, 2), (1, 8732, 4))
    layers = ("conv1/conv1_1", "conv5/conv5_3", "block8/conv1x1", "conv6")
    made = [owner.by_name[f"ssd_300_vgg/{layer}/biases"].shape[0] for layer in layers]
    assert tuple(made) == depths
    assert owner.by_name["ssd_300_vgg/block7_box/conv_cls/biases"].shape == (12,)
    assert len(owner.by_name) == 71


def weigh(owner: SlimVariables, name: str, value) -> None:
    owner.by_name[name].assign(tf.constant(value, tf.float32))


def shrink(block: Block, side: int, place: tuple[int, int]) -> np.ndarray:
    """One channel through a block with taps 1 to 9; the input is 1 at `place` and 0 elsewhere."""
    owner, inputs = SlimVariables(seed=0), np.zeros((1, side, side, 8), np.float32)
    inputs[0, *place, 0] = 1.0
    taps, first = np.zeros((3, 3, 8, 8)), np.zeros((1, 1, 8, 8))
    taps[..., 0, 0], first[0, 0, 0, 0] = np.arange(1, 10).reshape(3, 3), 1.0
    for _ in range(2):
        with owner.scope("net"), ssd_vgg_300.arg_scope("xavier"):
            made = ssd_vgg_300.extra_block(tf.constant(inputs), block, 1.0)
        weigh(owner, f"net/{block.name}/conv1x1/weights", first)
        weigh(owner, f"net/{block.name}/conv3x3/weights", taps)
    return made.numpy()[0, ..., 0]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (
            (0, 0),
            {(0, 0): 5},
        ),  # padded in front, so the middle tap; SAME would give the first tap, 1
        ((1, 1), {(0, 0): 9, (0, 1): 7, (1, 0): 3, (1, 1): 1}),
        ((9, 9), {(4, 4): 9}),
        ((4, 3), {(2, 1): 6, (2, 2): 4}),
    ],
)
def test_stride_2_pads_one_pixel_on_each_side_of_an_even_map(place, expected):
    made = shrink(Block("block9", 8, 8, 2), 10, place)
    assert made.shape == (5, 5)
    found = {tuple(map(int, where)): int(made[tuple(where)]) for where in np.argwhere(made)}
    assert found == expected


def test_stride_1_pads_nothing():
    made = shrink(Block("block10", 8, 8, 1), 5, (0, 0))
    assert made.shape == (3, 3)
    assert (made[0, 0], made.sum()) == (1, 1)


def test_extra_blocks_are_those_of_the_recipe():
    assert EXTRA_BLOCKS == (
        ("block8", 256, 512, 2, 3),
        ("block9", 128, 256, 2, 3),
        ("block10", 128, 256, 1, 3),
        ("block11", 128, 256, 1, 3),
    )


def test_conv6_reaches_6_pixels_and_pool5_1_pixel():
    # A value of conv6 looks through 3x3 taps 6 apart, each of which pool5 widens to 3x3.
    spare = SlimVariables(seed=2)
    with tf.GradientTape() as tape:
        with spare.scope("net"), ssd_vgg_300.arg_scope("he"):
            end_points = ssd_vgg_300.backbone(picture(), NARROW)
        one = tf.reduce_sum(end_points["block6"][0, 9, 9] ** 2)
    reached = np.abs(tape.gradient(one, end_points["block5"]).numpy()[0]).sum(-1) > 0
    rows, columns = map(sorted, (set(axis.tolist()) for axis in np.nonzero(reached)))
    near = {9 + step + side for step in (-6, 0, 6) for side in (-1, 0, 1)}
    assert set(rows) == set(columns) == near


def test_unknown_initializer_is_an_error():
    with pytest.raises(KeyError, match="glorot"), ssd_vgg_300.arg_scope("glorot"):
        pass


def test_heads_put_anchors_in_the_order_row_column_anchor():
    """The input numbers the cells, and the biases number anchor and value."""
    layer = PARAMETERS.layers[4]  # 3 x 3 cells, 4 anchors
    parameters = PARAMETERS._replace(layers=(layer,))
    cells = tf.reshape(tf.range(9.0), [1, 3, 3, 1])
    owner = SlimVariables(seed=0)
    for _ in range(2):
        with owner.scope("net"), ssd_vgg_300.arg_scope("xavier"):
            made = ssd_vgg_300.predictions({layer.name: cells}, parameters, 3)
        for head, values in (("conv_cls", 3), ("conv_loc", 4)):
            taps = np.zeros((3, 3, 1, 4 * values))
            taps[1, 1] = 1000.0
            weigh(owner, f"net/block10_box/{head}/weights", taps)
            weigh(owner, f"net/block10_box/{head}/biases", np.arange(4 * values))
    for found, values in zip(made, (3, 4), strict=True):
        expected = [
            [1000 * cell + values * anchor + k for k in range(values)]
            for cell in range(9)
            for anchor in range(4)
        ]
        np.testing.assert_allclose(found[0], expected)


def test_picture_of_constant_colour_passes_biases_alone():
    owner = SlimVariables(seed=0)
    build(owner, tf.zeros([1, 300, 300, 3]))
    logits, _, _ = build(owner, tf.zeros([1, 300, 300, 3]))
    assert not logits.numpy().any()
    head = "ssd_300_vgg/block11_box/conv_cls/biases"
    owner.by_name[head].assign(constant(1.5)((8,), seed=(0, 0)))
    logits, _, _ = build(owner, tf.zeros([1, 300, 300, 3]))
    assert logits[0, -4:].numpy().tolist() == [[1.5, 1.5]] * 4
    assert not logits[0, :-4].numpy().any()


@pytest.mark.parametrize("factor", [0.005, 0.03, 0.12, 0.22, 1 / 3])
def test_depth_multiplier_is_found_from_the_channels_of_some_layers(factor):
    owner, other = SlimVariables(seed=0), SlimVariables(seed=0)
    shapes(owner, factor)
    widths = {
        name: owner.by_name[f"ssd_300_vgg/{name}/weights"].shape[-1] for name in ssd_vgg_300.WIDTHS
    }
    assert shapes(other, ssd_vgg_300.find_depth_multiplier(widths)) == shapes(owner, factor)


def test_channels_of_no_depth_multiplier_are_refused():
    with pytest.raises(ValueError, match="no factor gives"):
        ssd_vgg_300.find_depth_multiplier({**ssd_vgg_300.WIDTHS, "conv3/conv3_1": 250})


def shapes(owner: SlimVariables, factor: float) -> dict[str, tuple[int, ...]]:
    """Of the variables of a network of this width; nothing is computed."""
    spec = tf.TensorSpec([1, 300, 300, 3])
    tf.function(lambda x: build(owner, x, depth_multiplier=factor)[:2]).get_concrete_function(spec)
    return {name: tuple(variable.shape) for name, variable in owner.by_name.items()}
