"""Where a run begins: what is in train_dir decides."""

import contextlib
import dataclasses
import json

import pytest
import tensorflow as tf

from datasets.dataset_factory import Dataset
from deployment.cluster import Cluster
from deployment.model_deploy import DeploymentConfig
from model import checkpoints
from runtime.errors import InputError
from training import start as run_start
from training import state
from training.initial_weights import InitialWeights
from training.settings import TrainSettings

DATASET = Dataset(name="a", split="train", shards=(), labels=("cat", "dog"), num_samples=12)


def settings(folder, **flags) -> TrainSettings:
    common = {"dataset_dir": "records", "precision": "float32", "seed": 1}
    return TrainSettings(train_dir=str(folder), **{**common, **flags})


def agree(folder, dataset: Dataset = DATASET, **flags) -> run_start.Start:
    cluster = Cluster(DeploymentConfig(), tf.distribute.get_strategy())
    with contextlib.ExitStack() as until:
        return run_start.agree(settings(folder, **flags), dataset, cluster, until=until)


def save(folder, step: int) -> None:
    """A checkpoint that says all that is asked before weights are."""
    resolved, description = state.resolve(
        settings(folder), DATASET.labels, None, InitialWeights(), num_samples=12
    )
    texts = {
        "description": description.to_json(),
        "training": json.dumps(state.resume_invariants(resolved, num_samples=12)),
    }
    checkpoints.save(str(folder), step, {name: tf.constant(text) for name, text in texts.items()})


@pytest.mark.parametrize("overwrite", [False, True])
def test_run_does_not_begin_in_the_folder_of_another_trainer(tmp_path, overwrite):
    (tmp_path / "model.ckpt-120000.index").write_text("")
    (tmp_path / "checkpoint").write_text("theirs")
    with pytest.raises(InputError, match=r"model\.ckpt-120000 of another trainer"):
        agree(tmp_path, overwrite=overwrite)
    assert (tmp_path / "checkpoint").read_text() == "theirs"
    assert not (tmp_path / "flags.txt").exists()


def test_run_goes_on_and_removes_what_a_killed_save_left(tmp_path):
    save(tmp_path, 5)
    (tmp_path / "ckpt-7.index").write_text("torn")
    (tmp_path / "ckpt-8_temp").mkdir()
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "ckpt-8.data-00000-of-00001").write_text("")
    start = agree(tmp_path)
    assert (start.step, start.found.step) == (5, 5)
    assert not (tmp_path / "ckpt-8_temp").exists()
    assert checkpoints.list_steps(str(tmp_path)) == [5]
    assert (tmp_path / "ckpt-7.index.damaged").exists()
    assert list((tmp_path / "best").iterdir()) == []


def test_run_begins_at_0_in_an_empty_folder(tmp_path):
    start = agree(tmp_path / "run")
    assert (start.step, start.found, start.origin) == (0, None, InitialWeights())


def test_starting_over_removes_nothing_before_all_else_is_decided(tmp_path):
    save(tmp_path, 5)
    with pytest.raises(InputError, match="gone holds no checkpoint"):
        agree(tmp_path, overwrite=True, checkpoint_path=str(tmp_path / "gone"))
    with pytest.raises(InputError, match="--anchors=small"):
        agree(tmp_path, overwrite=True, anchors="small")
    start = agree(tmp_path, overwrite=True)
    assert (start.step, start.found) == (0, None)
    assert checkpoints.newest(str(tmp_path)).step == 5


@pytest.mark.parametrize("source", ["run", "run/best/ckpt-3", "link/ckpt-5.index"])
def test_checkpoint_that_starting_over_would_clear_is_no_source(tmp_path, source):
    for folder, step in ((tmp_path / "run", 5), (tmp_path / "run" / "best", 3)):
        folder.mkdir()
        save(folder, step)
    (tmp_path / "link").symlink_to("run")
    with pytest.raises(InputError, match=f"{source} is in --train_dir=.*overwrite clears: copy"):
        agree(tmp_path / "run", overwrite=True, checkpoint_path=str(tmp_path / source))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TF_CONFIG": "{}"}, "TF_CONFIG names the workers: remove --train_dir=run"),
        ({"SLURM_RESTART_COUNT": "1"}, "SLURM queues a job again"),
    ],
)
def test_restart_by_the_same_command_does_not_start_over(environment, said):
    run_start.check_overwrite(settings("run"), environment)
    with pytest.raises(InputError, match=f"at every restart where {said}"):
        run_start.check_overwrite(settings("run", overwrite=True), environment)


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": "", "SLURM_RESTART_COUNT": "0"}])
def test_process_that_nobody_restarts_may_start_over(environment):
    run_start.check_overwrite(settings("run", overwrite=True), environment)


