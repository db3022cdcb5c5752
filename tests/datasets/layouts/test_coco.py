"""COCO's JSON, written by hand: ids with gaps, crowds, what is refused and how."""

import json

import pytest

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.coco import read_coco
from runtime.errors import InputError

CATEGORIES = [{"id": 90, "name": "toothbrush"}, {"id": 1, "name": "person"}]


@pytest.fixture
def read(tmp_path):
    """read_coco of tables, each replaced by a keyword argument."""

    def read(**tables):
        image = {"id": 7, "file_name": "a.jpg", "width": 40, "height": 20}
        made = {"images": [image], "annotations": [], "categories": CATEGORIES} | tables
        (tmp_path / "i.json").write_text(json.dumps(made))
        return read_coco(str(tmp_path / "i.json"))

    return read


def row(**changes):
    return {"id": 5, "image_id": 7, "category_id": 90, "bbox": [4, 2, 20, 10.5]} | changes


def test_classes_are_the_categories_by_id(read):
    found = read()
    assert found.labels == ("person", "toothbrush")
    assert found.category_ids == {"person": 1, "toothbrush": 90}


def test_picture_has_its_size_and_its_boxes_as_corners(read):
    found = read(annotations=[row()])
    thing = Object("toothbrush", (2.0, 4.0, 12.5, 24.0), difficult=False, truncated=False)
    assert found.annotations == {"7": Annotation("a.jpg", 40, 20, 3, (thing,))}
    assert found.filenames == {"7": "a.jpg"}


def test_crowds_are_difficult(read):
    (thing,) = read(annotations=[row(iscrowd=1)]).annotations["7"].objects
    assert (thing.crowd, thing.difficult) == (True, True)


def test_pictures_without_objects_stay(read):
    assert read().annotations["7"].objects == ()


def test_pictures_keep_the_files_order(read):
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in (9, 2, 5)]
    assert list(read(images=images).annotations) == ["9", "2", "5"]


@pytest.mark.parametrize(
    "bbox", [[1, 2, 3], [1, 2, 3, "4"], [1, 2, 3, float("nan")], [1, 2, float("inf"), 3], None, 5]
)
def test_bad_box_is_an_error_of_its_picture_alone(read, bbox):
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in (7, 8)]
    found = read(images=images, annotations=[row(bbox=bbox), row(image_id=8)])
    assert "annotation 5 has the bbox" in str(found.annotations["7"])
    assert isinstance(found.annotations["8"], Annotation)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.jpg", "x/../../a.jpg", "..\\a", "s3://b/a"])
def test_name_that_leads_out_of_the_folder_is_an_error(read, name):
    found = read(images=[{"id": 7, "file_name": name}])
    assert "leads out of the images' folder" in str(found.annotations["7"])


def test_name_in_a_subfolder_is_right(read):
    found = read(images=[{"id": 7, "file_name": "val/a..b.jpg"}])
    assert isinstance(found.annotations["7"], Annotation)


@pytest.mark.parametrize("size", [-1, 1e9, "wide"])
def test_size_without_sense_is_an_error_of_its_picture(read, size):
    found = read(images=[{"id": 7, "file_name": "a.jpg", "width": size, "height": 3}])
    assert "has the size" in str(found.annotations["7"])


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"annotations": [row(image_id=8)]}, "annotation 5 is of image 8, which is not among"),
        ({"annotations": [row(category_id=2)]}, "annotation 5 is of category 2, which is not"),
        ({"annotations": [{"image_id": 7}]}, "no COCO file of instances .*category_id"),
        ({"annotations": [row(category_id=[])]}, "no COCO file of instances"),
        ({"images": [{"id": 7}]}, "no COCO file of instances .*file_name"),
        ({"images": [{"id": 7, "file_name": "a"}] * 2}, "two images have the id 7"),
        ({"images": [{"id": 7, "file_name": "\ud800"}]}, "is no text"),
        ({"images": 3}, "has no list of images"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "the same id"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "'a' is class 1 and 2"),
        ({"categories": []}, "names no class"),
    ],
)
def test_broken_rules_are_named(read, tables, message):
    with pytest.raises(InputError, match=message):
        read(**tables)


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "null", "\x00"])
def test_file_that_is_no_such_json_is_bad_input(tmp_path, text):
    (tmp_path / "i.json").write_text(text)
    with pytest.raises(InputError, match=r"i\.json (is not JSON|has no list)"):
        read_coco(str(tmp_path / "i.json"))


def test_absent_file_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_coco(str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="--coco_annotations is missing"):
        read_coco("")
