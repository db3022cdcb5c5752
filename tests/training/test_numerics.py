"""Losses that are not finite: what is said, when it ends, what a checkpoint never holds."""

import dataclasses

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.dataset_factory import Dataset
from datasets.records import features
from datasets.records.source import RecordSource
from model import checkpoints
from runtime.errors import DivergedError, InputError
from training.numerics import MAX_NON_FINITE, NumericsCheck, require_finite
from training.settings import TrainSettings
from training.writer import RunWriter

SETTINGS = TrainSettings(
    train_dir="train", dataset_dir="records", seed=1, batch_size=2, shuffle=False
)
TOYS = Dataset("toys", "train", (), ("cat", "dog"), num_samples=4)
PICTURES = (
    ("one.png", [], []),
    ("two.png", [[0, 0.25, 0.5, 1]], [1]),
    ("", [[0.125, 0, 1, 1], [0, 0, 0.0625, 0.5]], [2, 1]),
    ("four.png", [], []),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("records") / "toy_000.tfrecord")
    encoded = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    with tf.io.TFRecordWriter(path) as writer:
        for filename, boxes, labels in PICTURES:
            count = len(labels)
            writer.write(
                features.encode_example(
                    encoded=encoded, image_format="PNG", height=4, width=4, channels=3,
                    filename=filename, boxes=np.array(boxes, np.float32).reshape(-1, 4),
                    labels=labels, names=["x"] * count, difficult=[0] * count,
                    truncated=[0] * count,
                )
            )  # fmt: skip
    return RecordSource((path,))


def result(*, finite: bool) -> dict[str, tf.Tensor]:
    loss = 1.0 if finite else np.nan
    values = {"loss": loss, "gradient_norm": 2.0, "finite": float(finite)}
    return {name: tf.constant(value) for name, value in values.items()}


def test_step_pictures_and_boxes_are_named(source):
    check = NumericsCheck(SETTINGS, source, TOYS)
    first, *lines = check.after_step(2, result(finite=False)).split("\n")
    assert first.startswith("Step 2: loss nan and gradient norm 2 ")
    place = "toy_000.tfrecord at byte"
    second, third = (source.locate(index)[1] for index in (2, 3))
    assert lines == [
        f"  image without a name ({place} {second}): dog [0.125 0 1 1], cat [0 0 0.0625 0.5]",
        f"  four.png ({place} {third}): no object",
    ]
    assert check.after_step(3, result(finite=False)).endswith("update left out.")  # said once
    assert check.after_step(4, result(finite=True)) == ""
    assert "Its batch:" in check.after_step(5, result(finite=False))


def test_run_ends_after_a_few_in_a_row(source):
    check = NumericsCheck(SETTINGS, source, TOYS)
    for step in range(1, MAX_NON_FINITE):
        assert check.after_step(step, result(finite=False))
    assert check.after_step(9, result(finite=True)) == ""
    for step in range(10, 9 + MAX_NON_FINITE):
        assert check.after_step(step, result(finite=False))
    with pytest.raises(DivergedError, match="in 5 steps up to 14") as caught:
        check.after_step(14, result(finite=False))
    assert caught.value.exit_code == 1


def test_unchecked_run_goes_on(source):
    settings = dataclasses.replace(SETTINGS, check_numerics=False)
    check = NumericsCheck(settings, source, TOYS)
    assert {check.after_step(k, result(finite=False)) for k in range(2 * MAX_NON_FINITE)} == {""}


def test_tensors_that_are_not_finite_are_named():
    good = {
        "a": np.array([1.0], np.float32),
        "global_step": np.array(3),
        "text": np.array(b""),
    }
    require_finite(good, 3)
    with pytest.raises(InputError, match=r"After step 3 b/Momentum and 1 others"):
        require_finite({**good, "b/Momentum": np.array([np.inf]), "c": np.array(np.nan)}, 3)


@pytest.mark.parametrize("checked", [True, False])
def test_checkpoint_holds_no_such_weights_unless_unchecked(tmp_path, checked):
    settings = dataclasses.replace(SETTINGS, train_dir=str(tmp_path), check_numerics=checked)
    weights = tf.Variable([1.0, 2.0])
    with RunWriter(settings, start=0, tensors=lambda: {"w": weights}) as writer:
        writer.save(1)
        weights.assign([np.nan, 2.0])
        if checked:
            with pytest.raises(InputError, match="no checkpoint was written"):
                writer.save(2)
        else:
            writer.save(2)
    assert checkpoints.list_steps(str(tmp_path)) == ([1] if checked else [1, 2])


def test_batch_that_another_process_read_is_not_described():
    said = NumericsCheck(SETTINGS, None, TOYS).after_step(1, result(finite=False))
    assert said.endswith("update left out.")
