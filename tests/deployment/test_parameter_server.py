"""What asynchronous training refuses; real processes in tests/faults hold the rest of it."""

import numpy as np
import pytest

from deployment import checkpoints, parameter_server
from deployment.train_settings import TrainSettings
from errors import InputError

GIVEN = {"train_dir": "train", "dataset_dir": "records"}


@pytest.mark.parametrize(
    "flag",
    [
        {"eval_split": "val", "eval_every_n_steps": 5},
        {"skip_bad": 3},
        {"summarize_gradients": True},
        {"save_summaries_images": True},
        {"profile_dir": "trace"},
        {"data_service": ("grpc://a:1",)},
    ],
)
def test_flags_that_need_the_chief_to_see_a_batch_are_refused(flag):
    name = next(iter(flag))
    with pytest.raises(InputError, match=f"--{name}=.* does not go with parameter servers"):
        parameter_server.check(TrainSettings(**GIVEN, **flag))


def test_compilation_is_refused():
    with pytest.raises(InputError, match="--jit=True does not go with parameter servers: XLA"):
        parameter_server.check(TrainSettings(**GIVEN, jit=True))


def test_flags_of_the_step_itself_go_with_parameter_servers():
    parameter_server.check(TrainSettings(**GIVEN, accumulate_steps=2, moving_average_decay=0.9))


@pytest.mark.parametrize(
    ("saved", "flags", "expected"),
    [
        ((), {}, False),
        ((4, 7), {}, False),
        ((4, 8), {}, True),
        ((4, 9), {}, True),
        ((4, 8), {"max_number_of_steps": None}, False),
        ((4, 8), {"overwrite": True}, False),
    ],
)
def test_training_is_over_once_its_last_step_is_saved(tmp_path, saved, flags, expected):
    for step in saved:
        checkpoints.save(str(tmp_path), step, {"global_step": np.int64(step)})
    given = {**GIVEN, "train_dir": str(tmp_path), "max_number_of_steps": 8, **flags}
    assert parameter_server.is_over(TrainSettings(**given)) is expected


def test_training_whose_last_checkpoint_is_damaged_is_not_over(tmp_path):
    checkpoints.save(str(tmp_path), 8, {"global_step": np.int64(8)})
    (tmp_path / "ckpt-8.data-00000-of-00001").write_bytes(b"")
    given = {**GIVEN, "train_dir": str(tmp_path), "max_number_of_steps": 8}
    assert not parameter_server.is_over(TrainSettings(**given))
