"""The distribution flags of a training's settings."""

import pytest

from runtime.errors import InputError
from training.settings import TrainSettings


def make(**flags) -> TrainSettings:
    return TrainSettings(train_dir="run", dataset_dir="records", **flags)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"master": "grpc://a:1"}, "--master=grpc://a:1: there is no master session"),
        ({"startup_delay_steps": 0}, "--startup_delay_steps=0: workers train synchronously"),
        ({"stall_timeout_secs": -1.0}, "--stall_timeout_secs=-1.0 must be 0 or more"),
    ],
)
def test_flag_without_a_meaning_here_is_refused(flags, said):
    with pytest.raises(InputError, match=said):
        make(**flags)


def test_inherited_flags_are_accepted_at_their_defaults():
    make(master="", startup_delay_steps=15, task=0, num_replicas=1)


def test_global_batch_counts_clones_and_workers():
    assert make(batch_size=3, num_clones=2, num_replicas=4).global_batch_size == 24
    assert make(batch_size=3).global_batch_size == 3
    assert make(batch_size=3, num_clones=2, accumulate_steps=5).global_batch_size == 30


def test_step_of_an_asynchronous_training_is_one_worker_s_batch():
    assert make(batch_size=3, num_clones=2, num_replicas=4, num_ps_tasks=1).global_batch_size == 6
