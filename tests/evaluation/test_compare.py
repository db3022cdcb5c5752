"""Trainings side by side: which flags differ, and numbers worked out by hand."""

import csv
import json
import pathlib

import cv2
import pytest
import tensorflow as tf

from evaluation import compare
from evaluation.settings import CompareSettings
from model import checkpoints
from runtime.errors import InputError


def make_run(folder: pathlib.Path, *, rate: str, scores: list[float], data: str) -> str:
    """Two lines of 10 steps each, 4 images a step at 2 images a second: 40 s in all."""
    folder.mkdir(parents=True)
    flags = ("batch_size=2", "num_clones=2", f"learning_rate={rate}", f"train_dir={folder}")
    (folder / "flags.txt").write_text("".join(f"--{flag}\n" for flag in flags))
    lines = [{"step": k, "loss": 8.0 / k, "images_per_second": 2.0} for k in (10, 20)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
    found = [
        {"step": 10 * k, "mAP_VOC07": score, "mAP50_95": score / 2, "F1": None}
        for k, score in enumerate(scores, 1)
    ]
    (folder / "evaluations.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in found))
    facts = {"num_samples": 9, "fingerprint": data}
    checkpoints.save(str(folder), 20, {"training": tf.constant(json.dumps(facts))})
    return str(folder)


@pytest.fixture
def folders(tmp_path) -> list[str]:
    make_run(tmp_path / "a" / "train", rate="0.1", scores=[0.5, 0.25], data="f1")
    other = make_run(tmp_path / "<b>", rate="0.2", scores=[], data="f2")
    (tmp_path / "notes").mkdir()
    return [str(tmp_path / "a"), other, str(tmp_path / "notes")]


def test_each_run_has_its_numbers(folders, capsys):
    one, other = compare.read_all(folders)
    assert "Skipped:" in capsys.readouterr().out
    assert compare.row_of(one)[1:] == (
        *("20", "40 s", "0.400", "0.500", "10", "0.250", "-"),
        *("9", "f1"),
    )
    assert compare.row_of(other)[4:8] == ("-", "-", "-", "-")
    assert compare.differing_flags([one, other]) == {"learning_rate": ["0.1", "0.2"]}


def test_everything_is_printed_and_written(folders, tmp_path, capsys):
    out = tmp_path / "out"
    compare.run(folders, CompareSettings(output_dir=str(out)))
    said = capsys.readouterr().out
    assert "--learning_rate" in said
    assert "--batch_size" not in said
    rows = list(csv.DictReader((out / "runs.csv").read_text().splitlines()))
    assert [row["--learning_rate"] for row in rows] == ["0.1", "0.2"]
    assert [row["best mAP_VOC07"] for row in rows] == ["0.500", "-"]
    assert cv2.imread(str(out / "curves.png")) is not None
    text = (out / "index.html").read_text()
    assert "&lt;b&gt;" in text
    assert "<b>" not in text


def test_fewer_than_two_trainings_cannot_be_compared(folders):
    with pytest.raises(InputError, match="1 of the 2 folders given are trainings"):
        compare.run(folders[1:], CompareSettings())
