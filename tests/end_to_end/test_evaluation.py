"""Evaluation as a user runs it."""

import json

import cv2
import pytest
import runs


def evaluate(trained, records, folder, *flags: str) -> dict:
    runs.run(
        "eval_ssd_network.py",
        f"--checkpoint_path={trained}",
        f"--eval_dir={folder}",
        f"--dataset_dir={records}",
        "--dataset_name=shapes",
        *flags,
    )
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def metrics(trained, records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    sheet = f"--contact_sheet={folder / 'sheet.png'}"
    report = f"--report_dir={folder / 'report'}"
    return folder, evaluate(trained, records, folder, "--write_detections", sheet, report)


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


def test_contact_sheet_is_a_picture(metrics):
    folder, _ = metrics
    assert cv2.imread(str(folder / "sheet.png")).std() > 10


def test_report_shows_pictures_and_every_class(metrics, trained):
    folder, _ = metrics
    page = (folder / "report" / "index.html").read_text()
    assert all(label in page for label in (trained / "labels.txt").read_text().split())
    assert cv2.imread(str(folder / "report" / "worst_1.png")).std() > 10


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
    assert "not at hand" in (tmp_path / "report" / "index.html").read_text()
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
