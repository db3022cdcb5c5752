"""Which splits a fit finds in a folder, in whatever layout, and what it refuses."""

import json
import pathlib

import cv2
import numpy as np
import pytest

from datasets.records.features import read_contents
from datasets.records.reader import RecordReader
from runtime.errors import InputError
from tests.voc_folder import annotation_xml
from training.fitting import data as fit_data
from training.fitting.settings import FitSettings

COUNT, WIDTH, HEIGHT = 12, 64, 48
NAMES = ("cat", "dog")


def boxes(number: int) -> list[tuple[str, tuple[int, int, int, int]]]:
    """A cat everywhere, a dog on every third image: (name, (ymin, xmin, ymax, xmax)) in pixels."""
    cat = ("cat", (4 + number, 8, 24 + number, 40))
    return [cat, ("dog", (0, 32, 16, 48))] if number % 3 == 0 else [cat]


def draw_images(folder: pathlib.Path) -> list[pathlib.Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"p{number:02d}.png" for number in range(COUNT)]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(path), pixels)
    return paths


def labelimg(folder: pathlib.Path) -> pathlib.Path:
    """Images with their XML beside them."""
    for number, path in enumerate(draw_images(folder)):
        xml = annotation_xml(width=WIDTH, height=HEIGHT, objects=boxes(number))
        path.with_suffix(".xml").write_text(xml)
    return folder


def yolo(folder: pathlib.Path) -> pathlib.Path:
    """images/ and labels/, the classes in data.yaml."""
    (folder / "labels").mkdir(parents=True)
    (folder / "data.yaml").write_text("names: [cat, dog]\n")
    for number, path in enumerate(draw_images(folder / "images")):
        lines = []
        for name, (ymin, xmin, ymax, xmax) in boxes(number):
            centre = ((xmin + xmax) / 2 / WIDTH, (ymin + ymax) / 2 / HEIGHT)
            size = ((xmax - xmin) / WIDTH, (ymax - ymin) / HEIGHT)
            lines.append(f"{NAMES.index(name)} {centre[0]} {centre[1]} {size[0]} {size[1]}\n")
        (folder / "labels" / f"{path.stem}.txt").write_text("".join(lines))
    return folder


