"""Batch norm in real trainings: frozen and trained, in other layouts, at a resume, refused."""

import numpy as np
import pytest
import runs

from model import checkpoints
from tests.faults import clusters

NETWORK = ("--model_name=ssdlite_300_mobilenet_v2", "--depth_multiplier=0.1")
STEPS, GLOBAL_BATCH = 20, 4
SLOW = pytest.mark.slow
STATE = "FeatureExtractor/MobilenetV2/Conv/BatchNorm/moving_mean"


def train(records, folder, *more: str, workers: int = 1, clones: int = 1, steps: int = STEPS):
    """Losses of all steps so far; the run is resumed where there is one."""
    batch = GLOBAL_BATCH // (workers * clones)
    arguments = clusters.flags(records, folder, steps=steps, batch=batch)
    layout = [
        *(f"--num_clones={clones}", "--clone_on_cpu", "--save_interval_secs=600"),
        *("--learning_rate=0.000001", "--stall_timeout_secs=300", "--precision=float32"),
    ]
    ended = clusters.run([*arguments, *NETWORK, *layout, *more], folder, workers=workers)
    assert ended.codes == [0] * workers, ended.output
    return clusters.losses(folder)


@pytest.fixture(scope="module", params=["frozen", "trained"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def one_clone(mode, records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch_norm") / "run"
    return folder, train(records, folder, f"--batch_norm={mode}")


@SLOW
@pytest.mark.parametrize(("workers", "clones"), [(1, 2), (2, 1)])
def test_losses_do_not_depend_on_the_layout(mode, workers, clones, one_clone, records, tmp_path):
    flags = (f"--batch_norm={mode}",)
    losses = train(records, tmp_path / "run", *flags, workers=workers, clones=clones)
    first, last = {"frozen": (1e-6, 1e-4), "trained": (1e-5, 1e-2)}[mode]
    print(mode, workers, clones, abs(losses / one_clone[1] - 1))
    assert losses[0] == pytest.approx(one_clone[1][0], rel=first)
    np.testing.assert_allclose(losses, one_clone[1], rtol=last)


@SLOW
def test_resumed_run_ends_with_the_very_weights_and_statistics(mode, one_clone, records, tmp_path):
    for steps in (10, STEPS):
        losses = train(records, tmp_path / "run", f"--batch_norm={mode}", steps=steps)
    np.testing.assert_array_equal(losses, one_clone[1])
    made, wanted = (
        checkpoints.read(checkpoints.resolve(str(folder)))
        for folder in (tmp_path / "run", one_clone[0])
    )
    for name, value in wanted.items():
        np.testing.assert_array_equal(made[name], value, err_msg=name)
    assert np.any(wanted[STATE] != 0) == (mode == "trained")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--accumulate_steps=2",), "--batch_norm=trained does not go with --accumulate_steps=2"),
        (("--num_clones=2", "--jit"), "--batch_norm=trained does not go with --jit"),
        (("--model_name=ssd_32_tiny", "--batch_norm=frozen"), "ssd_32_tiny has no batch norm"),
    ],
)
def test_what_would_not_be_exact_is_refused(flags, sentence, records, tmp_path):
    arguments = runs.train_flags(records, tmp_path / "run", steps=1)
    done = runs.run("train_ssd_network.py", *arguments, *NETWORK, *flags, code=2)
    assert sentence in done.stderr
