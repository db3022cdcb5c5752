"""Batch norm folded and trained, against NumPy and between replicas."""

import json

import numpy as np
import pytest
import tensorflow as tf

from nets import normalized_layers
from nets.normalized_layers import BatchNorm
from nets.variables import SlimVariables, he_normal
from tests import two_cpus

INPUTS = np.random.default_rng(0).normal(1.0, 2.0, (4, 6, 6, 3)).astype(np.float32)
STATISTICS = {
    "gamma": [2.0, -0.5, 1.0, 0.1],
    "beta": [0.3, -1.0, 0.0, 2.0],
    "moving_mean": [0.5, -2.0, 1.0, 0.0],
    "moving_variance": [4.0, 0.25, 1.0, 0.0],
}


def run(owner, inputs, *, training=False, depthwise=False, **options):
    """Values before the activation, and the updates."""
    options = {
        "scope": "conv",
        "norm": BatchNorm(epsilon=0.01, momentum=0.9, training=training),
        "initializer": he_normal,
        "activation": tf.identity,
        **options,
    }
    with owner.scope("") as updates:
        if depthwise:
            made = normalized_layers.depthwise_conv2d(tf.convert_to_tensor(inputs), **options)
        else:
            made = normalized_layers.conv2d(tf.convert_to_tensor(inputs), 4, 1, **options)
    return made, updates


def with_statistics(inputs=INPUTS, **options) -> SlimVariables:
    owner = SlimVariables(seed=0)
    run(owner, inputs, **options)
    for name, values in STATISTICS.items():
        variable = owner.by_name[f"conv/BatchNorm/{name}"]
        variable.assign(values[: variable.shape[0]])
    return owner


def plain_sums(owner: SlimVariables) -> np.ndarray:
    return INPUTS @ owner.by_name["conv/weights"].numpy()[0, 0]


def test_names_are_slims_and_statistics_are_state():
    owner = SlimVariables(seed=0)
    run(owner, INPUTS)
    assert list(owner.by_name) == ["conv/weights", *(f"conv/BatchNorm/{n}" for n in STATISTICS)]
    assert list(owner.state_by_name) == [
        "conv/BatchNorm/moving_mean",
        "conv/BatchNorm/moving_variance",
    ]
    owner = SlimVariables(seed=0)
    run(owner, INPUTS, depthwise=True)
    assert owner.by_name["conv/depthwise_weights"].shape == (3, 3, 3, 1)


def test_frozen_norm_is_the_formula_with_moving_statistics():
    owner = with_statistics()
    gamma, beta, mean, variance = (np.float32(values) for values in STATISTICS.values())
    expected = (plain_sums(owner) - mean) / np.sqrt(variance + 0.01) * gamma + beta
    made, updates = run(owner, INPUTS)
    np.testing.assert_allclose(made, expected, atol=1e-4)
    assert updates == {}


def test_frozen_norm_of_a_depthwise_layer_is_the_formula():
    owner = with_statistics(depthwise=True)
    weights = owner.by_name["conv/depthwise_weights"]
    sums = tf.nn.depthwise_conv2d(INPUTS, weights, [1, 2, 2, 1], "SAME")
    gamma, beta, mean, variance = (np.float32(values[:3]) for values in STATISTICS.values())
    expected = (sums - mean) / np.sqrt(variance + 0.01) * gamma + beta
    made, _ = run(owner, INPUTS, depthwise=True, stride=2)
    np.testing.assert_allclose(made, expected, atol=1e-4)


def test_gradients_of_a_folded_layer_are_those_of_the_formula():
    owner = with_statistics()
    factors = tf.random.stateless_normal([4, 6, 6, 4], [5, 6])

    def by_formula():
        gamma, beta, mean, variance = (
            tf.convert_to_tensor(owner.by_name[f"conv/BatchNorm/{name}"]) for name in STATISTICS
        )
        sums = tf.nn.conv2d(INPUTS, owner.by_name["conv/weights"], 1, "SAME")
        return (sums - mean) * gamma / tf.sqrt(variance + 0.01) + beta

    trained = [owner.by_name[f"conv/{name}"] for name in ("weights", "BatchNorm/gamma")]
    trained.append(owner.by_name["conv/BatchNorm/beta"])
    gradients = []
    for compute in (lambda: run(owner, INPUTS)[0], by_formula):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(factors * compute())
        gradients.append(tape.gradient(total, trained))
    for folded, wanted in zip(*gradients, strict=True):
        np.testing.assert_allclose(folded, wanted, rtol=1e-3, atol=1e-3)


