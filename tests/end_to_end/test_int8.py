"""TFLite's small numbers on the model and the test images of `make demo`.

int8 keeps the checkpoint's score, float16 its boxes.
"""

import shutil

import numpy as np
import pytest

from datasets import dataset_factory
from datasets.layouts import voc
from datasets.records.source import RecordSource
from evaluation.predictions import run_detector, to_pixels
from evaluation.settings import EvalSettings
from export.export import export
from export.settings import ExportSettings
from metrics.voc import concatenate, evaluate
from model.detector import Detector
from model.exported import ExportedDetector
from preprocessing import ssd_vgg_preprocessing

pytestmark = pytest.mark.slow

CALIBRATION_PICTURES = 40


def export_int8(demo, folder) -> ExportedDetector:
    """Calibrated on training images alone."""
    typical = folder / "typical"
    typical.mkdir()
    pictures = demo / "VOCdevkit" / "VOC2007"
    names = voc.read_split(str(pictures), "train")
    for name in np.array(names)[:: len(names) // CALIBRATION_PICTURES]:
        shutil.copy(pictures / "JPEGImages" / f"{name}.jpg", typical)
    settings = ExportSettings(
        checkpoint_path=str(demo / "train"),
        export_dir=str(folder / "int8"),
        format=("tflite",),
        tflite_quantization="int8",
        calibration_dir=str(typical),
    )
    export(settings)
    return ExportedDetector(settings.export_dir)


def test_int8_scores_within_two_hundredths_of_the_checkpoint(trained_demo, tmp_path):
    records, checkpoint = str(trained_demo / "tfrecords"), str(trained_demo / "train")
    dataset = dataset_factory.get_dataset("shapes", "test", records)
    settings = EvalSettings(checkpoint_path=checkpoint, eval_dir="unused", dataset_dir=records)
    detector = Detector.from_checkpoint(checkpoint, precision="float32")
    run = run_detector(detector, RecordSource(dataset.shards), settings)
    folder = trained_demo / "VOCdevkit" / "VOC2007" / "JPEGImages"
    encoded = [(folder / name).read_bytes() for name in run.names]
    images = [ssd_vgg_preprocessing.decode(data).numpy() for data in encoded]
    found = export_int8(trained_demo, tmp_path).detect(images)
    quantised = concatenate(to_pixels(found, run.sizes, first=0))
    ours, theirs = (
        evaluate(detections, run.truth, labels=dataset.labels).mean_ap_voc12
        for detections in (run.detections, quantised)
    )
    assert ours > 0.5
    assert theirs != ours  # it is another arithmetic
    assert theirs == pytest.approx(ours, abs=0.02)


def test_float16_finds_the_checkpoints_boxes_within_a_thousandth(trained_demo, tmp_path):
    folder = trained_demo / "VOCdevkit" / "VOC2007"
    names = voc.read_split(str(folder), "test")[:24]
    encoded = [(folder / "JPEGImages" / f"{name}.jpg").read_bytes() for name in names]
    images = [ssd_vgg_preprocessing.decode(data).numpy() for data in encoded]
    checkpoint, export_dir = str(trained_demo / "train"), str(tmp_path / "float16")
    flags = {"format": ("tflite",), "tflite_quantization": "float16"}
    export(ExportSettings(checkpoint_path=checkpoint, export_dir=export_dir, **flags))
    detector = Detector.from_checkpoint(checkpoint, precision="float32")
    expected = detector.detect(images, select_threshold=0.05)
    assert sum(len(wanted.scores) for wanted in expected) > 100
    found = ExportedDetector(export_dir).detect(images, select_threshold=0.04)
    matched = []
    for one, wanted in zip(found, expected, strict=True):
        near = np.abs(one.boxes[None] - wanted.boxes[:, None]).max(axis=2) < 1e-3
        off = np.abs(one.scores[None] - wanted.scores[:, None]) < 0.01
        same = one.classes[None] == wanted.classes[:, None]
        matched.extend((near & off & same).any(axis=1))
    # NMS may keep the other one of two boxes whose scores differ by less than the rounding.
    assert np.mean(matched) > 0.98
