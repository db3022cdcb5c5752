"""The whole conversion of COCO instances, and that it gives what the VOC layout gives."""

import json

import numpy as np
import pytest
import tensorflow as tf

from datasets.conversion import Conversion, convert
from datasets.dataset_factory import get_dataset
from datasets.layouts.voc import list_annotated, read_annotation
from datasets.records.features import parse_example, read_contents
from datasets.records.manifest import read_manifest
from datasets.records.reader import RecordReader
from runtime.errors import InputError


def coco_of(voc_dir) -> dict:
    """A VOC folder's annotations as COCO tables; image ids from 100, category ids 3, 6, ..."""
    annotations = {
        i: read_annotation(f"{voc_dir}/Annotations/{i}.xml") for i in list_annotated(str(voc_dir))
    }
    names = sorted({item.name for a in annotations.values() for item in a.objects})
    rows = [
        {
            "id": 1,
            "image_id": 100 + k,
            "category_id": 3 * names.index(item.name) + 3,
            "bbox": [
                item.box[1],
                item.box[0],
                item.box[3] - item.box[1],
                item.box[2] - item.box[0],
            ],
            "iscrowd": 0,
        }
        for k, annotation in enumerate(annotations.values())
        for item in annotation.objects
    ]
    return {
        "images": [
            {"id": 100 + k, "file_name": f"{i}.jpg", "width": a.width, "height": a.height}
            for k, (i, a) in enumerate(annotations.items())
        ],
        "annotations": rows,
        "categories": [{"id": 3 * k + 3, "name": name} for k, name in enumerate(names)],
    }


@pytest.fixture
def run(voc, tmp_path):
    """Converts tables, whose images are those of the VOC folder, to `tmp_path/out`."""

    def run(tables, **changes):
        (tmp_path / "i.json").write_text(json.dumps(tables))
        fields = {
            "dataset_name": "coco",
            "coco_annotations": str(tmp_path / "i.json"),
            "dataset_dir": f"{voc}/JPEGImages",
            "output_dir": str(tmp_path / "out"),
            "output_name": "own_train",
        }
        return convert(Conversion(**(fields | changes)), report=lambda line: None)

    return run


def contents(folder, name) -> list:
    with RecordReader(get_dataset(name, "train", str(folder)).shards) as reader:
        return [read_contents(reader.read(k)) for k in range(len(reader))]


def test_records_are_those_of_the_same_data_in_voc_layout(voc, run, tmp_path):
    voc.add_many(4)
    voc.add("empty")
    run(coco_of(voc))
    conversion = Conversion(str(voc), output_dir=str(tmp_path / "out"), output_name="voc_train")
    convert(conversion, report=lambda line: None)
    ours, theirs = contents(tmp_path / "out", "own"), contents(tmp_path / "out", "voc")
    assert [record.source_id for record in ours] == ["100", "101", "102", "103", "104"]
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(own.boxes, other.boxes)
        assert own._replace(boxes=0, source_id="") == other._replace(boxes=0)


def test_manifest_keeps_cocos_category_ids(voc, run, tmp_path):
    voc.add_many(2)
    run(coco_of(voc))
    manifest = read_manifest(str(tmp_path / "out"), "own_train")
    assert manifest.labels == ("cat", "own")
    assert manifest.notes["coco_ids"] == {"cat": 3, "own": 6}


def test_crowds_are_kept_as_difficult_and_marked(voc, run, tmp_path):
    voc.add("a", ("cat", (2, 4, 12, 24)), ("cat", (0, 0, 20, 40)))
    tables = coco_of(voc)
    tables["annotations"][1]["iscrowd"] = 1
    tally = run(tables)
    assert (tally.num_objects, tally.num_difficult) == (1, 1)
    shards = get_dataset("own", "train", str(tmp_path / "out")).shards
    with RecordReader(shards) as reader:
        parsed = parse_example(tf.constant(reader.read(0)))
    assert parsed["difficult"].numpy().tolist() == [False, True]
    assert parsed["crowd"].numpy().tolist() == [False, True]


def test_dry_run_needs_the_json_only(voc, run):
    voc.add_many(3)
    tally = run(coco_of(voc), dry_run=True, dataset_dir="/nowhere")
    assert (tally.num_images, tally.num_objects) == (3, 6)


def test_missing_picture_is_named_or_skipped(voc, run):
    voc.add_many(3)
    tables = coco_of(voc)
    (voc.path / "JPEGImages" / "p001.jpg").unlink()
    with pytest.raises(InputError, match=r"p001\.jpg cannot be read .*--skip_bad=0"):
        run(tables)
    assert run(tables, skip_bad=1).num_images == 2


def test_picture_outside_the_folder_is_never_read(voc, run, tmp_path):
    voc.add_many(2)
    tables = coco_of(voc)
    tables["images"][0]["file_name"] = "../JPEGImages/p000.jpg"
    with pytest.raises(InputError, match="leads out of the images' folder"):
        run(tables)


def test_labels_file_gives_the_order_and_must_have_every_class(voc, run, tmp_path):
    voc.add_many(2)
    (tmp_path / "labels").write_text("own\ncat\nmore\n")
    run(coco_of(voc), labels_file=str(tmp_path / "labels"))
    found = read_manifest(str(tmp_path / "out"), "own_train")
    assert found.labels == ("own", "cat", "more")
    assert found.notes["coco_ids"] == {"cat": 3, "own": 6}
    (tmp_path / "labels").write_text("cat\n")
    with pytest.raises(InputError, match=r"image 100 \(.*\), object 2: class 'own' is not"):
        run(coco_of(voc), labels_file=str(tmp_path / "labels"))


def test_absent_folder_is_bad_input(voc, run):
    voc.add_many(1)
    with pytest.raises(InputError, match="--dataset_dir=/nowhere is not a folder"):
        run(coco_of(voc), dataset_dir="/nowhere")


@pytest.mark.slow
def test_bccd_in_coco_format_gives_the_records_of_its_voc_format(shared, tmp_path):
    voc_dir = shared / "data" / "bccd" / "BCCD"
    (tmp_path / "i.json").write_text(json.dumps(coco_of(voc_dir)))
    out = {"output_dir": str(tmp_path), "dataset_dir": str(voc_dir)}
    convert(Conversion(**out, output_name="a_train"), report=lambda line: None)
    out |= {"dataset_dir": f"{voc_dir}/JPEGImages", "dataset_name": "coco"}
    out |= {"coco_annotations": str(tmp_path / "i.json")}
    convert(Conversion(**out, output_name="b_train"), report=lambda line: None)
    assert get_dataset("a", "train", str(tmp_path)).labels == ("Platelets", "RBC", "WBC")
    pairs = zip(contents(tmp_path, "a"), contents(tmp_path, "b"), strict=True)
    no_words_for_it = {"boxes": 0, "source_id": "", "truncated": ()}
    for voc_record, coco_record in pairs:
        np.testing.assert_array_equal(voc_record.boxes, coco_record.boxes)
        assert coco_record._replace(**no_words_for_it) == voc_record._replace(**no_words_for_it)
