"""Which weights an evaluation takes, and what it refuses."""

import pytest

from deployment import checkpoints
from deployment.description import Description
from deployment.detector import Detector
from deployment.eval_settings import EvalSettings
from deployment.evaluation import evaluate_checkpoint
from errors import InputError


def settings(path: str, **flags) -> EvalSettings:
    return EvalSettings(checkpoint_path=path, eval_dir="eval", dataset_dir="absent", **flags)


def test_decay_flag_insists_on_averages(tmp_path):
    description = Description(model_name="ssd_300_vgg", labels=("a",), depth_multiplier=0.03)
    tensors = Detector(description).variables_by_name
    path = checkpoints.save(str(tmp_path), 1, {**tensors, "description": description.to_json()})
    with pytest.raises(InputError, match=r"--moving_average_decay=0.9 .*has none"):
        evaluate_checkpoint(settings(path, moving_average_decay=0.9))
    with pytest.raises(InputError, match="absent"):  # past the weights, to the missing records
        evaluate_checkpoint(settings(path))


def test_decay_flag_and_raw_weights_contradict_each_other():
    with pytest.raises(InputError, match="drop one of them"):
        settings("train", moving_average_decay=0.9, use_moving_average=False)
