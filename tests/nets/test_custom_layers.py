"""Padding and L2 normalisation, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from nets import custom_layers
from nets.variables import SlimVariables


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
    with owner.scope("net", dtype=tf.bfloat16):
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