@pytest.mark.parametrize("given", [None, 9])
def test_run_that_died_before_its_first_checkpoint_keeps_its_seed(tmp_path, given):
    (tmp_path / "flags.txt").write_text("--batch_size=4\n--seed=77\n")
    assert agree(tmp_path, seed=given).settings.seed == (given or 77)
    assert agree(tmp_path, seed=given, overwrite=True).settings.seed != 77


def test_new_run_from_own_checkpoint_keeps_its_input_scale(tmp_path):
    save(tmp_path / "first", 5)
    flags = {"checkpoint_path": str(tmp_path / "first")}
    assert agree(tmp_path / "run", **flags).settings.input_scale == str(1 / 58)
    with pytest.raises(InputError, match=r"--input_scale=1\.0 differs from the 0\.017"):
        agree(tmp_path / "run", input_scale="1", **flags)


def test_run_does_not_go_on_with_other_data(tmp_path):
    save(tmp_path, 5)
    more = dataclasses.replace(DATASET, num_samples=14)
    with pytest.raises(InputError, match="images in the records, 14, differs from the 12"):
        agree(tmp_path, more)


class Side:
    """One side of a cluster of two: the chief's words are kept, the other is told them."""

    num_replicas = 2

    def __init__(self, told=None):
        self.is_chief, self.told = told is None, told

    def decide(self, decision):
        self.told = json.loads(json.dumps(decision)) if self.is_chief else self.told
        return self.told


def test_worker_with_records_of_another_content_is_refused(tmp_path):
    own = dataclasses.replace(DATASET, fingerprint="f1")
    with contextlib.ExitStack() as until:
        chief = Side()
        run_start.agree(settings(tmp_path), own, chief, until=until)
        worker = Side(chief.told)
        assert run_start.agree(settings(tmp_path), own, worker, until=until).step == 0
        other = dataclasses.replace(DATASET, fingerprint="f2")
        with pytest.raises(InputError, match=r"other records than the chief's .* checksum f2"):
            run_start.agree(settings(tmp_path), other, worker, until=until)


def test_worker_takes_what_the_chief_filled_in(tmp_path):
    with contextlib.ExitStack() as until:
        chief = Side()
        left_open = settings(tmp_path, seed=None, precision="auto")
        decided = run_start.agree(left_open, DATASET, chief, until=until)
        told = run_start.agree(left_open, DATASET, Side(chief.told), until=until)
        assert (told.settings, told.description) == (decided.settings, decided.description)
        other = settings(tmp_path, seed=decided.settings.seed + 1)
        with pytest.raises(InputError, match=r"--seed=.* differs from the chief's"):
            run_start.agree(other, DATASET, Side(chief.told), until=until)


@pytest.mark.parametrize("flags", [{"input_scale": "1"}, {"anchors": "coco"}])
def test_worker_with_the_flags_of_the_chief_is_taken(tmp_path, flags):
    with contextlib.ExitStack() as until:
        chief = Side()
        run_start.agree(settings(tmp_path, **flags), DATASET, chief, until=until)
        told = run_start.agree(settings(tmp_path, **flags), DATASET, Side(chief.told), until=until)
    assert told.step == 0


def test_data_alone_are_never_removed(tmp_path):
    (tmp_path / "ckpt-8.data-00000-of-00001").write_text("")
    with pytest.raises(InputError, match=r"ckpt-8\.data-00000-of-00001 has no index"):
        agree(tmp_path)
    assert (tmp_path / "ckpt-8.data-00000-of-00001").exists()
