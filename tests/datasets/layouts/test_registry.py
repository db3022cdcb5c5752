"""A layout is one file and one line: what is registered is converted and inspected."""

import importlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from datasets.conversion import Conversion, convert
from datasets.dataset_factory import get_dataset
from datasets.layouts import registry
from datasets.layouts.registry import LAYOUTS, Layout
from datasets.layouts.source import Options, Source
from datasets.records.features import read_contents
from datasets.records.manifest import read_manifest
from datasets.records.reader import RecordReader
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError
from tests.voc_folder import picture_bytes

ROOT = pathlib.Path(__file__).resolve().parents[3]
BOXES = """\
b.jpg,own,0,0,40,20
a.jpg,cat,4,2,24,12
b.jpg,cat,4,2,24,12
b.jpg,cat,4,2
"""


@pytest.fixture
def boxes(tmp_path, monkeypatch):
    """A folder in a layout that the project does not have, and its line in the registry."""
    monkeypatch.setitem(LAYOUTS, "csv", Layout("CSV", "tests.datasets.layouts.csv_layout"))
    folder = tmp_path / "boxes"
    folder.mkdir()
    (folder / "boxes.csv").write_text(BOXES)
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(picture_bytes(width=40, height=20))
    return folder


def test_registered_layout_is_converted(boxes, tmp_path):
    lines = []
    conversion = Conversion(str(boxes), "csv", output_name="x_train", output_dir=str(tmp_path))
    tally = convert(conversion, report=lines.append)
    assert lines == ["left out: boxes.csv, line 4: has 2 numbers, and a box four"]
    assert tally.summary() == ["parts of the input left out: 1"]
    with RecordReader(get_dataset("x", "train", str(tmp_path)).shards) as reader:
        first, second = (read_contents(reader.read(k)) for k in range(2))
    assert (first.filename, second.filename) == ("b.jpg", "a.jpg")
    assert first.encoded == (boxes / "b.jpg").read_bytes()
    np.testing.assert_allclose(first.boxes, [[0, 0, 1, 1], [0.1, 0.1, 0.6, 0.6]])
    assert list(first.labels) == [2, 1]
    manifest = read_manifest(str(tmp_path), "x_train")
    assert manifest.labels == ("cat", "own")
    assert list(manifest.notes["left_out"]) == ["boxes.csv, line 4"]


def test_layout_is_found_for_a_conversion(boxes, tmp_path):
    lines = []
    conversion = Conversion(str(boxes), "auto", output_dir=str(tmp_path), dry_run=True)
    assert convert(conversion, report=lines.append).num_objects == 3
    assert lines[0] == "Layout: csv."
    assert Conversion("none", "auto").layout == "pascalvoc"
    assert Conversion("none", "auto", coco_annotations="a.json").layout == "coco"


def test_registered_layout_is_inspected(boxes, tmp_path, capsys):
    (boxes / "a.jpg").unlink()
    settings = InspectSettings(input=str(boxes), format=("json",))
    assert settings.layout == "csv"
    with pytest.raises(InputError, match="would be harmed: missing image"):
        inspect.run(settings)
    facts = json.loads(capsys.readouterr().out)
    assert facts["classes"]["cat"]["objects"] == 1
    assert [(d["kind"], d["file"]) for d in facts["defects"] if d["kind"] != "no_size"] == [
        ("missing_picture", "boxes.csv, a.jpg"),
        ("left_out", "boxes.csv, line 4"),
    ]


def test_labels_of_the_user_replace_the_layouts(boxes):
    options = Options(str(boxes), labels=("own", "cat", "more"))
    assert registry.open_source("csv", options).labels == ("own", "cat", "more")


def test_what_a_registered_layout_has_no_use_for_is_refused(boxes, monkeypatch):
    monkeypatch.setitem(LAYOUTS, "csv", LAYOUTS["csv"]._replace(has_splits=False))
    with pytest.raises(InputError, match="--split=a: a CSV folder is one split; choose it by --da"):
        Conversion(str(boxes), "csv", split="a")
    with pytest.raises(InputError, match="--split=a does nothing without records or a CVAT folder"):
        InspectSettings(input=str(boxes), split="a")
    said = "--dataset_dir=x does nothing without records or a COCO file"
    with pytest.raises(InputError, match=said):
        InspectSettings(input=str(boxes), dataset_dir="x")


@pytest.mark.parametrize("name", LAYOUTS)
def test_file_of_each_layout_defines_what_the_registry_asks_for(name, tmp_path):
    module = importlib.import_module(LAYOUTS[name].module)
    assert module.recognises(f"{tmp_path}/none") is False
    assert module.open_source.__annotations__ == {"options": Options, "return": Source}


@pytest.mark.parametrize(
    ("path", "name"), [("a/b.json", "coco"), ("none", "pascalvoc"), ("", "pascalvoc")]
)
def test_layout_is_told_by_the_path(path, name):
    assert registry.recognise(path) == name


def test_registry_and_settings_need_no_tensorflow():
    code = "import sys, datasets.settings, inspection.settings; print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
