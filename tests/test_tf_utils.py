"""The factories: which schedule and rule come out, their defaults, and what is refused."""

import dataclasses
import inspect
import re

import numpy as np
import pytest
import tensorflow as tf

import tf_utils
from nets import analysis
from optimization import names, optimizers
from optimization.optimizers import Optimizer
from runtime.errors import InputError
from training.settings import TrainSettings

NAMES = (
    "ssd_300_vgg/conv6/weights",
    "ssd_300_vgg/conv6/biases",
    "ssd_300_vgg/block4_box/L2Normalization/gamma",
    "ssd_300_vgg/block4_box/conv_loc/weights",
    "ssd_300_vgg/block4_box/conv_loc/biases",
    "ssd_300_vgg/block4_box/conv_cls/biases",
)
RATE = {
    "learning_rate_decay_type": "fixed",
    "learning_rate": 0.01,
    "num_samples": 1000,
    "global_batch_size": 32,
    "num_epochs_per_decay": 2.0,
    "decay_steps": None,
    "learning_rate_decay_factor": 0.94,
    "learning_rate_decay_boundaries": (80, 100),
    "end_learning_rate": 0.0001,
    "learning_power": 0.9,
    "max_number_of_steps": 120,
    "slow_start_step": 0,
    "slow_start_learning_rate": 1e-4,
    "slow_start_type": "linear",
}
OPTIMIZER = {
    "optimizer": "momentum",
    "opt_epsilon": None,
    "weight_decay": 5e-4,
    "adadelta_rho": 0.95,
    "adagrad_initial_accumulator_value": 0.1,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "ftrl_learning_rate_power": -0.5,
    "ftrl_initial_accumulator_value": 0.1,
    "ftrl_l1": 0.0,
    "ftrl_l2": 0.0,
    "momentum": 0.9,
    "rmsprop_momentum": 0.9,
    "rmsprop_decay": 0.9,
}


def rates(steps, **options) -> list[float]:
    schedule = tf_utils.configure_learning_rate(**{**RATE, **options})
    return [float(schedule(tf.constant(step, tf.int64))) for step in steps]


@pytest.mark.parametrize(
    ("decay_type", "expected"),
    [
        ("fixed", {0: 0.01, 119: 0.01}),
        # int(1000 * 2 / 32) = 62 steps a decay
        ("exponential", {0: 0.01, 61: 0.01, 62: 0.0094, 123: 0.0094, 124: 0.01 * 0.94**2}),
        ("polynomial", {0: 0.01, 31: 0.00505, 62: 0.0001, 100: 0.0001}),
        ("step", {79: 0.01, 80: 0.0094, 99: 0.0094, 100: 0.01 * 0.94**2}),
        ("poly", {0: 0.01, 60: 0.01 * 0.5**0.9, 119: 0.01 / 120**0.9, 120: 0.0}),
        ("cosine", {0: 0.01, 60: 0.00505, 120: 0.0001}),
    ],
)
def test_decay_types_are_those_of_the_flags(decay_type, expected):
    found = rates(expected, learning_rate_decay_type=decay_type)
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-4, atol=1e-9)


def test_decay_types_are_all_there():
    for decay_type in names.LEARNING_RATE_DECAY_TYPES:
        assert rates([0], learning_rate_decay_type=decay_type) == pytest.approx([0.01])


@pytest.mark.parametrize("decay_type", ["exponential", "polynomial"])
def test_decay_steps_override_the_epochs(decay_type):
    by_hand = rates(range(0, 50, 7), learning_rate_decay_type=decay_type, decay_steps=10)
    by_epochs = rates(
        range(0, 50, 7),
        learning_rate_decay_type=decay_type,
        num_samples=160,
        num_epochs_per_decay=2.0,
    )
    assert by_hand == by_epochs
    assert by_hand[0] > by_hand[2]


FLOOR = {
    name: RATE[name]
    for name in inspect.signature(tf_utils.warn_of_early_floor).parameters
    if name != "learning_rate_decay_type"
}


