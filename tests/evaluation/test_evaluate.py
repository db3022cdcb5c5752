"""A whole evaluation in this process: what moves a score, what does not, what is refused."""

import gc
import json
import os

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.records import features
from evaluation.devkit_files import evaluate_devkit_files
from evaluation.evaluate import evaluate_checkpoint
from evaluation.settings import EvalSettings
from export.export import export
from export.settings import ExportSettings
from metrics import devkit
from metrics.voc import Outcome
from model import checkpoints
from model.description import Description
from model.detector import Detector
from runtime.errors import InputError

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
    """Images of smooth noise; their objects are some of what is found there, moved a little.

    The third has no objects, and every third object is difficult.
    """
    draw = np.random.default_rng(1)
    made = []
    for k, size in enumerate(SIZES):
        noise = draw.integers(0, 256, (9, 9, 3), np.uint8)
        image = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
        found = detector.detect([image], select_threshold=0.01)[0]
        of_each = [np.flatnonzero(found.classes == number)[:40:10] for number in (1, 2, 3)]
        rows = np.concatenate(of_each)[: 0 if k == 2 else None]
        boxes = np.clip(found.boxes[rows] + draw.normal(scale=0.02, size=(len(rows), 4)), 0, 1)
        made.append(example(f"{k}.png", image, boxes, found.classes[rows]))
    return made


