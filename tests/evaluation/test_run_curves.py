"""The course of a training as a table and a picture."""

import csv
import io
import json

import cv2
import numpy as np
import pytest

from evaluation import run_curves
from evaluation.run_curves import Course

METRICS = [{"step": 10, "loss": 4.0}, {"step": 20, "loss": None}, {"step": 30, "loss": 2.0}]
SCORES = [{"step": 20, "mAP_VOC07": 0.5}, {"step": 30, "mAP_VOC07": None}]


def write_logs(folder):
    for name, lines in (("metrics", METRICS), ("evaluations", SCORES)):
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text)


def test_values_are_those_that_there_are(tmp_path):
    write_logs(tmp_path)
    course = run_curves.read(str(tmp_path))
    assert [values.tolist() for values in course.values("loss")] == [[10, 30], [4, 2]]
    assert [values.tolist() for values in course.values("mAP_VOC07")] == [[20], [0.5]]
    assert run_curves.read(str(tmp_path / "absent")) == Course([], [])


def test_table_has_a_row_for_each_step():
    rows = list(csv.DictReader(io.StringIO(run_curves.to_csv(Course(METRICS, SCORES)))))
    assert rows == [
        {"step": "10", "loss": "4.0", "mAP_VOC07": ""},
        {"step": "20", "loss": "", "mAP_VOC07": "0.5"},
        {"step": "30", "loss": "2.0", "mAP_VOC07": ""},
    ]


def test_moving_mean_takes_what_there_is_at_the_ends():
    values = np.arange(20.0)
    mean = run_curves.moving_mean(values)
    assert mean[10] == pytest.approx(10)
    assert mean[0] == pytest.approx(3.5)  # of 0 to 7
    assert mean[-1] == pytest.approx(15.5)  # of 12 to 19


def test_files_lie_beside_the_logs_and_nothing_beside_none(tmp_path):
    run_curves.write(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    write_logs(tmp_path)
    run_curves.write(str(tmp_path))
    assert cv2.imread(str(tmp_path / "results.png")) is not None
    assert (tmp_path / "metrics.csv").read_text().startswith("step,loss,mAP_VOC07\n")


def test_lines_of_several_trainings_differ():
    one, other = Course(METRICS, []), Course([{"step": 10, "loss": 3.0}], SCORES)
    pngs = {run_curves.draw(runs) for runs in ({"a": one}, {"a": one, "b": other}, {"b": other})}
    assert len(pngs) == 3
    assert run_curves.draw({"a": Course([{"step": 1, "other": 2.0}], [])}) is None
