"""The owner of slim's variables: names, seeds, casts, and where it works."""

import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

from nets import variables
from nets.variables import SlimVariables, constant, layer_scope, update_state


def two_layers(owner: SlimVariables, inputs: tf.Tensor, **options) -> tf.Tensor:
    with owner.scope("net", **options):
        net = slim.conv2d(inputs, 4, [3, 3], scope="first", **INITIALIZERS)
        with layer_scope("block"):
            return slim.conv2d(net, 2, [1, 1], scope="second", **INITIALIZERS)


INITIALIZERS = {
    "weights_initializer": variables.he_normal,
    "biases_initializer": constant(0.5),
}
INPUTS = tf.random.stateless_normal([1, 5, 5, 3], [1, 2])
NAMES = [
    "net/first/weights",
    "net/first/biases",
    "net/block/second/weights",
    "net/block/second/biases",
]


def test_names_and_shapes_are_slims():
    owner = SlimVariables(seed=0)
    two_layers(owner, INPUTS)
    assert list(owner.by_name) == NAMES
    shapes = [tuple(variable.shape) for variable in owner.by_name.values()]
    assert shapes == [(3, 3, 3, 4), (4,), (1, 1, 4, 2), (2,)]
    assert [variable.name for variable in owner.by_name.values()] == [f"{n}:0" for n in NAMES]


def test_module_tracks_its_variables():
    owner = SlimVariables(seed=0)
    two_layers(owner, INPUTS)
    assert {v.ref() for v in owner.trainable_variables} == {v.ref() for v in owner.by_name.values()}


def test_second_call_finds_the_variables_of_the_first():
    owner = SlimVariables(seed=0)
    first, made = two_layers(owner, INPUTS), dict(owner.by_name)
    second = two_layers(owner, INPUTS)
    np.testing.assert_array_equal(first, second)
    assert all(owner.by_name[name] is variable for name, variable in made.items())
    owner.by_name["net/block/second/biases"].assign_add([1.0, -2.0])
    changed = tf.nn.relu(second + tf.constant([1.0, -2.0]))
    positive = (second > 0).numpy()
    np.testing.assert_allclose(two_layers(owner, INPUTS).numpy()[positive], changed[positive], 1e-5)


def test_owners_know_nothing_of_each_other():
    owners = [SlimVariables(seed=0), SlimVariables(seed=0)]
    for owner in owners:
        two_layers(owner, INPUTS)
    owners[0].by_name[NAMES[0]].assign(tf.zeros([3, 3, 3, 4]))
    assert np.abs(owners[1].by_name[NAMES[0]]).min() > 0


def test_initial_values_depend_on_seed_and_name_alone():
    first, second, other = (SlimVariables(seed=seed) for seed in (7, 7, 8))
    shape = (3, 3, 2, 4)
    first.get("a/weights", shape, variables.he_normal)
    a, b = (
        first.get(name, shape, variables.he_normal).numpy() for name in ("a/weights", "b/weights")
    )
    np.testing.assert_array_equal(second.get("b/weights", shape, variables.he_normal), b)
    assert np.abs(a - b).min() > 0
    assert np.abs(other.get("b/weights", shape, variables.he_normal).numpy() - b).min() > 0


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**31, 2**63, -1])
def test_any_integer_is_a_seed(seed):
    value = SlimVariables(seed=seed).get("a", (2, 2), variables.xavier_uniform)
    assert np.isfinite(value).all()


def test_another_shape_under_a_known_name_is_an_error():
    owner = SlimVariables(seed=0)
    owner.get("a", (2, 3), constant(1.0))
    with pytest.raises(ValueError, match=r"a has shape \(2, 3\), the layer asks for \(3, 2\)"):
        owner.get("a", (3, 2), constant(1.0))