def instances(paths: list[pathlib.Path]) -> dict:
    """COCO's JSON of images."""
    images, annotations = [], []
    for path in paths:
        number = int(path.stem[1:])
        images.append({"id": number, "file_name": path.name, "width": WIDTH, "height": HEIGHT})
        for name, (ymin, xmin, ymax, xmax) in boxes(number):
            box = [xmin, ymin, xmax - xmin, ymax - ymin]
            row = {"id": len(annotations) + 1, "image_id": number, "bbox": box}
            annotations.append({**row, "category_id": NAMES.index(name) + 1, "iscrowd": 0})
    categories = [{"id": k, "name": name} for k, name in enumerate(NAMES, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco(folder: pathlib.Path) -> pathlib.Path:
    """annotations/instances.json beside images/."""
    paths = draw_images(folder / "images")
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances.json").write_text(json.dumps(instances(paths)))
    return folder


def coco_splits(folder: pathlib.Path) -> pathlib.Path:
    """A file for each split, as COCO itself has them."""
    paths = draw_images(folder / "images")
    (folder / "annotations").mkdir()
    for name, part in (("instances_train2017", paths[:8]), ("instances_val2017", paths[8:])):
        (folder / "annotations" / f"{name}.json").write_text(json.dumps(instances(part)))
    return folder


def roboflow(folder: pathlib.Path) -> pathlib.Path:
    """train/ and valid/, each with its COCO file among the images."""
    paths = draw_images(folder / "all")
    for split, part in (("train", paths[:8]), ("valid", paths[8:])):
        (folder / split).mkdir()
        for path in part:
            path.rename(folder / split / path.name)
        written = json.dumps(instances(part))
        (folder / split / "_annotations.coco.json").write_text(written)
    (folder / "all").rmdir()
    return folder


def prepare(folder: pathlib.Path, output: pathlib.Path, **flags) -> fit_data.FitData:
    settings = FitSettings(input=str(folder), output_dir=str(output), **flags)
    whole, parts = fit_data.open_parts(settings, report=lambda line: None)
    fit_data.inspect_source(whole, settings, model_name="ssd_300_vgg")
    return fit_data.write_records(whole, parts, settings, report=lambda line: None, progress=iter)


def records(output: pathlib.Path, split: str) -> list[tuple]:
    shards = sorted(map(str, (output / "records").glob(f"data_{split}_*.tfrecord")))
    with RecordReader(shards) as reader:
        read = [read_contents(reader.read(index)) for index in range(len(reader))]
    return [(r.filename, r.encoded, r.boxes.tolist(), list(r.labels)) for r in read]


@pytest.fixture(scope="module")
def from_labelimg(tmp_path_factory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("labelimg")
    prepare(labelimg(output / "images"), output, holdout=0.25)
    return output


def test_images_without_splits_are_divided(from_labelimg):
    parts = {split: records(from_labelimg, split) for split in ("train", "val")}
    names = [name for part in parts.values() for name, *_ in part]
    assert sorted(names) == [f"p{number:02d}.png" for number in range(COUNT)]
    for part in parts.values():  # rare classes are on both sides
        assert {label for *_, labels in part for label in labels} == {1, 2}
    assert (from_labelimg / "report" / "data.html").exists()


@pytest.mark.parametrize("write", [yolo, coco])
def test_every_layout_gives_the_same_records(write, from_labelimg, tmp_path):
    """All but the division, which hashes the ids that a layout gives."""
    prepare(write(tmp_path / "images"), tmp_path, holdout=0.25)
    found, expected = (
        sorted(records(folder, "train") + records(folder, "val"))
        for folder in (tmp_path, from_labelimg)
    )
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert [row[3] for row in found] == [row[3] for row in expected]
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own[2], other[2], atol=1e-6)


def test_shown_images_are_held_out(tmp_path):
    data = prepare(labelimg(tmp_path / "images"), tmp_path / "run")
    held_out = {name for name, *_ in records(tmp_path / "run", "val")}
    assert {pathlib.Path(path).name for path in data.shown} == held_out
    assert data.num_images == {"train": COUNT - len(held_out), "val": len(held_out)}


@pytest.mark.parametrize("write", [coco_splits, roboflow])
def test_splits_of_annotation_files_are_taken(write, tmp_path):
    data = prepare(write(tmp_path / "images"), tmp_path / "run")
    assert data.num_images == {"train": 8, "val": 4}
    assert [name for name, *_ in records(tmp_path / "run", "val")] == [
        f"p{number:02d}.png" for number in range(8, 12)
    ]


def test_a_share_that_is_asked_for_is_held_out_of_all(tmp_path):
    data = prepare(coco_splits(tmp_path / "coco"), tmp_path / "run", holdout=0.5)
    assert sum(data.num_images.values()) == COUNT
    assert data.num_images["val"] != 4


def test_own_splits_are_taken(voc, tmp_path):
    voc.add_many(9)
    for name, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 9))):
        voc.add_split(name, "".join(f"p{number:03d}\n" for number in numbers))
    data = prepare(voc.path, tmp_path / "own")
    assert data.num_images == {"train": 4, "val": 2, "test": 3}
    assert (data.train, data.val, data.test) == ("train", "val", "test")


def test_empty_split_is_none(tmp_path):
    """A share is held out instead, of all."""
    folder = roboflow(tmp_path / "images")
    for number in range(8, COUNT):
        (folder / "valid" / f"p{number:02d}.png").unlink()
    (folder / "valid" / "_annotations.coco.json").write_text(json.dumps(instances([])))
    data = prepare(folder, tmp_path / "run")
    assert sum(data.num_images.values()) == 8
    assert data.num_images["val"] > 0


def test_classes_are_picked(tmp_path):
    prepare(labelimg(tmp_path / "images"), tmp_path, classes="pup=dog")
    both = records(tmp_path, "train") + records(tmp_path, "val")
    assert sorted(len(labels) for *_, labels in both) == [0] * 8 + [1] * 4
    assert (tmp_path / "records" / "labels.txt").read_text() == "pup\n"


def test_harm_stops_with_what_to_do(tmp_path):
    folder = labelimg(tmp_path / "images")
    (folder / "p03.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"harmed: bad image\. Correct it.*--skip_bad=1\."):
        prepare(folder, tmp_path / "run")
    data = prepare(folder, tmp_path / "again", skip_bad=1)
    assert sum(data.num_images.values()) == COUNT - 1


def test_folders_without_annotations_are_refused(tmp_path):
    draw_images(tmp_path / "images")
    with pytest.raises(InputError, match=r"has no annotations that are understood: it must be"):
        prepare(tmp_path / "images", tmp_path / "run")
    with pytest.raises(InputError, match=r"none is neither a file nor a folder"):
        prepare(tmp_path / "none", tmp_path / "run")
    (tmp_path / "images" / "a_000.tfrecord").write_bytes(b"")
    with pytest.raises(InputError, match=r"has TFRecords, which are converted already"):
        prepare(tmp_path / "images", tmp_path / "run")


def test_several_files_need_names(tmp_path):
    paths = draw_images(tmp_path / "images")
    for name in ("first", "second"):
        (tmp_path / f"{name}.json").write_text(json.dumps(instances(paths[:2])))
    with pytest.raises(InputError, match=r"several files of annotations \(first.json, second"):
        prepare(tmp_path, tmp_path / "run")
