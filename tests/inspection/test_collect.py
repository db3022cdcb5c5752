"""A planted list of defects in folders of every layout, each found once and nothing else."""

import json
import struct

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.conversion import Conversion, convert
from datasets.dataset_factory import get_dataset
from datasets.layouts import coco, voc_source
from datasets.layouts.orientation import DrawnOn
from datasets.layouts.source import Options
from inspection import collect
from inspection.defects import KINDS, Severity
from tests.voc_folder import with_exif

BOX = (2, 4, 12, 24)  # of an image of 20 x 40


def look(voc, *, split="", labels=None) -> collect.Inspection:
    source = voc_source.open_source(Options(str(voc), split=split))
    items, extra = collect.source_items(source), collect.source_defects(source)
    return collect.inspect(items, title="t", input_side=300, labels=labels, extra=extra)


def found(voc, **options) -> list[tuple[str, int | None]]:
    return [(d.kind, d.number) for d in look(voc, **options).defects if d.kind != "other_filename"]


def noise(seed: int, *shape: int, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype)


def with_claim(pixels: np.ndarray, side: int) -> bytes:
    """A JPEG whose header claims to be a square of `side` pixels."""
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", side, side) + data[at + 4 :]


@pytest.fixture
def plant(voc):
    """Adds an image of its own pixels, its object boxes BOX unless given."""

    def plant(image_id, *objects, picture=None, extension=".jpg", **size):
        voc.add(image_id, *(objects or [("cat", BOX)]), **size)
        path = voc.path / "JPEGImages" / f"{image_id}.jpg"
        pixels = noise(len(list(path.parent.iterdir())), 20, 40, 3)
        path.write_bytes(picture or cv2.imencode(extension, pixels)[1].tobytes())
        return path

    return plant


def test_clean_folder_has_no_defects(voc, plant):
    for name in "abc":
        plant(name)
    seen = look(voc)
    assert found(voc) == []
    assert (seen.harm, seen.num_pictures, seen.names) == ([], 3, ["cat"] * 3)
    np.testing.assert_allclose(seen.boxes, [[0.1, 0.1, 0.6, 0.6]] * 3)
    assert seen.sides.tolist() == [[20, 40]] * 3
    assert seen.picture_sizes == {(20, 40): 3}


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((12, 4, 2, 24), "inverted_box"),
        ((2, 24, 12, 4), "inverted_box"),
        ((2, 4, 2, 24), "box_without_area"),
        ((2, 4, 12, 4), "box_without_area"),
        ((2, 50, 12, 60), "box_outside"),
        ((-9, 4, -2, 24), "box_outside"),
        ((2, 4, 12, 43), "box_reaches_out"),
        ((-3, 4, 12, 24), "box_reaches_out"),
        ((2, 4, 2.1, 24), "tiny_box"),
    ],
)
def test_bad_box_is_found_by_object(voc, plant, box, kind):
    plant("a", ("cat", BOX), ("cat", box))
    assert found(voc) == [(kind, 2)]


def test_box_may_touch_the_edge_by_one_pixel(voc, plant):
    plant("a", ("cat", (0, 0, 21, 41)))
    assert found(voc) == []


def test_doubled_boxes_are_told_from_boxes_of_two_classes(voc, plant):
    plant("a", ("cat", BOX), ("cat", BOX), ("dog", (1, 1, 9, 9)), ("cow", (1, 1, 9, 9)))
    assert found(voc) == [("duplicate_box", 2), ("same_box_other_class", 4)]
    told = [defect.what.split(": ")[1] for defect in look(voc).defects[:2]]
    assert told == ["object 1 (cat) has the same box", "object 3 (dog) has the same box"]


def test_class_that_is_no_label_is_harm(voc, plant):
    plant("a", ("cat", BOX), ("cta", (1, 1, 9, 9)))
    assert found(voc, labels=("cat",)) == [("unknown_label", 2)]


def test_classes_that_differ_by_capitals_are_doubted(voc, plant):
    plant("a", ("cat", BOX), ("Cat", (1, 1, 9, 9)))
    seen = look(voc)
    assert [d.what for d in seen.defects if d.kind == "similar_label"] == [
        "'Cat', 'cat' look like one class"
    ]


def test_box_from_zero_among_boxes_from_one_is_doubted(voc, plant):
    for name in "abcdefghij":
        plant(name, ("cat", (1, 5, 9, 9)))
    plant("z", ("cat", (1, 1, 9, 9)), ("cat", (0, 3, 9, 9)))
    assert found(voc) == [("zero_based", 2)]


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: cv2.imencode(".png", noise(1, 20, 40, 3))[1].tobytes(), "mislabelled"),
        (lambda: cv2.imencode(".jpg", noise(1, 20, 40))[1].tobytes(), "greyscale"),
        (lambda: cv2.imencode(".jpg", noise(1, 20, 40, 3))[1].tobytes()[:-30], "bad_picture"),
        (lambda: b"no image", "bad_picture"),
        (lambda: with_claim(noise(1, 20, 40, 3), 65500), "bad_picture"),
        (lambda: cv2.imencode(".jpg", noise(1, 30, 44, 3))[1].tobytes(), "wrong_size"),
    ],
)
def test_bad_picture_is_found(voc, plant, make, kind):
    plant("a")
    plant("b", picture=make())
    assert found(voc) == [(kind, None)]


