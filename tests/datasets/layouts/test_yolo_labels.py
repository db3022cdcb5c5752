"""Lines of YOLO's label files as boxes in pixels."""

import pytest

from datasets.layouts.yolo_labels import read_annotation
from runtime.errors import InputError

NAMES = {0: "cat", 1: "dog"}


def read(text, **options):
    given = {"names": NAMES, "filename": "a.jpg", "size": (20, 40), "where": "a.txt"}
    return read_annotation(text, **given | options)


@pytest.mark.parametrize(
    ("line", "name", "box"),
    [
        ("0 .5 .5 1 1", "cat", (0, 0, 20, 40)),
        ("1 0.35 0.35 0.5 0.5", "dog", (2, 4, 12, 24)),
        ("1.0\t0.35 0.35  0.5 0.5 ", "dog", (2, 4, 12, 24)),
        ("0 .1 .5 .6 .1 .2 .6", "cat", (2, 4, 12, 24)),
        ("0 .1 .1 .6 .1 .6 .6 .1 .6", "cat", (2, 4, 12, 24)),
        ("0 .5 .5 1.01 1", "cat", (0, -0.2, 20, 40.2)),
    ],
)
def test_line_is_a_box_or_the_box_around_a_polygon(line, name, box):
    annotation = read(f"\n{line}\r\n")
    (thing,) = annotation.objects
    assert (annotation.filename, annotation.height, annotation.width) == ("a.jpg", 20, 40)
    assert (thing.name, thing.difficult, thing.truncated) == (name, False, False)
    assert thing.box == pytest.approx(box)


def test_empty_text_is_an_image_without_objects():
    assert read(" \n").objects == ()


def test_keypoints_are_not_read():
    (thing,) = read("0 .5 .5 1 1 .1 .2 2 .3 .4 1", has_keypoints=True).objects
    assert thing.box == (0, 0, 20, 40)


def test_names_may_have_gaps():
    assert read("7 .5 .5 1 1", names={7: "bus"}).objects[0].name == "bus"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 .5 .5 1 1", "class 2 has no name; there are 2 names, counted from 0"),
        ("-1 .5 .5 1 1", "class -1 has no name"),
        ("0.5 .5 .5 1 1", "is '0.5 .5 .5 1 1'; it must be a class number"),
        ("cat .5 .5 1 1", "is 'cat .5 .5 1 1'; it must be a class number"),
        ("0,.5,.5,1,1", "it must be a class number"),
        ("nan .5 .5 1 1", "it must be a class number"),
        ("0 .5 .5 1", "has 3 numbers behind its class; a box has 4"),
        ("0", "has 0 numbers"),
        ("0 .5 .5 1 1 .9", "has 5 numbers .*detections with a score"),
        ("0 20 10 40 20", "has 20; coordinates are shares"),
        ("0 .5 .5 -0.2 1", "has -0.2; coordinates"),
        ("0 .5 nan 1 1", "has nan; coordinates"),
        ("0 .1 .1 .6 .1 inf .6", "has inf; coordinates"),
    ],
)
def test_line_that_cannot_be_understood_is_refused(line, message):
    with pytest.raises(InputError, match=rf"^a\.txt, line 2\b.*{message}"):
        read(f"0 .5 .5 1 1\n{line}\n")
