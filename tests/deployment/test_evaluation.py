"""A whole evaluation in this process: what moves a score, what does not, what is refused."""

import gc
import json
import os

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets import records
from deployment import checkpoints
from deployment.description import Description
from deployment.detector import Detector
from deployment.eval_settings import EvalSettings
from deployment.evaluation import evaluate_checkpoint
from deployment.evaluation_files import evaluate_devkit_files
from errors import InputError
from metrics.voc import Outcome

LABELS = ("cat", "dog", "cow")
DESCRIPTION = Description(
    model_name="ssd_300_vgg", labels=LABELS, depth_multiplier=1 / 16, input_scale=1 / 58
)
SIZES = [(90, 120), (310, 200), (300, 300), (64, 64), (200, 350)] * 2


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Random weights; trained ones would do no better here."""
    return Detector(DESCRIPTION, precision="float32", seed=3)


@pytest.fixture(scope="module")
def checkpoint(detector, tmp_path_factory) -> str:
    tensors = {**detector.variables_by_name, "description": tf.constant(DESCRIPTION.to_json())}
    return checkpoints.save(str(tmp_path_factory.mktemp("train")), 7, tensors)


@pytest.fixture(scope="module")
def examples(detector) -> list[bytes]:
    """Pictures of smooth noise; their objects are some of what is found there, moved a little.

    The third has no objects, and every third object is difficult.
    """
    draw = np.random.default_rng(1)
    made = []
    for k, size in enumerate(SIZES):
        noise = draw.integers(0, 256, (9, 9, 3), np.uint8)
        image = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
        found = detector.detect([image])[0]
        of_each = [np.flatnonzero(found.classes == number)[:40:10] for number in (1, 2, 3)]
        rows = np.concatenate(of_each)[: 0 if k == 2 else None]
        boxes = np.clip(found.boxes[rows] + draw.normal(scale=0.02, size=(len(rows), 4)), 0, 1)
        made.append(example(f"{k}.png", image, boxes, found.classes[rows]))
    return made


def example(name, image, boxes, classes) -> bytes:
    count = len(classes)
    return records.encode_example(
        encoded=cv2.imencode(".png", image)[1].tobytes(),
        image_format="PNG",
        height=image.shape[0],
        width=image.shape[1],
        channels=3,
        filename=name,
        boxes=boxes,
        labels=classes,
        names=[LABELS[k - 1] for k in classes],
        difficult=[row % 3 == 0 for row in range(count)],
        truncated=[False] * count,
    )


def write(folder, examples) -> str:
    """Records without a manifest, as SSD-Tensorflow's converter leaves them."""
    with tf.io.TFRecordWriter(str(folder / "noise_test_000.tfrecord")) as writer:
        for one in examples:
            writer.write(one)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    return str(folder)


@pytest.fixture(scope="module")
def dataset_dir(examples, tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("records"), examples)


def run(checkpoint, dataset_dir, eval_dir, **changes):
    settings = EvalSettings(
        **{
            "checkpoint_path": checkpoint,
            "dataset_dir": dataset_dir,
            "labels_file": f"{dataset_dir}/labels.txt",
            "dataset_name": "noise",
            "eval_dir": str(eval_dir),
            "precision": "float32",
            "summary_pictures": 0,
            **changes,
        }
    )
    return evaluate_checkpoint(settings)


@pytest.fixture(scope="module")
def result(checkpoint, dataset_dir, tmp_path_factory):
    return run(checkpoint, dataset_dir, tmp_path_factory.mktemp("eval"))


def aps(result):
    return [(row.ap_voc07, row.ap_voc12) for row in result.classes]


def test_case_has_scores_worth_comparing(result):
    assert len(result.outcomes) == len(SIZES) * 200
    assert 0 < result.mean_ap_voc07 < 1
    assert 0 < result.mean_ap_voc12 < 1
    assert {Outcome.IGNORED, Outcome.TRUE_POSITIVE} <= set(result.outcomes)


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (3, 4)])
def test_scores_do_not_depend_on_batch_size_and_workers(
    result, checkpoint, dataset_dir, tmp_path, batch_size, threads
):
    again = run(
        checkpoint,
        dataset_dir,
        tmp_path,
        batch_size=batch_size,
        num_preprocessing_threads=threads,
    )
    assert aps(again) == aps(result)
    np.testing.assert_array_equal(again.outcomes, result.outcomes)


