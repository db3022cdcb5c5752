"""COCO's JSON, written by hand: ids with gaps, crowds, what is refused and how."""

import json
import os
import time

import pytest

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.coco import open_source, read_coco, recognises
from datasets.layouts.source import Options
from runtime import limits
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
        ({"annotations": [{"image_id": 7}]}, "no COCO file of instances .*category_id"),
        ({"images": [{"id": 7}]}, "no COCO file of instances .*file_name"),
        ({"images": [{"id": 7, "file_name": "a"}] * 2}, "two images have the id 7"),
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
    with pytest.raises(InputError, match="--annotations is missing"):
        read_coco("")


def test_error_of_an_annotation_is_one_of_its_image_alone(read):
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in (7, 9)]
    bad = [
        (row(image_id=8), "8", "annotation 5 is of image 8, which is not among the images"),
        (row(category_id=2), "7", "annotation 5 is of category 2, which is not among the others"),
        (row(category_id=[]), "7", "annotation 5, category_id is"),
        (row(iscrowd="0"), "7", "annotation 5 has the iscrowd '0'; it must be 0 or 1"),
        (row(iscrowd=2), "7", "has the iscrowd 2"),
        (row(iscrowd=None), "7", "has the iscrowd None"),
        (row(image_id=None), "of annotation number 1", "annotation 5, image_id is None"),
        (5, "of annotation number 1", "annotation number 1 is 5"),
        (row(bbox={"x": 1, "y": 2, "width": 3, "height": 4}), "7", "as imglab writes it"),
        (row(bbox=["4", "2", "20", "10"]), "7", "text in quotes; it must be four numbers"),
        (row(bbox=[10**400, 2, 20, 10]), "7", "annotation 5 has the bbox"),
        (row(bbox=None, segmentation={"counts": "ab", "size": [2, 2]}), "7", "only a mask"),
        (row(bbox=None, segmentation=[[4, 2, 9]]), "7", "no pairs x, y"),
    ]
    for wrong, image_id, message in bad:
        found = read(images=images, annotations=[wrong, row(image_id=9)])
        assert message in str(found.annotations[image_id])
        assert len(found.annotations["9"].objects) == 1


@pytest.mark.parametrize(
    ("crowd", "taken"), [(0, False), (1, True), (False, False), (True, True), (0.0, False)]
)
def test_crowd_is_a_number_or_a_truth_value(read, crowd, taken):
    (thing,) = read(annotations=[row(iscrowd=crowd)]).annotations["7"].objects
    assert (thing.crowd, thing.difficult) == (taken, taken)


@pytest.mark.parametrize("value", [90, 90.0, "90", "90.0"])
def test_ids_are_equal_that_are_the_same_number(read, value):
    found = read(annotations=[row(category_id=value)])
    assert [thing.name for thing in found.annotations["7"].objects] == ["toothbrush"]


def test_ids_may_be_text(read):
    image = {"id": "b/7f-01", "file_name": "a.jpg"}
    categories = [{"id": "zebra-1", "name": "zebra"}, {"id": 4, "name": "ape"}]
    annotations = [row(image_id="b/7f-01", category_id="zebra-1")]
    found = read(images=[image], categories=categories, annotations=annotations)
    assert found.labels == ("ape", "zebra")
    assert found.category_ids == {"ape": 4, "zebra": "zebra-1"}
    assert [thing.name for thing in found.annotations["b/7f-01"].objects] == ["zebra"]


@pytest.mark.parametrize("bbox", [None, []])
@pytest.mark.parametrize("polygons", [[[4, 2, 24, 3], [5, 12.5, 6, 4]], [4, 2, 24, 12.5]])
def test_box_is_the_one_around_the_polygons_where_there_is_no_bbox(read, bbox, polygons):
    (thing,) = read(annotations=[row(bbox=bbox, segmentation=polygons)]).annotations["7"].objects
    assert thing.box == (2.0, 4.0, 12.5, 24.0)


def test_supercategory_and_background_without_objects_are_left_out(read):
    categories = [
        {"id": 0, "name": "fish", "supercategory": "none"},
        {"id": 1, "name": "cod", "supercategory": "fish"},
        {"id": 2, "name": "Background"},
        {"id": 3, "name": "person", "supercategory": "person"},
    ]
    found = read(categories=categories, annotations=[row(category_id=1)])
    assert found.labels == ("cod", "person")
    first, second = found.left_out.items()
    assert first[0].endswith("category 0 (fish)")
    assert first[1] == "is the supercategory of others and has no objects"
    assert second[0].endswith("category 2 (Background)")
    kept = read(categories=categories[:2], annotations=[row(category_id=0)])
    assert (kept.labels, kept.left_out) == (("fish", "cod"), {})


def test_file_under_two_ids_is_one_image_with_all_objects(read):
    images = [{"id": 7, "file_name": "x/a.jpg"}, {"id": 8, "file_name": "x\\a.jpg"}]
    rows = [row(), row(image_id=8), row(image_id=8, bbox=[0, 0, 9, 9])]
    found = read(images=images, annotations=rows)
    assert [thing.box[3] for thing in found.annotations["7"].objects] == [24.0, 9.0]
    assert list(found.annotations) == ["7"]
    (left_out,) = found.left_out.items()
    assert left_out[0].endswith("image 8 (x/a.jpg)")
    assert left_out[1] == "is the same file as image 7, which has its objects now"


