"""The flagfiles that give back SSD-Tensorflow's defaults, through absl's real parser."""

import dataclasses
import pathlib

import pytest
from absl import flags

from evaluation.settings import EvalSettings
from runtime import settings
from training.settings import TrainSettings

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"
# Of its two scripts, every default that is not ours.
TRAIN = {
    "dataset_name": "imagenet",
    "num_classes": 21,
    "num_preprocessing_threads": 4,
    "save_summaries_secs": 600.0,
    "gpu_memory_fraction": 0.8,
    "weight_decay": 0.00004,
    "optimizer": "rmsprop",
    "opt_epsilon": 1.0,
    "learning_rate": 0.01,
}
EVAL = {
    "checkpoint_path": "/tmp/tfmodel/",
    "eval_dir": "/tmp/tfmodel/",
    "dataset_name": "imagenet",
    "num_classes": 21,
    "num_preprocessing_threads": 4,
    "batch_size": 1,
    "gpu_memory_fraction": 0.1,
}


def parse(settings_class: type, *arguments: str):
    """What `script ARGUMENTS` gives; takes the flags away again."""
    settings.define_flags(settings_class)
    try:
        flags.FLAGS(["script", *arguments])
        return settings.from_flags(settings_class)
    finally:
        for field in dataclasses.fields(settings_class):
            delattr(flags.FLAGS, field.name)
        flags.FLAGS.unparse_flags()


@pytest.mark.parametrize(
    ("settings_class", "name", "defaults"),
    [
        (TrainSettings, "ssd_tensorflow_defaults", {"train_dir": "/tmp/tfmodel/", **TRAIN}),
        (EvalSettings, "ssd_tensorflow_eval_defaults", EVAL),
    ],
    ids=["train", "eval"],
)
def test_flagfile_gives_the_old_defaults_and_nothing_else(settings_class, name, defaults):
    made = parse(settings_class, f"--flagfile={CONFIGS / name}.flags", "--dataset_dir=records")
    assert made == settings_class(dataset_dir="records", **defaults)


def test_what_follows_the_flagfile_wins():
    made = parse(
        TrainSettings,
        f"--flagfile={CONFIGS / 'ssd_tensorflow_defaults.flags'}",
        *("--dataset_dir=records", "--optimizer=adam", "--train_dir=logs"),
    )
    assert (made.optimizer, made.opt_epsilon, made.train_dir) == ("adam", 1.0, "logs")
