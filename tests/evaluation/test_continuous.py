"""Checkpoints that come and go, on a clock that a list of events drives."""

import os
import pathlib

import pytest

from evaluation import continuous
from evaluation.settings import EvalSettings
from model import train_dir as model_train_dir
from runtime import json_log
from runtime.errors import InputError


class Training:
    """A train_dir in which things happen while the evaluation sleeps."""

    def __init__(self, folder: pathlib.Path, *events: tuple[str, ...]):
        self.folder, self._events, self.now = folder, list(events), 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 1000, "it waits forever"
        for name in self._events.pop(0) if self._events else ():
            path = self.folder / f"ckpt-{name.lstrip('-')}.index"
            path.unlink() if name.startswith("-") else path.touch()

    def steps(self, **limits):
        return continuous.new_steps(
            str(self.folder), interval=10, clock=lambda: self.now, sleep=self.sleep, **limits
        )


def test_every_checkpoint_comes_once_and_in_order(tmp_path):
    training = Training(tmp_path, ("10", "9"), (), ("100",))
    assert list(training.steps(timeout=25)) == [9, 10, 100]
    assert training.now == 60  # 30 to the last one, and the next look after 25 more


def test_checkpoint_that_was_removed_before_its_turn_does_not_come(tmp_path):
    training = Training(tmp_path, ("1", "2", "3"), ("4",))
    steps = training.steps(timeout=25)
    assert next(steps) == 1
    training.sleep(0)  # the evaluation of the first takes its time
    for step in (2, 3):
        (tmp_path / f"ckpt-{step}.index").unlink()
    assert list(steps) == [4]


def test_without_any_time_what_is_there_is_scored(tmp_path):
    (tmp_path / "ckpt-7.index").touch()
    assert list(Training(tmp_path).steps(timeout=0)) == [7]


def test_run_that_is_started_over_is_scored_anew(tmp_path):
    assert list(Training(tmp_path, ("5",), ("-5",), ("5",)).steps(timeout=25)) == [5, 5]


def test_waiting_ends_after_the_last_step_of_the_training(tmp_path):
    (tmp_path / "flags.txt").write_text("--seed=1\n--max_number_of_steps=20\n--optimizer=adam\n")
    assert list(Training(tmp_path, ("10",), ("20",)).steps(timeout=None)) == [10, 20]


def test_waiting_ends_when_the_training_ended_early(tmp_path):
    (tmp_path / "flags.txt").write_text("--early_stopping_evals=2\n--max_number_of_steps=99\n")
    log, lines = tmp_path / "evaluations.jsonl", ""
    steps = Training(tmp_path, ("4",), ("8",), ("12",)).steps(timeout=None)
    for step, score in ((4, 0.5), (8, 0.4), (12, 0.5)):
        assert model_train_dir.last_step(str(tmp_path)) == 99
        assert next(steps) == step
        lines += f'{{"step": {step}, "mAP_VOC07": {score}}}\n'
        log.write_text(lines)
    assert model_train_dir.last_step(str(tmp_path)) == 12
    assert list(steps) == []


@pytest.mark.parametrize("text", [None, "--seed=1\n"])
def test_training_without_an_end_has_no_last_step(tmp_path, text):
    if text:
        (tmp_path / "flags.txt").write_text(text)
    assert model_train_dir.last_step(str(tmp_path)) is None


def test_line_of_the_same_step_is_replaced(tmp_path):
    for values in ({"step": 1, "a": 1}, {"step": 2, "a": 2}, {"step": 1, "a": 3}):
        json_log.replace_line(str(tmp_path), "log", values)
    assert (tmp_path / "log").read_text() == '{"step": 2, "a": 2}\n{"step": 1, "a": 3}\n'


def settings(folder, **flags) -> EvalSettings:
    return EvalSettings(
        checkpoint_path=str(folder), eval_dir=f"{folder}/eval", dataset_dir="records", **flags
    )


def test_folder_in_which_nothing_comes_is_named(tmp_path):
    waits = settings(
        tmp_path, wait_for_checkpoints=True, eval_timeout_secs=0.0, eval_interval_secs=0.1
    )
    with pytest.raises(InputError, match="got no checkpoint that can be read in the 0 seconds"):
        continuous.evaluate_continuously(waits)


def test_what_was_scored_before_is_not_scored_again(tmp_path, capsys):
    """And a run that is started over is: its step 2 is newer than the line."""
    (tmp_path / "eval").mkdir()
    log = tmp_path / "eval" / "metrics.jsonl"
    log.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4}\n{"st')
    for step, seconds in ((1, -9), (2, 9), (4, -9), (5, -9)):
        path = tmp_path / f"ckpt-{step}.index"
        path.touch()
        os.utime(path, (log.stat().st_mtime + seconds,) * 2)
    assert continuous.scored_before(str(tmp_path), f"{tmp_path}/eval") == {1, 4}
    assert continuous.scored_before(str(tmp_path), f"{tmp_path}/none") == set()
    assert list(Training(tmp_path).steps(timeout=0, scored={1, 4})) == [2, 5]
    for step in (2, 5):
        (tmp_path / f"ckpt-{step}.index").unlink()
    waits = settings(tmp_path, wait_for_checkpoints=True, eval_timeout_secs=0.0)
    assert continuous.evaluate_continuously(waits) == 0
    assert "2 scored before" in capsys.readouterr().out


def test_folder_whose_last_checkpoint_cannot_be_read_is_named(tmp_path):
    """Without a timeout there is none to tell."""
    (tmp_path / "flags.txt").write_text("--max_number_of_steps=4\n")
    (tmp_path / "ckpt-4.index").write_text("torn")
    with pytest.raises(InputError, match="got no checkpoint that can be read: is it"):
        continuous.evaluate_continuously(settings(tmp_path, wait_for_checkpoints=True))


def test_log_of_the_training_is_not_written_to(tmp_path):
    waits = EvalSettings(
        checkpoint_path=str(tmp_path),
        eval_dir=f"{tmp_path}/",
        dataset_dir="records",
        wait_for_checkpoints=True,
    )
    with pytest.raises(InputError, match="is the train_dir, whose"):
        continuous.evaluate_continuously(waits)


def test_eval_dir_is_tried_before_the_wait(tmp_path):
    (tmp_path / "eval").write_text("in the way")
    waits = settings(tmp_path, wait_for_checkpoints=True, eval_timeout_secs=0.0)
    with pytest.raises(InputError, match=r"--eval_dir=.*/eval cannot be written"):
        continuous.evaluate_continuously(waits)


def test_path_of_one_checkpoint_is_refused(tmp_path):
    (tmp_path / "ckpt-1.index").touch()
    with pytest.raises(InputError, match="is one checkpoint"):
        continuous.evaluate_continuously(settings(tmp_path / "ckpt-1", wait_for_checkpoints=True))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"eval_timeout_secs": 5.0}, "--eval_timeout_secs=5.0 does nothing without --wait_for"),
        ({"eval_interval_secs": 5.0}, "--eval_interval_secs=5.0 does nothing without --wait_for"),
        ({"wait_for_checkpoints": True, "eval_interval_secs": -1.0}, "must be 0 or more"),
        (
            {"wait_for_checkpoints": True, "detections_dir": "d", "voc_dir": "v"},
            "files of detections do not change",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, said):
    with pytest.raises(InputError, match=said):
        settings("train", **flags)
