"""A sum over the rows of a batch, computed part by part.

What a batch needs of memory is what its largest part needs: gradients of a batch that no device
could hold are those of its parts, added. They are exact when each row's share of the sum depends on
that row alone, with all that the rows have in common, such as a normaliser, known beforehand.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def sum_over_parts(
    compute: Callable[[Any], list[tf.Tensor]],
    batch: Any,
    *,
    parts: int,
    shapes: Sequence[tf.TensorShape],
) -> list[tf.Tensor]:
    """The sum of `compute(part)` over equal parts of a batch, one after the other.

    Args:
      compute: a batch of fewer rows -> f32 tensors.
      batch: tensors [B, ...] in any structure; B is a multiple of `parts`.
      parts: 1 computes the batch as it is.
      shapes: of what `compute` returns.
    """
    if parts == 1:
        return compute(batch)
    split = tf.nest.map_structure(
        lambda rows: tf.reshape(rows, [parts, -1, *rows.shape[1:]]), batch
    )

    def add(number: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
        own = compute(tf.nest.map_structure(lambda rows: rows[number], split))
        return number + 1, *(a + b for a, b in zip(sums, own, strict=True))

    start = (tf.constant(0), *(tf.zeros(shape) for shape in shapes))
    # One part at a time: TensorFlow would else work ahead and hold several in memory.
    _, *sums = tf.while_loop(lambda number, *_: number < parts, add, start, parallel_iterations=1)
    return sums
