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
