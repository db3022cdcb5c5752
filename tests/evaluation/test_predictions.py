"""Records through `run_detector` with a detector that cannot err: it finds the white box."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.records import features
from datasets.records.source import RecordSource
from evaluation.predictions import run_detector
from evaluation.settings import EvalSettings
from metrics import voc
from nets.detections import PaddedDetections
from preprocessing.preprocessing_factory import get_preprocessing
from runtime.errors import InputError

SIZES = [(300, 300), (450, 640), (600, 310), (200, 260), (333, 500)]


class WhiteBoxDetector:
    """Finds the white part of its inputs, and, beside it, the border that pads an image."""

    image_size = (300, 300)
    preprocessing = get_preprocessing("ssd_300_vgg", image_size)

    def detect_inputs(self, inputs, **_):
        boxes = np.zeros((len(inputs), 2, 4), np.float32)
        boxes[:, 1] = [0.0, 0.0, 0.05, 0.05]
        for k, image in enumerate(inputs.numpy().sum(axis=-1)):
            rows, columns = np.nonzero(image > 200)
            edges = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
            boxes[k, 0] = np.float32(edges) / 300
        count = np.full(len(inputs), 2, np.int32)
        scores = np.tile(np.float32([0.9, 0.8]), (len(inputs), 1))
        classes = np.ones((len(inputs), 2), np.int64)
        return PaddedDetections(*map(tf.constant, (boxes, classes, scores, count)))


def box_of(size):
    """Around the middle, and within every crop; pixels."""
    y, x = np.array(size) // 2
    return np.array([y - 80, x - 60, y + 40, x + 90])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    examples = [example(f"{k}.png", size) for k, size in enumerate(SIZES)]
    return RecordSource(write(tmp_path_factory.mktemp("records"), examples))


def example(name, size):
    image, box = np.full((*size, 3), 20, np.uint8), box_of(size)
    image[box[0] : box[2], box[1] : box[3]] = 255
    return features.encode_example(
        encoded=cv2.imencode(".png", image)[1].tobytes(),
        image_format="PNG",
        height=size[0],
        width=size[1],
        channels=3,
        filename=name,
        boxes=(box / np.tile(size, 2))[None],
        labels=[1],
        names=["box"],
        difficult=[False],
        truncated=[False],
    )


def write(folder, examples):
    path = str(folder / "white_test_000.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for example in examples:
            writer.write(example)
    return (path,)


def settings(**changes):
    required = {"checkpoint_path": "run", "eval_dir": "eval", "dataset_dir": "records"}
    return EvalSettings(**required | changes)


@pytest.mark.parametrize("eval_resize", [2, 3, 4])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_boxes_are_in_pixels_of_the_original_picture(source, eval_resize, batch_size):
    asked = settings(eval_resize=eval_resize, batch_size=batch_size)
    run = run_detector(WhiteBoxDetector(), source, asked)
    white = run.detections.scores > 0.85
    expected = np.stack([box_of(size) for size in SIZES])
    pixel = 1 if eval_resize == 2 else np.max(SIZES, axis=1)[:, None] / 300  # of the network
    assert (np.abs(run.detections.boxes[white] - expected) <= 0.01 + pixel).all()
    result = voc.evaluate(run.detections, run.truth, labels=["box"], iou_threshold=0.9)
    assert result.classes[0].ap_voc12 == pytest.approx(1.0)
    assert run.sizes.tolist() == [list(size) for size in SIZES]


@pytest.mark.parametrize(
    ("eval_resize", "left"), [(2, [0, 1, 2, 4]), (3, [0]), (4, list(range(len(SIZES))))]
)
def test_detections_on_the_border_beside_a_picture_are_left_out(source, eval_resize, left):
    run = run_detector(WhiteBoxDetector(), source, settings(eval_resize=eval_resize))
    corner = run.detections.scores < 0.85
    assert run.detections.images[corner].tolist() == left
    assert [len(found.scores) for found in run.found] == [1 + (k in left) for k in range(5)]


def test_records_without_file_names_are_called_by_their_numbers(tmp_path):
    examples = [example(name, SIZES[0]) for name in ("", "a.png", "")]
    run = run_detector(WhiteBoxDetector(), RecordSource(write(tmp_path, examples)), settings())
    assert run.names == ["000000", "a.png", "000002"]


def test_name_that_is_not_utf8_does_not_end_the_run(tmp_path):
    made = tf.train.Example.FromString(example("", SIZES[0]))
    made.features.feature["image/filename"].bytes_list.value[:] = [b"caf\xe9.png"]
    source = RecordSource(write(tmp_path, [made.SerializeToString()]))
    assert run_detector(WhiteBoxDetector(), source, settings()).names == ["caf\ufffd.png"]


def test_without_resizing_pictures_of_another_size_are_refused_by_name(source):
    said = r"1\.png has 640 x 450 pixels: --eval_resize=1 takes only .* 300 x 300"
    with pytest.raises(InputError, match=said):
        run_detector(WhiteBoxDetector(), source, settings(eval_resize=1))
    first = settings(eval_resize=1, batch_size=1, max_num_batches=1)
    run = run_detector(WhiteBoxDetector(), source, first)
    np.testing.assert_allclose(run.detections.boxes[0], box_of(SIZES[0]), atol=1e-4)


def test_split_of_bad_records_alone_is_bad_input(tmp_path):
    source = RecordSource(write(tmp_path, [b"no image", b"nor this"]), skip_bad=2)
    with pytest.raises(InputError, match="No record of white, test can be read"):
        run_detector(WhiteBoxDetector(), source, settings(dataset_name="white"))
