"""The benchmark of the input pipeline: whose ratio is printed, and rows for what is missing."""

import functools
import importlib.util

import cv2
import numpy as np
import pytest

from benchmarks import input_pipeline
from benchmarks._contenders import Process, Turn
from datasets.layouts.voc_xml import read_annotation


def turns(*seconds: float) -> list[Turn]:
    return [Turn(each, each, each) for each in seconds]


def test_made_up_folder_is_in_voc_layout(tmp_path):
    folder = input_pipeline.make_voc(str(tmp_path / "VOC"), 2)
    annotation = read_annotation(f"{folder}/Annotations/000001.xml")
    assert (annotation.width, annotation.height, len(annotation.objects)) == (500, 375, 3)
    for thing in annotation.objects:
        ymin, xmin, ymax, xmax = thing.box
        assert 0 <= ymin < ymax <= 375
        assert 0 <= xmin < xmax <= 500
    picture = cv2.imread(f"{folder}/JPEGImages/000001.jpg")
    assert picture.shape == (375, 500, 3)
    assert picture.std() > 20


def test_augmentation_table_compares_with_decoding_and_torchvision():
    told = input_pipeline.augmentation_table(
        {
            "decode": turns(1, 1, 1),
            "matching alone": turns(0.5, 0.4, 0.6),
            input_pipeline._TORCHVISION: turns(20, 16, 16),
        },
        count=1000,
    )
    assert told[2:] == [
        "| decode | 1,000 | 100% | 16.0 |",
        "| matching alone | 2,000 | 200% | 40.0 |",
        "| torchvision, `ssd` preset | 62 | 6% | 1.0 |",
        "",
        "Matching takes 0.500 ms an image.",
    ]


def test_augmentation_table_does_without_torchvision():
    told = input_pipeline.augmentation_table(
        {"decode": turns(1), "matching alone": turns(2)}, count=10
    )
    assert told[2] == "| decode | 10 | 100% | - |"


def test_conversion_table_tells_its_share_of_copying():
    told = input_pipeline.conversion_table(
        {"copy, each file synced": turns(1, 3, 2), "conversion": turns(2, 2, 4)}, "9 files"
    )
    assert told == [
        "| 9 files | seconds | conversion is at |",
        "|---|---|---|",
        "| copy, each file synced | 2.000 | 50% |",
        "| conversion | 2.000 | 100% |",
    ]


def test_copies_are_the_files(tmp_path):
    folder = input_pipeline.make_voc(str(tmp_path / "VOC"), 1)
    (tmp_path / "copies").mkdir()
    names = [f"{folder}/JPEGImages/000000.jpg", f"{folder}/Annotations/000000.xml"]
    for each in (True, False):
        input_pipeline._copy(names, str(tmp_path / "copies"), each=each)
        copied = sorted((tmp_path / "copies").iterdir())
        assert [path.name for path in copied] == ["000000.jpg", "000000.xml"]
        assert copied[0].read_bytes() == (tmp_path / "VOC/JPEGImages/000000.jpg").read_bytes()


def test_pixels_are_those_of_the_picture():
    boxes = np.array([[0.1, 0.2, 0.5, 0.6]], np.float32)
    np.testing.assert_allclose(input_pipeline._pixels(boxes, (500, 100)), [[100, 10, 300, 50]])


def test_what_is_not_installed_has_no_parts_and_says_so():
    if importlib.util.find_spec("torch"):
        pytest.skip("torch is installed")
    contender = Process(functools.partial(input_pipeline.torchvision, []), pinned=True)
    contender.close()
    assert contender.calls == ()
    assert contender.note == "not here: No module named 'torch'"


@pytest.mark.slow
def test_benchmark_prints_every_row(capsys, tmp_path):
    input_pipeline.main(["--count=8", "--rounds=1", "--samples=80", f"--place={tmp_path}"])
    text = capsys.readouterr().out
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert [row.removeprefix("| ") for row in rows if "torch" not in row and "alb" not in row] == [
        "on one core",
        "decode",
        "decode, resize",
        "whole recipe",
        "matching alone",
        "recipe, matching, batching",
        "the same from records",
        "16 images and annotations, 1 MB",
        "copy, each file synced",
        "copy, one sync in the end",
        "conversion",
    ]
    assert "Matching takes" in text
    memory = next(line for line in text.splitlines() if line.startswith("Megabytes"))
    assert memory.count(",") == 9
    assert list(tmp_path.iterdir()) == []
