"""Label Studio's tasks: percent to pixels and rotations by hand, and which annotation counts."""

import json
import math

import pytest

from datasets.conversion import Conversion, convert
from datasets.layouts import registry
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.labelstudio import open_source, read_tasks, recognises
from datasets.layouts.source import Options
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError
from tests.voc_folder import picture_bytes

BOX = {"x": 10, "y": 20, "width": 50, "height": 40, "rotation": 0}


def region(value=BOX, kind="rectanglelabels", labels=("cat",), **more):
    sizes = {"original_width": 40, "original_height": 20, "image_rotation": 0}
    return sizes | {"id": "r1", "type": kind, "value": {**value, kind: labels}} | more


def task(*regions, image="/data/upload/1/3f2a1b4c-a.jpg", **more):
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": regions}]} | more


@pytest.fixture
def read(tmp_path):
    def read(*tasks):
        path = tmp_path / "tasks.json"
        path.write_text(json.dumps(tasks))
        return read_tasks(str(path))

    return read


def objects(tasks):
    (annotation,) = tasks.annotations.values()
    if isinstance(annotation, InputError):
        raise annotation
    return annotation.objects


def test_percent_becomes_pixels(read):
    found = read(task(region()))
    thing = Object("cat", (4.0, 4.0, 12.0, 24.0), difficult=False, truncated=False)
    name = "/data/upload/1/3f2a1b4c-a.jpg"
    assert found.annotations == {name: Annotation("3f2a1b4c-a.jpg", 40, 20, 3, (thing,))}
    assert (found.left_out, found.num_rotated) == ({}, 0)
    assert found.places[name].endswith("tasks.json, task number 1 (3f2a1b4c-a.jpg)")


@pytest.mark.parametrize(
    ("value", "kind", "box"),
    [
        # By 90 degrees about (4, 4): width 20 goes down, height 8 to the left.
        (BOX | {"rotation": 90}, "rectanglelabels", (4, -4, 24, 4)),
        # By 45 degrees: the corners are (4, 4), (4 + 14.14, 4 + 14.14), (4 - 5.66, 4 + 5.66).
        (
            BOX | {"rotation": 45},
            "rectanglelabels",
            (4, 4 - 8 / math.sqrt(2), 4 + 28 / math.sqrt(2), 4 + 20 / math.sqrt(2)),
        ),
        ({"points": [[10, 20], [60, 30], [50, 60]]}, "polygonlabels", (4, 4, 12, 24)),
        ({"x": 50, "y": 50, "radiusX": 10, "radiusY": 30}, "ellipselabels", (4, 16, 16, 24)),
        (
            {"x": 50, "y": 50, "radiusX": 10, "radiusY": 30, "rotation": 90},
            "ellipselabels",
            (6, 14, 14, 26),
        ),
        (BOX, "labels", (4, 4, 12, 24)),
    ],
)
def test_box_is_the_one_around_the_shape(read, value, kind, box):
    found = read(task(region(value, kind)))
    assert [thing.box for thing in objects(found)] == [pytest.approx(box)]
    assert found.num_rotated == bool(value.get("rotation"))


def test_region_with_two_labels_is_two_objects(read):
    assert [thing.name for thing in objects(read(task(region(labels=["cat", "own"]))))] == [
        "cat",
        "own",
    ]


def test_what_is_no_labelled_shape_is_left_out(read):
    others = [
        region(kind="brushlabels", id="b"),
        region(kind="rectangle", id="r1"),
        region(kind="rectangle", id="alone"),
        region(labels=[], id="none"),
        {"type": "choices", "value": {"choices": ["x"]}},
    ]
    found = read(task(region(), *others))
    assert len(objects(found)) == 1
    assert [(place.rsplit(", ", 1)[1], why) for place, why in found.left_out.items()] == [
        ("region 2", "'brushlabels' is no labelled box, polygon or ellipse"),
        ("region 4", "'rectangle' is no labelled box, polygon or ellipse"),
        ("region 5", "has no label"),
        ("region 6", "'choices' is no labelled box, polygon or ellipse"),
    ]