@pytest.mark.parametrize(
    ("decay_type", "options", "said"),
    [
        ("polynomial", {}, "by step 62 of 120 and stays there: .* give --decay_steps=120"),
        ("polynomial", {"max_number_of_steps": None}, "by step 62 of an endless run"),
        ("polynomial", {"decay_steps": 62}, ""),  # so it was asked for
        ("polynomial", {"max_number_of_steps": 62}, ""),
        ("exponential", {}, ""),
        ("poly", {}, ""),
    ],
)
def test_polynomial_decay_that_ends_early_is_told(decay_type, options, said):
    found = tf_utils.warn_of_early_floor(
        learning_rate_decay_type=decay_type, **{**FLOOR, **options}
    )
    assert re.search(said, found)
    assert bool(found) == bool(said)


def test_data_set_smaller_than_a_batch_decays_every_step():
    found = rates([0, 1, 2], learning_rate_decay_type="exponential", num_samples=3)
    np.testing.assert_allclose(found, [0.01, 0.0094, 0.008836], rtol=1e-5)


def test_larger_global_batch_decays_in_fewer_steps():
    found = rates([31], learning_rate_decay_type="exponential", global_batch_size=64)
    np.testing.assert_allclose(found, [0.0094], rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("linear", [0.0001, 0.00505, 0.01]), ("constant", [0.0001, 0.0001, 0.01])],
)
def test_slow_start_comes_before_the_schedule(kind, expected):
    found = rates([0, 50, 100], slow_start_step=100, slow_start_type=kind)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("decay_type", ["poly", "cosine"])
def test_decay_over_the_whole_run_needs_its_length(decay_type):
    message = rf"--learning_rate_decay_type={decay_type} .* give --max_number_of_steps"
    with pytest.raises(InputError, match=message):
        rates([0], learning_rate_decay_type=decay_type, max_number_of_steps=None)


def test_step_decay_needs_boundaries():
    with pytest.raises(InputError, match="give --learning_rate_decay_boundaries=80000,100000"):
        rates([0], learning_rate_decay_type="step", learning_rate_decay_boundaries=())


def test_unknown_decay_type_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"--learning_rate_decay_type=linear .* cosine, exp"):
        rates([0], learning_rate_decay_type="linear")


def test_other_decay_types_need_neither_length_nor_boundaries():
    for decay_type in ("fixed", "exponential", "polynomial"):
        rates(
            [0],
            learning_rate_decay_type=decay_type,
            max_number_of_steps=None,
            learning_rate_decay_boundaries=(),
        )


def rule(name: str, **options) -> optimizers.Rule:
    return tf_utils.configure_optimizer(**{**OPTIMIZER, "optimizer": name, **options})


def walk(chosen: optimizers.Rule) -> list[float]:
    """Where two steps of rate 0.1 with the gradients 2 and -1e-5 lead from 1; the weight decays."""
    variable = tf.Variable([1.0])
    optimizer = Optimizer(chosen, {"a": variable}, decayed=["a"])
    found = []
    for step, gradient in enumerate((2.0, -1e-5)):
        optimizer.apply(
            [tf.constant([gradient])],
            rate=tf.constant(0.1),
            step=tf.constant(step, tf.int64),
            keep=tf.constant(True),
        )
        found.append(float(variable[0]))
    return found


EXPECTED = {
    "adadelta": optimizers.adadelta(0.95, 1e-8),
    "adagrad": optimizers.adagrad(0.1),
    "adam": optimizers.adam(0.9, 0.999, 1e-8),
    "adamw": optimizers.adamw(0.9, 0.999, 1e-8, 5e-4),
    "ftrl": optimizers.ftrl(-0.5, 0.1, 0.0, 0.0),
    "momentum": optimizers.momentum(0.9),
    "rmsprop": optimizers.rmsprop(0.9, 0.9, 1e-10),
    "sgd": optimizers.sgd(),
}


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_optimizers_are_those_of_the_flags(name):
    chosen = rule(name)
    assert chosen.slots == EXPECTED[name].slots
    assert chosen.decay == EXPECTED[name].decay
    assert walk(chosen) == walk(EXPECTED[name])


