"""Evaluation as a user runs it."""

import json

import cv2
import pytest
import runs
import tensorflow as tf
from tensorboard.compat.proto import event_pb2

pytestmark = pytest.mark.slow


def eval_flags(trained, records, folder) -> list[str]:
    return [
        f"--checkpoint_path={trained}",
        f"--eval_dir={folder}",
        f"--dataset_dir={records}",
        "--dataset_name=shapes",
    ]


def evaluate(trained, records, folder, *flags: str) -> dict:
    runs.run("eval_ssd_network.py", *eval_flags(trained, records, folder), *flags)
    return json.loads((folder / "metrics.json").read_text())


def read_tags(folder) -> set[str]:
    (path,) = folder.glob("events.*")
    records = tf.data.TFRecordDataset(str(path))
    events = (event_pb2.Event.FromString(record.numpy()) for record in records)
    return {value.tag for event in events for value in event.summary.value}


@pytest.fixture(scope="module")
def metrics(trained, records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    sheet = f"--contact_sheet={folder / 'sheet.png'}"
    report = f"--report_dir={folder / 'report'}"
    flags = "--write_detections", "--coco", "--summary_pictures=3", sheet, report
    return folder, evaluate(trained, records, folder, *flags)


def test_metrics_hold_what_the_contract_names(metrics, trained, voc_dir):
    _, values = metrics
    assert values["step"] == 6
    assert values["num_images"] == 6
    assert values["num_objects"] > 0
    labels = (trained / "labels.txt").read_text().split()
    for name in ("VOC07", "VOC12"):
        precisions = [p for p in values[f"AP_{name}"].values() if p is not None]
        assert list(values[f"AP_{name}"]) == labels
        assert values[f"mAP_{name}"] == pytest.approx(sum(precisions) / len(precisions))


def test_counts_are_those_of_the_annotations(metrics, voc_dir):
    _, values = metrics
    split = (voc_dir / "ImageSets" / "Main" / "test.txt").read_text().split()
    texts = [(voc_dir / "Annotations" / f"{name}.xml").read_text() for name in split]
    difficult = sum(text.count("<difficult>1</difficult>") for text in texts)
    assert values["num_difficult"] == difficult
    assert values["num_objects"] == sum(text.count("<object>") for text in texts) - difficult


def test_scores_do_not_depend_on_the_batch_size(metrics, trained, records, tmp_path):
    _, values = metrics
    assert evaluate(
        trained, records, tmp_path, "--batch_size=1", "--precision=float32"
    ) == evaluate(trained, records, tmp_path, "--batch_size=4", "--precision=float32")
    assert values["num_images"] == 6


def test_export_is_scored_like_a_checkpoint(trained_vgg, records, tmp_path, capsys):
    out = tmp_path / "export"
    flags = f"--checkpoint_path={trained_vgg}", f"--export_dir={out}", "--format=tflite"
    runs.run("export_ssd_network.py", *flags)
    values = evaluate(out, records, tmp_path / "exported")
    wanted = evaluate(trained_vgg, records, tmp_path / "trained", "--precision=float32")
    assert values["step"] == wanted["step"] == 3
    assert values["mAP_VOC12"] == pytest.approx(wanted["mAP_VOC12"], abs=1e-3)
    given = eval_flags(out, records, tmp_path / "waiting")
    said = runs.refuse("eval_ssd_network.py", *given, "--wait_for_checkpoints", capsys=capsys)
    assert "--wait_for_checkpoints=True does nothing without a checkpoint" in said


def test_coco_stands_beside_voc(metrics):
    _, values = metrics
    assert list(values["COCO"])[:3] == ["AP", "AP50", "AP75"]
    assert len(values["COCO"]) == 12
    # The same detections at the same IoU: COCO interpolates at 101 recalls, VOC12 at every one.
    assert values["COCO"]["AP50"] == pytest.approx(values["mAP_VOC12"], abs=0.02)


def test_tensorboard_gets_numbers_by_class_name_and_a_few_pictures(metrics, trained):
    folder, values = metrics
    tags = read_tags(folder)
    labels = (trained / "labels.txt").read_text().split()
    known = {label for label in labels if values["AP_VOC07"][label] is not None}
    for name in ("AP_VOC07", "AP_VOC12"):
        there = {tag.removeprefix(f"{name}/") for tag in tags if tag.startswith(f"{name}/")}
        assert there == {*known, "mAP"}
    assert sum(tag.startswith("pictures/") for tag in tags) == 3
    assert "COCO/AP50" in tags


def test_picture_of_another_size_is_refused_where_none_is_resized(trained, records, tmp_path):
    flags = eval_flags(trained, records, tmp_path)
    done = runs.run("eval_ssd_network.py", *flags, "--eval_resize=1", code=2)
    assert "takes only images of the network's 32 x 32" in done.stderr
    assert "Traceback" not in done.stderr


def test_contact_sheet_is_a_picture(metrics):
    folder, _ = metrics
    assert cv2.imread(str(folder / "sheet.png")).std() > 10


def test_report_shows_pictures_and_every_class(metrics, trained):
    folder, _ = metrics
    page = (folder / "report" / "index.html").read_text()
    assert all(label in page for label in (trained / "labels.txt").read_text().split())
    assert cv2.imread(str(folder / "report" / "worst_class_1.png")).std() > 10


def test_written_detections_score_as_the_checkpoint_did(metrics, voc_dir, tmp_path):
    folder, values = metrics
    runs.run(
        "eval_ssd_network.py",
        f"--detections_dir={folder}",
        f"--voc_dir={voc_dir}",
        "--dataset_split_name=test",
        f"--eval_dir={tmp_path}",
        f"--report_dir={tmp_path / 'report'}",
    )
    assert "The images were not available" in (tmp_path / "report" / "index.html").read_text()
    again = json.loads((tmp_path / "metrics.json").read_text())
    for name in ("AP_VOC07", "AP_VOC12"):
        for label, precision in values[name].items():
            assert again[name].get(label, precision) == pytest.approx(precision, abs=1e-6)


def test_detect_draws_on_a_folder(trained, voc_dir, tmp_path):
    runs.run(
        "detect_ssd_network.py",
        f"--checkpoint_path={trained}",
        f"--input={voc_dir / 'JPEGImages'}",
        f"--output_dir={tmp_path}",
        "--select_threshold=0.05",
    )
    lines = (tmp_path / "detections.jsonl").read_text().splitlines()
    assert len(lines) == 18
    for line in map(json.loads, lines):
        assert {"image", "width", "height", "detections"} <= line.keys()
