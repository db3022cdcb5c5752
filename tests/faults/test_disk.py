"""A disk that is full: a real limit of the kernel on file sizes, and a device that has no room."""

import resource
import subprocess

import pytest
import runs

from model import checkpoints
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


def test_evaluation_on_a_full_disk_says_so_and_is_made_up_for(records, tmp_path):
    run = tmp_path / "run"
    (run / "evaluations").mkdir(parents=True)
    (run / "evaluations" / "metrics.json.temp").symlink_to("/dev/full")
    flags = clusters.flags(records, run, steps=2, batch=2)
    flags += ["--eval_split=train", "--eval_every_n_steps=2"]
    full = runs.run("train_ssd_network.py", *flags, code=2)
    assert "evaluations/metrics.json could not be written" in full.stderr
    assert "Traceback" not in full.stderr
    assert list((run / "evaluations").iterdir()) == []
    assert (run / "evaluations.jsonl").read_text() == ""
    assert checkpoints.newest(str(run)).step == 2
    runs.run("train_ssd_network.py", *flags)
    assert checkpoints.newest(str(run / "best")).step == 2
