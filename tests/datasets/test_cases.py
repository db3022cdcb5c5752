"""Every case of input that people reported, against what should happen to it."""

import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from datasets.conversion import Conversion, convert
from datasets.dataset_factory import get_dataset
from datasets.layouts.labels import read_labels
from detection.sources import open_source
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError
from training.settings import TrainSettings
from training.train import train

# name: images, objects, difficult ones, labels
CONVERTED = {
    "all-crowd-coco": (8, 0, 8, ("widget",)),
    "background-category-coco": (2, 2, 0, ("widget",)),
    "backslash-file-name": (2, 2, 0, ("widget",)),
    "bbox-missing-coco": (2, 2, 0, ("widget",)),
    "blank-before-xml-declaration": (1, 1, 0, ("cat_x",)),
    "capital-difficult": (1, 0, 1, ("cat_x",)),
    "empty-size-xml": (1, 1, 0, ("cat_x",)),
    "folder-in-file-name": (1, 1, 0, ("widget",)),
    "gb2312-xml": (1, 1, 0, ("汽车",)),
    "image-ending-in-xml-name": (1, 1, 0, ("cat_x",)),
    "jfif-picture": (1, 1, 0, ("cat_x",)),
    "nested-annotations": (5, 5, 0, ("cat_x",)),
    "nfd-class-names": (2, 2, 0, ("café",)),
    "no-size-xml": (1, 1, 0, ("cat_x",)),
    "objects-in-wrapper": (3, 4, 0, ("cat_x",)),
    "one-file-two-ids": (1, 2, 0, ("widget",)),
    "png-exif": (1, 1, 0, ("cat_x",)),
    "roboflow-root-category": (2, 2, 0, ("peix", "taca")),
    "split-with-endings": (2, 2, 0, ("cat_x",)),
    "subset-of-classes-coco": (2, 2, 0, ("widget", "gadget")),
    "subset-of-classes-voc": (1, 2, 0, ("cat_x", "dog_x")),
    "text-category-id": (2, 2, 0, ("widget",)),
    "truncated-fraction": (1, 1, 0, ("cat_x",)),
    "upper-case-xml": (3, 3, 0, ("cat_x",)),
    "webp-bmp-tif": (6, 6, 0, ("cat_x",)),
    "xml-namespace": (1, 1, 0, ("cat_x",)),
}
REFUSED = {
    "background-class-voc": r"'background', which is class 0 .*--classes='thing=background'",
    "bbox-as-object": "annotation 1 .* as imglab writes it",
    "bbox-text": "annotation 1 .* text in quotes",
    "captions-or-via-json": r"VIA, the VGG Image Annotator, .*pass --dataset_name=via",
    "cvat-images-xml": r"a file of CVAT, not of VOC: pass --dataset_name=cvat",
    "no-categories-coco": "its list of categories is empty",
    "orphan-annotation": "annotation 3 is of image 99, which is not among the images",
    "relative-boxes-coco": "every coordinate is 1 or less",
    "relative-boxes-voc": "boxes from 0 to 1, shares of the image",
    "undeclared-encoding-xml": "declares no encoding and is not in UTF-8",
}
# name: what the report says
SAID = {
    "all-crowd-coco": "all 8 objects are crowds",
    "background-category-coco": "category 0 (background): is the background",
    "one-file-two-ids": "image 2 (a.jpg): is the same file as image 1",
    "roboflow-root-category": "category 0 (peixos): is the supercategory of others",
    "webp-bmp-tif": "a.webp is WebP: encoded anew as PNG",
}
# name, flags -> images, objects, labels
WITH_FLAGS = [
    ("all-crowd-coco", {"learn_crowds": True}, (8, 8, ("widget",))),
    ("background-class-voc", {"classes": "cat_x"}, (1, 1, ("cat_x",))),
    ("background-class-voc", {"classes": "scene=background;cat_x"}, (1, 2, ("scene", "cat_x"))),
    ("bbox-text", {"skip_bad": 1}, (1, 1, ("widget",))),
    ("cvat-images-xml", {"dataset_name": "cvat"}, (1, 1, ("cat_x",))),
    ("cvat-images-xml", {"dataset_name": "auto"}, (1, 1, ("cat_x",))),
    ("nested-annotations", {"split": "train"}, (4, 4, ("cat_x",))),
    ("orphan-annotation", {"skip_bad": 1}, (2, 2, ("widget",))),
    ("split-with-endings", {"split": "train"}, (1, 1, ("cat_x",))),
    ("subset-of-classes-coco", {"classes": "widget"}, (2, 1, ("widget",))),
    ("subset-of-classes-voc", {"classes": "animal=cat_x,dog_x"}, (1, 2, ("animal",))),
    ("upper-case-xml", {"split": "train"}, (3, 3, ("cat_x",))),
]
# Not converted, and tested below: what they are made of is in their repro.sh.
OTHERS = {"dense-pictures", "detect-folder-endings", "label-map-pbtxt", "layouts", "records-names"}


@pytest.fixture
def cases(shared) -> pathlib.Path:
    if not (shared / "cases").is_dir():
        pytest.skip(f"{shared} has no cases")
    return shared / "cases"


@pytest.fixture
def convert_case(cases, tmp_path):
    """Converts a case's folder, or its COCO file; gives the counts and the lines of the report."""

    def convert_case(name, **changes):
        data, lines = cases / name / "data", []
        fields = {"dataset_dir": str(data)}
        if (data / "ann.json").is_file():
            fields = {"dataset_dir": str(data / "images"), "annotations": str(data / "ann.json")}
            fields["dataset_name"] = "coco"
        fields |= {"output_name": "x_train", "output_dir": str(tmp_path)}
        return convert(Conversion(**fields | changes), report=lines.append), lines

    return convert_case