def test_turned_picture_is_doubted_and_its_boxes_are_where_records_have_them(voc, plant):
    data = cv2.imencode(".jpg", noise(1, 20, 40, 3))[1].tobytes()
    plant("a", ("cat", (16, 2, 36, 12)), picture=with_exif(data, 6), width=20, height=40)
    plant("b", picture=with_exif(data, 3))
    seen = look(voc)
    assert found(voc) == [("exif_rotated", None)] * 2
    np.testing.assert_allclose(seen.boxes, [[0.4, 0.4, 0.9, 0.9], [0.1, 0.1, 0.6, 0.6]])
    assert seen.sides.tolist() == [[20, 40]] * 2
    told = [d.what.split(": ")[1] for d in seen.defects if d.kind == "exif_rotated"]
    assert told == [DrawnOn.TURNED.value, DrawnOn.UNKNOWN.value]


def test_sixteen_bit_png_is_found(voc, plant):
    plant("a").unlink()
    pixels = noise(1, 20, 40, 3, dtype=np.uint16)
    (voc.path / "JPEGImages" / "a.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    assert found(voc) == [("sixteen_bit", None)]


def test_missing_picture_annotation_and_objects_are_found(voc, plant):
    plant("a").unlink()
    plant("b")
    (voc.path / "Annotations" / "b.xml").unlink()
    plant("c")
    voc.add_xml("c", "<annotation><size><width>40</width><height>20</height></size></annotation>")
    assert sorted(found(voc)) == [
        ("missing_picture", None),
        ("no_annotation", None),
        ("no_objects", None),
    ]


@pytest.mark.parametrize("text", ["", "<a", "<!DOCTYPE x><annotation/>", "<annotation/>"])
def test_bad_annotation_is_found(voc, plant, text):
    plant("a")
    plant("b")
    voc.add_xml("b", text)
    assert found(voc) == [("bad_annotation", None)]


def test_same_picture_twice_is_found(voc, plant):
    plant("a", picture=cv2.imencode(".jpg", noise(1, 20, 40, 3))[1].tobytes())
    plant("b", picture=cv2.imencode(".jpg", noise(1, 20, 40, 3))[1].tobytes())
    assert found(voc) == [("duplicate_picture", None)]


def test_picture_in_train_and_test_is_harm(voc, plant):
    plant("a")
    plant("b")
    voc.add_split("train", "a\nb\n")
    voc.add_split("test", "b\n")
    assert found(voc, split="train") == [("shared_by_splits", None)]
    assert look(voc).harm == ["shared_by_splits"]


def test_list_that_names_a_picture_twice_is_harm(voc, plant):
    plant("a")
    voc.add_split("test", "a\na\n")
    voc.add_split("cat_train", "a\na\n")  # per-class lists are not looked at
    assert found(voc) == [("bad_split", None)]


def test_annotation_of_another_picture_is_noted(voc, plant):
    plant("a")
    assert [d.kind for d in look(voc).defects] == ["other_filename"]  # the XML says x


def test_few_boxes_without_area_do_no_harm(voc, plant):
    boxes = [("cat", (y, x, y + 2, x + 2)) for y in range(14) for x in range(14)]
    plant("a", *boxes, ("cat", (3, 3, 3, 9)))
    assert look(voc).harm == []
    plant("b", ("cat", (3, 3, 3, 9)), ("cat", (3, 3, 3, 8)))
    assert look(voc).harm == ["box_without_area"]


def test_data_set_without_objects_is_harm(voc, plant):
    plant("a", ("cat", (3, 3, 3, 9)))
    assert "no_objects" in look(voc).harm


def test_worst_defects_come_first_and_are_shown(voc, plant):
    plant("a", ("cat", BOX), ("cat", BOX), ("cat", (9, 9, 3, 3)))
    plant("b", picture=with_claim(noise(1, 20, 40, 3), 65500))
    seen = look(voc)
    severities = [defect.severity for defect in seen.defects]
    assert severities == sorted(severities, reverse=True)
    assert [suspect.item.name for suspect in seen.suspects] == ["a.jpg"]  # b cannot be shown
    assert set(seen.counts()) <= set(KINDS)
    assert seen.defects[0].severity == Severity.HARM


def test_coco_file_is_looked_at(voc, plant, tmp_path):
    plant("a")
    tables = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 40, "height": 20},
            {"id": 2, "file_name": "../a.jpg", "width": 40, "height": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [4, 2, 20, 10]},
            {"id": 2, "image_id": 1, "category_id": 3, "bbox": [4, 2, -3, 10]},
        ],
        "categories": [{"id": 3, "name": "cat"}],
    }
    (tmp_path / "i.json").write_text(json.dumps(tables))
    source = coco.open_source(Options(f"{voc}/JPEGImages", str(tmp_path / "i.json")))
    items = collect.source_items(source)
    seen = collect.inspect(items, title="t", input_side=300, labels=source.labels)
    assert [(d.kind, d.number) for d in seen.defects] == [
        ("inverted_box", 2),
        ("bad_annotation", None),
    ]


def test_records_are_looked_at_and_bad_ones_located(voc, plant, tmp_path):
    plant("a")
    plant("b", ("dog", (0, 0, 20, 40)))
    convert(Conversion(str(voc), output_dir=str(tmp_path / "out")), report=lambda line: None)
    dataset = get_dataset("pascalvoc", "", str(tmp_path / "out"))

    def seen() -> collect.Inspection:
        items = collect.record_items(dataset.shards, dataset.labels)
        return collect.inspect(items, title="t", input_side=300, labels=dataset.labels)

    assert (seen().defects, seen().names) == ([], ["cat", "dog"])
    np.testing.assert_allclose(seen().boxes, [[0.1, 0.1, 0.6, 0.6], [0, 0, 1, 1]])
    shard = dataset.shards[0]
    data = bytearray(tf.io.gfile.GFile(shard, "rb").read())
    data[-100] ^= 1
    with tf.io.gfile.GFile(shard, "wb") as file:
        file.write(bytes(data))
    assert [d.kind for d in seen().defects] == ["bad_record"]
    assert "byte" in seen().defects[0].file
