"""The devkit folder of drawn shapes: layout, determinism, and that VOC readers read it."""

import hashlib
import pathlib

import cv2
import pytest

from datasets.layouts import voc
from datasets.shapes import folder as shapes_folder
from datasets.shapes.scene import Labelled
from runtime.errors import InputError

COUNTS = {"num_train": 5, "num_test": 3}


@pytest.fixture(scope="module")
def devkit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devkit")
    return pathlib.Path(shapes_folder.generate(str(folder), seed=3, **COUNTS))


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def lines(devkit, name):
    return (devkit / "ImageSets" / "Main" / f"{name}.txt").read_text().splitlines()


def test_layout_is_that_of_the_devkit(devkit):
    ids = [f"{number:06d}" for number in range(1, 9)]
    assert devkit.name == "VOC2007"
    assert sorted(path.name for path in devkit.iterdir()) == [
        "Annotations",
        "ImageSets",
        "JPEGImages",
    ]
    assert sorted(path.stem for path in (devkit / "Annotations").glob("*.xml")) == ids
    assert sorted(path.stem for path in (devkit / "JPEGImages").glob("*.jpg")) == ids
    assert lines(devkit, "train") == lines(devkit, "trainval") == ids[:5]
    assert lines(devkit, "test") == ids[5:]


def test_same_seed_gives_the_same_files(devkit, tmp_path):
    again = pathlib.Path(shapes_folder.generate(str(tmp_path), seed=3, **COUNTS))
    assert digests(again) == digests(devkit)


def test_other_seed_gives_other_pictures(devkit, tmp_path):
    other = digests(pathlib.Path(shapes_folder.generate(str(tmp_path), seed=4, **COUNTS)))
    same = {name for name, digest in digests(devkit).items() if other[name] == digest}
    assert {name.split("/")[0] for name in same} <= {"ImageSets"}


def test_more_training_pictures_leave_the_others_as_they_were(devkit, tmp_path):
    larger = pathlib.Path(shapes_folder.generate(str(tmp_path), seed=3, num_train=6, num_test=3))
    first, second = digests(devkit), digests(larger)
    assert second["JPEGImages/000001.jpg"] == first["JPEGImages/000001.jpg"]
    assert second["JPEGImages/000007.jpg"] == first["JPEGImages/000006.jpg"]


def test_voc_reader_reads_every_annotation(devkit):
    total = 0
    for image_id in voc.read_split(str(devkit), "trainval") + voc.read_split(str(devkit), "test"):
        read = voc.read_annotation(str(devkit / "Annotations" / f"{image_id}.xml"))
        picture = cv2.imread(str(devkit / "JPEGImages" / f"{image_id}.jpg"))
        assert (read.height, read.width, read.depth) == picture.shape
        assert {each.name for each in read.objects} <= set(shapes_folder.LABELS)
        for ymin, xmin, ymax, xmax in (each.box for each in read.objects):
            assert 1 <= ymin < ymax <= read.height
            assert 1 <= xmin < xmax <= read.width
        total += len(read.objects)
    assert total > 8


def test_class_files_say_which_pictures_hold_the_class(devkit):
    for split in ("train", "test"):
        for label in shapes_folder.LABELS:
            for line in lines(devkit, f"{label}_{split}"):
                image_id, flag = line.split()
                read = voc.read_annotation(str(devkit / "Annotations" / f"{image_id}.xml"))
                difficult = [each.difficult for each in read.objects if each.name == label]
                expected = -1 if not difficult else 0 if all(difficult) else 1
                assert int(flag) == expected


def test_annotation_counts_whole_pixels_from_one():
    labelled = Labelled("ring", (10.2, 0.0, 50.0, 79.5), 0.3, difficult=True, truncated=True)
    text = shapes_folder.annotation("000001", [labelled], 100, 80).decode()
    for line in (
        "<name>ring</name>",
        "<difficult>1</difficult>",
        "<truncated>1</truncated>",
        "<ymin>11</ymin>",
        "<xmin>1</xmin>",
        "<ymax>50</ymax>",
        "<xmax>80</xmax>",
        "<width>80</width>",
        "<height>100</height>",
    ):
        assert line in text


def test_annotation_of_an_empty_picture_has_no_object():
    assert b"<object>" not in shapes_folder.annotation("000001", [], 100, 80)


def test_each_picture_is_reported(tmp_path):
    seen = []
    shapes_folder.generate(str(tmp_path), num_train=2, num_test=1, on_picture=seen.append)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"num_train": 0}, "num_train is 0"),
        ({"num_test": 0}, "num_test is 0"),
        ({"num_test": 500_000}, "num_test is 500000"),
    ],
)
def test_wrong_numbers_are_refused(tmp_path, wrong, said):
    with pytest.raises(InputError, match=said):
        shapes_folder.generate(str(tmp_path / "kit"), **{**COUNTS, **wrong})
    assert not (tmp_path / "kit").exists()


def test_folder_that_is_there_is_kept(tmp_path):
    (tmp_path / "VOC2007").mkdir()
    (tmp_path / "VOC2007" / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="there already"):
        shapes_folder.generate(str(tmp_path), **COUNTS)
    assert (tmp_path / "VOC2007" / "mine.txt").read_text() == "keep me"


def test_interrupted_generation_leaves_nothing(tmp_path):
    def stop(number):
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shapes_folder.generate(str(tmp_path), on_picture=stop, **COUNTS)
    assert list(tmp_path.iterdir()) == []
