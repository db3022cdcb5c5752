"""Padding, L2 normalisation and dilated convolution, by hand."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from nets import custom_layers
from nets.variables import SlimVariables, constant, he_normal


def normalize(inputs, **options) -> tuple[np.ndarray, SlimVariables]:
    owner = SlimVariables(seed=0)
    with owner.scope("net"):
        return custom_layers.l2_normalization(tf.constant(inputs), **options).numpy(), owner


def test_pad2d_puts_zeros_on_all_four_sides():
    padded = custom_layers.pad2d(tf.ones([2, 3, 4, 5]), 2).numpy()
    assert padded.shape == (2, 7, 8, 5)
    assert padded[:, 2:-2, 2:-2].min() == 1
    assert padded.sum() == 2 * 3 * 4 * 5


def test_pad2d_by_0_changes_nothing():
    inputs = tf.reshape(tf.range(12.0), [1, 2, 3, 2])
    np.testing.assert_array_equal(custom_layers.pad2d(inputs, 0), inputs)


def test_l2_normalization_scales_each_position_to_length_20():
    inputs = np.zeros((1, 1, 3, 2), np.float32)
    inputs[0, 0] = [[3, 4], [-0.6, 0.8], [0, 5]]
    made, _ = normalize(inputs)
    np.testing.assert_allclose(made[0, 0], [[12, 16], [-12, 16], [0, 20]], rtol=1e-5)


def test_l2_normalization_of_nothing_is_nothing():
    assert not normalize(np.zeros((1, 2, 2, 3), np.float32))[0].any()


@pytest.mark.parametrize("factor", [1e-2, 1.0, 1e6])
def test_l2_normalization_forgets_the_length(factor):
    inputs = np.random.default_rng(1).normal(size=(2, 3, 3, 8)).astype(np.float32)
    np.testing.assert_allclose(normalize(inputs * factor)[0], normalize(inputs)[0], rtol=1e-4)


def test_scale_is_one_variable_per_channel_and_starts_at_20():
    _, owner = normalize(np.ones((1, 1, 1, 6), np.float32))
    assert list(owner.by_name) == ["net/L2Normalization/gamma"]
    np.testing.assert_array_equal(owner.by_name["net/L2Normalization/gamma"], [20.0] * 6)


def test_scale_acts_channel_by_channel():
    made, owner = normalize(np.ones((1, 2, 1, 4), np.float32), scale=3.0)
    np.testing.assert_allclose(made, np.full((1, 2, 1, 4), 1.5), rtol=1e-5)
    owner.by_name["net/L2Normalization/gamma"].assign([2.0, 4.0, 0.0, -6.0])
    with owner.scope("net"):
        again = custom_layers.l2_normalization(tf.ones([1, 2, 1, 4]), scale=3.0)
    np.testing.assert_allclose(again[0, 0, 0], [1, 2, 0, -3], rtol=1e-5)


def test_l2_normalization_of_short_activations_is_rounded_once():
    inputs = tf.random.stateless_normal([2, 4, 4, 512], [1, 2])
    inputs = tf.cast(inputs, tf.bfloat16)
    owner = SlimVariables(seed=0)
    with owner.scope("net"):
        made = custom_layers.l2_normalization(inputs, scale=1.0)
    exact = tf.cast(inputs, tf.float64).numpy()
    exact /= np.sqrt((exact**2).sum(-1, keepdims=True))
    assert made.dtype == tf.bfloat16
    # Half a unit in the last of bfloat16's 8 bits, counted from the first.
    np.testing.assert_allclose(tf.cast(made, tf.float64), exact, rtol=2**-8 * 1.001)


def test_gradient_is_finite_at_zero():
    owner, inputs = SlimVariables(seed=0), tf.zeros([1, 1, 1, 3])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        with owner.scope("net"):
            total = tf.reduce_sum(custom_layers.l2_normalization(inputs))
    assert np.isfinite(tape.gradient(total, inputs)).all()


def dilated(inputs, owner: SlimVariables | None = None) -> tuple[tf.Tensor, SlimVariables]:
    owner = owner or SlimVariables(seed=3)
    with owner.scope("net"):
        made = custom_layers.dilated_conv2d(
            inputs, 3, [3, 3], rate=2, scope="conv6", activation_fn=tf.identity,
            weights_initializer=he_normal, biases_initializer=constant(0.5),
        )  # fmt: skip
    return made, owner


def test_dilated_convolution_takes_taps_that_far_apart():
    inputs = np.random.default_rng(5).normal(size=(2, 5, 6, 4)).astype(np.float32)
    made, owner = dilated(tf.constant(inputs))
    assert list(owner.by_name) == ["net/conv6/weights", "net/conv6/biases"]
    weights = owner.by_name["net/conv6/weights"].numpy()
    padded = np.pad(inputs, [(0, 0), (2, 2), (2, 2), (0, 0)])
    taps = [
        padded[:, 2 * i : 2 * i + 5, 2 * j : 2 * j + 6] @ weights[i, j]
        for i in range(3)
        for j in range(3)
    ]
    np.testing.assert_allclose(made, sum(taps) + 0.5, atol=1e-5)


def test_dilated_convolution_is_one_operation_where_it_can_be():
    if not custom_layers._differentiates_dilation(tf.float32):
        pytest.skip("this TensorFlow runs without oneDNN")
    _, owner = dilated(tf.zeros([1, 5, 6, 4]))
    function = tf.function(lambda inputs: dilated(inputs, owner)[0], autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec([1, 5, 6, 4])).graph
    types = [operation.type for operation in graph.get_operations()]
    assert "SpaceToBatchND" not in types
    assert types.count("Conv2D") == 1


def test_dilated_convolution_is_differentiated_without_onednn_too():
    gradients = []
    for switch in "10":
        program = (
            "import tensorflow as tf; from tests.nets import test_custom_layers as t\n"
            "inputs = tf.random.stateless_normal([1, 5, 6, 4], [1, 2])\n"
            "with tf.GradientTape(watch_accessed_variables=True) as tape:\n"
            "  made, owner = t.dilated(inputs); total = tf.reduce_sum(made ** 2)\n"
            "gradient = tape.gradient(total, owner.by_name['net/conv6/weights'])\n"
            "print(gradient.numpy().ravel().tolist())"
        )
        environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": switch, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", program]
        result = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        )
        gradients.append(json.loads(result.stdout))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)
    assert np.abs(gradients[0]).min() > 0
