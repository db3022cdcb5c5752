"""VIA's JSON: boxes by hand, which attribute is the class, and broken files."""

import json
import math

import pytest

from datasets.conversion import Conversion, convert
from datasets.layouts import registry
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.source import Options
from datasets.layouts.via import open_source, read_regions, recognises
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError
from tests.voc_folder import picture_bytes

RECT = {"name": "rect", "x": 4, "y": 2, "width": 20, "height": 10}


def region(shape=RECT, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes or {"class": "cat"}}


def image(*regions, name="a.jpg", **more):
    return {"filename": name, "size": 123, "regions": regions, "file_attributes": {}} | more


@pytest.fixture
def write(tmp_path):
    def write(made):
        path = tmp_path / "via.json"
        path.write_text(json.dumps(made))
        return str(path)

    return write


@pytest.fixture
def read(write):
    def read(*images):
        return read_regions(write({f"{k}": each for k, each in enumerate(images)}))

    return read


def objects(found, name="a.jpg"):
    annotation = found.annotations[name]
    if isinstance(annotation, InputError):
        raise annotation
    return annotation.objects


def test_annotations_and_projects_and_both_kinds_of_regions_are_read(write):
    thing = Object("cat", (2.0, 4.0, 12.0, 24.0), difficult=False, truncated=False)
    metadata = {"a.jpg123": image(region())}
    project = {"_via_settings": {"ui": {}}, "_via_img_metadata": metadata, "_via_attributes": {}}
    for made in (metadata, project, {"a.jpg123": image(regions={"0": region()})}):
        path = write(made)
        assert recognises(path)
        assert read_regions(path).annotations == {"a.jpg": Annotation("a.jpg", 0, 0, 3, (thing,))}


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ({"name": "polygon", "all_points_x": [1, 9, 5], "all_points_y": [2, 3, 8]}, (2, 1, 8, 9)),
        ({"name": "circle", "cx": 10, "cy": 8, "r": 2.5}, (5.5, 7.5, 10.5, 12.5)),
        ({"name": "ellipse", "cx": 10, "cy": 8, "rx": 4, "ry": 2}, (6, 6, 10, 14)),
        (
            {"name": "ellipse", "cx": 10, "cy": 8, "rx": 4, "ry": 2, "theta": math.pi / 2},
            (4, 8, 12, 12),
        ),
    ],
)
def test_box_is_the_one_around_the_shape(read, shape, box):
    assert [thing.box for thing in objects(read(image(region(shape))))] == [pytest.approx(box)]


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ({"Label": "dog", "score": "9"}, ["dog"]),
        ({"beast": " dog "}, ["dog"]),
        ({"type": "x", "class": "dog"}, ["dog"]),
        ({"kind": {"dog": True, "wet": True, "cat": False}}, ["dog", "wet"]),
        ({"class": 7}, ["7"]),
    ],
)
def test_class_is_the_attribute_of_that_name_or_the_only_one(read, attributes, names):
    assert [thing.name for thing in objects(read(image(region(**attributes))))] == names


def test_class_that_cannot_be_told_is_refused(read):
    with pytest.raises(InputError, match=r"the attributes \['beast', 'colour'\], .*to class"):
        read(image(region(beast="dog", colour="red")))


def test_what_is_no_object_is_left_out(read):
    point = {"name": "point", "cx": 1, "cy": 1}
    line = {"name": "polyline", "all_points_x": [1], "all_points_y": [1]}
    found = read(image(region(), region(point), region(line), region(**{"class": ""})))
    assert len(objects(found)) == 1
    assert [(place.rsplit(", ", 1)[1], why) for place, why in found.left_out.items()] == [
        ("region '1'", "'point' has no area"),
        ("region '2'", "'polyline' has no area"),
        ("region '3'", "has no class"),
    ]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (image(region(RECT | {"x": "4"})), "region '0': x is '4'; it must be a number"),
        (image(region({"name": "rect"})), "region '0': x is None"),
        (image(region({"name": "cube"})), "has the shape 'cube'"),
        (image(region({"name": "polygon", "all_points_x": [1]})), "must be lists of one length"),
        (image(region(5)), "shape_attributes is 5"),
        (image(region() | {"region_attributes": [1]}), "region_attributes is [1]"),
        (image(5), "region '0' is 5"),
        (image(regions=5), "regions is 5; it must be a list"),
        (image(region(**{"class": "\x1b"})), "control character"),
        (image(region(), name=None), "the name None is no text"),
        (5, "image number 1 is 5"),
    ],
)
def test_broken_region_is_an_error_of_its_image_alone(read, made, message):
    found = read(made, image(region(), name="b.jpg"))
    bad, good = found.annotations.values()
    assert message in str(bad)
    assert isinstance(good, Annotation)


def test_image_listed_twice_is_one_with_all_objects(read):
    found = read(image(region()), image(region(), region(RECT | {"x": 0})))
    assert len(objects(found)) == 2


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"_via_img_metadata": {}}, "has no image with a filename"),
        ({"_via_img_metadata": []}, r"_via_img_metadata is \[\]; it must be an object"),
        ([1], r"is \[1\]; it must be an object of JSON"),
        ({"project": {}, "file": {}, "view": {}, "metadata": {}}, "a project of VIA 3"),
        ({"shapes": []}, "a file of LabelMe"),
        ({"a": image(region(RECT | {"x": 0, "y": 0, "width": 1, "height": 0.5}))}, "1 or less"),
    ],
)
def test_other_files_are_named(write, made, message):
    with pytest.raises(InputError, match=message):
        open_source(Options("", write(made)))


def test_file_is_converted_and_inspected(write, tmp_path, capsys):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(picture_bytes(width=40, height=20))
    path = write({"1": image(region()), "2": image(name="https://x.org/b.jpg")})
    out = {"output_name": "x_train", "output_dir": f"{tmp_path}/out"}
    tally = convert(Conversion(str(tmp_path), "via", path, **out), report=print)
    assert (tally.labels, tally.num_images, tally.num_objects) == (("cat",), 2, 1)
    assert registry.recognise(path) == "via"
    capsys.readouterr()
    inspect.run(InspectSettings(input=path, format=("json",)))
    facts = json.loads(capsys.readouterr().out)
    assert facts["classes"]["cat"]["objects"] == 1
    kinds = [defect["kind"] for defect in facts["defects"]]
    assert (kinds.count("no_objects"), kinds.count("no_annotation")) == (1, 1)
