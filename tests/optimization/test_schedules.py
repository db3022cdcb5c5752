"""Learning rates by hand, before, at and after every boundary."""

import math

import numpy as np
import pytest
import tensorflow as tf

from optimization import schedules


def rates(schedule: schedules.Schedule, steps) -> list[float]:
    found = [schedule(tf.constant(step, tf.int64)) for step in steps]
    assert {(rate.dtype, rate.shape.rank) for rate in found} == {(tf.float32, 0)}
    return [float(rate) for rate in found]


def assert_rates(schedule: schedules.Schedule, expected: dict[int, float]) -> None:
    np.testing.assert_allclose(
        rates(schedule, expected), list(expected.values()), rtol=1e-5, atol=1e-9
    )


def test_fixed_stays():
    assert_rates(schedules.fixed(0.25), {0: 0.25, 1: 0.25, 10**9: 0.25})


def test_exponential_is_a_staircase():
    schedule = schedules.exponential(0.8, decay_steps=10, factor=0.5)
    assert_rates(
        schedule, {0: 0.8, 9: 0.8, 10: 0.4, 19: 0.4, 20: 0.2, 29: 0.2, 30: 0.1, 100: 0.8 / 1024}
    )


def test_polynomial_is_a_line_then_flat():
    schedule = schedules.polynomial(1.0, decay_steps=100, end_learning_rate=0.2)
    assert_rates(schedule, {0: 1.0, 1: 0.992, 25: 0.8, 50: 0.6, 99: 0.208, 100: 0.2, 101: 0.2})


def test_polynomial_of_power_2_is_a_parabola():
    schedule = schedules.polynomial(1.0, decay_steps=4, end_learning_rate=0.0, power=2.0)
    assert_rates(schedule, {0: 1.0, 1: 0.5625, 2: 0.25, 3: 0.0625, 4: 0.0, 5: 0.0})


def test_polynomial_may_end_above_its_beginning():
    schedule = schedules.polynomial(0.1, decay_steps=2, end_learning_rate=0.3)
    assert_rates(schedule, {0: 0.1, 1: 0.2, 2: 0.3, 9: 0.3})


def test_stepwise_falls_at_each_boundary():
    schedule = schedules.stepwise(1e-3, boundaries=(80_000, 100_000), factor=0.1)
    assert_rates(
        schedule,
        {0: 1e-3, 79_999: 1e-3, 80_000: 1e-4, 99_999: 1e-4, 100_000: 1e-5, 120_000: 1e-5},
    )


def test_stepwise_takes_boundaries_in_any_order_and_twice():
    assert_rates(
        schedules.stepwise(1.0, boundaries=(20, 10, 10), factor=0.5),
        {9: 1.0, 10: 0.25, 19: 0.25, 20: 0.125},
    )


def test_stepwise_without_boundaries_stays():
    assert_rates(schedules.stepwise(0.5, boundaries=(), factor=0.1), {0: 0.5, 1000: 0.5})


def test_cosine_is_half_a_wave():
    schedule = schedules.cosine(1.0, total_steps=90, end_learning_rate=0.2)
    third = 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 3))  # 0.8
    assert_rates(schedule, {0: 1.0, 30: third, 45: 0.6, 60: 0.4, 90: 0.2, 91: 0.2, 900: 0.2})
    np.testing.assert_allclose(third, 0.8)


def test_slow_start_rises_in_a_line_to_the_rate():
    schedule = schedules.slow_start(schedules.fixed(1.0), steps=10, start=0.1)
    assert_rates(schedule, {0: 0.1, 1: 0.19, 5: 0.55, 9: 0.91, 10: 1.0, 11: 1.0})


def test_slow_start_rises_to_what_the_schedule_says_then():
    falling = schedules.polynomial(1.0, decay_steps=10, end_learning_rate=0.0)
    schedule = schedules.slow_start(falling, steps=4, start=0.2)
    assert_rates(schedule, {0: 0.2, 1: 0.2 + 0.7 / 4, 2: 0.5, 3: 0.2 + 0.5 * 3 / 4, 4: 0.6, 5: 0.5})


def test_slow_start_may_hold_its_rate():
    falling = schedules.stepwise(1.0, boundaries=(2,), factor=0.5)
    schedule = schedules.slow_start(falling, steps=4, start=0.1, constant=True)
    assert_rates(schedule, {0: 0.1, 2: 0.1, 3: 0.1, 4: 0.5, 5: 0.5})


def test_slow_start_of_no_steps_is_the_schedule_itself():
    schedule = schedules.fixed(0.3)
    assert schedules.slow_start(schedule, steps=0, start=0.0) is schedule


SCHEDULES = {
    "fixed": schedules.fixed(0.1),
    "exponential": schedules.exponential(0.1, decay_steps=3, factor=0.9),
    "polynomial": schedules.polynomial(0.1, decay_steps=7, end_learning_rate=0.01, power=0.9),
    "stepwise": schedules.stepwise(0.1, boundaries=(2, 5), factor=0.1),
    "cosine": schedules.cosine(0.1, total_steps=7, end_learning_rate=0.0),
    "slow start": schedules.slow_start(schedules.fixed(0.1), steps=4, start=0.01),
    "held": schedules.slow_start(schedules.fixed(0.1), steps=4, start=0.01, constant=True),
}


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_rate_is_a_part_of_the_compiled_step(schedule):
    step = tf.Variable(0, dtype=tf.int64)
    compiled = tf.function(lambda: schedule(step))
    for count in range(9):
        step.assign(count)
        np.testing.assert_allclose(compiled(), rates(schedule, [count])[0], rtol=1e-5)
    assert compiled.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_steps_are_integers_of_either_size(schedule, dtype):
    np.testing.assert_allclose(schedule(tf.constant(3, dtype)), rates(schedule, [3])[0])


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_rate_is_finite_for_as_long_as_a_run_may_last(schedule):
    assert np.isfinite(rates(schedule, [0, 1, 2**24 + 1, 2**40])).all()
