"""A real SLURM runs scripts/slurm_train.sbatch on two nodes; skipped where it is not installed."""

import os
import pathlib
import re
import signal
import sys

import numpy as np
import pytest
import runs

from tests.cluster import slurm as real
from tests.faults import clusters
from tests.faults.asynchronous import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.faults]
STEPS, LONG = 12, 5000
LIMIT_SECS = 300
READ = """
import os
from deployment import environment
(place,) = environment.read(os.environ)
node, number = os.environ["SLURMD_NODENAME"], int(os.environ["SLURM_LOCALID"])
first = 12000 + int(os.environ["SLURM_JOB_ID"])
print(place.task, f"{node}:{first + number}", *place.hosts)
"""


@pytest.fixture(scope="module")
def slurm(hosts, tmp_path_factory):
    with real.running(hosts, tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def one_process(records, tmp_path_factory):
    """Losses of one process that takes the steps alone."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    runs.run("train_ssd_network.py", *flags(records, folder, steps=STEPS, batch=4))
    return clusters.losses(folder)


def flags(records, train_dir, *, steps: int, batch: int) -> list[str]:
    arguments = clusters.flags(records, train_dir, steps=steps, batch=batch)
    # At a rate at which rounding is not amplified.
    return [*arguments, "--depth_multiplier=1", "--learning_rate=0.000005"]


def submit(slurm, folder: pathlib.Path, arguments: list[str], *options: str) -> str:
    """Submits the script from a checkout that is linked in a folder; the job's number."""
    runs.link_checkout(folder)
    said = slurm.call(
        "sbatch", "--parsable", "--nodes=2", f"--chdir={folder}", *options,
        "scripts/slurm_train.sbatch", *arguments, cwd=folder,
    )  # fmt: skip
    return said.split()[-1]


def log(folder: pathlib.Path) -> str:
    return "".join(path.read_text() for path in folder.glob("ssd-*.log"))


@pytest.mark.parametrize("counts", ["3", "4"])
@pytest.mark.parametrize("distribution", ["block", "cyclic", "plane=1", "cyclic:block,nopack"])
def test_addresses_are_where_the_tasks_are(slurm, counts, distribution):
    step = ("srun", "--overcommit", "--nodes=2", f"--ntasks={counts}", f"-m{distribution}")
    said = slurm.call(*step, sys.executable, "-c", READ, cwd=clusters.ROOT)
    tasks = [line.split() for line in sorted(said.splitlines())]
    assert len(tasks) == int(counts), said
    for _, _, *hosts in tasks:
        assert hosts == [own for _, own, *_ in tasks], said


@pytest.mark.parametrize("distribution", ["block", "cyclic"])
def test_two_nodes_have_the_losses_of_one_process(
    slurm, records, one_process, tmp_path, distribution
):
    folder = tmp_path / "run"
    arguments = flags(records, folder, steps=STEPS, batch=1)
    job = submit(slurm, tmp_path, arguments, "--ntasks-per-node=2", "--overcommit",
                 f"--distribution={distribution}")  # fmt: skip
    slurm.until(job, "RUNNING")
    state = slurm.until(job, "COMPLETED", "FAILED", "CANCELLED", "PENDING")
    assert state == "COMPLETED", log(tmp_path)
    np.testing.assert_allclose(clusters.losses(folder), one_process, rtol=2e-6)
    assert not list(tmp_path.glob(".codes-*"))


def kill_a_worker(slurm, job: str, folder: pathlib.Path) -> None:
    """With a signal that nothing can catch."""
    os.kill(workers_of(job, "node2")[0], signal.SIGKILL)


def workers_of(job: str, node: str) -> list[int]:
    """Numbers of the Python processes of a job on a node."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            variables = (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        here = {f"SLURM_JOB_ID={job}".encode(), f"SLURMD_NODENAME={node}".encode()}
        if b"train_ssd_network.py" in words[:2] and here <= set(variables):
            found.append(int(path.name))
    return found


def ask(*options: str):
    """A function that sends SIGTERM with scancel."""
    return lambda slurm, job, _: slurm.call("scancel", "--signal=TERM", *options, job)


@pytest.mark.parametrize(
    "interrupt",
    [kill_a_worker, ask(), ask("--batch"), ask("--full")],
    ids=["kill -9", "scancel", "scancel --batch", "scancel --full"],
)
def test_interrupted_job_is_queued_again_and_resumes(
    slurm, records, one_process, tmp_path, interrupt
):
    folder = tmp_path / "run"
    endless = [*flags(records, folder, steps=STEPS, batch=2), f"--max_number_of_steps={LONG}"]
    (tmp_path / "steps.flags").write_text("\n".join(endless))
    job = submit(slurm, tmp_path, [f"--flagfile={tmp_path / 'steps.flags'}"])
    assert wait_until(lambda: clusters.last_step(folder) >= 5, LIMIT_SECS), log(tmp_path)
    interrupt(slurm, job, folder)
    assert slurm.until(job, "PENDING", "COMPLETED", "FAILED", "CANCELLED") == "PENDING", log(
        tmp_path
    )
    saved = int(re.findall(r"ckpt-(\d+)", " ".join(sorted(os.listdir(folder), key=len)))[-1])
    steps = max(STEPS, saved + 2)
    endless[-1] = f"--max_number_of_steps={steps}"
    (tmp_path / "steps.flags").write_text("\n".join(endless))
    slurm.run_again_now(job)
    assert slurm.until(job, "COMPLETED", "FAILED", "CANCELLED") == "COMPLETED", log(tmp_path)
    assert f"Resuming from {folder}/ckpt-" in log(tmp_path)
    losses = clusters.losses(folder)
    assert len(losses) == steps
    np.testing.assert_allclose(losses[:STEPS], one_process, rtol=2e-6)
    assert not list(tmp_path.glob(".codes-*"))