def test_variables_made_while_tracing_outlive_the_trace():
    owner = SlimVariables(seed=0)
    compiled = tf.function(lambda inputs: two_layers(owner, inputs))
    made = compiled(INPUTS)
    assert list(owner.by_name) == NAMES
    np.testing.assert_allclose(two_layers(owner, INPUTS), made, rtol=1e-5, atol=1e-6)
    eager = SlimVariables(seed=0)
    two_layers(eager, INPUTS)
    for name in NAMES:
        np.testing.assert_array_equal(eager.by_name[name], owner.by_name[name])


def test_reduced_precision_casts_at_the_getter_and_returns_float32_gradients():
    owner = SlimVariables(seed=0)
    with tf.GradientTape() as tape:
        made = two_layers(owner, tf.cast(INPUTS, tf.bfloat16))
        total = tf.reduce_sum(tf.cast(made, tf.float32))
    assert made.dtype == tf.bfloat16
    gradients = tape.gradient(total, list(owner.by_name.values()))
    assert {v.dtype for v in owner.by_name.values()} == {tf.float32}
    assert {gradient.dtype for gradient in gradients} == {tf.float32}
    np.testing.assert_allclose(tf.cast(made, tf.float32), two_layers(owner, INPUTS), atol=0.05)


def test_nothing_is_left_behind_in_the_default_graph():
    owner, graph = SlimVariables(seed=0), tf.compat.v1.get_default_graph()
    for _ in range(2):
        two_layers(owner, INPUTS)
    assert not any(graph.get_collection(key) for key in graph.get_all_collection_keys())
    assert graph.get_operations() == []


def test_scope_ends_where_it_ends():
    owner = SlimVariables(seed=0)
    with owner.scope("net"):
        pass
    other = SlimVariables(seed=0)
    with other.scope("net"), layer_scope("a"), layer_scope("b"):
        slim.model_variable("c", shape=[1], initializer=constant(4.0))
    assert owner.by_name == {}
    assert list(other.by_name) == ["net/a/b/c"]


def test_checkpoint_of_the_module_round_trips(tmp_path):
    owner, other = SlimVariables(seed=0), SlimVariables(seed=1)
    for each in (owner, other):
        two_layers(each, INPUTS)
    path = tf.train.Checkpoint(owner).write(str(tmp_path / "saved"))
    tf.train.Checkpoint(other).read(path).assert_consumed()
    np.testing.assert_array_equal(two_layers(owner, INPUTS), two_layers(other, INPUTS))


def test_frozen_values_are_constants_of_the_traced_function():
    owner, inputs = SlimVariables(seed=0), tf.cast(INPUTS, tf.bfloat16)
    traced = tf.function(lambda: two_layers(owner, inputs, frozen=True), autograph=False)
    function = traced.get_concrete_function()
    operations = function.graph.get_operations()
    constants = [each.outputs[0] for each in operations if each.type == "Const"]
    weights = [one for one in constants if one.shape == (3, 3, 3, 4)]
    assert [one.dtype for one in weights] == [tf.bfloat16]
    assert all(one.dtype != tf.resource for one in function.captured_inputs)
    before = traced()
    owner.by_name[NAMES[-1]].assign_add([1.0, 1.0])
    np.testing.assert_array_equal(traced(), before)
    plain = two_layers(SlimVariables(seed=0), inputs)
    np.testing.assert_allclose(tf.cast(before, tf.float32), tf.cast(plain, tf.float32), rtol=0.02)


def normalized(owner: SlimVariables, inputs: tf.Tensor, *, training: bool = False, **options):
    """One convolution over its largest value so far, which is state."""
    with owner.scope("net", **options) as updates:
        net = slim.conv2d(inputs, 4, [1, 1], scope="first", activation_fn=None, **INITIALIZERS)
        largest = slim.model_variable(
            "largest", shape=[], initializer=constant(1.0), trainable=False
        )
        if training:
            update_state("largest", tf.maximum(largest, tf.reduce_max(tf.cast(net, tf.float32))))
    for name, value in updates.items():
        owner.by_name[name].assign(value)
    return net / tf.cast(updates.get("net/largest", largest), net.dtype)


