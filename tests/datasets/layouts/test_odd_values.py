"""Annotation files in which anything stands in the place of anything: read, or one sentence."""

import copy
import json
import random

import pytest

from datasets.conversion import convert_source
from datasets.layouts import registry
from datasets.layouts.source import Options
from datasets.settings import Conversion
from runtime.errors import InputError
from tests.datasets.test_fuzz import mutate

ODD = (
    *(None, True, False, 0, -1, 1.5, 10**400, 1e308, float("nan"), float("inf"), "", "1", "1.0"),
    *("a\0b", "\x1b[31m", "\ud800", "../a.jpg", "/etc/passwd", "s3://b/a", "background", "x" * 999),
    *([], {}, [[]], [None], {"a": 1}, [1, 2, 3, 4], [[1, 2], [3, 4]], [{}], {"0": {}}),
)
RECT = {"name": "rect", "x": 4, "y": 2, "width": 20, "height": 10}
VALUE = {"x": 10, "y": 20, "width": 50, "height": 40, "rotation": 9, "rectanglelabels": ["cat"]}
SHAPES = [
    {"label": "cat", "points": [[4, 2], [24, 12]], "shape_type": "rectangle", "group_id": 1},
    {"label": "own", "points": [[4, 2], [7, 2]], "shape_type": "circle", "group_id": None},
]
TASK = {
    "id": 1,
    "data": {"image": "/data/upload/1/3f2a1b4c-a.jpg"},
    "annotations": [
        {
            "result": [
                {"id": "r", "type": "rectanglelabels", "value": VALUE}
                | {"original_width": 40, "original_height": 20, "image_rotation": 0}
            ],
            "ground_truth": False,
            "was_cancelled": False,
        }
    ],
}
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 20}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 3, "segmentation": [[1, 2, 3, 4, 5, 6]]},
    ],
    "categories": [{"id": 3, "name": "cat", "supercategory": "x"}, {"id": 4, "name": "x"}],
}
VIA = {
    "a.jpg1": {
        "filename": "a.jpg",
        "size": 1,
        "regions": [{"shape_attributes": RECT, "region_attributes": {"class": "cat"}}],
    }
}
LABELME = {"shapes": SHAPES, "imagePath": "a.jpg", "imageHeight": 20, "imageWidth": 40}
CSV = (
    b"filename,width,height,class,xmin,ymin,xmax,ymax\n"
    b"a.jpg,40,20,cat,4,2,24,12\nb.jpg,40,20,own,0,0,9,9\n"
)


def places(made, place=()):
    """The path to every value inside."""
    yield place
    items = made.items() if isinstance(made, dict) else enumerate(made)
    for key, value in items if isinstance(made, dict | list) else ():
        if isinstance(value, dict | list):
            yield from places(value, (*place, key))
        else:
            yield (*place, key)


def replaced(made, place, value):
    """A copy with another value in one place."""
    if not place:
        return value
    made = copy.deepcopy(made)
    inside = made
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return made


def refusal(name, path, folder):
    """Opens a file and counts its objects; the sentence of a refusal, or ""."""
    is_file = registry.LAYOUTS[name].is_file
    annotations = str(path) if is_file else ""
    registry.recognise(str(path))
    try:
        source = registry.open_source(name, Options(str(folder), annotations))
        list(source.findings())
        counted = Conversion(str(folder), name, annotations, dry_run=True, skip_bad=9)
        convert_source(source, counted, report=lambda line: None)
    except InputError as error:
        return str(error)
    return ""


def check(sentences):
    """Some files were read, others refused, in a line that no terminal obeys."""
    assert len({bool(sentence) for sentence in sentences}) == 2
    assert all(sentence.isprintable() for sentence in sentences)


@pytest.mark.parametrize(
    ("name", "made"),
    [("coco", COCO), ("via", VIA), ("labelstudio", [TASK, TASK]), ("labelme", LABELME)],
)
def test_any_value_in_any_place_is_read_or_refused(name, made, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    path = tmp_path / "a.json"
    sentences = []
    for place in places(made):
        for value in ODD:
            path.write_text(json.dumps(replaced(made, place, value)))
            sentences.append(refusal(name, path, tmp_path))
    check(sentences)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("via", json.dumps(VIA).encode()),
        ("labelstudio", json.dumps([TASK]).encode()),
        ("labelme", json.dumps(LABELME).encode()),
        ("tfcsv", CSV),
    ],
)
def test_mutated_files_are_read_or_refused(name, data, tmp_path, request):
    path = tmp_path / ("a.csv" if name == "tfcsv" else "a.json")
    sentences = []
    for seed in range(request.config.getoption("fuzz_count")):
        path.write_bytes(mutate(data, random.Random(f"{name} {seed}")))
        sentences.append(refusal(name, path, tmp_path))
    check(sentences)
