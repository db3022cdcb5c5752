"""Training and evaluation in one process: the same training, the best kept, losses made up for."""

import csv
import json
import shutil

import pytest
import runs

from model import checkpoints
from model.description import Description
from model.exported import ExportedDetector

pytestmark = pytest.mark.slow

EVALS = ("--eval_split=test", "--eval_every_n_steps=2")


def read_evaluations(train_dir) -> list[dict]:
    return [json.loads(line) for line in (train_dir / "evaluations.jsonl").read_text().splitlines()]


def losses(train_dir) -> list[float]:
    return [line["loss"] for line in runs.read_metrics(train_dir)]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, records):
    """train_dir of the run of the fixture `trained`, scored on the way."""
    folder = tmp_path_factory.mktemp("evaluated") / "run"
    flags = [*runs.train_flags(records, folder, steps=6), *EVALS, "--export=saved_model"]
    runs.run("train_ssd_network.py", *flags)
    return folder


def test_evaluations_do_not_disturb_the_training(evaluated, trained):
    assert losses(evaluated) == losses(trained)


def test_each_evaluation_has_a_line_and_the_best_a_checkpoint(evaluated):
    lines = read_evaluations(evaluated)
    assert [line["step"] for line in lines] == [2, 4, 6]
    best = max(lines, key=lambda line: line["mAP_VOC07"])
    assert checkpoints.list_steps(str(evaluated / "best")) == [best["step"]]
    metrics = json.loads((evaluated / "best" / "metrics.json").read_text())
    assert (metrics["step"], metrics["mAP_VOC07"]) == (best["step"], best["mAP_VOC07"])
    assert metrics["num_images"] == 6
    newest = json.loads((evaluated / "evaluations" / "metrics.json").read_text())
    assert newest["step"] == 6


def test_best_is_exported_at_the_end(evaluated):
    best = max(read_evaluations(evaluated), key=lambda line: line["mAP_VOC07"])
    exported = ExportedDetector(str(evaluated / "export"))
    assert exported.step == best["step"]
    kept = checkpoints.read(checkpoints.resolve(str(evaluated)))["description"].item().decode()
    assert exported.description == Description.from_json(kept)


def test_curves_of_metrics_and_scores_lie_beside_them(evaluated):
    rows = list(csv.DictReader((evaluated / "metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    scored = [int(row["step"]) for row in rows if row["mAP_VOC07"]]
    assert scored == [line["step"] for line in read_evaluations(evaluated)]
    assert (evaluated / "results.png").stat().st_size > 0


def test_resume_makes_up_for_a_lost_evaluation_and_repeats_none(evaluated, records, tmp_path):
    """As after a kill in the evaluation of step 6; the earlier best is worth more than any."""
    copy = shutil.copytree(evaluated, tmp_path / "copy")
    lines = read_evaluations(copy)[:2]
    lines[0]["mAP_VOC07"] = 0.9
    (copy / "evaluations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    flags = [*runs.train_flags(records, copy, steps=6), *EVALS, "--early_stopping_evals=2"]
    done = runs.run("train_ssd_network.py", *flags)
    assert "Step 6: mAP_VOC07" in done.stderr
    assert "best so far" not in done.stderr
    assert "Ended by --early_stopping_evals=2: mAP_VOC07 was best at step 2, 0.9" in done.stderr
    found = read_evaluations(copy)
    assert found == [*lines, read_evaluations(evaluated)[2]]
    again = runs.run("train_ssd_network.py", *flags, "--max_number_of_steps=8")
    assert "Ended by --early_stopping_evals=2" in again.stderr
    assert checkpoints.list_steps(str(copy))[-1] == 6


def test_split_that_is_not_there_is_refused_before_the_first_step(records, tmp_path, capsys):
    flags = runs.train_flags(records, tmp_path / "run", steps=6)
    flags += ["--eval_split=val", "--eval_every_n_epochs=1"]
    assert "shapes_val" in runs.refuse("train_ssd_network.py", *flags, capsys=capsys)
    assert not (tmp_path / "run").exists()