def test_boxes_as_shares_of_the_sides_are_refused(read):
    with pytest.raises(InputError, match="every coordinate is 1 or less"):
        read(annotations=[row(bbox=[0.1, 0.2, 0.5, 0.4]), row(bbox=[0, 0, 1, 1])])
    read(annotations=[row(bbox=[0, 0, 1, 1]), row()])


def test_names_are_stripped_and_in_nfc_and_without_control_characters(read):
    assert read(categories=[{"id": 1, "name": " cafe\u0301 "}]).labels == ("caf\u00e9",)
    with pytest.raises(InputError, match=r"the name 'a\\x1b\[31m' is no text"):
        read(categories=[{"id": 1, "name": "a\x1b[31m"}])
    for name in ("\ud800", "a\0.jpg", None, 7.5e400):
        found = read(images=[{"id": 7, "file_name": name}, {"id": 8, "file_name": "b.jpg"}])
        assert isinstance(found.annotations["8"], Annotation)
        assert isinstance(found.annotations["7"], InputError) is (name != 7.5e400)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            {"a.jpg123": {"filename": "a.jpg", "size": 1, "regions": []}},
            "VIA, .*--dataset_name=via",
        ),
        ({"shapes": [], "imagePath": "a.jpg"}, "a file of LabelMe.* the folder"),
        ([{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}], "=labelstudio"),
        ({"images": [], "annotations": [{"image_id": 1, "caption": "x"}]}, "COCO's captions"),
        ([{"image_id": 1, "category_id": 1, "bbox": [], "score": 1}], "COCO's results"),
        ({"features": [], "type": "FeatureCollection"}, "GeoJSON"),
        ({"a": 1}, "has no list of images: pass a COCO file of instances"),
    ],
)
def test_other_formats_are_named_with_what_to_do(tmp_path, made, message):
    (tmp_path / "i.json").write_text(json.dumps(made))
    with pytest.raises(InputError, match=message):
        read_coco(str(tmp_path / "i.json"))


def test_many_categories_take_linear_time(tmp_path):
    count = limits.MAX_CLASSES
    categories = [{"id": k, "name": f"c{k}"} for k in range(count)]
    tables = {"images": [], "annotations": [], "categories": categories}
    (tmp_path / "i.json").write_text(json.dumps(tables))
    labels = tuple(f"c{k}" for k in range(count))
    start = time.process_time()
    source = open_source(Options(str(tmp_path), str(tmp_path / "i.json"), labels=labels))
    assert len(source.notes["coco_ids"]) == count
    assert time.process_time() - start < 5
    tables["categories"] = [{"id": k, "name": f"c{k}"} for k in range(count + 1)]
    (tmp_path / "i.json").write_text(json.dumps(tables))
    with pytest.raises(InputError, match="has 20001 categories, more than 20000"):
        read_coco(str(tmp_path / "i.json"))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.jpg", "a.jpg"),
        ("day1/a.jpg", "day1/a.jpg"),
        ("images/a.jpg", "a.jpg"),
        ("images\\a.jpg", "a.jpg"),
        ("C:\\x\\a.jpg", "deep/er/a.jpg"),
    ],
)
def test_images_are_found_by_their_path_or_else_by_their_only_base_name(tmp_path, name, file):
    folder = tmp_path / "images"
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_bytes(b"x")
    (folder / "other.jpg").write_bytes(b"x")
    tables = {"images": [{"id": 1, "file_name": name}], "categories": CATEGORIES}
    (tmp_path / "i.json").write_text(json.dumps(tables | {"annotations": []}))
    source = open_source(Options(str(folder), str(tmp_path / "i.json")))
    assert source.images["1"].path == str(folder / file)


def test_base_name_of_two_images_finds_neither(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    images = [{"id": k, "file_name": f"day{k}/a.jpg"} for k in (1, 2)]
    tables = {"images": images, "categories": CATEGORIES, "annotations": []}
    (tmp_path / "i.json").write_text(json.dumps(tables))
    source = open_source(Options(str(tmp_path), str(tmp_path / "i.json")))
    for image in source.images.values():
        assert "and 2 images are called a.jpg" in str(image.path)


def test_images_beside_that_have_no_annotation_are_found(tmp_path):
    for name in ("a.jpg", "b.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    tables = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": CATEGORIES}
    (tmp_path / "i.json").write_text(json.dumps(tables | {"annotations": []}))
    source = open_source(Options(str(tmp_path), str(tmp_path / "i.json")))
    assert [(f.kind, f.place) for f in source.findings()] == [
        ("no_annotation", f"{tmp_path}/b.png")
    ]


def test_fifo_is_refused_unopened(tmp_path):
    os.mkfifo(tmp_path / "i.json")
    assert recognises(str(tmp_path / "i.json"))
    with pytest.raises(InputError, match="is not a regular file"):
        read_coco(str(tmp_path / "i.json"))
