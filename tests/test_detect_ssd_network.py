"""The script from the shell's side, with a real checkpoint of a narrow network."""

import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from model import checkpoints
from model.description import Description
from model.detector import Detector

ROOT = pathlib.Path(__file__).resolve().parent.parent
LABELS = ("circle", "ring", "square")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Random weights of a net of width 1/16: its scores are near 1/4 everywhere."""
    description = Description(model_name="ssd_300_vgg", labels=LABELS, depth_multiplier=1 / 16)
    detector = Detector(description)
    tensors = {
        **detector.variables_by_name,
        "description": tf.constant(description.to_json()),
        "global_step": tf.constant(1, tf.int64),
    }
    return checkpoints.save(str(tmp_path_factory.mktemp("train")), 1, tensors)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (90, 120)), ("b.jpg", (64, 64)), ("c.png", (200, 50))):
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    return folder


def detect(*flags):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(
        [sys.executable, str(ROOT / "detect_ssd_network.py"), *flags],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def read(output_dir):
    return [json.loads(line) for line in (output_dir / "detections.jsonl").read_text().splitlines()]


def test_folder_is_detected_on_and_what_is_broken_is_passed_over(checkpoint, pictures, tmp_path):
    (pictures / "torn.png").write_bytes(b"\x89PNG nothing")
    out = tmp_path / "out"
    flags = ("--select_threshold=0.01", "--keep_top_k=5", "--batch_size=2", "--format=jsonl,csv")
    done = detect(
        f"--checkpoint_path={checkpoint}", f"--input={pictures}", f"--output_dir={out}", *flags
    )
    assert done.returncode == 0, done.stderr
    lines = read(out)
    assert [(line["image"], line["width"], line["height"]) for line in lines] == [
        ("a.png", 120, 90),
        ("b.jpg", 64, 64),
        ("c.png", 50, 200),
    ]
    for each in (each for line in lines for each in line["detections"]):
        assert each["label"] == LABELS[each["class"] - 1]
        assert 0.01 <= each["score"] <= 1.0
        ymin, xmin, ymax, xmax = each["box"]
        assert 0.0 <= ymin <= ymax <= 1.0
        assert 0.0 <= xmin <= xmax <= 1.0
    assert all(len(line["detections"]) == 5 for line in lines)
    assert {path.name for path in out.iterdir()} == {
        *("a.jpg", "b.jpg", "c.jpg"),
        *("detections.jsonl", "detections.csv"),
    }
    assert "torn.png: the file is truncated" in done.stderr
    assert "Traceback" not in done.stderr
    assert "3 images, 1 could not be read, 15 detections" in done.stdout


def test_script_finds_what_the_python_object_finds(checkpoint, pictures, tmp_path):
    done = detect(
        f"--checkpoint_path={pathlib.Path(checkpoint).parent}",
        f"--input={pictures / 'a.png'}",
        f"--output_dir={tmp_path / 'out'}",
        "--select_threshold=0.1",
        "--nodraw",
    )
    assert done.returncode == 0, done.stderr
    image = cv2.imread(str(pictures / "a.png"), cv2.IMREAD_COLOR_RGB)
    detector = Detector.from_checkpoint(checkpoint)
    expected = detector.detect([image], select_threshold=0.1, nms_threshold=0.45, keep_top_k=200)[0]
    found = read(tmp_path / "out")[0]["detections"]
    assert [each["class"] for each in found] == expected.classes.tolist()
    np.testing.assert_allclose([each["score"] for each in found], expected.scores, atol=1e-5)
    np.testing.assert_allclose([each["box"] for each in found], expected.boxes, atol=1e-5)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["detections.jsonl"]


def test_checkpoint_in_slims_names_is_described_by_flags(checkpoint, pictures, tmp_path):
    names = checkpoints.read(checkpoint)
    bare = {name: names[name] for name in names if name.startswith("ssd_300_vgg/")}
    path = checkpoints.save(str(tmp_path / "bare"), 1, bare)
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    usual = (f"--input={pictures / 'a.png'}", "--select_threshold=0.1", "--nodraw")
    found = {}
    for name, given, flags in (
        ("described", checkpoint, ()),
        ("told", path, ("--anchors=voc", f"--labels_file={tmp_path / 'labels.txt'}")),
        ("guessed", path, ("--num_classes=4",)),
    ):
        out = tmp_path / name
        done = detect(f"--checkpoint_path={given}", f"--output_dir={out}", *usual, *flags)
        assert done.returncode == 0, done.stderr
        assert ("NOTE: the checkpoint does not name its anchors" in done.stdout) is (
            name == "guessed"
        )
        found[name] = read(out)
    assert found["told"] == found["described"]
    assert found["guessed"][0]["detections"][0]["label"].startswith("class_")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--input=absent.jpg"], "--input=absent.jpg is not there"),
        (["--input=camera:97"], "camera:97 cannot be opened as a camera"),
        (["--colour=red"], "Unknown command line flag 'colour'"),
        (["--classes=chair"], "has no 'chair', only circle, ring, square"),
        (["--checkpoint_path=absent"], "absent"),
        (["--anchors=coco"], "--anchors=coco differs from the checkpoint's voc: remove the flag"),
    ],
)
def test_wrong_flags_end_with_2_and_a_sentence(checkpoint, pictures, tmp_path, flags, said):
    usual = {
        "--checkpoint_path": checkpoint,
        "--input": str(pictures),
        "--output_dir": str(tmp_path / "out"),
    }
    done = detect(*(f"{name}={value}" for name, value in usual.items()), *flags)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_saved_model_without_its_export_json_is_named(pictures, tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "saved_model.pb").touch()
    done = detect(
        f"--checkpoint_path={tmp_path / 'export'}",
        f"--input={pictures}",
        f"--output_dir={tmp_path / 'out'}",
    )
    assert done.returncode == 2
    assert "is a SavedModel without the export.json" in done.stderr


def test_raw_weights_of_an_export_are_refused(pictures, tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "export.json").write_text("{}")
    done = detect(
        f"--checkpoint_path={tmp_path / 'export'}",
        f"--input={pictures}",
        f"--output_dir={tmp_path / 'out'}",
        "--use_moving_average=False",
    )
    assert done.returncode == 2
    assert "is an export" in done.stderr
