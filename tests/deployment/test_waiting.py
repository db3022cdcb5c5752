"""Waiting for checkpoints: which are seen, and when it ends."""

import numpy as np
import pytest

from deployment import checkpoints, waiting
from deployment.eval_settings import EvalSettings
from errors import InputError


class Clock:
    """Seconds that pass in sleep alone; `events` are done when their second has come."""

    def __init__(self, events):
        self.now, self._events = 0.0, dict(events)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for due in [second for second in self._events if second <= self.now]:
            self._events.pop(due)()


def seen(folder, events, *, timeout: float) -> list[tuple[float, str]]:
    clock = Clock(events)
    paths = waiting.new_checkpoints(
        f"{folder}/", interval=10.0, timeout=timeout, clock=clock, sleep=clock.sleep
    )
    return [(clock.now, path) for path in paths]


def save(folder, step: int):
    return lambda: checkpoints.save(str(folder), step, {"global_step": np.int64(step)})


def test_each_new_checkpoint_is_seen_once_and_those_that_were_overtaken_never(tmp_path):
    save(tmp_path, 1)()
    events = {15: save(tmp_path, 2), 35: save(tmp_path, 3), 36: save(tmp_path, 4)}
    assert seen(tmp_path, events, timeout=60) == [
        (0.0, f"{tmp_path}/ckpt-1"),
        (20.0, f"{tmp_path}/ckpt-2"),
        (40.0, f"{tmp_path}/ckpt-4"),
    ]


def test_time_without_a_new_one_ends_it_and_is_counted_from_the_last(tmp_path):
    events = {50: save(tmp_path, 1), 100: save(tmp_path, 2), 165: save(tmp_path, 3)}
    found = seen(tmp_path / ".", events, timeout=60)
    assert [second for second, _ in found] == [50.0, 100.0]


def test_folder_may_not_exist_yet(tmp_path):
    assert seen(tmp_path / "later", {}, timeout=30) == []


def settings(path) -> EvalSettings:
    return EvalSettings(checkpoint_path=str(path), eval_dir="eval", dataset_dir="records",
                        eval_timeout_secs=0.0, wait_for_checkpoints=True)  # fmt: skip


def test_one_checkpoint_is_refused(tmp_path):
    save(tmp_path, 1)()
    with pytest.raises(InputError, match=r"ckpt-1 is one checkpoint, .*: give the folder"):
        waiting.evaluate_as_they_come(settings(tmp_path / "ckpt-1"))


def test_no_checkpoint_at_all_is_an_error(tmp_path):
    with pytest.raises(InputError, match="got no checkpoint in the 0 seconds"):
        waiting.evaluate_as_they_come(settings(tmp_path))