def test_state_is_held_and_not_trained():
    owner = SlimVariables(seed=0)
    normalized(owner, INPUTS)
    assert list(owner.by_name) == [*NAMES[:2], "net/largest"]
    assert list(owner.state_by_name) == ["net/largest"]
    assert {v.name for v in owner.trainable_variables} == {f"{name}:0" for name in NAMES[:2]}


def test_state_is_assigned_to_in_training_alone():
    owner = SlimVariables(seed=0)
    traced = tf.function(lambda: normalized(owner, INPUTS, training=True), autograph=False)
    assert normalized(owner, INPUTS).numpy().max() > 1.0
    assert owner.by_name["net/largest"].numpy() == 1.0
    assert traced().numpy().max() == pytest.approx(1.0)
    largest = owner.by_name["net/largest"].numpy()
    assert largest > 1.0
    assert normalized(owner, 2 * INPUTS, frozen=True).numpy().max() > 1.0
    assert owner.by_name["net/largest"].numpy() == largest


@pytest.mark.parametrize("frozen", [False, True])
def test_hook_makes_weights_in_float32_before_the_cast(frozen):
    seen, owner = {}, SlimVariables(seed=0)

    def double(name, value):
        seen[name] = value.dtype
        return 2.0 * value

    inputs = tf.cast(INPUTS, tf.bfloat16)
    plain = normalized(owner, inputs)
    made = normalized(owner, inputs, weight_hook=double, frozen=frozen)
    assert seen == dict.fromkeys(NAMES[:2], tf.float32)  # not the state
    np.testing.assert_allclose(tf.cast(made, tf.float32), tf.cast(2 * plain, tf.float32), 0.02)


def test_gradients_come_through_the_hook():
    owner = SlimVariables(seed=0)
    gradients = []
    for factor in (1.0, 3.0):
        with tf.GradientTape() as tape:
            made = normalized(owner, INPUTS, weight_hook=lambda _, value, f=factor: f * value)
            total = tf.reduce_sum(made)
        gradients.append(tape.gradient(total, owner.by_name["net/first/weights"]))
    np.testing.assert_allclose(gradients[1], 3 * gradients[0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 3, 64, 128), (1, 1, 512, 100)])
def test_he_normal_has_variance_2_over_fan_in(shape):
    values = variables.he_normal(shape, seed=(1, 2)).numpy()
    wanted = np.sqrt(2 / np.prod(shape[:3]))
    np.testing.assert_allclose([values.std(), 1 + values.mean()], [wanted, 1], rtol=0.02)
    assert np.abs(values).max() > 3 * wanted  # not truncated


@pytest.mark.parametrize("shape", [(3, 3, 64, 128), (1, 1, 512, 100)])
def test_xavier_uniform_is_caffes_within_root_3_over_fan_in(shape):
    values = variables.xavier_uniform(shape, seed=(1, 2)).numpy()
    limit = np.sqrt(3 / np.prod(shape[:3]))
    assert np.abs(values).max() <= limit
    np.testing.assert_allclose([values.min(), values.max()], [-limit, limit], rtol=0.01)
    np.testing.assert_allclose(values.std(), limit / np.sqrt(3), rtol=0.02)


def test_initializers_take_shapes_without_fan_in():
    for initializer in variables.INITIALIZERS.values():
        assert initializer((5,), seed=(1, 2)).shape == (5,)


def test_constant_fills_whatever_the_seed():
    for seed in ((0, 0), (5, 6)):
        np.testing.assert_array_equal(constant(20.0)((2, 2), seed=seed), np.full((2, 2), 20.0))


def test_initializers_are_known_by_the_names_of_the_network():
    known = variables.INITIALIZERS
    assert known == {"he": variables.he_normal, "xavier": variables.xavier_uniform}
