"""Moving averages against NumPy, on one replica and on two."""

import json

import numpy as np
import pytest
import tensorflow as tf

from optimization.averages import MovingAverages, averaged
from tests import two_cpus

NAME, AVERAGE = "net/conv/weights", "net/conv/weights/ExponentialMovingAverage"
VALUES = ([1.0, -2.0], [3.0, 0.5], [-1.0, 0.25], [2.0, 2.0])  # of the variable, step by step


def move(averages: MovingAverages, step: int, keep: bool = True) -> None:
    averages.apply(step=tf.cast(step, tf.int64), keep=tf.constant(keep))


def numpy_average(decay: float, *, first_step: int = 0) -> np.ndarray:
    average = np.array(VALUES[0])
    for step, value in enumerate(VALUES[1:], first_step):
        used = min(decay, (1 + step) / (10 + step))
        average = used * average + (1 - used) * np.array(value)
    return average


def test_first_steps_average_little_of_the_start():
    variable = tf.Variable([10.0])
    averages = MovingAverages(0.9999, {NAME: variable})
    variable.assign([20.0])
    move(averages, 0)  # decay 1/10
    np.testing.assert_allclose(averages.slots[AVERAGE], [0.1 * 10 + 0.9 * 20], rtol=1e-6)
    move(averages, 1)  # decay 2/11
    np.testing.assert_allclose(averages.slots[AVERAGE], [19 * 2 / 11 + 20 * 9 / 11], rtol=1e-6)


@pytest.mark.parametrize(("decay", "first_step"), [(0.5, 0), (0.5, 100), (0.9999, 100)])
def test_averages_follow_numpy(decay, first_step):
    variable = tf.Variable(VALUES[0])
    averages = MovingAverages(decay, {NAME: variable})
    for step, value in enumerate(VALUES[1:], first_step):
        variable.assign(value)
        move(averages, step)
    expected = numpy_average(decay, first_step=first_step)
    np.testing.assert_allclose(averages.slots[AVERAGE], expected, rtol=1e-6)


def test_update_left_out_leaves_the_averages():
    variable = tf.Variable([1.0])
    averages = MovingAverages(0.5, {NAME: variable})
    variable.assign([3.0])
    move(averages, 0, keep=False)
    assert averages.slots[AVERAGE].numpy() == [1.0]


def test_restart_begins_at_the_values_of_now():
    variable = tf.Variable([1.0])
    averages = MovingAverages(0.5, {NAME: variable})
    variable.assign([3.0])
    averages.restart()
    assert averages.slots[AVERAGE].numpy() == [3.0]


def test_averages_take_the_place_of_weights():
    tensors = {"a": np.zeros(2), "a/ExponentialMovingAverage": np.ones(2), "b": np.full(2, 5.0)}
    found = averaged(tensors)
    np.testing.assert_array_equal(found["a"], [1, 1])
    np.testing.assert_array_equal(found["b"], [5, 5])
    np.testing.assert_array_equal(tensors["a"], [0, 0])


def run_mirrored() -> None:
    """The steps of `VALUES` on two logical CPUs; prints each replica's average as JSON."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        variable = tf.Variable(VALUES[0], aggregation=tf.VariableAggregation.MEAN)
        averages = MovingAverages(0.5, {NAME: variable})
    run = tf.function(lambda step: strategy.run(lambda: move(averages, step)), autograph=False)
    for step, value in enumerate(VALUES[1:]):
        variable.assign(value)
        run(tf.constant(step, tf.int64))
    copies = strategy.experimental_local_results(averages.slots[AVERAGE])
    print(json.dumps([copy.numpy().tolist() for copy in copies]))


def test_two_replicas_hold_the_same_averages():
    copies = two_cpus.call(__file__, "run_mirrored")
    assert len(copies) == 2
    np.testing.assert_allclose(copies, [numpy_average(0.5)] * 2, rtol=1e-6)
