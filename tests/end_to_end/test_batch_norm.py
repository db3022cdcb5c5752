"""Batch norm in real trainings: frozen and trained, in other layouts, at a resume, refused.

Sixty layers that are normalised by a batch's statistics amplify rounding a thousandfold at random
weights: float32 against float64, on one device, moves single logits by a tenth. So the first
losses of two layouts differ by 5e-4 here, and later ones by some hundredths; that each layer is
exact to rounding is tested in tests/nets/test_normalized_layers.py. Statistics of a replica alone
would move the first loss by 2e-2.
"""

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


@SLOW
def test_frozen_norm_has_the_same_losses_on_two_clones(records, tmp_path):
    """As any other weights: test_layouts tries those in more layouts, and says why the low rate."""
    flags = ("--batch_norm=frozen", "--learning_rate=0.00000001")
    one, two = (train(records, tmp_path / f"{clones}", *flags, clones=clones) for clones in (1, 2))
    assert two[0] == pytest.approx(one[0], rel=1e-6)
    np.testing.assert_allclose(two, one, rtol=1e-4)
    assert not np.any(newest(tmp_path / "1")[STATE])


@pytest.fixture(scope="module")
def one_clone(records, tmp_path_factory):
    """A run with trained norm, which is the default from scratch."""
    folder = tmp_path_factory.mktemp("batch_norm") / "run"
    return folder, train(records, folder)


def newest(folder) -> dict:
    return checkpoints.read(checkpoints.resolve(str(folder)))


@SLOW
@pytest.mark.parametrize(("workers", "clones"), [(1, 2), (2, 1)])
def test_trained_norm_takes_the_statistics_of_the_global_batch(
    workers, clones, one_clone, records, tmp_path
):
    losses = train(records, tmp_path / "run", workers=workers, clones=clones)
    assert losses[0] == pytest.approx(one_clone[1][0], rel=3e-3)
    np.testing.assert_allclose(losses, one_clone[1], rtol=0.15)


@SLOW
def test_resumed_run_ends_with_the_very_weights_and_statistics(one_clone, records, tmp_path):
    for steps in (10, STEPS):
        losses = train(records, tmp_path / "run", steps=steps)
    np.testing.assert_array_equal(losses, one_clone[1])
    made, wanted = newest(tmp_path / "run"), newest(one_clone[0])
    for name, value in wanted.items():
        np.testing.assert_array_equal(made[name], value, err_msg=name)
    assert np.any(wanted[STATE])


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
