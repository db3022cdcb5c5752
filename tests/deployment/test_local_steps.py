"""Whose fault it is when a step fails: the step's own errors are not laid to the records."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets import records
from datasets.dataset_factory import Dataset
from datasets.record_source import RecordSource
from deployment.description import Description
from deployment.detector import Detector
from deployment.initialization import Origin
from deployment.local_steps import LocalSteps
from deployment.run_start import Start
from deployment.train_settings import TrainSettings
from errors import InputError


class State(NamedTuple):
    """What `LocalSteps` needs of a training: the network, and a step, here one that fails."""

    detector: Detector
    step: Callable[..., Any]


@pytest.fixture
def shard(tmp_path) -> pathlib.Path:
    """One picture without objects."""
    path = tmp_path / "toy_000.tfrecord"
    encoded = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(
            records.encode_example(
                encoded=encoded, image_format="PNG", height=4, width=4, channels=3, filename="a",
                boxes=np.zeros((0, 4), np.float32), labels=[], names=[], difficult=[], truncated=[],
            )
        )  # fmt: skip
    return path


def take(shard: pathlib.Path, step: Callable[[], None]) -> None:
    """Takes the first step of a training on one picture."""
    settings = TrainSettings(train_dir="run", dataset_dir="records", batch_size=1, augment=False)
    description = Description(model_name="ssd_300_vgg", labels=("cat",), depth_multiplier=0.03)
    start = Start(settings=settings, description=description, step=0, found=None, origin=Origin())
    dataset = Dataset("toy", "train", (str(shard),), ("cat",), num_samples=1)
    state = State(Detector(description), lambda batch, *, stop: step())
    source = RecordSource(dataset.shards)
    steps = LocalSteps(start, state, dataset, source, tf.distribute.get_strategy())
    steps.take(stop=lambda: False, settle=False)


def test_death_of_a_peer_is_not_laid_to_a_bad_record(shard):
    def step():
        data = bytearray(shard.read_bytes())
        data[30] ^= 1
        shard.write_bytes(data)
        raise tf.errors.UnavailableError(None, None, "a peer is gone")

    with pytest.raises(tf.errors.UnavailableError):
        take(shard, step)


def test_step_that_does_not_fit_into_memory_is_told_in_a_sentence(shard):
    def step():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    said = r"does not fit into memory \(.*OOM.*\): lower --batch_size, and raise --accumulate_steps"
    with pytest.raises(InputError, match=said):
        take(shard, step)
