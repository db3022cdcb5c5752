"""What is trained on --checkpoint_path before any weight is read, and what reading may meet."""

import dataclasses
import re

import numpy as np
import pytest

from model import checkpoints
from model.description import Description
from model.detector import Detector
from runtime.errors import InputError
from training import initial_weights
from training.settings import TrainSettings

DESCRIPTION = Description(
    model_name="ssd_300_vgg", labels=("cat",), anchors="coco", depth_multiplier=0.01
)
SETTINGS = TrainSettings(train_dir="run", dataset_dir="records")
HEAD = "ssd_300_vgg/block4_box/conv_cls/weights"


def find(path: str, **flags) -> initial_weights.InitialWeights:
    settings = TrainSettings(train_dir="run", dataset_dir="records", checkpoint_path=path, **flags)
    return initial_weights.find_initial_weights(settings)


def save(folder, *, description: Description | None = None, **tensors: np.ndarray) -> str:
    texts = {"description": np.array(description.to_json())} if description else {}
    return checkpoints.save(str(folder), 3, {**texts, **tensors})


def damage_all_but_the_index(path: str) -> None:
    with open(f"{path}.data-00000-of-00001", "r+b") as file:
        file.truncate(4)


def test_without_a_checkpoint_the_start_is_from_scratch():
    assert find("") == initial_weights.InitialWeights(None, "voc", 1 / 58, "he", "")


def test_own_checkpoint_says_its_anchors_and_scale(tmp_path):
    origin = find(save(tmp_path, description=DESCRIPTION))
    assert (origin.anchors, origin.input_scale, origin.note) == ("coco", 1.0, "")


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"labels": ("dog",)}, "list of classes, dog, differs from the cat of .*_last_layer=False"),
        ({"anchors": "voc"}, "--anchors=voc differs from the coco of .*_last_layer=False"),
        ({"input_scale": 0.5}, r"--input_scale=0.5 differs from the 1.0 of .* keep to 1.0\.$"),
    ],
)
def test_network_that_own_weights_were_not_made_for_is_refused(tmp_path, network, said):
    path = save(tmp_path, description=DESCRIPTION, **{HEAD: np.zeros([3, 3, 8, 84], np.float32)})
    other = dataclasses.replace(DESCRIPTION, **network)
    with pytest.raises(InputError, match=said):
        initial_weights.check_fits(find(path), other)
    initial_weights.check_fits(find(path), DESCRIPTION)
    without_heads = find(path, initialize_last_layer=False)
    if "input_scale" in network:
        with pytest.raises(InputError, match=said):
            initial_weights.check_fits(without_heads, other)
    else:
        initial_weights.check_fits(without_heads, other)


def test_weights_are_not_read_before_they_are_wanted(tmp_path):
    """The names are in the index: with the data gone all is known of a slim checkpoint."""
    path = save(tmp_path, **{HEAD: np.zeros([3, 3, 8, 84], np.float32)})
    damage_all_but_the_index(path)
    origin = find(path)
    assert (origin.anchors, origin.input_scale) == ("coco", 1.0)
    assert "NOTE: the checkpoint does not name its anchors" in origin.note


def test_excluded_predictors_leave_the_anchors_free(tmp_path):
    path = save(tmp_path, **{HEAD: np.zeros([3, 3, 8, 84], np.float32)})
    assert find(path, checkpoint_exclude_scopes=("ssd_300_vgg/block4_box",)).anchors == "voc"


def test_damaged_weights_are_refused_in_one_sentence(tmp_path):
    detector = Detector(DESCRIPTION)
    path = save(tmp_path, **detector.variables_by_name)
    origin = find(path)
    damage_all_but_the_index(path)
    with pytest.raises(InputError, match=r"ckpt-3 cannot be read .* fresh copy"):
        initial_weights.initialize(detector, origin)


@pytest.mark.parametrize(
    ("flags", "resumed", "said"),
    [
        (
            {"checkpoint_path": "vgg_16.ckpt"},
            "run/ckpt-6",
            "vgg_16.ckpt is NOT used: .* run/ckpt-6",
        ),
        ({"checkpoint_path": "vgg_16.ckpt", "ignore_missing_vars": True}, None, "^$"),
        ({}, "run/ckpt-6", "^$"),
    ],
)
def test_flags_of_another_checkpoint_that_do_nothing_are_named(flags, resumed, said):
    settings = TrainSettings(train_dir="run", dataset_dir="records", **flags)
    assert re.search(said, initial_weights.without_effect(settings, resumed))


@pytest.mark.parametrize(("use", "expected"), [(True, 2.0), (False, 1.0)])
def test_averages_of_a_run_are_where_the_next_one_starts(use, expected, tmp_path):
    detector = Detector(DESCRIPTION)
    weights = {n: np.full(v.shape, 1.0, np.float32) for n, v in detector.variables_by_name.items()}
    averages = {f"{name}/ExponentialMovingAverage": 2 * value for name, value in weights.items()}
    origin = find(
        save(tmp_path, description=DESCRIPTION, **weights, **averages), use_moving_average=use
    )
    plan = initial_weights.describe_plan(detector, origin, SETTINGS)
    assert ("conv6/weights/ExponentialMovingAverage" in plan) is use
    assert ("71 values are moving averages, as evaluation takes them" in plan) is use
    assert "71 restored, 0 renamed, 0 reduced, 0 new, 0 frozen" in plan
    initial_weights.initialize(detector, origin)
    for name, variable in detector.variables_by_name.items():
        assert np.all(variable.numpy() == expected), name
