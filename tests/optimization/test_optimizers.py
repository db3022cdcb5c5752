"""The eight optimizers against NumPy readings of the slim-era formulas, on one replica and two."""

import json

import numpy as np
import pytest
import tensorflow as tf

from optimization import optimizers
from optimization.optimizers import Optimizer
from tests import two_cpus

START = {"net/conv/weights": [[1.0, -2.0], [0.5, 0.01]], "net/conv/biases": [0.3]}
GRADIENTS = (
    ([[0.4, -1.0], [3.0, 0.0]], [0.2]),
    ([[0.1, -2.0], [-1.0, 0.5]], [-0.7]),
    ([[-0.3, 0.2], [0.6, -0.01]], [0.0]),
)
RATES = (0.1, 0.05, 0.2)
DECAYED = ("net/conv/weights",)


def plain_sgd(value, gradient, rate, count):
    return (value - rate * gradient,)


def plain_momentum(value, gradient, rate, count, accumulator):
    accumulator = 0.9 * accumulator + gradient
    return value - rate * accumulator, accumulator


def plain_adam(value, gradient, rate, count, first, second):
    first = 0.8 * first + 0.2 * gradient
    second = 0.95 * second + 0.05 * gradient**2
    corrected = rate * np.sqrt(1 - 0.95**count) / (1 - 0.8**count)
    return value - corrected * first / (np.sqrt(second) + 1e-3), first, second


def plain_adamw(value, gradient, rate, count, first, second):
    decay = 0.25 if value.ndim == 2 else 0.0  # the weights, not the biases
    after, *slots = plain_adam(value, gradient, rate, count, first, second)
    return after - rate * decay * value, *slots


def plain_rmsprop(value, gradient, rate, count, mean_square, accumulator):
    mean_square = 0.7 * mean_square + 0.3 * gradient**2
    accumulator = 0.6 * accumulator + rate * gradient / np.sqrt(mean_square + 0.01)
    return value - accumulator, mean_square, accumulator


def plain_adagrad(value, gradient, rate, count, accumulator):
    accumulator = accumulator + gradient**2
    return value - rate * gradient / np.sqrt(accumulator), accumulator


def plain_adadelta(value, gradient, rate, count, accumulator, updates):
    accumulator = 0.9 * accumulator + 0.1 * gradient**2
    update = np.sqrt(updates + 1e-2) / np.sqrt(accumulator + 1e-2) * gradient
    return value - rate * update, accumulator, 0.9 * updates + 0.1 * update**2


def plain_ftrl(value, gradient, rate, count, accumulator, linear):
    grown = accumulator + gradient**2
    linear = linear + gradient - (np.sqrt(grown) - np.sqrt(accumulator)) / rate * value
    curvature = np.sqrt(grown) / rate + 2 * 0.02
    value = np.where(np.abs(linear) > 0.05, (np.sign(linear) * 0.05 - linear) / curvature, 0.0)
    return value, grown, linear


def rules() -> dict:
    """Name -> the rule, its NumPy reading, and its slots with their initial values."""
    return {
        "sgd": (optimizers.sgd(), plain_sgd, {}),
        "momentum": (optimizers.momentum(0.9), plain_momentum, {"Momentum": 0.0}),
        "adam": (optimizers.adam(0.8, 0.95, 1e-3), plain_adam, {"Adam": 0.0, "Adam_1": 0.0}),
        "adamw": (
            optimizers.adamw(0.8, 0.95, 1e-3, 0.25),
            plain_adamw,
            {"Adam": 0.0, "Adam_1": 0.0},
        ),
        "rmsprop": (
            optimizers.rmsprop(0.7, 0.6, 0.01),
            plain_rmsprop,
            {"RMSProp": 1.0, "RMSProp_1": 0.0},
        ),
        "adagrad": (optimizers.adagrad(0.1), plain_adagrad, {"Adagrad": 0.1}),
        "adadelta": (
            optimizers.adadelta(0.9, 1e-2),
            plain_adadelta,
            {"Adadelta": 0.0, "Adadelta_1": 0.0},
        ),
        "ftrl": (
            optimizers.ftrl(-0.5, 0.1, 0.05, 0.02),
            plain_ftrl,
            {"Ftrl": 0.1, "Ftrl_1": 0.0},
        ),
    }


NAMES = tuple(rules())


def make(rule: optimizers.Rule) -> tuple[Optimizer, dict[str, tf.Variable]]:
    variables = {name: tf.Variable(value, name=name) for name, value in START.items()}
    return Optimizer(rule, variables, decayed=DECAYED), variables


