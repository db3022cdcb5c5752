"""What asynchronous training refuses; real processes in tests/faults hold the rest of it."""

import pytest

from deployment import parameter_server
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
