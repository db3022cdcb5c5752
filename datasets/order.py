"""Which record is sample number g: a function of (seed, g), in memory that does not grow.

Records are in pools. A single pool is gone through in a new permutation every epoch. Several
pools take turns: every cycle gives each pool its slots, in a new order each cycle, and every pool
goes through its own permutations at its own pace. So sample g of a mixture needs no history either.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from runtime.errors import InputError

MAX_SLOTS = 10_000
ORDER_STREAM, DRAW_STREAM, TURN_STREAM = 1, 2, 3  # of random numbers, so that none share a key


class Pool(NamedTuple):
    """Records that are drawn from alike, `slots` of them in every cycle."""

    num_records: int
    slots: int = 1


def stream_key(seed: int, stream: int, number: tf.Tensor) -> tf.Tensor:
    """i64[2]: a key for the stateless generators."""
    return tf.stack([tf.constant(seed * 4 + stream, tf.int64), number])


def make_order(
    pools: Sequence[Pool], *, seed: int, shuffle: bool
) -> Callable[[tf.Tensor], tf.Tensor]:
    """i64 scalar, a sample's number -> i64 scalar, its record's number through all pools."""
    sizes, slots = (np.array(column, np.int64) for column in zip(*pools, strict=True))
    records_before, slots_before = (np.cumsum(column) - column for column in (sizes, slots))
    cycle = int(slots.sum())

    def permute(number: tf.Tensor, key: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        if not shuffle:
            return number
        # index_shuffle knows no permutation of a single number.
        last = tf.maximum(size, 2) - 1
        return tf.minimum(tf.random.experimental.index_shuffle(number, key, last), size - 1)

    def order(sample: tf.Tensor) -> tf.Tensor:
        turn, slot = sample // cycle, sample % cycle
        slot = permute(slot, stream_key(seed, TURN_STREAM, turn), tf.constant(cycle, tf.int64))
        pool = tf.searchsorted(slots_before, slot[None], side="right")[0] - 1
        size, before, own_slots, first_slot = (
            tf.gather(column, pool) for column in (sizes, records_before, slots, slots_before)
        )
        own = turn * own_slots + slot - first_slot
        epoch = own // size * len(pools) + tf.cast(pool, tf.int64)
        return before + permute(own % size, stream_key(seed, ORDER_STREAM, epoch), size)

    return order


def slots_of(weights: Sequence[float]) -> tuple[int, ...]:
    """The smallest whole numbers in the ratio of `weights`.

    Raises:
      InputError: a weight is not above 0, or the ratio takes more than `MAX_SLOTS` slots.
    """
    if not weights:
        return ()
    if not all(0 < weight < math.inf for weight in weights):
        raise InputError(f"--dataset_weights={_listed(weights)}: every weight must be above 0.")
    parts = [Fraction(str(weight)) for weight in weights]
    whole = [int(part * math.lcm(*(each.denominator for each in parts))) for part in parts]
    slots = tuple(number // math.gcd(*whole) for number in whole)
    if sum(slots) > MAX_SLOTS:
        raise InputError(
            f"--dataset_weights={_listed(weights)}: as whole numbers they are {_listed(slots)}, "
            f"whose sum may be {MAX_SLOTS} at most; round them."
        )
    return slots


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
