"""Which classes are converted: picked, renamed, merged; and what is refused."""

import json

import pytest

from datasets.class_selection import read_selection
from datasets.conversion import convert
from datasets.records.manifest import read_manifest
from datasets.settings import Conversion
from runtime.errors import InputError
from tests.voc_folder import picture_bytes


@pytest.fixture
def run(voc, tmp_path):
    def run(classes, **changes):
        fields = {"output_name": "x_train", "output_dir": f"{tmp_path}/out", "classes": classes}
        return convert(Conversion(str(voc), **fields | changes), report=lambda line: None)

    return run


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("", {}),
        ("car", {"car": "car"}),
        (" car = car , truck ; person;", {"car": "car", "truck": "car", "person": "person"}),
        ("thing=background", {"background": "thing"}),
        ("cafe\u0301", {"caf\u00e9": "caf\u00e9"}),
    ],
)
def test_value_gives_the_new_name_of_each_class(value, names):
    assert read_selection(value) == names


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("car,truck", "'car,truck' is no class; give names with ; between them"),
        ("=car", "'=car' is no class"),
        ("a=b,,c", "'a=b,,c' is no class"),
        ("car;car", "'car' is named twice"),
        ("a=car;b=car", "'car' is named twice"),
        ("a=b;a=c", "'a' is named twice"),
    ],
)
def test_other_values_are_refused(value, message):
    with pytest.raises(InputError, match=message):
        Conversion("a", classes=value)


def test_classes_and_labels_file_name_the_classes_both():
    with pytest.raises(InputError, match="--labels_file=l both name the classes"):
        Conversion("a", classes="x", labels_file="l")


def test_objects_of_other_classes_are_left_out_and_counted(voc, run, tmp_path):
    voc.add_many(3)
    tally = run("beast=cat")
    assert (tally.labels, tally.num_images, tally.num_objects) == (("beast",), 3, 3)
    manifest = read_manifest(f"{tmp_path}/out", "x_train")
    assert manifest.labels == ("beast",)
    assert manifest.notes["left_out"] == {"class own": "3 objects, which --classes leaves out"}


def test_classes_are_merged_and_ordered(voc, run):
    voc.add_many(2)
    assert run("own;cat", dry_run=True).labels == ("own", "cat")
    merged = run("thing=own,cat", dry_run=True)
    assert (merged.labels, merged.num_objects, merged.notes.get("left_out")) == (
        ("thing",),
        4,
        None,
    )


def test_class_that_is_not_there_is_refused(voc, run):
    voc.add_many(1)
    with pytest.raises(InputError, match=r"--classes: 'dog' is none of the 2 classes there \(cat,"):
        run("cat;dog")


def test_coco_ids_and_a_class_called_background(run, tmp_path):
    image = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 20}
    rows = [{"id": k, "image_id": 1, "category_id": k, "bbox": [4, 2, 20, 10]} for k in (1, 5)]
    categories = [{"id": 1, "name": "background"}, {"id": 5, "name": "cat"}]
    tables = {"images": [image], "annotations": rows, "categories": categories}
    (tmp_path / "i.json").write_text(json.dumps(tables))
    coco = {"dataset_name": "coco", "annotations": f"{tmp_path}/i.json", "dry_run": True}
    assert run("scene=background;cat", **coco).labels == ("scene", "cat")
    assert run("cat", **coco).num_objects == 1
    with pytest.raises(InputError, match=r"class 0 .*--classes='thing=background'"):
        run("", **coco)


def test_background_without_objects_is_left_out_of_any_layout(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [Background, cat]\n")
    (tmp_path / "a.jpg").write_bytes(picture_bytes())
    (tmp_path / "a.txt").write_text("1 .5 .5 .2 .2\n")
    lines = []
    conversion = Conversion(str(tmp_path), "yolo", output_dir=f"{tmp_path}/out")
    assert convert(conversion, report=lines.append).labels == ("cat",)
    assert lines[0].startswith("Class Background is left out: it is class 0")
    (tmp_path / "a.txt").write_text("0 .5 .5 .2 .2\n")
    with pytest.raises(InputError, match="'Background', which is class 0"):
        convert(conversion, report=lines.append)
