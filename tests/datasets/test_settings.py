"""Which conversions are refused before anything is read."""

import pytest

from datasets.settings import Conversion
from runtime.errors import InputError

COCO = {"dataset_name": "coco", "coco_annotations": "i.json"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "--dataset_dir is missing"),
        ({"dataset_dir": "a", "skip_bad": -1}, "--skip_bad=-1 must be 0 or more"),
        ({"dataset_dir": "a", "num_shards": -1}, "--num_shards=-1 must be 0 or more"),
        (
            {"dataset_dir": "a", "dataset_name": "kitti"},
            "--dataset_name=kitti is no layout that can be converted: pass one of cvat, pascalvoc,",
        ),
        (
            {"dataset_dir": "a", "coco_annotations": "x"},
            "--coco_annotations=x belongs to --dataset_name=coco: pass that too",
        ),
        (
            {"dataset_dir": "a", "annotations": "x"},
            "--annotations=x belongs to --dataset_name=coco",
        ),
        (
            COCO | {"dataset_dir": "a", "annotations": "x"},
            "--coco_annotations=i.json is an earlier name of --annotations=x: give one of them",
        ),
        (COCO, "--dataset_dir is missing"),
        ({"dataset_name": "coco", "dry_run": True}, "--annotations is missing"),
        ({"dataset_name": "coco", "dataset_dir": "a"}, "--annotations is missing"),
        (
            {"dataset_name": "coco", "dataset_dir": "a", "split": "b"},
            "--split=b: a COCO file is one split; choose it by --annotations",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Conversion(**fields)


def test_annotations_have_an_earlier_name():
    assert Conversion("a", **COCO).annotation_file == "i.json"
    assert Conversion("a", "coco", annotations="i.json").annotation_file == "i.json"


def test_counting_a_coco_file_needs_no_folder():
    assert Conversion(**COCO, dry_run=True).dataset_dir == ""