def take(optimizer: Optimizer, step: int, *, keep: bool = True, share: float | tf.Tensor = 1.0):
    optimizer.apply(
        [share * tf.constant(gradient) for gradient in GRADIENTS[step]],
        rate=tf.constant(RATES[step]),
        step=tf.constant(step, tf.int64),
        keep=tf.constant(keep),
    )


def values(optimizer: Optimizer, variables: dict[str, tf.Variable]) -> dict[str, list]:
    return {name: np.asarray(v).tolist() for name, v in {**variables, **optimizer.slots}.items()}


def expected(name: str, steps: int) -> dict[str, np.ndarray]:
    """Variables and slots after so many steps, in float64."""
    _, plain, slots = rules()[name]
    found = {}
    for place, (variable, start) in enumerate(START.items()):
        state = [np.array(start), *(np.full(np.shape(start), value) for value in slots.values())]
        for step in range(steps):
            gradient = np.array(GRADIENTS[step][place])
            state = list(plain(state[0], gradient, RATES[step], step + 1, *state[1:]))
        names = [variable, *(f"{variable}/{slot}" for slot in slots)]
        found.update(zip(names, state, strict=True))
    return found


def assert_close(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_first_three_steps_are_those_of_the_formula(name):
    optimizer, variables = make(rules()[name][0])
    assert_close(values(optimizer, variables), expected(name, 0))
    for step in range(3):
        take(optimizer, step)
        assert_close(values(optimizer, variables), expected(name, step + 1))


@pytest.mark.parametrize("name", NAMES)
def test_step_is_the_same_compiled(name):
    optimizer, variables = make(rules()[name][0])
    compiled = tf.function(
        lambda gradients, rate, step: optimizer.apply(
            gradients, rate=rate, step=step, keep=tf.reduce_all(tf.math.is_finite(gradients[0]))
        )
    )
    for step, (gradients, rate) in enumerate(zip(GRADIENTS, RATES, strict=True)):
        compiled(
            [tf.constant(g) for g in gradients], tf.constant(rate), tf.constant(step, tf.int64)
        )
    assert_close(values(optimizer, variables), expected(name, 3))


@pytest.mark.parametrize("name", NAMES)
def test_update_that_is_not_kept_leaves_everything_as_it_is(name):
    optimizer, variables = make(rules()[name][0])
    take(optimizer, 0)
    before = values(optimizer, variables)
    take(optimizer, 1, keep=False, share=float("nan"))
    assert values(optimizer, variables) == before


@pytest.mark.parametrize("name", NAMES)
def test_slots_have_slims_names_and_are_not_trained(name):
    optimizer, _ = make(rules()[name][0])
    slots = rules()[name][2]
    assert list(optimizer.slots) == [f"{variable}/{slot}" for variable in START for slot in slots]
    for slot_name, variable in optimizer.slots.items():
        assert variable.name == f"{slot_name}:0"
        assert not variable.trainable
        assert variable.shape == np.shape(START[slot_name.rpartition("/")[0]])
        assert variable.dtype == tf.float32


def run_mirrored() -> None:
    """Every optimizer on two logical CPUs; prints each replica's values as JSON."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        made = {name: make(rule) for name, (rule, _, _) in rules().items()}

    def replica_step(step: int, optimizer: Optimizer) -> None:
        context = tf.distribute.get_replica_context()
        # The replicas' gradients differ; their sum is the gradient.
        share = tf.constant([0.25, 0.75])[context.replica_id_in_sync_group]
        gradients = context.all_reduce("SUM", [share * tf.constant(g) for g in GRADIENTS[step]])
        rate, count = tf.constant(RATES[step]), tf.constant(step, tf.int64)
        keep = tf.math.is_finite(tf.linalg.global_norm(gradients))
        optimizer.apply(gradients, rate=rate, step=count, keep=keep)

    @tf.function(autograph=False)
    def run_all() -> None:
        for optimizer, _ in made.values():
            for step in range(3):
                strategy.run(replica_step, args=(step, optimizer))

    run_all()
    found = {
        name: {
            key: [np.asarray(copy).tolist() for copy in strategy.experimental_local_results(v)]
            for key, v in {**variables, **optimizer.slots}.items()
        }
        for name, (optimizer, variables) in made.items()
    }
    print(json.dumps(found))


@pytest.fixture(scope="module")
def mirrored() -> dict:
    """Logical devices can be set only before TensorFlow starts, hence another process."""
    return two_cpus.call(__file__, "run_mirrored")


@pytest.mark.parametrize("name", NAMES)
def test_two_replicas_take_the_same_steps_as_one(name, mirrored):
    for copy in range(2):
        found = {key: copies[copy] for key, copies in mirrored[name].items()}
        assert_close(found, expected(name, 3))


def one_step(rule: optimizers.Rule, value: float, gradient: float, rate: float) -> float:
    variable = tf.Variable([value])
    Optimizer(rule, {"a": variable}).apply(
        [tf.constant([gradient])],
        rate=tf.constant(rate),
        step=tf.constant(0, tf.int64),
        keep=tf.constant(True),
    )
    return float(variable[0])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (optimizers.sgd(), 1 - 0.1 * 2),
        (optimizers.momentum(0.5), 1 - 0.1 * 2),
        (optimizers.adam(0.9, 0.999, 1e-8), 1 - 0.1),  # the first step has the rate's length
        (optimizers.rmsprop(0.9, 0.9, 0.5), 1 - 0.1 * 2 / (0.9 * 1 + 0.1 * 4 + 0.5) ** 0.5),
        (optimizers.adagrad(5.0), 1 - 0.1 * 2 / 3),
        (optimizers.adadelta(0.5, 2.0), 1 - 0.1 * 2**0.5 / 4**0.5 * 2),
        (optimizers.ftrl(-0.5, 5.0, 0.0, 0.0), 1 - (5**0.5 * 1 + 0.1 * 2) / 3),
    ],
    ids=["sgd", "momentum", "adam", "rmsprop", "adagrad", "adadelta", "ftrl"],
)
def test_first_step_is_as_worked_out_by_hand(rule, expected):
    # From 1, gradient 2, rate 0.1. Ftrl: linear = 2 - (3 - 5^0.5) / 0.1, value = -linear * 0.1 / 3.
    found = one_step(rule, 1.0, 2.0, 0.1)
    if "Ftrl" in rule.slots:
        expected = -(2 - (3 - 5**0.5) / 0.1) * 0.1 / 3
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_momentum_multiplies_by_the_rate_outside_the_accumulator():
    variable = tf.Variable([0.0])
    optimizer = Optimizer(optimizers.momentum(0.9), {"a": variable})
    for step, (gradient, rate) in enumerate([(1.0, 0.1), (0.0, 0.001)]):
        optimizer.apply(
            [tf.constant([gradient])],
            rate=tf.constant(rate),
            step=tf.constant(step, tf.int64),
            keep=tf.constant(True),
        )
    # Keras, whose accumulator holds rates, would continue by 0.09.
    np.testing.assert_allclose(variable, [-0.1 - 0.001 * 0.9], rtol=1e-6)
    np.testing.assert_allclose(optimizer.slots["a/Momentum"], [0.9], rtol=1e-6)


def test_decay_of_adamw_is_decoupled_from_the_gradient():
    variables = {name: tf.Variable([2.0]) for name in ("decayed", "free")}
    rule = optimizers.adamw(0.9, 0.999, 1e-8, weight_decay=0.5)
    optimizer = Optimizer(rule, variables, decayed=["decayed"])
    optimizer.apply(
        [tf.constant([0.0])] * 2,
        rate=tf.constant(0.1),
        step=tf.constant(0, tf.int64),
        keep=tf.constant(True),
    )
    np.testing.assert_allclose(variables["decayed"], [2.0 - 0.1 * 0.5 * 2.0], rtol=1e-6)
    assert variables["free"].numpy() == [2.0]
    assert not any(slot.numpy().any() for slot in optimizer.slots.values())


def test_only_adamw_has_decoupled_decay():
    decays = {name: rule.decay for name, (rule, _, _) in rules().items()}
    assert {name for name, decay in decays.items() if decay} == {"adamw"}
    assert optimizers.adamw(0.9, 0.999, 1e-8, 0.0).decay == 0.0


def test_gradients_must_be_as_many_as_variables():
    optimizer, _ = make(optimizers.sgd())
    with pytest.raises(ValueError):
        optimizer.apply(
            [tf.zeros([2, 2])],
            rate=tf.constant(0.1),
            step=tf.constant(0, tf.int64),
            keep=tf.constant(True),
        )


def test_slots_can_be_saved_and_set_by_name():
    (optimizer, variables), (other, others) = (make(optimizers.momentum(0.9)) for _ in range(2))
    take(optimizer, 0)
    for name, variable in {**others, **other.slots}.items():
        variable.assign({**variables, **optimizer.slots}[name])
    for each in (optimizer, other):
        take(each, 1)
    assert values(other, others) == values(optimizer, variables)
