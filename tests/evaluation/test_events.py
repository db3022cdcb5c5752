"""What TensorBoard reads from the events of an evaluation."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto import event_pb2

from evaluation import results
from runtime import files
from tests.limits import file_size_limit

VALUES = {
    "step": 900,
    "num_images": 4,
    "mAP_VOC07": 0.5,
    "mAP_VOC12": None,
    "mAP50": None,
    "mAP50_95": 0.375,
    "AP_VOC07": {"cat": 0.25, "<script>": 0.75, "dog": None},
    "AP_VOC12": {"cat": None, "<script>": None, "dog": None},
    "AP50": {"cat": None, "<script>": None, "dog": None},
    "AP50_95": {"cat": 0.375, "<script>": None, "dog": None},
}
TAGS = {"AP_VOC07/mAP": 0.5, "AP_VOC07/cat": 0.25, "AP_VOC07/<script>": 0.75}
TAGS |= {"AP50_95/mAP": 0.375, "AP50_95/cat": 0.375}


def read_events(folder):
    """tag -> (step, tensor) of the one events file there."""
    (path,) = folder.glob("events.*")
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = event_pb2.Event.FromString(record.numpy())
        for value in event.summary.value:
            found[value.tag] = (event.step, tf.make_ndarray(value.tensor))
    return found


def test_numbers_stand_under_metric_and_class_name(tmp_path):
    results.write(str(tmp_path), VALUES, {})
    found = read_events(tmp_path)
    assert {tag: float(value) for tag, (_, value) in found.items()} == TAGS
    assert {step for step, _ in found.values()} == {900}


def test_coco_has_tags_of_its_own_and_absent_numbers_none():
    values = VALUES | {"COCO": {"AP": 0.125, "AP_small": None}}
    assert results.scalars(values) == TAGS | {"COCO/AP": 0.125}


def test_pictures_stand_under_their_file_names(tmp_path):
    drawing = np.zeros((20, 30, 3), np.uint8)
    drawing[5:10, 5:10] = (255, 0, 0)
    results.write(str(tmp_path), VALUES | {"step": None}, {"a b.jpg": drawing})
    step, (width, height, png) = read_events(tmp_path)["pictures/a b.jpg"]
    assert (step, width, height) == (0, b"30", b"20")
    decoded = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(decoded, drawing)


def test_events_that_do_not_fit_are_no_silent_loss(tmp_path):
    with pytest.raises(files.DISK_ERRORS), file_size_limit(200):
        results.write(str(tmp_path), VALUES, {})