def test_every_case_is_here(cases):
    names = {path.name for path in cases.iterdir() if path.is_dir()}
    assert names == CONVERTED.keys() | REFUSED.keys() | OTHERS


@pytest.mark.parametrize("name", CONVERTED)
def test_case_is_converted(convert_case, name):
    tally, lines = convert_case(name)
    counts = (tally.num_images, tally.num_objects, tally.num_difficult, tally.labels)
    assert counts == CONVERTED[name]
    assert SAID.get(name, "") in "\n".join(lines)


def test_set_of_crowds_alone_is_harm_and_nothing_to_learn(convert_case, cases, tmp_path):
    data = cases / "all-crowd-coco" / "data"
    images = f"{data}/images"
    with pytest.raises(InputError, match="would be harmed: all crowds"):
        inspect.run(InspectSettings(input=f"{data}/ann.json", dataset_dir=images))
    convert_case("all-crowd-coco")
    settings = TrainSettings(
        dataset_name="x",
        dataset_split_name="train",
        dataset_dir=str(tmp_path),
        train_dir=f"{tmp_path}/run",
        model_name="ssd_32_tiny",
        max_number_of_steps=1,
    )
    with pytest.raises(InputError, match=r"x train in .* has no object to learn .* --learn_crowds"):
        train(settings, {})
    convert_case("all-crowd-coco", learn_crowds=True)
    assert sum(get_dataset("x", "train", str(tmp_path)).objects) == 8


@pytest.mark.parametrize("name", REFUSED)
def test_case_is_refused_with_its_cause(convert_case, name):
    with pytest.raises(InputError, match=REFUSED[name]):
        convert_case(name)


@pytest.mark.parametrize("name, flags, expected", WITH_FLAGS)
def test_case_is_converted_with_a_flag(convert_case, name, flags, expected):
    tally, _ = convert_case(name, **flags)
    assert (tally.num_images, tally.num_objects, tally.labels) == expected


def make_records(cases, folder, *names):
    script = str(cases / "label-map-pbtxt" / "make.py")
    subprocess.run([sys.executable, script, str(folder), *names], check=True, capture_output=True)


def test_records_of_other_tools_are_read(cases, tmp_path):
    names = ["raccoon.tfrecord", "pascal_train.record"]
    names += [f"coco_train.record-0000{k}-of-00002" for k in range(2)]
    for folder in (tmp_path / "plain", tmp_path / "gzip"):
        make_records(cases, folder, *names)
        found = {n: get_dataset(n, "train", str(folder)) for n in ("raccoon", "pascal", "coco")}
        assert {n: each.num_samples for n, each in found.items()} == {
            "raccoon": 4,
            "pascal": 4,
            "coco": 8,
        }
        assert {each.labels for each in found.values()} == {("raccoon",)}


def test_label_map_is_read(cases, tmp_path):
    make_records(cases, tmp_path)
    label_map = f"{tmp_path}/rc_label_map.pbtxt"
    assert read_labels(label_map) == ("raccoon",)
    assert get_dataset("rc", "train", str(tmp_path), label_map).num_samples == 4


def test_folder_of_images_is_read_by_all_endings(tmp_path):
    grey = np.full((48, 64, 3), 90, np.uint8)
    jpeg = cv2.imencode(".jpg", grey)[1].tobytes()
    for name in ("a.jpg", "b.jfif", "c.jpe", "noending"):
        (tmp_path / name).write_bytes(jpeg)
    for ending in (".avif", ".jp2", ".pgm"):
        pixels = grey[..., 0] if ending == ".pgm" else grey
        (tmp_path / f"e{ending}").write_bytes(cv2.imencode(ending, pixels)[1].tobytes())
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    source = open_source(str(tmp_path))
    assert [frame.image.shape for frame in source] == [(48, 64, 3)] * 6
    assert source.passed_over == ("IMG_1.HEIC", "noending")


@pytest.mark.parametrize("folders", [("", ""), ("annotations", "images"), ("annots", "images")])
def test_layouts_of_folders_are_found(cases, tmp_path, folders):
    for folder, source, files in zip(
        folders, ("Annotations", "JPEGImages"), ("*.xml", "*.jpg"), strict=True
    ):
        (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
        for path in (cases / "nfd-class-names" / "data" / source).glob(files):
            (tmp_path / "in" / folder / path.name).write_bytes(path.read_bytes())
    lines = []
    conversion = Conversion(f"{tmp_path}/in", output_dir=f"{tmp_path}/out", dry_run=False)
    assert convert(conversion, report=lines.append).num_images == 2
    assert lines[0].startswith("VOC layout: XML")


def test_images_that_an_annotation_file_does_not_name_are_counted(cases, tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    data = cases / "text-category-id" / "data"
    for name in ("a.jpg", "b.jpg"):
        for target in (name, f"more_{name}"):
            (images / target).write_bytes((data / "images" / name).read_bytes())
    fields = {"annotations": str(data / "ann.json"), "output_dir": str(out), "output_name": "x"}
    tally = convert(Conversion(str(images), "coco", **fields), report=lambda line: None)
    assert list(tally.notes["left_out"]) == [f"{images}: 2 images that have no annotation"]
    (images / "b.jpg").unlink()
    with pytest.raises(InputError, match=r"b\.jpg cannot be read .*--skip_bad=0"):
        convert(Conversion(str(images), "coco", **fields), report=lambda line: None)
    tally = convert(Conversion(str(images), "coco", skip_bad=1, **fields), report=lambda line: None)
    assert (tally.num_images, len(tally.notes["skipped"])) == (1, 1)
