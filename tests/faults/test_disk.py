"""A disk that is full in the middle of a save: a real limit of the kernel on file sizes."""

import resource
import subprocess

import pytest
import runs

from deployment import checkpoints
from tests.faults import clusters

pytestmark = [pytest.mark.faults, pytest.mark.slow]

ROOM_BYTES = 500_000  # a checkpoint of the tiny network is three times that


def limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, ROOM_BYTES))


def test_save_on_a_full_disk_leaves_the_last_checkpoint_and_says_so(records, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    runs.run("train_ssd_network.py", *clusters.flags(records, whole, steps=4, batch=2))
    runs.run("train_ssd_network.py", *clusters.flags(records, cut, steps=2, batch=2))
    flags = clusters.flags(records, cut, steps=4, batch=2)
    full = subprocess.run(
        runs.command("train_ssd_network.py", *flags),
        env=runs.environment(),
        preexec_fn=limit_file_size,
        capture_output=True,
        text=True,
    )
    assert full.returncode == 2, full.stderr
    assert "ckpt-3 could not be written" in full.stderr
    assert "Traceback" not in full.stderr
    assert checkpoints.list_steps(str(cut)) == [1, 2]
    assert not [path for path in cut.iterdir() if path.name.endswith("_temp")]
    assert checkpoints.newest(str(cut)).step == 2
    runs.run("train_ssd_network.py", *flags)
    clusters.assert_equal_ends(whole, cut, step=4)
