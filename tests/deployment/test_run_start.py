"""Where a run begins: what stands in train_dir decides."""

import contextlib
import dataclasses
import json

import pytest
import tensorflow as tf

from datasets.dataset_factory import Dataset
from deployment import checkpoints, run_start, train_state
from deployment.cluster import Cluster
from deployment.initialization import Origin
from deployment.model_deploy import DeploymentConfig
from deployment.train_settings import TrainSettings
from errors import InputError

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
    resolved, description = train_state.resolve(
        settings(folder), DATASET.labels, None, Origin(), num_samples=12
    )
    texts = {
        "description": description.to_json(),
        "training": json.dumps(train_state.run_facts(resolved, num_samples=12)),
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
    (tmp_path / "ckpt-8_temp").mkdir()
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "ckpt-8.data-00000-of-00001").write_text("")
    start = agree(tmp_path)
    assert (start.step, start.found.step) == (5, 5)
    assert not (tmp_path / "ckpt-8_temp").exists()
    assert list((tmp_path / "best").iterdir()) == []


def test_run_begins_at_0_in_an_empty_folder(tmp_path):
    start = agree(tmp_path / "run")
    assert (start.step, start.found, start.origin) == (0, None, Origin())


def test_run_does_not_go_on_with_other_data(tmp_path):
    save(tmp_path, 5)
    more = dataclasses.replace(DATASET, num_samples=14)
    with pytest.raises(InputError, match="pictures in the records, 14, differs from the 12"):
        agree(tmp_path, more)


def test_data_alone_are_never_removed(tmp_path):
    (tmp_path / "ckpt-8.data-00000-of-00001").write_text("")
    with pytest.raises(InputError, match=r"ckpt-8\.data-00000-of-00001 has no index"):
        agree(tmp_path)
    assert (tmp_path / "ckpt-8.data-00000-of-00001").exists()