def test_scores_do_not_depend_on_the_order_of_the_pictures(result, checkpoint, examples, tmp_path):
    order = np.random.default_rng(5).permutation(len(examples))
    dataset_dir = write(tmp_path, [examples[k] for k in order])
    again = run(checkpoint, dataset_dir, tmp_path / "eval")
    assert aps(again) == aps(result)
    pictures = result.outcomes.reshape(len(SIZES), 200)
    np.testing.assert_array_equal(again.outcomes.reshape(pictures.shape), pictures[order])


def test_every_way_to_resize_scores_every_picture(checkpoint, dataset_dir, result, tmp_path):
    for eval_resize in (2, 3):
        other = run(checkpoint, dataset_dir, tmp_path, eval_resize=eval_resize, coco=True)
        assert aps(other) != aps(result)
        values = json.loads((tmp_path / "metrics.json").read_text())
        assert (values["num_images"], values["step"]) == (len(SIZES), 7)
        assert values["COCO"]["AP50"] == pytest.approx(values["mAP_VOC12"], abs=0.03)


@pytest.mark.parametrize(
    ("name", "value"),
    [("eval_dir", "file/eval"), ("report_dir", "file"), ("contact_sheet", "file/sheet.png")],
)
def test_output_that_cannot_be_written_is_found_out_before_the_weights_are_read(
    dataset_dir, tmp_path, name, value
):
    (tmp_path / "ckpt-7.index").write_text("torn")
    (tmp_path / "file").write_text("in the way")
    given = {"eval_dir": str(tmp_path / "eval"), name: str(tmp_path / value)}
    with pytest.raises(InputError, match=f"--{name}=.*/{value} cannot be written"):
        run(str(tmp_path / "ckpt-7"), dataset_dir, **given)


def test_contact_sheet_may_be_in_a_new_folder(checkpoint, dataset_dir, tmp_path):
    sheet = tmp_path / "new" / "sheet.png"
    run(checkpoint, dataset_dir, tmp_path, contact_sheet=str(sheet), max_num_batches=1)
    assert cv2.imread(str(sheet)).std() > 10


def held() -> tuple[int, int]:
    """Open files, and detectors in memory."""
    return len(os.listdir("/proc/self/fd")), sum(type(o) is Detector for o in gc.get_objects())


def test_evaluation_leaves_nothing_open_and_no_network_behind(checkpoint, dataset_dir, tmp_path):
    """A training may make hundreds of them, with a gigabyte each while Python collects nothing."""
    gc.collect()
    before = held()
    gc.disable()
    try:
        run(checkpoint, dataset_dir, tmp_path, max_num_batches=1, summary_pictures=1)
        assert held() == before
    finally:
        gc.enable()


def test_scoring_of_files_names_its_own_flags(tmp_path):
    given = EvalSettings(detections_dir="found", voc_dir=str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"^--voc_dir=.*/none is not a folder"):
        evaluate_devkit_files(given)
    (tmp_path / "Annotations").mkdir()
    given = EvalSettings(detections_dir="found", voc_dir=str(tmp_path))
    with pytest.raises(InputError, match=r"^--dataset_split_name=test: there is no"):
        evaluate_devkit_files(given)


def test_pictures_of_one_name_are_all_drawn_and_not_written_as_one(checkpoint, examples, tmp_path):
    dataset_dir = write(tmp_path, [examples[0], examples[1], examples[0]])
    with pytest.raises(InputError, match="Two pictures have the id '0'"):
        run(checkpoint, dataset_dir, tmp_path, summary_pictures=3, write_detections=True)
    (path,) = tmp_path.glob("events.*")
    events = b"".join(record.numpy() for record in tf.data.TFRecordDataset(str(path)))
    for tag in (b"pictures/0.png, 0", b"pictures/1.png", b"pictures/0.png, 2"):
        assert events.count(tag) == 1


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ({"eval_image_size": 512}, "--eval_image_size=512: ssd_300_vgg takes 300 pixels"),
        ({"preprocessing_name": "inception"}, "'inception' is unknown: choose one of"),
        ({"anchors": "coco"}, "--anchors=coco differs from the checkpoint's voc"),
        ({"num_classes": 21}, "--num_classes=21 differs from the checkpoint's 4"),
        ({"master": "grpc://host"}, "--master=grpc://host"),
        ({"eval_resize": 5}, "--eval_resize=5 must be 1, 2, 3 or 4"),
        ({"summary_pictures": -1}, "--summary_pictures=-1 must be 0 or more"),
    ],
)
def test_flag_that_does_not_fit_is_refused(checkpoint, dataset_dir, tmp_path, flag, said):
    with pytest.raises(InputError, match=said):
        run(checkpoint, dataset_dir, tmp_path, **flag)
