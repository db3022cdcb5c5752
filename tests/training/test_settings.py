"""Flags of a training that cannot be meant so: refused before anything is made of them."""

import dataclasses
import re

import pytest
import tensorflow as tf

from datasets import order
from runtime.errors import InputError
from runtime.limits import MAX_SEED
from runtime.settings import changed
from training import state
from training.settings import ResolvedSettings, TrainSettings


def make(**flags) -> TrainSettings:
    return TrainSettings(train_dir="run", dataset_dir="records", **flags)


# A flag, what it needs to act, and what is said where that is missing.
NEEDS = [
    ({"checkpoint_model_scope": "vgg_16"}, {"checkpoint_path": "vgg_16.ckpt"},
     "--checkpoint_model_scope=vgg_16 does nothing without --checkpoint_path"),
    ({"checkpoint_exclude_scopes": ("a", "b")}, {"checkpoint_path": "vgg_16.ckpt"},
     "--checkpoint_exclude_scopes=a,b does nothing without --checkpoint_path"),
    ({"initialize_last_layer": False}, {"checkpoint_path": "vgg_16.ckpt"},
     "--initialize_last_layer=False does nothing without --checkpoint_path"),
    ({"use_moving_average": False}, {"checkpoint_path": "vgg_16.ckpt"},
     "--use_moving_average=False does nothing without --checkpoint_path"),
    ({"eval_every_n_epochs": 1.0}, {"eval_split": "val"}, "needs a split to score on"),
    ({"eval_every_n_steps": 5}, {"eval_split": "val"}, "needs a split to score on"),
    ({"eval_every_secs": 60.0}, {"eval_split": "val"}, "needs a split to score on"),
    ({"eval_split": "val"}, {"eval_every_n_steps": 5}, "--eval_split=val: say how often"),
    ({"early_stopping_evals": 3}, {"eval_split": "val", "eval_every_n_steps": 5},
     "needs a split to score on"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "others", "said"), NEEDS)
def test_flag_that_needs_another_is_refused_alone(flags, others, said):
    make(**flags, **others)
    with pytest.raises(InputError, match=said):
        make(**flags)


SENSELESS = {
    "must lie in [0, 1)": [
        *({name: value} for value in (-0.1, 1.0, float("nan")) for name in ("momentum",)),
        *({name: 1.0} for name in ("adam_beta1", "adam_beta2", "adadelta_rho")),
        *({name: 1.5} for name in ("rmsprop_momentum", "rmsprop_decay")),
    ],
    "must lie in (0, 1]": [
        {"learning_rate_decay_factor": value} for value in (0.0, -0.5, 1.5, float("nan"))
    ],
    "must be above 0": [{"num_epochs_per_decay": value} for value in (0.0, -1.0, float("nan"))],
    "must be 0 or more": [
        {name: -0.1}
        for name in (
            *("opt_epsilon", "adagrad_initial_accumulator_value", "ftrl_l1", "ftrl_l2"),
            *("ftrl_initial_accumulator_value", "end_learning_rate", "slow_start_learning_rate"),
            *("learning_power", "save_interval_secs", "save_summaries_secs"),
        )
    ],
    "must be 0 or less": [{"ftrl_learning_rate_power": 0.5}],
}


@pytest.mark.parametrize(
    ("flag", "rule"), [(flag, rule) for rule, flags in SENSELESS.items() for flag in flags]
)
def test_value_that_makes_no_sense_is_refused(flag, rule):
    ((name, value),) = flag.items()
    with pytest.raises(InputError, match=re.escape(f"--{name}={value} {rule}")):
        make(**flag)


def test_unknown_preprocessing_is_refused():
    make(preprocessing_name="ssd_512_vgg", model_name="ssd_300_vgg")
    with pytest.raises(InputError, match="'inception' is unknown: choose one of ssd_300_vgg"):
        make(preprocessing_name="inception")


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, None), ("ssd_300_vgg", None), ("ssd_512_vgg", "ssd_512_vgg")],
)
def test_checkpoint_names_a_preprocessing_that_is_not_the_networks_own(given, kept):
    settings = make(preprocessing_name=given, input_scale="1", anchors="voc", precision="float32")
    assert state.describe(settings, ("cat",)).preprocessing_name == kept


RESOLVED = {
    "seed": 3,
    "precision": "float32",
    "input_scale": "1",
    "anchors": "voc",
    "batch_norm": None,
}


def test_resolved_settings_keep_all_but_what_is_filled_in():
    given = make(batch_size=7, learning_rate=0.5)
    resolved = ResolvedSettings.fill_in(given, **RESOLVED)
    assert dataclasses.asdict(resolved) == {**dataclasses.asdict(given), **RESOLVED}
    assert changed(resolved) == changed(dataclasses.replace(given, **RESOLVED))


def test_resolved_settings_need_all_that_is_filled_in_and_keep_the_bounds():
    with pytest.raises(TypeError, match="anchors"):
        ResolvedSettings(train_dir="run", dataset_dir="records", seed=3, precision="float32")
    with pytest.raises(InputError, match="--seed=-1 must be 0 or more"):
        ResolvedSettings.fill_in(make(), **{**RESOLVED, "seed": -1})


def test_largest_seed_makes_keys_and_a_larger_one_is_refused():
    make(seed=MAX_SEED)
    key = order.stream_key(MAX_SEED, order.TURN_STREAM, tf.constant(0, tf.int64))
    assert key.numpy().tolist() == [2**63 - 1, 0]
    with pytest.raises(InputError, match="--seed=9223372036854775807 must be 2305843009213693951"):
        make(seed=2**63 - 1)
