"""Asynchronous training with one parameter server and two workers: it learns, and who may die."""

import json
import pathlib
import re
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from datasets.records.index import frame
from model import checkpoints
from tests.faults import clusters
from tests.faults.asynchronous import (
    CHIEF,
    END_SECS,
    PLACES,
    PS,
    WORKER_0,
    WORKER_1,
    running,
    wait_for_step,
    wait_until,
)
from tests.faults.clusters import LIMIT_SECS

CUT = "jpeg::Uncompress failed. Invalid JPEG data or crop window"
STALL_SECS = 30.0  # room for a start on a busy machine

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def flags(
    records, train_dir, *, steps: int, save_every: float = 0.0, stall_secs: float = 300.0
) -> list[str]:
    arguments = clusters.flags(records, train_dir, steps=steps, batch=4)
    easy = ("--optimizer=adam", "--learning_rate=0.001", "--augment=False")
    times = (f"--save_interval_secs={save_every}", f"--stall_timeout_secs={stall_secs}")
    return [*arguments, *easy, *times]


def check_saved(run, folder) -> None:
    found = checkpoints.newest(str(folder))
    assert found.step == clusters.last_step(folder) == found.tensors["global_step"]
    assert f"at step {found.step}; saved." in run.said()


def lose_a_worker_and_start_it_again(run, folder) -> None:
    """Kills worker 1; the other continues meanwhile. Returns when worker 1 serves again."""
    wait_for_step(run, folder, 5)
    run.signal(WORKER_1, signal.SIGKILL)
    wait_for_step(run, folder, clusters.last_step(folder) + 10)
    run.restart(WORKER_1)
    assert wait_until(lambda: run.said(WORKER_1).count("serves at") == 2, LIMIT_SECS)


def test_loss_falls_although_a_worker_dies_and_comes_back_until_one_is_stuck(records, tmp_path):
    folder = tmp_path / "run"
    arguments = flags(records, folder, steps=10**6, save_every=600, stall_secs=STALL_SECS)
    with running(arguments, tmp_path / "logs") as run:
        lose_a_worker_and_start_it_again(run, folder)
        wait_for_step(run, folder, max(50, clusters.last_step(folder) + 10))
        run.signal(WORKER_0, signal.SIGSTOP)
        others = [CHIEF, WORKER_1, PS]
        assert run.codes(within=STALL_SECS + END_SECS, of=others) == [75, 75, 75], run.said()
        assert "worker 1 is gone; the others continue without it" in run.said()
        # No step ended at all, or not that of the stuck worker, should the other be back at work.
        assert "(--stall_timeout_secs): a" in run.said()
        run.signal(WORKER_0, signal.SIGCONT)
        assert run.codes(within=END_SECS, of=[WORKER_0]) == [75]
    losses = clusters.losses(folder)
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_chief_ends_when_a_worker_is_stuck_just_when_another_comes_back(records, tmp_path):
    """TensorFlow tells all workers of the new one's pipeline, with Python standing still."""
    folder = tmp_path / "run"
    arguments = flags(records, folder, steps=10**6, save_every=600, stall_secs=STALL_SECS)
    with running(arguments, tmp_path / "logs") as run:
        lose_a_worker_and_start_it_again(run, folder)
        run.signal(WORKER_0, signal.SIGSTOP)
        others = [CHIEF, WORKER_1, PS]
        assert run.codes(within=STALL_SECS + END_SECS, of=others) == [75, 75, 75], run.said()
        assert "(--stall_timeout_secs): a" in run.said()  # by whichever notices first


def test_death_of_the_parameter_server_ends_all_and_the_run_goes_on_from_its_checkpoint(
    records, tmp_path
):
    folder = tmp_path / "run"
    with running(flags(records, folder, steps=10**6), tmp_path / "logs") as run:
        wait_for_step(run, folder, 12)  # with a save after every few steps
        run.signal(PS, signal.SIGKILL)
        assert run.codes(within=END_SECS) == [75, 75, 75, -9], run.said()
        assert "is gone" in run.said()
    saved = checkpoints.newest(str(folder)).step
    assert saved > 0
    with running(flags(records, folder, steps=saved + 8), tmp_path / "again") as run:
        assert run.codes(within=LIMIT_SECS) == [0, 0, 0, 0], run.said()
        assert f"Resuming from {folder}/ckpt-{saved}." in run.said()
        run.restart(WORKER_1)  # too late: it does not wait for a chief that has ended
        assert run.codes(within=END_SECS, of=[WORKER_1]) == [0], run.said(WORKER_1)
        assert "The training is over" in run.said(WORKER_1)
    assert checkpoints.newest(str(folder)).step == saved + 8
    assert len(clusters.losses(folder)) == saved + 8


@pytest.mark.parametrize("asked", [(PS,), PLACES], ids=["server", "all"])
def test_request_to_stop_saves_what_was_learnt(records, tmp_path, asked):
    folder = tmp_path / "run"
    with running(flags(records, folder, steps=10**6, save_every=600), tmp_path / "logs") as run:
        wait_for_step(run, folder, 3)
        for place in asked:
            run.signal(place, signal.SIGTERM)
        assert run.codes(within=2 * END_SECS) == [75, 75, 75, 75], run.said()
        check_saved(run, folder)


def test_request_to_stop_is_heard_by_a_chief_that_lost_its_workers(records, tmp_path):
    folder = tmp_path / "run"
    with running(flags(records, folder, steps=10**6, save_every=600), tmp_path / "logs") as run:
        wait_for_step(run, folder, 3)
        for place in (WORKER_0, WORKER_1):
            run.signal(place, signal.SIGKILL)
        run.signal(CHIEF, signal.SIGTERM)
        assert run.codes(within=2 * END_SECS) == [75, -9, -9, 75], run.said()
        check_saved(run, folder)


def flip_a_bit(shard: pathlib.Path) -> None:
    data = bytearray(shard.read_bytes())
    data[200] ^= 1
    shard.write_bytes(data)


def cut_pictures(shard: pathlib.Path) -> None:
    """Leaves half of each image, in records that are whole, as the manifest says."""
    examples = [tf.train.Example.FromString(d.numpy()) for d in tf.data.TFRecordDataset(str(shard))]
    for example in examples:
        picture = example.features.feature["image/encoded"].bytes_list.value
        picture[0] = picture[0][: len(picture[0]) // 2]
    shard.write_bytes(b"".join(frame(example.SerializeToString()) for example in examples))
    manifest = shard.with_name("shapes_train.json")
    fields = json.loads(manifest.read_text())
    fields["shards"][0]["size"] = shard.stat().st_size
    manifest.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [(flip_a_bit, "corrupted record at 12"), (cut_pictures, CUT)],
)
def test_records_that_a_worker_cannot_read_are_named(records, tmp_path, harm, reason):
    copy = shutil.copytree(records, tmp_path / "records")
    harm(copy / "shapes_train_000.tfrecord")
    with running(flags(copy, tmp_path / "run", steps=100), tmp_path / "logs") as run:
        assert run.codes(within=LIMIT_SECS) == [2, 75, 75, 75], run.said()
        (sentence,) = re.findall(r"A worker cannot read its records .*", run.said())
        assert f"({reason}): each needs them, whole" in sentence
        assert "Traceback" not in run.said()
