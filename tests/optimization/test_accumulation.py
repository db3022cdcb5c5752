"""Sums over parts of a batch."""

import numpy as np
import pytest
import tensorflow as tf

from optimization.accumulation import sum_over_parts

BATCH = (tf.reshape(tf.range(24.0), [6, 4]), tf.constant([1, 2, 3, 4, 5, 6]))


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_sum_does_not_depend_on_the_parts(parts):
    seen = []

    def compute(part: tuple[tf.Tensor, tf.Tensor]) -> list[tf.Tensor]:
        values, numbers = part
        seen.append(values.shape[0])
        weighted = values * tf.cast(numbers, tf.float32)[:, None]
        return [tf.reduce_sum(weighted, axis=0), tf.reduce_sum(values)]

    @tf.function(autograph=False)
    def run(batch) -> list[tf.Tensor]:
        return sum_over_parts(compute, batch, parts=parts, shapes=[(4,), ()])

    weighted, plain = run(BATCH)
    values = np.arange(24.0).reshape(6, 4)
    np.testing.assert_array_equal(weighted, np.arange(1, 7) @ values)
    assert plain == 276
    assert set(seen) == {6 // parts}  # no more rows at a time


def test_gradients_may_be_taken_of_each_part():
    variable = tf.Variable([2.0, 3.0, 5.0, 7.0])

    def compute(part: tuple[tf.Tensor, tf.Tensor]) -> list[tf.Tensor]:
        values, _ = part
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((values * variable) ** 2)
        return [tape.gradient(loss, variable)]

    run = tf.function(
        lambda batch: sum_over_parts(compute, batch, parts=3, shapes=[variable.shape]),
        autograph=False,
    )
    squares = (np.arange(24.0).reshape(6, 4) ** 2).sum(axis=0)
    np.testing.assert_allclose(run(BATCH)[0], 2 * squares * [2, 3, 5, 7], rtol=1e-6)
