"""LabelMe's files beside their images: boxes by hand, what is left out, and broken files."""

import json
import os

import pytest

from datasets.conversion import Conversion, convert
from datasets.layouts import registry
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.labelme import open_source, read_shapes, recognises
from datasets.layouts.source import Options
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError
from tests.voc_folder import picture_bytes


def shape(*points, label="cat", kind="rectangle", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None} | more


def content(*shapes, name="a.jpg"):
    sides = {"imageHeight": 20, "imageWidth": 40}
    return {"version": "5.0", "flags": {}, "shapes": shapes, "imagePath": name, **sides}


def read(*shapes):
    return read_shapes(json.loads(json.dumps(content(*shapes))), where="a.json")


def boxes(*shapes):
    return [(thing.name, thing.box) for thing in read(*shapes).annotation.objects]


@pytest.fixture
def folder(tmp_path):
    """Two images with their files, one of them in a folder inside."""
    made = tmp_path / "data"
    for name in ("a", "day1/b"):
        path = made / f"{name}.json"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(json.dumps(content(shape([24, 12], [4, 2]))))
        path.with_suffix(".JPG").write_bytes(picture_bytes(width=40, height=20))
    return made


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([shape([4, 2], [24, 12.5])], [(2, 4, 12.5, 24)]),
        ([shape([24, 12.5], [4, 2])], [(2, 4, 12.5, 24)]),
        ([shape([4, 2], [24, 2], [24, 12], [4, 12])], [(2, 4, 12, 24)]),
        ([shape([1, 2], [9, 3], [5, 8], kind="polygon")], [(2, 1, 8, 9)]),
        ([shape([1, 2], [9, 3], [5, 8], kind=None)], [(2, 1, 8, 9)]),
        ([shape([10, 10], [13, 14], kind="circle")], [(5, 5, 15, 15)]),
        ([shape([1, 2], [3, 4], kind="mask", mask="iVBO")], [(2, 1, 4, 3)]),
        ([shape([5, 0], [10, 5], [5, 10], [0, 5], kind="rotation")], [(0, 0, 10, 10)]),
    ],
)
def test_box_is_the_one_around_the_shape(shapes, expected):
    assert boxes(*shapes) == [("cat", box) for box in expected]


def test_shapes_of_one_label_and_group_are_one_object():
    parts = [shape([1, 2], [3, 4], group_id=1), shape([8, 1], [9, 3], group_id=1)]
    others = [shape([0, 0], [5, 5], group_id=1, label="dog"), shape([0, 0], [6, 6], group_id=2)]
    assert boxes(*parts, *others) == [
        ("cat", (1, 1, 4, 9)),
        ("dog", (0, 0, 5, 5)),
        ("cat", (0, 0, 6, 6)),
    ]


def test_image_has_its_size_and_name_and_difficult_objects():
    made = content(shape([4, 2], [24, 12], difficult=True), name="..\\pictures\\a.jpg")
    thing = Object("cat", (2, 4, 12, 24), difficult=True, truncated=False)
    found = read_shapes(json.loads(json.dumps(made)), where="a.json")
    assert found.annotation == Annotation("a.jpg", 40, 20, 3, (thing,))


def test_points_and_lines_are_left_out():
    found = read(
        shape([1, 2], kind="point"), shape([1, 2], [3, 4], kind="line"), shape(kind="cube")
    )
    assert found.annotation.objects == ()
    assert found.left_out == {
        "a.json, shape 1 (cat)": "'point' has no area",
        "a.json, shape 2 (cat)": "'line' has no area",
        "a.json, shape 3 (cat)": "'cube' is no shape that a box can be made of",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": [shape([1, "2"])]}, "shape 1: a coordinate is '2'; it must be a number"),
        ({"shapes": [shape([1, 2, 3])]}, r"has the point \[1, 2, 3\]; it must be x and y"),
        ({"shapes": [shape()]}, "shape 1 has no points"),
        ({"shapes": [shape([1, 2]) | {"points": 5}]}, "5 in place of a list of points"),
        ({"shapes": [shape([1, 2], label="")]}, "shape 1 has no class"),
        ({"shapes": [shape([1, 2], label=None)]}, "the name None is no text"),
        ({"shapes": [shape([1, 2], label="\x1b[0m")]}, "control character"),
        ({"shapes": [shape([1, 2], kind="circle")]}, "a circle of 1 points"),
        ({"shapes": [3]}, "shape 1 is 3; it must be an object of JSON"),
        ({"shapes": {}}, "shapes is {}; it must be a list of JSON"),
        ({"imageHeight": -1}, "imageHeight is -1; it must lie between 0 and a million"),
        ({"imagePath": [1]}, r"the name \[1\] is no text"),
    ],
)
def test_broken_rules_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        read_shapes(json.loads(json.dumps(content() | changes)), where="a.json")


def test_folder_is_converted_and_inspected(folder, tmp_path, capsys):
    assert registry.recognise(str(folder)) == "labelme"
    out = {"output_name": "x_train", "output_dir": f"{tmp_path}/out"}
    tally = convert(Conversion(str(folder), "labelme", **out), report=print)
    assert (tally.labels, tally.num_images, tally.num_objects) == (("cat",), 2, 2)
    capsys.readouterr()
    inspect.run(InspectSettings(input=str(folder), format=("json",)))
    assert json.loads(capsys.readouterr().out)["classes"]["cat"]["objects"] == 2


def test_every_file_is_an_image_or_left_out_or_an_error(folder):
    (folder / "c.json").write_text(json.dumps(content(name="x/c.png")))
    (folder / "c.png").write_bytes(b"x")
    (folder / "d.json").write_text('{"shapes": [')
    (folder / "e.json").write_text(json.dumps(content(name="none.jpg")))
    (folder / "package.json").write_text('{"name": "x"}')
    coco = {"images": [], "annotations": [], "categories": []}
    (folder / "coco.json").write_text(json.dumps(coco))
    (folder / "f.png").write_bytes(b"x")
    (folder / "g.json").write_text(json.dumps(content(name="c.png")))
    source = open_source(Options(str(folder)))
    assert list(source.images) == ["a", "c", "d", "e", "g", "day1/b"]
    paths = {key: image.path for key, image in source.images.items()}
    assert paths["day1/b"] == f"{folder}/day1/b.JPG"
    assert paths["c"] == f"{folder}/c.png"
    assert "d.json is not JSON" in str(source.images["d"].annotation)
    assert "e.json has no image (none.jpg) beside it" in str(paths["e"])
    assert "g.json is of" in str(source.images["g"].annotation)
    assert source.left_out == {
        f"{folder}/package.json": "is no file of LabelMe, since it has no shapes",
        f"{folder}/coco.json": "is a file of COCO's instances",
        f"{folder}/f.png": "has no annotation",
    }


def test_image_of_the_files_own_name_comes_first(folder):
    (folder / "n.json").write_text(json.dumps(content(name="a.JPG")))
    (folder / "n.png").write_bytes(b"x")
    assert open_source(Options(str(folder))).images["n"].path == f"{folder}/n.png"


def test_other_folders_are_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    os.mkfifo(tmp_path / "y.json")
    assert not recognises(str(tmp_path))
    (tmp_path / "x.json").unlink()
    (tmp_path / "y.json").unlink()
    with pytest.raises(InputError, match="has no JSON file of LabelMe in it or below"):
        open_source(Options(str(tmp_path)))
    with pytest.raises(InputError, match="--input=/none is not a folder"):
        open_source(Options("/none", folder_flag="--input"))
