"""When a training is scored, what is the best, and what an interruption leaves to be done again.

The rest, with real checkpoints, is in tests/end_to_end/test_train_and_evaluate.py.
"""

import dataclasses
import json
import time

import pytest
import tensorflow as tf

from model import checkpoints
from model import train_dir as model_train_dir
from model.description import Description
from runtime.errors import InputError
from runtime.signals import StopRequest
from runtime.watchdog import Watchdog
from tests.limits import file_size_limit
from training import evaluations as tae
from training.settings import TrainSettings
from training.writer import NullWriter


def make(**flags) -> TrainSettings:
    values = {"train_dir": "run", "dataset_dir": "records", "eval_split": "val", **flags}
    return TrainSettings(**values)


def due(*, num_samples: int, steps: int = 12, **flags) -> list[int]:
    settings = make(max_number_of_steps=steps, **flags)
    return [k for k in range(1, steps + 1) if tae.is_due_by_step(settings, k, num_samples)]


def history(*scores) -> list[model_train_dir.Line]:
    return [{"step": 10 * k, model_train_dir.METRIC: score} for k, score in enumerate(scores, 1)]


def test_steps_between_evaluations_are_counted_from_0_and_the_last_is_one_too():
    assert due(num_samples=99, eval_every_n_steps=5) == [5, 10, 12]


def test_epochs_end_with_the_step_that_reaches_them():
    """9 images in batches of 2: the epochs end within steps 5, 9 and 14."""
    assert due(num_samples=9, batch_size=2, eval_every_n_epochs=1.0) == [5, 9, 12]
    assert due(num_samples=8, batch_size=2, eval_every_n_epochs=0.5) == [2, 4, 6, 8, 10, 12]
    assert due(num_samples=9, batch_size=2, eval_every_n_epochs=2.0) == [9, 12]


def test_epochs_shorter_than_a_step_are_scored_once_a_step():
    assert due(num_samples=3, batch_size=8, eval_every_n_epochs=1.0, steps=3) == [1, 2, 3]


def test_epochs_count_the_pictures_of_all_workers():
    flags = {"batch_size": 2, "num_clones": 2, "num_replicas": 2}
    assert due(num_samples=16, eval_every_n_epochs=2.0, steps=8, **flags) == [4, 8]


def test_seconds_are_not_known_by_step():
    assert due(num_samples=9, eval_every_secs=1.0, steps=5) == [5]


def test_missing_split_is_called_by_the_flag_that_names_it(tmp_path):
    settings = make(dataset_dir=str(tmp_path), eval_every_n_steps=5)
    with pytest.raises(InputError, match="check --dataset_name, --eval_split and --dataset_dir"):
        tae.check_split(settings, ("cat",))


def test_best_is_the_first_of_equals_and_a_missing_score_is_no_score():
    assert model_train_dir.best_of(history(0.2, 0.5, None, 0.5, 0.4))["step"] == 20
    assert model_train_dir.best_of(history(None, 0.0))["step"] == 20


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ((0.1, 0.3, 0.2), 2, False),
        ((0.1, 0.3, 0.2, 0.3), 2, True),
        ((0.1, 0.3, 0.2, 0.31), 2, False),
        ((0.3, 0.2, 0.1), 0, False),
        ((), 1, False),
        ((None, None), 1, True),
    ],
)
def test_run_has_converged_when_the_last_ones_were_no_better(scores, patience, expected):
    assert model_train_dir.has_converged(history(*scores), patience) is expected


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, "--eval_split=val: say how often, such as --eval_every_n_epochs=1"),
        ({"eval_split": "", "eval_every_n_steps": 3}, "--eval_every_n_steps=3 needs a split"),
        ({"eval_split": "", "early_stopping_evals": 3}, "--early_stopping_evals=3 needs a split"),
        ({"eval_every_n_epochs": 0.0}, "--eval_every_n_epochs=0.0 must be above 0"),
        ({"eval_every_secs": -1.0}, "--eval_every_secs=-1.0 must be above 0"),
        ({"eval_every_n_steps": 0}, "--eval_every_n_steps=0 must be 1 or more"),
        ({"eval_every_secs": 9.0, "num_replicas": 2}, "with 2 workers: they have no clock"),
        ({"keep_checkpoint_every_n_hours": -1.0}, "--keep_checkpoint_every_n_hours=-1.0 must be 0"),
    ],
)
def test_flags_that_do_not_say_when_are_refused(flags, said):
    with pytest.raises(InputError, match=said):
        make(**flags)


class Scripted:
    """One side of a cluster of two: the chief's words are kept, the other hears what is given."""

    num_replicas = 2

    def __init__(self, *, hears=None):
        self.is_chief, self._hears, self.said = hears is None, list(hears or ()), []

    def decide(self, decision):
        if isinstance(decision, InputError):
            self.said.append(str(decision))
            raise decision
        self.said.append(decision)
        return decision if self.is_chief else {"verdict": self._hears.pop(0)}


