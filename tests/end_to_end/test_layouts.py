"""The same training on other layouts of clones and workers gives the same losses.

Sums are rounded in another order, and training amplifies what that leaves, the more so the higher
the rate and in another way on every processor: in a narrow VGG from 1.5e-7 at the first step, at a
rate of .00002, to 5e-6 at the nineteenth on one machine and 6e-4 on another. Hence .000005 here.
"""

import numpy as np
import pytest

from tests.faults import clusters

STEPS, GLOBAL_BATCH = 20, 12
SLOW = pytest.mark.slow


def train(records, folder, *, workers: int = 1, clones: int = 1, steps: int = STEPS) -> np.ndarray:
    """Losses of all steps so far; the run is resumed where there is one."""
    batch = GLOBAL_BATCH // (workers * clones)
    arguments = clusters.flags(records, folder, steps=steps, batch=batch)
    layout = [f"--num_clones={clones}", "--clone_on_cpu", "--save_interval_secs=600",
              "--learning_rate=0.000005", "--stall_timeout_secs=300"]  # fmt: skip
    ended = clusters.run([*arguments, *layout], folder, workers=workers)
    assert ended.codes == [0] * workers, ended.output
    assert not any("E0000" in said or "crashed" in said for said in ended.output), ended.output
    return clusters.losses(folder)


@pytest.fixture(scope="module")
def one_clone(records, tmp_path_factory):
    return train(records, tmp_path_factory.mktemp("layouts") / "one")


@pytest.mark.parametrize(
    ("workers", "clones"),
    [pytest.param(1, 2, marks=SLOW), pytest.param(1, 4, marks=SLOW), (2, 1),
     pytest.param(3, 1, marks=SLOW)],
)  # fmt: skip
def test_losses_do_not_depend_on_the_layout(workers, clones, one_clone, records, tmp_path):
    losses = train(records, tmp_path / "run", workers=workers, clones=clones)
    assert losses[0] == pytest.approx(one_clone[0], rel=1e-6)
    assert losses[-1] == pytest.approx(one_clone[-1], rel=1e-4)
    np.testing.assert_allclose(losses, one_clone, rtol=1e-4)


@pytest.mark.slow
def test_another_layout_at_a_resume_continues_the_curve(one_clone, records, tmp_path):
    train(records, tmp_path / "run", clones=2, steps=10)
    losses = train(records, tmp_path / "run", workers=2)
    assert losses[-1] == pytest.approx(one_clone[-1], rel=1e-4)
    np.testing.assert_allclose(losses, one_clone, rtol=1e-4)
