"""The folder of a run: lock, clearing, and the metrics log."""

import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

from model import train_dir
from runtime import files, json_log
from runtime.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


HOLDER = """
import sys
from model import train_dir
with train_dir.locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_lock_refuses_a_second_process_and_ends_with_the_first(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match="in use by another training"),
            train_dir.locked(str(tmp_path)),
        ):
            pass
        holder.kill()
    with train_dir.locked(str(tmp_path)):
        pass


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_lock_refuses_a_folder_that_cannot_be_made(tmp_path, scheme):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"file/run (cannot|could not) be written"),
        train_dir.locked(f"{scheme}{tmp_path}/file/run"),
    ):
        pass


@pytest.mark.parametrize("name", [train_dir.FLAGS, train_dir.LABELS])
def test_text_without_room_is_refused_and_the_old_one_stays(tmp_path, name):
    files.write_text(str(tmp_path), name, ["old"])
    (tmp_path / f"{name}.temp").symlink_to("/dev/full")
    with pytest.raises(InputError, match=f"{name} could not be written .*No space left"):
        files.write_text(str(tmp_path), name, ["new"])
    assert (tmp_path / name).read_text() == "old\n"


def test_clear_removes_ours_and_nothing_else(tmp_path):
    ours = ["ckpt-5.index", "ckpt-5.data-00000-of-00001", "checkpoint", "metrics.jsonl",
            "flags.txt", "labels.txt", "events.out.tfevents.1.host",
            "evaluations.jsonl", "configuration.txt"]  # fmt: skip
    for name in [*ours, "notes.md", "ckpt-best.txt"]:
        (tmp_path / name).write_text("")
    for name in ("ckpt-6_temp", "best", "evaluations"):
        (tmp_path / name).mkdir()
    train_dir.clear(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["ckpt-best.txt", "notes.md"]


@pytest.mark.parametrize("name", ["best", "evaluations", "ckpt-7_temp"])
def test_clear_removes_a_link_and_leaves_what_it_leads_to(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "photo").write_text("mine")
    (tmp_path / name).symlink_to("elsewhere")
    train_dir.clear(str(tmp_path))
    assert os.listdir(tmp_path) == ["elsewhere"]
    assert (tmp_path / "elsewhere" / "photo").read_text() == "mine"


def test_log_writes_floats_unrounded(tmp_path):
    log = json_log.MetricsLog(str(tmp_path), step=0, name=train_dir.METRICS)
    log.write({"step": 1, "loss": 1 / 3})
    log.close()
    assert read_lines(tmp_path) == [{"step": 1, "loss": 1 / 3}]


def test_log_has_null_for_what_json_has_no_number_for(tmp_path):
    log = json_log.MetricsLog(str(tmp_path), step=0, name=train_dir.METRICS)
    log.write({"step": 1, "loss": math.nan, "norm": math.inf, "mAP": None, "rate": 0.5})
    log.close()
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert line == '{"step": 1, "loss": null, "norm": null, "mAP": null, "rate": 0.5}'


def test_log_of_a_resumed_run_has_no_gap_and_no_repeat(tmp_path):
    log = json_log.MetricsLog(str(tmp_path), step=0, name=train_dir.METRICS)
    for step in range(1, 6):
        log.write({"step": step})
    log.close()
    log = json_log.MetricsLog(str(tmp_path), step=3, name=train_dir.METRICS)
    log.write({"step": 4})
    log.close()
    assert [line["step"] for line in read_lines(tmp_path)] == [1, 2, 3, 4]


def test_log_drops_a_torn_last_line(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2, "lo')
    json_log.MetricsLog(str(tmp_path), step=9, name=train_dir.METRICS).close()
    assert [line["step"] for line in read_lines(tmp_path)] == [1]


def test_line_is_in_the_file_at_once(tmp_path):
    log = json_log.MetricsLog(str(tmp_path), step=0, name=train_dir.METRICS)
    log.write({"step": 1})
    assert read_lines(tmp_path) == [{"step": 1}]
    log.close()


def test_log_of_another_name_knows_the_lines_it_kept(tmp_path):
    (tmp_path / "evaluations.jsonl").write_text('{"step": 1}\n{"step": 4}\n')
    log = json_log.MetricsLog(str(tmp_path), step=3, name=train_dir.EVALUATIONS)
    log.close()
    assert log.earlier == [{"step": 1}]
    assert (tmp_path / "evaluations.jsonl").read_text() == '{"step": 1}\n'
    assert not (tmp_path / "metrics.jsonl").exists()


GARBAGE = (
    b"garbage",
    b"[1]",
    b"3",
    b'{"loss": 1}',
    b'{"step": "x"}',
    b'{"step": true}',
    b"\xff\xfe",
)


@pytest.mark.parametrize("garbage", GARBAGE)
def test_line_that_is_none_is_named_and_left_out(tmp_path, capsys, garbage):
    path = tmp_path / train_dir.METRICS
    path.write_bytes(b'{"step": 1}\n' + garbage + b'\n{"step": 2}\n')
    log = json_log.MetricsLog(str(tmp_path), step=2, name=train_dir.METRICS)
    log.close()
    assert log.earlier == [{"step": 1}, {"step": 2}]
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    told = f"WARNING: {path}, line 2 is no line of this log: left out.\n"
    assert capsys.readouterr().out == told


@pytest.mark.parametrize(
    ("steps", "every", "told"),
    [
        ([1, 2, 3], 1, ""),
        ([1, 2], 1, "between the steps 2 and 3"),
        ([], 1, "between the steps 0 and 3"),
        ([], 10, ""),
        ([2], 2, ""),
        ([1, 3, 9], 1, ""),
    ],
)
def test_gap_before_the_restored_step_is_told(tmp_path, capsys, steps, every, told):
    lines = "".join(json.dumps({"step": step}) + "\n" for step in steps)
    (tmp_path / train_dir.METRICS).write_text(lines)
    json_log.MetricsLog(str(tmp_path), step=3, name=train_dir.METRICS, every=every).close()
    said = capsys.readouterr().out
    assert told in said
    assert bool(told) == bool(said)


def test_score_of_something_else_is_no_score():
    lines = [{"step": 1, train_dir.METRIC: 0.5}, {"step": 2, train_dir.METRIC: "x"}, {"step": 3}]
    assert train_dir.best_of(lines) == lines[0]
    assert train_dir.has_converged(lines, 2)


def test_lock_empties_no_file_behind_a_link_and_waits_for_no_pipe(tmp_path):
    (tmp_path / "precious").write_text("content")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to("../precious")
    with train_dir.locked(str(tmp_path / "run")):
        pass
    assert (tmp_path / "precious").read_text() == "content"
    (tmp_path / "run" / ".lock").unlink()
    os.mkfifo(tmp_path / "run" / ".lock")
    with pytest.raises(InputError, match="cannot be written"), train_dir.locked(f"{tmp_path}/run"):
        pass


def test_log_in_an_object_store_is_handed_over_by_time_and_before_a_save(tmp_path):
    """There, every flush uploads the whole file."""
    log = json_log.MetricsLog(f"file://{tmp_path}", step=0, name=train_dir.METRICS)
    lines = [{"step": step, "loss": 1.0} for step in (1, 2, 3)]
    for line in lines:
        log.write(line)
    assert json_log.read_lines(str(tmp_path), train_dir.METRICS) == lines[:1]
    log.flush()
    assert json_log.read_lines(str(tmp_path), train_dir.METRICS) == lines
    log.close()


TAKER = """
import sys
from model import train_dir
with train_dir.locked(sys.argv[1]):
    print("holds it", flush=True)
    sys.stdin.readline()
    train_dir.check_holder(sys.argv[1])
"""


def test_second_training_in_a_folder_without_locks_ends_the_first_at_its_next_save(tmp_path):
    """An object store has none; file:// is treated as one."""
    folder = f"file://{tmp_path}"

    def start() -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", TAKER, folder],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with start() as first:
        assert first.stdout.readline() == "holds it\n"
        with start() as second:
            warning = second.stdout.readline()
            assert f"WARNING: --train_dir={folder} is in use by another training" in warning
            assert f"process {first.pid} of " in warning
            assert second.stdout.readline() == "holds it\n"
            refusal = first.communicate("save\n")[1]
            assert "was taken by another training while this one ran (now held by" in refusal
            assert (second.communicate("save\n")[0], second.returncode) == ("", 0)
    assert first.returncode == 1
    assert not (tmp_path / ".holder").exists()
