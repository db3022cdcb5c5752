"""Traces of a few steps."""

import pathlib

import pytest
import tensorflow as tf

from runtime.errors import InputError
from training.profiling import STEPS, STEPS_BEFORE, StepProfiler


def take(profiler: StepProfiler, first: int, end: int, compute=tf.cosh) -> None:
    for number in range(first, end):
        with profiler.step(number):
            compute(tf.ones([8]))


def traces(folder: pathlib.Path) -> list[pathlib.Path]:
    return list(folder.rglob("*.xplane.pb"))


def test_trace_is_written_when_its_steps_are_over(tmp_path):
    with StepProfiler(str(tmp_path / "new"), start=50) as profiler:
        first, last = 50 + STEPS_BEFORE, 50 + STEPS_BEFORE + STEPS - 1
        take(profiler, 50, first)
        take(profiler, first, last, tf.sinh)
        assert not traces(tmp_path)
        take(profiler, last, last + 1, tf.atan)
        (trace,) = traces(tmp_path)
        take(profiler, last + 1, last + 5)
    assert traces(tmp_path) == [trace]
    found = [name in trace.read_bytes() for name in (b"Sinh", b"Atan", b"Cosh")]
    assert found == [True, True, False]


def test_run_that_ends_among_them_leaves_what_there_is(tmp_path):
    with StepProfiler(str(tmp_path), start=0) as profiler:
        take(profiler, 0, STEPS_BEFORE + 1)
    assert len(traces(tmp_path)) == 1


def test_nothing_is_traced_without_a_folder_or_in_a_short_run(tmp_path):
    for folder in ("", str(tmp_path)):
        with StepProfiler(folder, start=0) as profiler:
            take(profiler, 0, STEPS_BEFORE)
    assert not traces(tmp_path)


def test_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--profile_dir="):
        StepProfiler(str(tmp_path / "file" / "folder"), start=0)
