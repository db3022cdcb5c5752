"""What a step learns from, and whose fault it is when one fails: not always a record's."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.dataset_factory import Dataset
from datasets.input_pipeline import WorkerSlice
from datasets.records import features
from datasets.records.source import RecordSource
from model.description import Description
from model.detector import Detector
from runtime.errors import InputError
from training.initial_weights import InitialWeights
from training.input import make_pipeline
from training.local_steps import LocalSteps
from training.settings import TrainSettings
from training.start import Start


class State(NamedTuple):
    """What `LocalSteps` needs of a training: the network, and a step, here one that fails."""

    detector: Detector
    step: Callable[..., Any]


def write(path: pathlib.Path, *, boxes: np.ndarray) -> pathlib.Path:
    """One image of so many cats."""
    cats = len(boxes)
    encoded = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(
            features.encode_example(
                encoded=encoded, image_format="PNG", height=4, width=4, channels=3, filename="a",
                boxes=boxes, labels=[1] * cats, names=["cat"] * cats,
                difficult=[False] * cats, truncated=[False] * cats,
            )
        )  # fmt: skip
    return path


@pytest.fixture
def shard(tmp_path) -> pathlib.Path:
    """One image without objects."""
    return write(tmp_path / "toy_000.tfrecord", boxes=np.zeros((0, 4), np.float32))


def begin(
    shard: pathlib.Path, step: Callable[..., Any], **flags
) -> tuple[Start, State, Dataset, RecordSource]:
    """A training on one image."""
    settings = TrainSettings(
        train_dir="run", dataset_dir="records", seed=1, batch_size=1, augment=False, **flags
    )
    description = Description(model_name="ssd_300_vgg", labels=("cat",), depth_multiplier=0.03)
    start = Start(
        settings=settings, description=description, step=0, found=None, origin=InitialWeights()
    )
    dataset = Dataset("toy", "train", (str(shard),), ("cat",), num_samples=1)
    return start, State(Detector(description), step), dataset, RecordSource(dataset.shards)


def take(shard: pathlib.Path, step: Callable[[], None]) -> None:
    """Takes the first step of a training on one image."""
    parts = begin(shard, lambda batch, *, stop: step())
    steps = LocalSteps(*parts, tf.distribute.get_strategy())
    steps.take(stop=lambda: False, drain=False)


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


@pytest.mark.parametrize("threshold", [0.4, 0.6])
def test_anchors_that_reach_the_match_threshold_are_positive(tmp_path, threshold):
    box = np.float32([0.2, 0.3, 0.7, 0.9])
    shard = write(tmp_path / "toy_000.tfrecord", boxes=box[None])
    parts = begin(shard, lambda batch, *, stop: None, match_threshold=threshold)
    batch = next(iter(make_pipeline(*parts)(WorkerSlice(1, 0, 1), 0)))
    anchors = parts[1].detector.anchors.numpy()
    sides = np.minimum(anchors[:, 2:], box[2:]) - np.maximum(anchors[:, :2], box[:2])
    shared = np.maximum(sides, 0).prod(axis=1)
    union = (anchors[:, 2:] - anchors[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared
    expected = shared / union >= threshold
    assert expected.any()
    np.testing.assert_array_equal(batch.targets.classes[0], expected)