def evaluations(cluster, train_dir, **flags) -> tae.Evaluations:
    settings = make(train_dir=str(train_dir), eval_every_n_steps=2, **flags)
    return tae.Evaluations(
        settings,
        start=4,
        num_samples=9,
        cluster=cluster,
        writer=NullWriter(),
        interrupts=StopRequest(),
        watchdog=Watchdog(0),
    )


def test_worker_waits_for_the_chiefs_verdict_through_its_signs_of_life(tmp_path):
    cluster = Scripted(hears=[None, None, "converged"])
    others = evaluations(cluster, tmp_path)
    assert others.after_step(3) == tae.EvaluationOutcome.GO_ON
    assert cluster.said == []
    assert others.after_step(4) == tae.EvaluationOutcome.CONVERGED
    assert cluster.said == [None] * 3
    assert list(tmp_path.iterdir()) == []


def test_chief_gives_signs_of_life_well_within_the_stall_timeout(tmp_path):
    cluster = Scripted()
    chief = evaluations(cluster, tmp_path, stall_timeout_secs=0.4)
    chief._after_batch()
    assert cluster.said == []
    time.sleep(0.1)
    chief._after_batch()
    assert cluster.said == [{"verdict": None}]


def test_verdict_on_what_was_scored_before_a_resume_is_told_at_once(tmp_path):
    lines = [
        {"step": step, model_train_dir.METRIC: score}
        for step, score in ((2, 0.5), (4, 0.4), (6, 0.9))
    ]
    (tmp_path / "evaluations.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
    cluster = Scripted()
    assert evaluations(cluster, tmp_path, early_stopping_evals=1).after_step(4) == "converged"
    assert cluster.said == [{"verdict": "converged"}]
    assert evaluations(Scripted(), tmp_path, early_stopping_evals=2).after_step(4) == "go on"


def test_every_worker_hears_why_an_evaluation_failed(tmp_path):
    cluster = Scripted()
    with pytest.raises(InputError, match="holds no checkpoint"):
        evaluations(cluster, tmp_path).after_step(4)
    assert "holds no checkpoint" in cluster.said[0]


def test_nothing_is_done_without_a_split(tmp_path):
    idle = tae.Evaluations(
        TrainSettings(train_dir=str(tmp_path), dataset_dir="records"),
        start=0,
        num_samples=9,
        cluster=Scripted(),
        writer=NullWriter(),
        interrupts=StopRequest(),
        watchdog=Watchdog(0),
    )
    assert idle.after_step(7) == tae.EvaluationOutcome.GO_ON
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("room", "values", "named"),
    [(5, 1, "best"), (50, 1, "ckpt-4"), (500, 1000, "ckpt-4")],
    ids=["metrics.json", "index", "data"],
)
def test_full_disk_leaves_the_earlier_best_as_it_was(room, values, named, tmp_path):
    """The room is for what is written before: 11 bytes of metrics, 4 of a value, 4000 of many."""
    best, scores = tmp_path / "best", tmp_path / "evaluations"
    for folder, step in ((best, 2), (scores, 4)):
        folder.mkdir()
        (folder / "metrics.json").write_text(f'{{"step": {step}}}')
    checkpoints.save(str(best), 2, {"w": tf.zeros(values)})
    path = checkpoints.save(str(tmp_path), 4, {"w": tf.ones(values)})
    before = {each: each.read_bytes() for each in best.iterdir()}
    chief = evaluations(Scripted(), tmp_path)
    said = f"{named} could not be written .*: make room and run again"
    with pytest.raises(InputError, match=said), file_size_limit(room):
        chief._keep(path, None)
    assert {each: each.read_bytes() for each in best.iterdir()} == before
    chief._keep(path, None)
    assert checkpoints.list_steps(str(best)) == [4]
    assert (best / "metrics.json").read_text() == '{"step": 4}'


def test_best_checkpoint_knows_the_thresholds_of_its_evaluation(tmp_path):
    (tmp_path / "evaluations").mkdir()
    (tmp_path / "evaluations" / "metrics.json").write_text("{}")
    plain = Description(model_name="ssd_32_tiny", labels=("cat", "dog"))
    tensors = {"w": tf.ones(3), "description": tf.constant(plain.to_json())}
    path = checkpoints.save(str(tmp_path), 4, tensors)
    evaluations(Scripted(), tmp_path)._keep(path, (0.25, 0.5))
    found = checkpoints.read(str(tmp_path / "best" / "ckpt-4"))
    assert found["w"].tolist() == [1, 1, 1]
    known = {"thresholds": (0.25, 0.5), "thresholds_from": "val at step 4"}
    description = Description.from_json(found["description"].item().decode())
    assert description == dataclasses.replace(plain, **known)
    assert Description.from_json(checkpoints.read(path)["description"].item().decode()) == plain
