"""Histograms and drawn images of a training, read back from the event files."""

import pathlib
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event

from datasets.input_pipeline import Batch
from model.description import Description
from model.detector import Detector
from nets import boxes
from nets.matching import Targets
from training.settings import TrainSettings
from training.step import GRADIENT
from training.summaries import PICTURES, TrainSummaries, draw
from training.writer import RunWriter
from visualization import pictures

BOX = (0.2, 0.1, 0.7, 0.6)
CONV6 = "ssd_300_vgg/conv6/weights"


@pytest.fixture(scope="module")
def detector():
    return Detector(
        Description(model_name="ssd_300_vgg", labels=("cat", "dog"), depth_multiplier=0.03)
    )


@pytest.fixture(scope="module")
def batch(detector):
    """Six images of the mean colour; three anchors of each are to become BOX, a dog."""
    matched = [1000, 5000, 8000]
    classes = np.zeros((6, 8732), np.int32)
    classes[:, matched] = 2
    offsets = np.zeros((6, 8732, 4), np.float32)
    anchors = tf.gather(detector.anchors, matched)
    offsets[:, matched] = boxes.encode(
        tf.constant([BOX] * 3), anchors, detector.parameters.prior_scaling
    )
    targets = Targets(tf.constant(classes), tf.constant(offsets))
    return Batch(tf.zeros([6, 300, 300, 3]), targets)


def first_of(batch: Batch) -> Batch:
    return tf.nest.map_structure(lambda rows: rows[:1], batch)


def read_events(folder: pathlib.Path) -> dict[tuple[int, str], np.ndarray]:
    """(step, tag) -> value."""
    events = [
        Event.FromString(record.numpy())
        for path in sorted(folder.glob("events.*"))
        for record in tf.data.TFRecordDataset(str(path))
    ]
    return {
        (event.step, value.tag): tf.make_ndarray(value.tensor)
        for event in events
        for value in event.summary.value
    }


def settings(folder: pathlib.Path) -> TrainSettings:
    return TrainSettings(
        train_dir=str(folder),
        dataset_dir="records",
        max_number_of_steps=3,
        log_every_n_steps=1,
        save_summaries_secs=1e6,
    )


def result(detector: Detector) -> dict[str, tf.Tensor]:
    shape = detector.variables_by_name[CONV6].shape
    scalars = {"loss": 1.0, "learning_rate": 0.5, "finite": 1.0, "stop": 0.0}
    values = {name: tf.constant(value) for name, value in scalars.items()}
    return {**values, f"{CONV6}{GRADIENT}": tf.fill(shape, -2.0)}


def written(detector, batch, folder, **kinds: bool) -> dict[tuple[int, str], np.ndarray]:
    """Events of three steps, of which the last alone is due for summaries."""
    summaries = TrainSummaries(detector, tf.distribute.get_strategy(), **kinds)
    with RunWriter(settings(folder), start=0, tensors=dict, summaries=summaries) as writer:
        for step in (1, 2, 3):
            writer.after_step(step, result(detector), batch, idle=True)
    return read_events(folder)


def test_histograms_come_when_they_are_due_and_only_then(detector, batch, tmp_path):
    events = written(detector, batch, tmp_path, histograms=True, images=False)
    assert {step for step, tag in events if step and not tag.startswith("train/")} == {3}
    sparse = detector.end_points(batch.images[:PICTURES])
    for name, values in sparse.items():
        zeros = np.mean(values.numpy() == 0.0)
        np.testing.assert_allclose(events[3, f"sparsity/{name}"], zeros, rtol=1e-5)
        assert events[3, f"activations/{name}"][:, 2].sum() == values.numpy().size
    assert {f"block{k}" for k in range(1, 12)} == sparse.keys()
    count = detector.variables_by_name[CONV6].numpy().size
    assert events[3, CONV6][:, 2].sum() == count
    assert events[3, f"{CONV6}/gradient"][:, 2].sum() == count
    norm = 2.0 * np.sqrt(count)
    np.testing.assert_allclose(events[3, f"{CONV6}/gradient_norm"], norm, rtol=1e-5)


def test_gradients_are_not_taken_for_metrics(detector, batch, tmp_path):
    events = written(detector, batch, tmp_path, histograms=False, images=False)
    assert {tag for step, tag in events if step} == {
        *("train/loss", "train/learning_rate", "train/images_per_second")
    }
    assert "gradient" not in (tmp_path / "metrics.jsonl").read_text()


def test_forward_pass_that_does_not_fit_into_memory_is_not_told_as_a_full_disk(batch, tmp_path):
    class Detector:
        """A network whose activations are larger than the memory."""

        variables_by_name: ClassVar[dict] = {}

        def end_points(self, images):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    summaries = TrainSummaries(Detector(), tf.distribute.get_strategy(), histograms=True,
                               images=False)  # fmt: skip
    with RunWriter(settings(tmp_path), start=0, tensors=dict, summaries=summaries) as writer:
        values = {"loss": tf.constant(1.0), "learning_rate": tf.constant(0.5)}
        with pytest.raises(tf.errors.ResourceExhaustedError):
            writer.after_step(3, values, batch, idle=True)


def test_pictures_come_on_request(detector, batch, tmp_path):
    events = written(detector, batch, tmp_path, histograms=False, images=True)
    width, height, *encoded = events[3, "training_pictures"]
    assert (width, height, len(encoded)) == (b"300", b"300", PICTURES)
    expected = draw(detector, first_of(batch))[0]
    np.testing.assert_array_equal(tf.io.decode_png(encoded[0]), expected)


def test_object_is_drawn_once_over_its_matched_anchors(detector, batch):
    (drawn,) = draw(detector, first_of(batch))
    plain = np.tile(np.array([123, 117, 104], np.uint8), (300, 300, 1))
    colours = pictures.class_colours(detector.labels)
    anchors = detector.anchors.numpy()[[1000, 5000, 8000]]
    expected = pictures.draw_boxes(
        plain, anchors, ["dog"] * 3, difficult=np.ones(3, bool), colours=colours, written=False
    )
    assert (expected != plain).any()
    expected = pictures.draw_boxes(expected, np.array([BOX]), ["dog"], colours=colours)
    np.testing.assert_array_equal(drawn, expected)


def test_picture_without_objects_stays_as_it_is(detector, batch):
    targets = Targets(tf.zeros([1, 8732], tf.int32), batch.targets.offsets[:1])
    empty = Batch(tf.fill([1, 300, 300, 3], 500.0), targets)
    assert (draw(detector, empty) == 255).all()
