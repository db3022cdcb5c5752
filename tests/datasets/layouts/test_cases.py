"""Annotation files in JSON as public reports describe them, converted and inspected."""

import json

import pytest

from datasets.conversion import Conversion, convert
from datasets.records.manifest import read_manifest
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError


@pytest.fixture
def convert_case(shared, tmp_path):
    """Converts a case's COCO file; gives the counts and the lines of the report."""

    def convert_case(name, **changes):
        data, lines = shared / "cases" / name / "data", []
        if not data.is_dir():
            pytest.skip(f"{data} is absent")
        fields = {
            "dataset_dir": str(data / "images"),
            "dataset_name": "coco",
            "annotations": str(data / "ann.json"),
            "output_name": "x_train",
            "output_dir": str(tmp_path),
        }
        return convert(Conversion(**fields | changes), report=lines.append), lines

    return convert_case


def inspect_case(shared, name, capsys):
    """The defects of a case: (kind, what)."""
    data = shared / "cases" / name / "data"
    settings = InspectSettings(
        input=str(data / "ann.json"), dataset_dir=str(data / "images"), format=("json",)
    )
    assert settings.layout == "coco"
    with pytest.raises(InputError, match="would be harmed"):
        inspect.run(settings)
    return {defect["kind"] for defect in json.loads(capsys.readouterr().out)["defects"]}


def test_set_of_crowds_is_said_and_can_be_learnt(convert_case, shared, capsys):
    tally, (line,) = convert_case("all-crowd-coco")
    assert "all 8 objects are crowds" in line
    assert (tally.num_objects, tally.num_difficult) == (0, 8)
    assert convert_case("all-crowd-coco", learn_crowds=True, dry_run=True)[0].num_objects == 8
    assert "all_crowds" in inspect_case(shared, "all-crowd-coco", capsys)


@pytest.mark.parametrize(
    ("name", "images", "objects", "said"),
    [
        ("background-category-coco", 2, 2, "category 0 (background): is the background"),
        ("backslash-file-name", 2, 2, ""),
        ("bbox-missing-coco", 2, 2, ""),
        ("folder-in-file-name", 1, 1, ""),
        ("one-file-two-ids", 1, 2, "image 2 (a.jpg): is the same file as image 1"),
        ("roboflow-root-category", 2, 2, "category 0 (peixos): is the supercategory of others"),
        ("text-category-id", 2, 2, ""),
    ],
)
def test_what_exporters_write_is_read(convert_case, tmp_path, name, images, objects, said):
    tally, lines = convert_case(name)
    assert (tally.num_images, tally.num_objects) == (images, objects)
    assert [said in line for line in lines] == ([True] if said else [])
    assert read_manifest(str(tmp_path), "x_train").labels == tally.labels
    assert "background" not in tally.labels
    assert "peixos" not in tally.labels


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bbox-as-object", "as imglab writes it"),
        ("bbox-text", "text in quotes"),
        ("captions-or-via-json", "pass --dataset_name=via"),
        ("no-categories-coco", "its list of categories is empty"),
        ("orphan-annotation", "annotation 3 is of image 99, which is not among the images"),
        ("relative-boxes-coco", "every coordinate is 1 or less"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_cause(convert_case, name, message):
    with pytest.raises(InputError, match=message):
        convert_case(name)


@pytest.mark.parametrize(("name", "images"), [("orphan-annotation", 2), ("bbox-text", 1)])
def test_error_of_one_annotation_can_be_skipped(convert_case, name, images):
    tally, _ = convert_case(name, skip_bad=1)
    assert (tally.num_images, len(tally.notes["skipped"])) == (images, 1)