CHANGES = {
    "adadelta": {"adadelta_rho": 0.5, "opt_epsilon": 0.1},
    "adagrad": {"adagrad_initial_accumulator_value": 0.7},
    "adam": {"adam_beta1": 0.5, "adam_beta2": 0.9, "opt_epsilon": 0.1},
    "adamw": {"adam_beta1": 0.5, "adam_beta2": 0.9, "opt_epsilon": 0.1, "weight_decay": 0.3},
    "ftrl": {
        "ftrl_learning_rate_power": -0.7,
        "ftrl_initial_accumulator_value": 0.4,
        "ftrl_l1": 0.1,
        "ftrl_l2": 0.2,
    },
    "momentum": {"momentum": 0.3},
    "rmsprop": {"rmsprop_momentum": 0.3, "rmsprop_decay": 0.4, "opt_epsilon": 0.1},
    "sgd": {},
}


CHANGED = {
    "adadelta": optimizers.adadelta(0.5, 0.1),
    "adagrad": optimizers.adagrad(0.7),
    "adam": optimizers.adam(0.5, 0.9, 0.1),
    "adamw": optimizers.adamw(0.5, 0.9, 0.1, 0.3),
    "ftrl": optimizers.ftrl(-0.7, 0.4, 0.1, 0.2),
    "momentum": optimizers.momentum(0.3),
    "rmsprop": optimizers.rmsprop(0.4, 0.3, 0.1),
    "sgd": optimizers.sgd(),
}


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_flags_reach_the_places_they_are_named_after(name):
    assert walk(rule(name, **CHANGES[name])) == walk(CHANGED[name])


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_each_flag_acts_on_its_optimizers_and_on_no_other(name):
    usual = walk(rule(name))
    flags = {
        **OPTIMIZER,
        **{key: value for each in CHANGES.values() for key, value in each.items()},
    }
    for flag in flags.keys() - {"optimizer"}:
        changed = walk(rule(name, **{flag: flags[flag]}))
        assert (changed != usual) == (flag in CHANGES[name]), flag


def test_weight_decay_is_decoupled_with_adamw_alone():
    decays = {name: rule(name, weight_decay=0.25).decay for name in names.OPTIMIZERS}
    assert decays == {**dict.fromkeys(names.OPTIMIZERS, 0.0), "adamw": 0.25}


def test_epsilon_of_rmsprop_is_smaller_by_default():
    # Without memory of the mean square, the second gradient (1e-5) is of epsilon's size.
    assert walk(rule("rmsprop", rmsprop_decay=0.0)) == walk(optimizers.rmsprop(0.0, 0.9, 1e-10))
    assert walk(rule("rmsprop", rmsprop_decay=0.0)) != walk(optimizers.rmsprop(0.0, 0.9, 1e-8))


def test_epsilon_of_zero_is_taken_at_its_word():
    assert walk(rule("adam", opt_epsilon=0.0)) == walk(optimizers.adam(0.9, 0.999, 0.0))


def test_unknown_optimizer_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"--optimizer=lamb is unknown: use one of adadelta, adag"):
        rule("lamb")


@pytest.mark.parametrize(
    ("factory", "values"),
    [(tf_utils.configure_learning_rate, RATE), (tf_utils.configure_optimizer, OPTIMIZER)],
)
def test_factories_take_flags_by_keyword_alone(factory, values):
    parameters = inspect.signature(factory).parameters
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert list(parameters) == list(values)


VARIABLES = {
    name: tf.Variable(0.0)
    for name in (
        "ssd_300_vgg/conv1/conv1_1/weights",
        "ssd_300_vgg/conv10/weights",
        "ssd_300_vgg/block1/conv1x1/weights",
        "ssd_300_vgg/block10/conv1x1/weights",
        "ssd_300_vgg/block10_box/conv_loc/biases",
        "other/conv1/weights",
    )
}


