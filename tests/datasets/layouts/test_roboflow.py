"""Roboflow's folders of splits: one list of classes, all images of each split."""

import json

import pytest

from datasets.conversion import Conversion, convert
from datasets.layouts import registry
from datasets.layouts.roboflow import open_source, recognises
from datasets.layouts.source import Options
from datasets.records.manifest import read_manifest
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError
from tests.voc_folder import picture_bytes

CATEGORIES = [
    {"id": 0, "name": "fish", "supercategory": "none"},
    {"id": 1, "name": "cod", "supercategory": "fish"},
    {"id": 2, "name": "bass", "supercategory": "cod"},
]
CSV = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def coco(*categories):
    images = [{"id": k, "file_name": f"{k}.jpg", "width": 40, "height": 20} for k in range(2)]
    rows = [
        {"id": k, "image_id": k, "category_id": category, "bbox": [4, 2, 20, 10], "iscrowd": 0}
        for k, category in enumerate(categories)
    ]
    return json.dumps({"images": images, "annotations": rows, "categories": CATEGORIES})


@pytest.fixture
def export(tmp_path):
    """A COCO export: class cod in train alone, bass in valid alone."""
    folder = tmp_path / "export"
    for split, text in (("train", coco(1, 1)), ("valid", coco(2))):
        (folder / split).mkdir(parents=True)
        (folder / split / "_annotations.coco.json").write_text(text)
        for k in range(2):
            (folder / split / f"{k}.jpg").write_bytes(picture_bytes(width=40, height=20))
    (folder / "train" / "more.jpg").write_bytes(picture_bytes())
    return folder


def test_export_is_recognised_and_its_splits_have_the_same_classes(export):
    assert registry.recognise(str(export)) == "roboflow"
    for split, images in (("train", 2), ("valid", 2), ("", 4)):
        source = open_source(Options(str(export), split=split))
        assert len(source.images) == images
        assert source.labels() == ("cod", "bass")
        assert source.notes["coco_ids"] == {"cod": 1, "bass": 2}
    assert list(source.images) == ["train/0", "train/1", "valid/0", "valid/1"]
    assert source.images["valid/1"].path == f"{export}/valid/1.jpg"
    assert source.images["valid/1"].source_id == "1"


def test_what_is_not_used_is_left_out_and_a_class_of_another_split_is_not(export):
    path = export / "train" / "_annotations.coco.json"
    assert open_source(Options(str(export), split="train")).left_out == {
        f"{path}: category 0 (fish)": "is the supercategory of others and has no objects",
        f"{export}/train/more.jpg": "is not in the annotations of its folder",
    }
    # cod is bass's supercategory and has no objects in valid, and is a class all the same.
    assert len(open_source(Options(str(export), split="valid")).left_out) == 1


def test_split_is_converted_and_inspected(export, tmp_path, capsys):
    fields = {"output_name": "x_train", "output_dir": f"{tmp_path}/out", "split": "train"}
    tally = convert(Conversion(str(export), "roboflow", **fields), report=print)
    assert (tally.num_images, tally.num_objects) == (2, 2)
    assert read_manifest(f"{tmp_path}/out", "x_train").labels == ("cod", "bass")
    capsys.readouterr()
    inspect.run(InspectSettings(input=str(export), split="train", format=("json",)))
    facts = json.loads(capsys.readouterr().out)
    assert facts["classes"]["cod"]["objects"] == 2
    assert [d["kind"] for d in facts["defects"]].count("left_out") == 2


def test_csv_splits_share_their_classes(tmp_path):
    for split, name in (("train", "cod"), ("test", "bass"), ("valid", "")):
        (tmp_path / split).mkdir()
        row = f"a.jpg,40,20,{name},4,2,24,12\n" if name else ""
        (tmp_path / split / "_annotations.csv").write_text(CSV + row)
    assert recognises(str(tmp_path))
    source = open_source(Options(str(tmp_path), split="test"))
    assert source.labels() == ("bass", "cod")
    assert [t.box for t in source.images["test/a.jpg"].annotation.objects] == [(2, 4, 12, 24)]


def test_folder_of_one_split_is_taken_as_it_is(export):
    source = open_source(Options(str(export / "train")))
    assert list(source.images) == ["0", "1"]


def test_wrong_folders_and_splits_are_named(export, tmp_path):
    assert not recognises(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    for folder, split, message in (
        (tmp_path / "none", "", "is not a folder: pass the export's folder"),
        (tmp_path / "empty", "", "has no _annotations.coco.json or .*pascalvoc"),
        (export, "test", r"--split=test: .* \(splits there: train, valid\)"),
    ):
        with pytest.raises(InputError, match=message):
            open_source(Options(str(folder), split=split))


def test_images_of_a_folder_without_annotations_are_left_out(export):
    (export / "test").mkdir()
    (export / "test" / "a.jpg").write_bytes(picture_bytes())
    path = f"{export}/test/a.jpg"
    assert "lies in no folder with" in open_source(Options(str(export))).left_out[path]
    assert path not in open_source(Options(str(export), split="train")).left_out
