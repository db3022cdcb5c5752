"""Processes that take turns, and replacements of torchvision's operators."""

import functools
import os
import time

import pytest

from benchmarks import _contenders
from runtime.errors import InputError


def sleeper(seconds: float) -> _contenders.Contender:
    return _contenders.Contender({"sleep": lambda times: time.sleep(times * seconds)}, "sleeps")


def missing() -> _contenders.Contender:
    raise InputError("nothing to sleep on")


def remembering() -> _contenders.Contender:
    kept = []
    return _contenders.Contender({"take": lambda count: kept.append(b"1" * count)})


def test_contenders_take_turns_and_what_is_missing_says_so(capsys):
    makers = {"short": functools.partial(sleeper, 0.01), "long": functools.partial(sleeper, 0.1)}
    running = _contenders.start({**makers, "none": missing})
    assert list(running) == ["short", "long"]
    assert capsys.readouterr().out.splitlines()[2].split(maxsplit=1)[1] == (
        "not here: nothing to sleep on"
    )
    seconds = _contenders.in_turn(running, "sleep", 2, rounds=3)
    assert [len(each) for each in seconds.values()] == [3, 3]
    assert min(seconds["short"]) >= 0.02
    assert min(seconds["long"]) >= 0.2
    for process in running.values():
        process.close()


def test_peak_memory_is_one_process_alone():
    small, large = _contenders.Process(remembering), _contenders.Process(remembering)
    before = large.peak_memory()
    large.measure("take", 300 * 2**20)
    assert large.peak_memory() - before > 250 * 2**20
    assert small.peak_memory() < before + 50 * 2**20
    small.close()
    large.close()


def cores_of_process() -> _contenders.Contender:
    return _contenders.Contender({}, str(len(os.sched_getaffinity(0))))


def test_pinned_process_has_one_core():
    for pinned, cores in ((True, 1), (False, len(os.sched_getaffinity(0)))):
        process = _contenders.Process(cores_of_process, pinned=pinned)
        assert process.note == str(cores)
        process.close()


def two_calls() -> _contenders.Contender:
    return _contenders.Contender(
        {"one": lambda: (1, 0.5), "left out": lambda: 2, "many": lambda: (3, [4])}
    )


def test_all_calls_take_turns_and_numbers_come_back():
    process = _contenders.Process(two_calls)
    turns = _contenders.all_in_turn([process], rounds=2, leave_out="left out")
    process.close()
    assert {name: [turn.result for turn in each] for name, each in turns.items()} == {
        "one": [(1, 0.5)] * 2,
        "many": [None, None],
    }


def test_ratio_is_the_median_of_the_rounds_ratios():
    assert _contenders.ratio([2.0, 9.0, 30.0], [1.0, 3.0, 5.0]) == 3.0


def test_opencv_suppresses_as_torchvision_does():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 12]])
    scores = torch.tensor([0.5, 0.9, 0.8, 0.4])
    kept = _contenders._suppress_by_opencv(boxes, scores, 0.45, library=None)
    assert kept.tolist() == [1, 2]
