"""The factor of float16's loss: halved by an overflow, doubled after many steps without one."""

import pytest
import tensorflow as tf

from optimization.loss_scale import INITIAL, LEAST, MOST, PATIENCE, LossScale

FINE, OVERFLOW = tf.constant(False), tf.constant(True)


def values(scale: LossScale) -> tuple[float, int]:
    return tuple(variable.numpy().item() for variable in scale.slots.values())


def make(value: float, steps: int) -> LossScale:
    scale = LossScale()
    for variable, start in zip(scale.slots.values(), (value, steps), strict=True):
        variable.assign(start)
    return scale


@pytest.mark.parametrize(
    ("start", "overflowed", "expected"),
    [
        ((1024.0, 5), OVERFLOW, (512.0, 0)),
        ((1024.0, 5), FINE, (1024.0, 6)),
        ((1024.0, PATIENCE - 2), FINE, (1024.0, PATIENCE - 1)),
        ((1024.0, PATIENCE - 1), FINE, (2048.0, 0)),
        ((1024.0, PATIENCE - 1), OVERFLOW, (512.0, 0)),
        ((LEAST, 5), OVERFLOW, (LEAST, 0)),
        ((MOST, PATIENCE - 1), FINE, (MOST, 0)),
    ],
)
def test_factor_follows_overflows(start, overflowed, expected):
    scale = make(*start)
    scale.after_step(overflowed)
    assert values(scale) == expected


def test_factor_begins_high_and_has_names_for_the_checkpoint():
    scale = LossScale()
    assert values(scale) == (INITIAL, 0)
    assert list(scale.slots) == ["loss_scale", "loss_scale/steps"]


@pytest.mark.parametrize(
    ("loss", "gradient", "factor", "expected"),
    [
        (True, False, 2.0, True),
        (True, True, 2.0, False),
        (False, False, 2.0, False),  # no factor makes such a loss finite
        (True, False, LEAST, False),
    ],
)
def test_overflow_is_a_gradient_that_a_smaller_factor_may_mend(loss, gradient, factor, expected):
    found = make(factor, 0).is_overflow(loss=tf.constant(loss), gradient=tf.constant(gradient))
    assert bool(found) is expected
