"""The order of samples: permutations, turns of weighted pools, and that it needs no history."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from datasets.order import MAX_SLOTS, Pool, make_order, slots_of
from runtime.errors import InputError


def records_of(pools, samples, *, seed=5, shuffle=True) -> list[int]:
    order = make_order(pools, seed=seed, shuffle=shuffle)
    numbers = tf.constant(list(samples), tf.int64)
    return tf.map_fn(order, numbers).numpy().tolist()


def test_every_epoch_is_a_permutation_and_another_one():
    first, second = (records_of([Pool(50)], range(k, k + 50)) for k in (0, 50))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != list(range(50))


def test_order_depends_on_seed_and_sample_alone():
    whole = records_of([Pool(40, 3), Pool(7, 2)], range(90))
    assert records_of([Pool(40, 3), Pool(7, 2)], range(60, 90)) == whole[60:]
    assert records_of([Pool(40, 3), Pool(7, 2)], range(90), seed=6) != whole


def test_single_pool_has_the_order_of_index_shuffle():
    """The order of runs that were begun before there were mixtures."""
    key = tf.constant([5 * 4 + 1, 2], tf.int64)
    expected = [
        int(tf.random.experimental.index_shuffle(tf.constant(k, tf.int64), key, 9))
        for k in range(10)
    ]
    assert records_of([Pool(10)], range(20, 30)) == expected


def test_every_cycle_gives_each_pool_its_slots_in_changing_order():
    made = np.array(records_of([Pool(100, 3), Pool(100, 1)], range(400))) >= 100
    cycles = made.reshape(100, 4)
    assert (cycles.sum(axis=1) == 1).all()
    assert set(cycles.argmax(axis=1)) == {0, 1, 2, 3}


def test_each_pool_goes_through_all_its_records_at_its_own_pace():
    made = collections.Counter(records_of([Pool(6, 3), Pool(5, 1)], range(40)))
    assert [made[k] for k in range(6)] == [5] * 6  # 30 samples of 6 records
    assert [made[k] for k in range(6, 11)] == [2] * 5  # 10 samples of 5


def test_pools_of_one_size_have_permutations_of_their_own():
    made = records_of([Pool(30, 1), Pool(30, 1)], range(60))
    assert [k for k in made if k < 30] != [k - 30 for k in made if k >= 30]


def test_pools_without_shuffle_keep_the_order_of_their_records():
    made = records_of([Pool(3, 2), Pool(2, 1)], range(9), shuffle=False)
    assert made == [0, 1, 3, 2, 0, 4, 1, 2, 3]


def test_pool_of_one_record_repeats_it():
    assert records_of([Pool(1)], range(3)) == [0, 0, 0]
    assert sorted(records_of([Pool(1, 1), Pool(2, 2)], range(3))) == [0, 1, 2]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((), ()),
        ((3.0, 1.0), (3, 1)),
        ((2, 4), (1, 2)),
        ((0.7, 0.3), (7, 3)),
        ((0.25, 1.5, 1.0), (1, 6, 4)),
    ],
)
def test_slots_are_the_smallest_whole_numbers(weights, expected):
    assert slots_of(weights) == expected


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_must_be_above_zero(weight):
    with pytest.raises(InputError, match=r"--dataset_weights=1,.* must be above 0"):
        slots_of((1.0, weight))


def test_weights_too_fine_are_refused():
    with pytest.raises(InputError, match=f"may be {MAX_SLOTS} at most"):
        slots_of((1.0, 0.00001))