def test_trained_norm_takes_the_batchs_statistics_and_moves_the_others():
    owner = with_statistics()
    sums = plain_sums(owner)
    mean, variance = sums.mean((0, 1, 2)), sums.var((0, 1, 2))
    gamma, beta, old_mean, old_variance = (np.float32(values) for values in STATISTICS.values())
    made, updates = run(owner, INPUTS, training=True)
    expected = (sums - mean) / np.sqrt(variance + 0.01) * gamma + beta
    np.testing.assert_allclose(made, expected, atol=1e-4)
    unbiased = variance * sums[..., 0].size / (sums[..., 0].size - 1)
    wanted = {
        "conv/BatchNorm/moving_mean": 0.9 * old_mean + 0.1 * mean,
        "conv/BatchNorm/moving_variance": 0.9 * old_variance + 0.1 * unbiased,
    }
    assert updates.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(updates[name], value, rtol=1e-4, atol=1e-6)


BRIGHT = np.concatenate([INPUTS[:2], INPUTS[2:] + 7.0])  # halves that differ in statistics


def step(owner: SlimVariables, inputs: tf.Tensor) -> tuple[tf.Tensor, dict, tf.Tensor]:
    """Sums, updates, and the gradient of a sum over the images."""
    with tf.GradientTape() as tape:
        made, updates = run(owner, inputs, training=True)
        total = tf.reduce_sum(tf.square(made) * inputs[..., :1])
    return made, updates, tape.gradient(total, owner.by_name["conv/weights"])


def run_mirrored() -> None:
    """Prints what two replicas make of half of `BRIGHT` each."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        owner = SlimVariables(seed=0)
        run(owner, BRIGHT)

    def replica():
        context = tf.distribute.get_replica_context()
        half = tf.constant(BRIGHT.reshape(2, 2, 6, 6, 3))[context.replica_id_in_sync_group]
        made, updates, gradient = step(owner, half)
        return made, updates, context.all_reduce("sum", gradient)

    made, updates, gradient = tf.function(lambda: strategy.run(replica), autograph=False)()

    def local(value):
        return [one.numpy().tolist() for one in strategy.experimental_local_results(value)]

    states = {name: local(value) for name, value in updates.items()}
    print(json.dumps([local(made), states, local(gradient)]))


def test_replicas_normalize_by_the_statistics_of_all():
    made, states, gradients = two_cpus.call(__file__, "run_mirrored")
    wanted, wanted_states, wanted_gradient = step(SlimVariables(seed=0), tf.constant(BRIGHT))
    np.testing.assert_allclose(np.concatenate(made), wanted, atol=1e-4)
    for name, value in wanted_states.items():
        np.testing.assert_allclose(states[name], [value] * 2, rtol=1e-5)
    scale = np.abs(wanted_gradient).max()
    np.testing.assert_allclose(gradients, [wanted_gradient] * 2, atol=1e-4 * scale)


@pytest.mark.parametrize("stride", [1, 2])
def test_bfloat16_gradients_of_depthwise_layers_are_those_of_float32(stride):
    gradients = []
    for dtype in (tf.float32, tf.bfloat16):
        owner = with_statistics(depthwise=True)
        inputs = tf.cast(INPUTS, dtype)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            made, _ = run(owner, inputs, depthwise=True, stride=stride)
            assert made.dtype == dtype
            total = tf.reduce_sum(tf.cast(made, tf.float32) ** 2)
        weights = owner.by_name["conv/depthwise_weights"]
        gradients.append([tf.cast(g, tf.float32) for g in tape.gradient(total, [inputs, weights])])
    for full, half in zip(*gradients, strict=True):
        np.testing.assert_allclose(half, full, atol=0.03 * np.abs(full).max())


def test_factor_is_folded_before_the_cast():
    """A channel that is a thousand times another loses no more than bfloat16's own rounding."""
    owner = with_statistics()
    owner.by_name["conv/BatchNorm/moving_mean"].assign([300.0] * 4)
    made, _ = run(owner, tf.cast(INPUTS, tf.bfloat16))
    exact, _ = run(owner, INPUTS)
    np.testing.assert_allclose(
        tf.cast(made, tf.float32), exact, atol=0.02 * np.abs(exact).max(axis=(0, 1, 2)).max()
    )


def test_zeros_on_each_side_are_not_sames_padding_at_an_even_size():
    """The first 3x3 window of stride 2 begins outside; SAME pads an even side at its end only."""
    owner = SlimVariables(seed=0)
    options = {"scope": "conv", "norm": BatchNorm(epsilon=0.0), "initializer": he_normal}
    with owner.scope(""):
        made = normalized_layers.conv2d(
            INPUTS, 4, 3, stride=2, padding=1, activation=tf.identity, **options
        )
    weights = owner.by_name["conv/weights"].numpy()
    first = np.einsum("bijd,ijde->be", INPUTS[:, :2, :2], weights[1:, 1:])
    np.testing.assert_allclose(made[:, 0, 0], first, atol=1e-4)
    inner = np.einsum("bijd,ijde->be", INPUTS[:, 1:4, 3:6], weights)
    np.testing.assert_allclose(made[:, 1, 2], inner, atol=1e-4)
