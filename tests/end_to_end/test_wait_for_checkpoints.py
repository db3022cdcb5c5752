"""An evaluation that waits for the checkpoints of a training."""

import json
import shutil
import subprocess

import pytest
import runs
import tensorflow as tf
from tensorflow.core.util import event_pb2

from tests.faults import clusters

pytestmark = pytest.mark.slow


def flags(train_dir, records, folder) -> list[str]:
    return [
        "--wait_for_checkpoints",
        "--eval_interval_secs=0.2",
        f"--checkpoint_path={train_dir}",
        f"--eval_dir={folder}",
        f"--dataset_dir={records}",
        "--dataset_name=shapes",
    ]


def lines(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def steps_in_tensorboard(folder, tag: str) -> list[int]:
    found = []
    for path in folder.glob("events.*"):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            found += [event.step for value in event.summary.value if value.tag == tag]
    return sorted(found)


def test_last_checkpoint_ends_the_wait_and_one_that_cannot_be_read_is_passed_over(
    trained, records, tmp_path
):
    train_dir, folder = tmp_path / "run", tmp_path / "eval"
    shutil.copytree(trained, train_dir)
    for ending in (".index", ".data-00000-of-00001"):
        (train_dir / f"ckpt-2{ending}").write_bytes(b"torn")
    done = runs.run("eval_ssd_network.py", *flags(train_dir, records, folder))
    assert f"Skipped: Checkpoint {train_dir}/ckpt-2 cannot be read" in done.stdout
    assert lines(folder) == [json.loads((folder / "metrics.json").read_text())]
    assert lines(folder)[0]["step"] == 6
    assert f"{train_dir}/ckpt-6: mAP_VOC07 " in done.stdout


def test_checkpoints_are_scored_beside_two_workers_as_these_score_them(records, tmp_path):
    train_dir, folder = tmp_path / "run", tmp_path / "eval"
    command = runs.command("eval_ssd_network.py", *flags(train_dir, records, folder))
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command, env=runs.environment(), stdout=log, stderr=subprocess.STDOUT
        ) as evaluation,
    ):
        training = runs.train_flags(records, train_dir, steps=60)
        # Learns enough for a score above 0 on any processor.
        training += ["--optimizer=adam", "--learning_rate=0.003", "--augment=False"]
        # All but two are removed before they can be scored, or none, if the machine is quick.
        training += ["--save_interval_secs=0", "--max_to_keep=2"]
        training += ["--eval_split=test", "--eval_every_n_steps=60"]
        ended = clusters.run(training, train_dir, workers=2)
        assert ended.codes == [0, 0], ended.output
        assert evaluation.wait(timeout=300) == 0, (tmp_path / "log").read_text()
    steps = [line["step"] for line in lines(folder)]
    assert steps == sorted({*steps})
    assert steps[-1] == 60
    assert steps_in_tensorboard(folder, "AP_VOC07/mAP") == steps
    eval_dirs = (folder, train_dir / "evaluations")
    metrics, own = (json.loads((each / "metrics.json").read_text()) for each in eval_dirs)
    paths = (metrics.pop("checkpoint"), own.pop("checkpoint"))
    assert paths == ("../run/ckpt-60", "../ckpt-60")  # each relative to its folder
    assert metrics == own
    assert metrics["mAP_VOC07"] > 0