def test_ground_truth_counts_or_else_the_first_that_was_not_cancelled(read):
    one, other = ({"result": [region(labels=[name])]} for name in ("one", "other"))
    cancelled = one | {"was_cancelled": True}
    truth = other | {"ground_truth": True}
    for made, expected in (
        ([one, other], "one"),
        ([cancelled, other], "other"),
        ([one, truth], "other"),
    ):
        found = read(task(annotations=made))
        assert [thing.name for thing in objects(found)] == [expected]
        assert list(found.left_out.values()) == [
            "1 more annotations of the same task: one is taken"
        ]
    assert [t.name for t in objects(read({"data": {"image": "a"}, "completions": [one]}))] == [
        "one"
    ]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"annotations": []}, "has no annotation"),
        (
            {"annotations": [{"was_cancelled": True, "result": []}]},
            "has cancelled annotations alone",
        ),
        ({"annotations": None, "predictions": [{}]}, "has predictions and no annotation"),
    ],
)
def test_task_that_nobody_finished_is_left_out(read, more, reason):
    found = read(task(**more))
    assert found.annotations == {}
    assert list(found.left_out.values()) == [reason]


def test_image_without_regions_is_one_without_objects(read):
    assert objects(read(task())) == ()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (task(region(BOX | {"x": "1"})), "region 1: x is '1'; it must be a number"),
        (task(region({"x": 1})), "region 1: y is None"),
        (task(region(original_width=None)), "region 1 has no original_width"),
        (task(region(image_rotation=90)), "on an image turned by 90 degrees"),
        (task(region(), region(original_width=50)), "has the sizes"),
        (task(region(labels=["\x07"])), "control character"),
        (task(region(labels="cat")), "rectanglelabels is 'cat'; it must be a list"),
        (task(5), "a region is 5"),
        (task(annotations=[5]), "an annotation is 5"),
        (task(annotations=[{"result": 5}]), "result is 5"),
        (task(data=5), "data is 5"),
        (task(data={"text": "hello"}), r"names no image in its data \(\['text'\]\)"),
        (5, "task number 1 is 5"),
    ],
)
def test_broken_task_is_an_error_of_its_image_alone(read, made, message):
    found = read(made, task(region(), image="b.jpg"))
    bad, good = found.annotations.values()
    assert message.replace("\\", "") in str(bad)
    assert isinstance(good, Annotation)


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("/data/upload/1/3f2a1b4c-a.jpg", "3f2a1b4c-a.jpg"),
        ("/data/upload/1/3f2a1b4c-a.jpg", "a.jpg"),
        ("/data/local-files/?d=day1/a%20b.jpg", "day1/a b.jpg"),
        ("/data/local-files/?d=elsewhere/a.jpg", "a.jpg"),
        ("https://x.org/y/a%20b.jpg?token=1", "a b.jpg"),
        ("s3://bucket/y/a.jpg", "deep/a.jpg"),
        ("C:\\pictures\\a.jpg", "a.jpg"),
    ],
)
def test_images_are_found_under_the_names_that_they_had(tmp_path, image, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"x")
    (tmp_path / "tasks.json").write_text(json.dumps([task(region(), image=image)]))
    source = open_source(Options(str(tmp_path), str(tmp_path / "tasks.json")))
    assert [image.path for image in source.images.values()] == [f"{tmp_path}/{file}"]


def test_image_that_two_uploads_had_is_not_guessed(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    tasks = [task(region(), image=f"/data/upload/1/{k}f2a1b4c-a.jpg") for k in (1, 2)]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    source = open_source(Options(str(tmp_path), str(tmp_path / "tasks.json")))
    assert [image.path for image in source.images.values()] == [
        f"{tmp_path}/1f2a1b4c-a.jpg",
        f"{tmp_path}/2f2a1b4c-a.jpg",
    ]


def test_tasks_of_one_image_are_joined(read):
    box = BOX | {"x": 0}
    assert len(objects(read(task(region()), task(region(), region(box))))) == 2


def test_export_is_converted_and_inspected(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(picture_bytes(width=40, height=20))
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task(region(BOX | {"rotation": 1}))]))
    lines = []
    out = {"output_name": "x_train", "output_dir": f"{tmp_path}/out"}
    conversion = Conversion(str(tmp_path), "labelstudio", str(path), **out)
    tally = convert(conversion, report=lines.append)
    assert (tally.labels, tally.num_images, tally.num_objects) == (("cat",), 1, 1)
    assert lines == ["1 rotated objects are the upright boxes around them."]
    assert recognises(str(path))
    assert registry.recognise(str(path)) == "labelstudio"
    inspect.run(InspectSettings(input=str(path), format=("json",)))
    assert json.loads(capsys.readouterr().out)["classes"]["cat"]["objects"] == 1
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(InputError, match=r"file of COCO's instances.*: pass --dataset_name=coco"):
        open_source(Options(str(tmp_path), str(path)))
