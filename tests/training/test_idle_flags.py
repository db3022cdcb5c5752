"""Flags of modes in which they would do nothing: each flag acts in a mode or is refused there."""

import dataclasses
import inspect

import pytest

import tf_utils
from evaluation.settings import EvalSettings
from inspection.settings import InspectSettings
from runtime.errors import InputError
from runtime.settings import idle
from training.settings import TrainSettings

# With --detections_dir; every flag of the script is in one of the two.
ACT_ON_FILES = {
    "detections_dir": "other",
    "voc_dir": "other",
    "dataset_split_name": "val",
    "eval_dir": "eval",
    "report_dir": "report",
    "coco": True,
    "matching_threshold": 0.6,
    "remove_difficult": False,
    "gpu_memory_fraction": 0.5,
}
REFUSED_WITH_FILES = {
    "checkpoint_path": "train",
    "wait_for_checkpoints": True,
    "eval_interval_secs": 5.0,
    "eval_timeout_secs": 5.0,
    "write_detections": True,
    "contact_sheet": "sheet.png",
    "summary_pictures": 3,
    "dataset_name": "bccd",
    "dataset_dir": "records",
    "labels_file": "labels.txt",
    "labels_offset": 1,
    "skip_bad": 1,
    "num_preprocessing_threads": 2,
    "preprocessing_name": "ssd_300_vgg",
    "eval_resize": 3,
    "eval_image_size": 300,
    "batch_size": 4,
    "max_num_batches": 3,
    "model_name": "ssd_300_vgg",
    "num_classes": 4,
    "use_moving_average": False,
    "moving_average_decay": 0.9,
    "anchors": "voc",
    "master": "host",
    "precision": "float32",
    "select_threshold": 0.1,
    "select_top_k": 100,
    "keep_top_k": 100,
    "nms_threshold": 0.5,
}
VOC = {"input": "voc"}
COCO = {"input": "instances.json"}
RECORDS = {"dataset_name": "bccd", "dataset_dir": "records"}


def test_table_of_the_evaluation_has_every_flag():
    names = {field.name for field in dataclasses.fields(EvalSettings)}
    assert names == {*ACT_ON_FILES, *REFUSED_WITH_FILES}


@pytest.mark.parametrize("name", ACT_ON_FILES)
def test_flag_that_acts_on_files_of_detections_is_taken(name):
    EvalSettings(**{"detections_dir": "found", "voc_dir": "voc", name: ACT_ON_FILES[name]})


@pytest.mark.parametrize("name", REFUSED_WITH_FILES)
def test_flag_about_a_network_is_refused_with_files_of_detections(name):
    flags = {"detections_dir": "found", "voc_dir": "voc", name: REFUSED_WITH_FILES[name]}
    with pytest.raises(InputError, match=f"--{name}"):
        EvalSettings(**flags)


@pytest.mark.parametrize(
    ("mode", "name", "value", "acts"),
    [
        (VOC, "split", "train", True),
        (COCO, "split", "train", False),
        (RECORDS, "split", "train", True),
        (VOC, "dataset_dir", "x", False),
        (COCO, "dataset_dir", "x", True),
        (VOC, "labels_offset", 1, False),
        (COCO, "labels_offset", 1, False),
        (RECORDS, "labels_offset", 1, True),
        (VOC, "labels_file", "labels.txt", True),
        (COCO, "labels_file", "labels.txt", True),
        (RECORDS, "labels_file", "labels.txt", True),
        (VOC, "extract", "new", False),
        (COCO, "extract", "new", False),
        (RECORDS, "extract", "new", True),
    ],
)
def test_flag_of_an_inspection_acts_or_is_refused(mode, name, value, acts):
    if acts:
        InspectSettings(**{**mode, name: value})
    else:
        with pytest.raises(InputError, match=f"--{name}={value} "):
            InspectSettings(**{**mode, name: value})


TRAINING = {"train_dir": "train", "dataset_dir": "records"}
STEPS = {"learning_rate_decay_type": "step", "learning_rate_decay_boundaries": (5,)}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, []),
        (STEPS, []),
        ({"optimizer": "adamw", "adam_beta1": 0.8, "opt_epsilon": 1e-7}, []),
        ({"slow_start_step": 5, "slow_start_learning_rate": 0.5}, []),
        ({"adam_beta1": 0.8}, ["--adam_beta1=0.8 does nothing with --optimizer=momentum."]),
        (
            {**STEPS, "learning_rate_decay_type": "fixed", "decay_steps": 9},
            [
                "--decay_steps=9 does nothing with --learning_rate_decay_type=fixed.",
                "--learning_rate_decay_boundaries=5 does nothing with "
                "--learning_rate_decay_type=fixed.",
            ],
        ),
        (
            {"slow_start_type": "constant"},
            ["--slow_start_type=constant does nothing without --slow_start_step."],
        ),
        (
            {"ignore_missing_vars": True},
            ["--ignore_missing_vars=True does nothing without --checkpoint_path."],
        ),
    ],
)
def test_flags_beside_the_chosen_optimizer_and_schedule_are_named(flags, said):
    settings = TrainSettings(**TRAINING, **flags)
    assert idle(settings) == [f"WARNING: {sentence}" for sentence in said]


# Setting that chooses -> setting that is read with some choices only -> those.
READ_WITH = {
    choice: {
        field.name: field.metadata["only_with"].values
        for field in dataclasses.fields(TrainSettings)
        if field.metadata["only_with"] and field.metadata["only_with"].name == choice
    }
    for choice in ("optimizer", "learning_rate_decay_type")
}


@pytest.mark.parametrize(
    ("choice", "factory", "read_by_all"),
    [
        ("optimizer", tf_utils.configure_optimizer, {"optimizer", "weight_decay"}),
        (
            "learning_rate_decay_type",
            tf_utils.configure_learning_rate,
            {
                *("learning_rate_decay_type", "learning_rate", "num_samples", "global_batch_size"),
                *("max_number_of_steps", "slow_start_step", "slow_start_learning_rate"),
                "slow_start_type",
            },
        ),
    ],
)
def test_who_reads_a_flag_is_known_of_all_that_a_factory_takes(choice, factory, read_by_all):
    assert {*READ_WITH[choice]} == {*inspect.signature(factory).parameters} - read_by_all
