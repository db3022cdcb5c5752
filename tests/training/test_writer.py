"""What the chief writes while it trains: there at once, and closed whatever ends the run."""

import contextlib
import json
import os

import pytest
import tensorflow as tf
from tensorboard.compat.proto import event_pb2

from runtime.errors import InputError
from training.settings import TrainSettings
from training.writer import RunWriter


@pytest.fixture
def writer(tmp_path):
    settings = TrainSettings(
        train_dir=str(tmp_path), dataset_dir="records", log_every_n_steps=1, save_summaries_secs=0.0
    )
    return RunWriter(settings, start=0, tensors=dict)


def open_files(folder) -> list[str]:
    """Files of the folder that this process has open."""
    opened = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing itself had one
            opened.append(os.readlink(f"/proc/self/fd/{number}"))
    return [path for path in opened if path.startswith(f"{folder}/")]


def take_a_step(writer, *, end: type[BaseException] | None) -> None:
    with writer:
        writer.after_step(1, {"loss": 2.5, "learning_rate": 0.1}, None, idle=False)
        if end:
            raise end


def test_line_of_a_step_is_there_at_once(writer, tmp_path):
    writer.after_step(1, {"loss": 2.5, "learning_rate": 0.1}, None, idle=False)
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["loss"] == 2.5


def test_scalars_of_every_line_reach_tensorboard_when_the_run_ends(tmp_path):
    """--save_summaries_secs limits histograms and images alone."""
    settings = TrainSettings(
        train_dir=str(tmp_path), dataset_dir="records", log_every_n_steps=2, save_summaries_secs=1e6
    )
    with RunWriter(settings, start=0, tensors=dict) as writer:
        for step in range(1, 6):
            writer.after_step(step, {"loss": 2.5, "learning_rate": 0.1}, None, idle=False)
        writer.scores(4, {"mAP_VOC07": 0.5, "F1": None})
    (path,) = tmp_path.glob("events.*")
    records = tf.data.TFRecordDataset(str(path))
    events = [event_pb2.Event.FromString(record.numpy()) for record in records]
    found = [(event.step, value.tag) for event in events for value in event.summary.value]
    losses = [step for step, tag in found if tag == "train/loss"]
    assert losses == [2, 4]
    assert [pair for pair in found if pair[1].startswith("eval/")] == [(4, "eval/mAP_VOC07")]


def test_weights_that_cannot_be_read_are_no_full_disk(tmp_path):
    class Lost:
        """A variable on a parameter server that is gone."""

        def __tf_tensor__(self, *_):
            raise tf.errors.UnknownError(None, None, "the server is gone")

    settings = TrainSettings(train_dir=str(tmp_path), dataset_dir="records", check_numerics=False)
    writer = RunWriter(settings, start=0, tensors=lambda: {"weights": Lost()})
    with writer, pytest.raises(tf.errors.UnknownError):
        writer.save(1)


@pytest.mark.parametrize("end", [KeyError, InputError, KeyboardInterrupt])
def test_files_are_closed_whatever_ends_the_run(writer, tmp_path, end):
    with pytest.raises(end):
        take_a_step(writer, end=end)
    assert open_files(tmp_path) == []


def test_files_of_a_run_that_ends_well_are_closed(writer, tmp_path):
    assert open_files(tmp_path)
    take_a_step(writer, end=None)
    assert open_files(tmp_path) == []


@pytest.mark.parametrize("made_anew", [False, True])
def test_folder_that_was_moved_away_gets_no_checkpoint(tmp_path, made_anew):
    folder = tmp_path / "run"
    folder.mkdir()
    settings = TrainSettings(train_dir=str(folder), dataset_dir="records")
    with RunWriter(settings, start=0, tensors=lambda: {"a": tf.zeros([])}) as writer:
        writer.save(1)
        folder.rename(tmp_path / "moved")
        if made_anew:
            folder.mkdir()
        with pytest.raises(InputError, match="is no longer the folder in which this run began"):
            writer.save(2)
        assert not made_anew or not list(folder.iterdir())