def trained(*scopes: str) -> list[str]:
    return list(tf_utils.get_variables_to_train(VARIABLES, scopes))


@pytest.mark.parametrize(
    ("scopes", "places"),
    [
        ((), range(6)),
        (("ssd_300_vgg",), range(5)),
        (("ssd_300_vgg/conv1",), [0]),
        (("ssd_300_vgg/block1",), [2]),
        (("ssd_300_vgg/block10",), [3]),
        (("ssd_300_vgg/block10_box/conv_loc/biases",), [4]),
        (("ssd_300_vgg/conv1/",), [0]),
        (("/ssd_300_vgg/conv1",), [0]),
        (("other", "ssd_300_vgg/conv10"), [1, 5]),
        (("ssd_300_vgg", "ssd_300_vgg/conv1"), range(5)),
    ],
)
def test_trainable_scopes_match_whole_path_components(scopes, places):
    assert trained(*scopes) == [list(VARIABLES)[place] for place in places]


@pytest.mark.parametrize(
    "scope", ["conv1", "ssd_300_vgg/conv", "ssd_300", "ssd_300_vgg/block11", ""]
)
def test_scope_that_holds_nothing_is_refused_with_the_scopes_there_are(scope):
    with pytest.raises(InputError, match=r"other/conv1, ssd_300_vgg/block1, ssd_300_vgg/block10,"):
        trained("other", scope)


def test_trained_variables_are_the_very_ones():
    for name, variable in tf_utils.get_variables_to_train(VARIABLES, ["other"]).items():
        assert variable is VARIABLES[name]


@pytest.mark.parametrize(
    ("bias", "last", "logits_only", "expected"),
    [
        (1.0, 1.0, False, {}),
        (2.0, 1.0, False, {1: 2.0, 4: 2.0, 5: 2.0}),
        (1.0, 10.0, False, {3: 10.0, 4: 10.0, 5: 10.0}),
        (2.0, 10.0, True, {1: 2.0, 4: 2.0, 5: 20.0}),
        (0.0, 1.0, False, {1: 0.0, 4: 0.0, 5: 0.0}),
    ],
)
def test_multipliers_of_biases_and_of_the_last_layer(bias, last, logits_only, expected):
    found = tf_utils.get_gradient_multipliers(
        variables=NAMES,
        bias_gradient_multiplier=bias,
        last_layer_gradient_multiplier=last,
        last_layers_contain_logits_only=logits_only,
    )
    assert found == {NAMES[k]: factor for k, factor in expected.items()}


def test_configuration_names_flags_and_layers():
    layers = [analysis.Layer("net/conv1", (3, 4, 5), 60, 7000)]
    saved = tf_utils.format_configuration(["--seed=3"], layers)
    assert saved[1] == "  --seed=3"
    assert saved[-2].split() == ["net/conv1", "3x4x5", "60", "7,000"]


FIELDS = {field.name: field for field in dataclasses.fields(TrainSettings)}
OTHER_SCHEDULE = {
    "end_learning_rate": 0.03,
    "learning_rate_decay_factor": 0.3,
    "num_epochs_per_decay": 5.0,
    "decay_steps": 7,
    "learning_rate_decay_boundaries": (3, 7),
    "learning_power": 3.0,
}


@pytest.mark.parametrize("name", OTHER_SCHEDULE)
@pytest.mark.parametrize("decay", names.LEARNING_RATE_DECAY_TYPES)
def test_schedule_changes_with_the_flags_that_it_reads(decay, name):
    steps = range(0, 120, 5)
    usual = rates(steps, learning_rate_decay_type=decay)
    other = rates(steps, learning_rate_decay_type=decay, **{name: OTHER_SCHEDULE[name]})
    reads = decay in FIELDS[name].metadata["only_with"].values
    assert (usual != other) is reads
