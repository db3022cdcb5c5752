"""What users made by the code before the packages were parted, see make.py, is as good as ever."""

import json
import pathlib
import shutil

import cv2
import numpy as np
import pytest
import runs

from datasets import dataset_factory
from datasets.records.features import read_contents
from datasets.records.reader import RecordReader
from model.exported import ExportedDetector
from tests.legacy import make

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = json.loads((HERE / "expected.json").read_text())


@pytest.fixture(scope="module")
def contents():
    """What today's code reads from each of the old records."""
    dataset = dataset_factory.get_dataset("shapes", "train", str(HERE / "records"))
    assert dataset.labels == ("circle", "cross", "ring", "square", "star", "triangle")
    assert dataset.num_samples == len(EXPECTED["records"]) == 3
    with RecordReader(dataset.shards) as reader:
        return [read_contents(reader.read(number)) for number in range(len(reader))]


def test_old_records_are_read_with_equal_content(contents):
    found = [make.describe_record(each) for each in contents]
    assert json.loads(json.dumps(found)) == EXPECTED["records"]


def test_old_training_resumes_with_the_losses_that_it_would_have_had(tmp_path):
    for name in ("records", "train"):
        shutil.copytree(HERE / name, tmp_path / name)
    steps = make.STEPS + make.FURTHER_STEPS
    flags = make.train_flags(tmp_path, steps=steps)
    done = runs.run("train_ssd_network.py", *flags)
    assert f"/train/ckpt-{make.STEPS}.\n" in done.stdout  # "Resuming from" it
    metrics = runs.read_metrics(tmp_path / "train")
    assert [row["step"] for row in metrics] == list(range(1, steps + 1))
    for row, expected in zip(metrics[make.STEPS :], EXPECTED["losses"], strict=True):
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("export_format", ["saved_model", "tflite"])
def test_old_export_detects_what_it_detected(contents, export_format):
    encoded = [np.frombuffer(each.encoded, np.uint8) for each in contents]
    images = [cv2.imdecode(each, cv2.IMREAD_COLOR)[..., ::-1] for each in encoded]
    detector = ExportedDetector(str(HERE / "export"), format=export_format)
    assert detector.step == make.STEPS
    found = detector.detect(images, select_threshold=0.01)
    for image, expected in zip(found, EXPECTED["detections"][export_format], strict=True):
        assert image.classes.tolist() == expected["classes"]
        np.testing.assert_allclose(image.scores, expected["scores"], atol=1e-5)
        np.testing.assert_allclose(image.boxes, expected["boxes"], atol=1e-5)