def example(name, image, boxes, classes) -> bytes:
    count = len(classes)
    return features.encode_example(
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


def detections(folder) -> np.ndarray:
    """f64[D, 7]: image, class, score and box, as they were written."""
    ids = [str(k) for k in range(len(SIZES))]
    found = devkit.read(folder, image_ids=ids, labels=LABELS).detections
    return np.column_stack([found.images, found.classes, found.scores, found.boxes])


@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_export_scores_as_its_checkpoint_does(checkpoint, dataset_dir, result, tmp_path, format):
    folder = str(tmp_path / "export")
    export(
        ExportSettings(
            checkpoint_path=checkpoint, export_dir=folder, format=(format,), keep_top_k=7
        )
    )
    report = {"report_dir": str(tmp_path / "report"), "precision": "auto"}
    again = run(folder, dataset_dir, tmp_path / "again", write_detections=True, **report)
    assert again.mean_ap_voc07 == pytest.approx(result.mean_ap_voc07, abs=1e-3)
    assert again.mean_ap_voc12 == pytest.approx(result.mean_ap_voc12, abs=1e-3)
    assert json.loads((tmp_path / "again" / "metrics.json").read_text())["step"] == 7
    assert f"<h1>noise, test: {folder}</h1>" in (tmp_path / "report" / "index.html").read_text()
    run(checkpoint, dataset_dir, tmp_path / "eval", write_detections=True)
    found, wanted = (detections(tmp_path / name) for name in ("again", "eval"))
    assert len(found) == len(wanted) == len(SIZES) * 200
    near = np.abs(found[:, None] - wanted[None]) < [0.5, 0.5, 1e-4, *[0.1] * 4]
    assert near.all(axis=2).any(axis=0).mean() > 0.99


@pytest.mark.parametrize(
    "flag",
    [
        {"moving_average_decay": 0.9},
        {"precision": "float32"},
        {"wait_for_checkpoints": True},
    ],
)
def test_flag_that_cannot_act_on_an_export_is_refused(dataset_dir, tmp_path, flag):
    (tmp_path / "export.json").write_text("{}")
    ((name, value),) = flag.items()
    said = f"--{name}={value} does nothing without a checkpoint, instead of the export --checkpoint"
    with pytest.raises(InputError, match=said):
        run(str(tmp_path), dataset_dir, tmp_path / "eval", **{"precision": "auto"} | flag)


def test_export_that_does_not_fit_is_refused(checkpoint, dataset_dir, tmp_path):
    folder = str(tmp_path / "export")
    export(ExportSettings(checkpoint_path=checkpoint, export_dir=folder, format=("tflite", "slim")))
    for flag, said in (
        ({"use_moving_average": False}, "--use_moving_average=False: .* is an export"),
        ({"num_classes": 21}, "--num_classes=21 differs from the checkpoint's 4"),
        ({"eval_image_size": 512}, "--eval_image_size=512: ssd_300_vgg takes 300 pixels"),
    ):
        with pytest.raises(InputError, match=said):
            run(folder, dataset_dir, tmp_path / "eval", precision="auto", **flag)
    export(ExportSettings(checkpoint_path=checkpoint, export_dir=folder, format=("slim",)))
    with pytest.raises(InputError, match=r"export that too, or give .*/export/model\.ckpt"):
        run(folder, dataset_dir, tmp_path / "eval", precision="auto")


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


def test_class_without_a_devkit_file_is_found_out_before_the_weights_are_read(
    dataset_dir, tmp_path
):
    (tmp_path / "ckpt-7.index").write_text("torn")
    (tmp_path / "labels.txt").write_text("cat\ntraffic/light\ncow\n")
    flags = {"labels_file": str(tmp_path / "labels.txt"), "write_detections": True}
    with pytest.raises(InputError, match="Class 'traffic/light' cannot have a devkit file"):
        run(str(tmp_path / "ckpt-7"), dataset_dir, tmp_path / "eval", **flags)


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


def voc_folder(folder, name: str, *, difficult: int = 0) -> str:
    """One annotation of one object; of the image's size it says 0 x 0."""
    box = "<xmin>10</xmin><ymin>20</ymin><xmax>30</xmax><ymax>40</ymax>"
    size = "<size><width>0</width><height>0</height></size>"
    for part in ("Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    (folder / "Annotations" / "1.xml").write_text(
        f"<annotation>{size}<object><name>{name}</name><difficult>{difficult}</difficult>"
        f"<bndbox>{box}</bndbox></object></annotation>"
    )
    (folder / "ImageSets" / "Main" / "test.txt").write_text("1\n")
    return str(folder)


def test_only_classes_that_have_objects_are_missed_among_files(tmp_path, capsys):
    voc_dir = voc_folder(tmp_path / "voc", "cat")
    given = EvalSettings(
        detections_dir=str(tmp_path), voc_dir=voc_dir, report_dir=str(tmp_path / "report")
    )
    (tmp_path / devkit.file_name("cat")).write_text("1 0.9 10 20 30 40\n")
    assert evaluate_devkit_files(given).mean_ap_voc12 == 1.0
    assert "Warning" not in capsys.readouterr().out
    (tmp_path / devkit.file_name("cat")).rename(tmp_path / devkit.file_name("dog"))
    evaluate_devkit_files(given)
    out = capsys.readouterr().out
    assert out.count("Warning") == out.count("class cat scored as if it had no detections") == 1


def score_cat(folder, *, difficult: int = 0, **flags) -> float | None:
    """Of a detection that has 16 of its object's 21 rows, an overlap of 0.762."""
    voc_dir = voc_folder(folder / "voc", "cat", difficult=difficult)
    (folder / devkit.file_name("cat")).write_text("1 0.9 10 20 30 35\n")
    given = EvalSettings(detections_dir=str(folder), voc_dir=voc_dir, **flags)
    return evaluate_devkit_files(given).mean_ap_voc12


@pytest.mark.parametrize(("threshold", "score"), [(0.76, 1.0), (0.77, 0.0)])
def test_detection_is_right_above_the_matching_threshold(tmp_path, threshold, score):
    assert score_cat(tmp_path, matching_threshold=threshold) == score


@pytest.mark.parametrize(("remove", "score"), [(True, None), (False, 1.0)])
def test_difficult_object_counts_unless_it_is_removed(tmp_path, remove, score):
    assert score_cat(tmp_path, difficult=1, remove_difficult=remove) == score


def test_class_with_a_slash_has_no_files_to_score(tmp_path):
    given = EvalSettings(
        detections_dir=str(tmp_path), voc_dir=voc_folder(tmp_path / "voc", "traffic/light")
    )
    with pytest.raises(InputError, match="Class 'traffic/light' cannot have a devkit file"):
        evaluate_devkit_files(given)


def test_pictures_of_one_name_are_all_drawn_and_not_written_as_one(checkpoint, examples, tmp_path):
    dataset_dir = write(tmp_path, [examples[0], examples[1], examples[0]])
    sheet = tmp_path / "sheet.png"
    flags = {"summary_pictures": 3, "write_detections": True, "contact_sheet": str(sheet)}
    with pytest.raises(InputError, match="Two images have the id '0'"):
        run(checkpoint, dataset_dir, tmp_path, **flags)
    assert sheet.exists()
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
