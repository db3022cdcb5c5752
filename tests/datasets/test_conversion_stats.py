"""Clipping, dropping and counting of boxes."""

import numpy as np
import pytest

from datasets.conversion_stats import MAX_LINES, ConversionStats, relative_boxes
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.orientation import DrawnOn
from runtime.errors import InputError


def annotation(*objects, width=40, height=20):
    """Objects are (name, box) or (name, box, difficult)."""
    items = [Object(name, box, bool(flag), False) for name, box, *flag in objects]
    return Annotation("x.jpg", width, height, 3, tuple(items))


@pytest.fixture
def lines():
    return []


@pytest.fixture
def tally(lines):
    return ConversionStats(("cat", "dog"), report=lines.append)


def add(tally, filename, found):
    tally.add(filename, found, relative_boxes(found, height=20, width=40))


def test_boxes_are_relative_without_subtracting_a_pixel():
    found = relative_boxes(annotation(("cat", (5, 10, 20, 40))), height=20, width=40)
    assert found.boxes.dtype == np.float32
    np.testing.assert_array_equal(found.boxes, [[0.25, 0.25, 1.0, 1.0]])
    assert (found.keep.tolist(), found.clipped.tolist()) == ([True], [False])


def test_boxes_are_clipped_to_the_picture():
    boxes = annotation(("cat", (-5, 10, 21, 40)), ("cat", (0, 0, 20, 40)))
    found = relative_boxes(boxes, height=20, width=40)
    np.testing.assert_array_equal(found.boxes[0], [0, 0.25, 1, 1])
    assert found.clipped.tolist() == [True, False]
    assert found.keep.all()


@pytest.mark.parametrize(
    "box",
    [(5, 5, 5, 9), (5, 5, 9, 5), (9, 5, 5, 9), (30, 5, 35, 9), (1, -9, 5, 0), (1, 1, 2, 1 + 1e-9)],
)
def test_box_without_area_inside_the_picture_is_dropped(box):
    assert relative_boxes(annotation(("cat", box)), height=20, width=40).keep.tolist() == [False]


def test_picture_without_objects_has_no_boxes():
    found = relative_boxes(annotation(), height=20, width=40)
    assert found.boxes.shape == (0, 4)
    assert found.keep.shape == found.clipped.shape == (0,)


def test_objects_and_pictures_are_counted_by_class(tally):
    box = (1, 1, 9, 9)
    add(tally, "a.jpg", annotation(("cat", box), ("cat", box), ("dog", box, True)))
    add(tally, "b.jpg", annotation(("cat", box), ("cat", box, True)))
    add(tally, "c.jpg", annotation())
    assert tally.num_images == 3
    assert tally.classes == {
        "cat": {"pictures": 2, "objects": 3, "difficult": 1},
        "dog": {"pictures": 0, "objects": 0, "difficult": 1},
    }
    assert (tally.num_objects, tally.num_difficult) == (3, 2)


def test_dropped_and_clipped_boxes_are_reported_by_file(tally, lines):
    flat, wide, good = (5, 5, 5, 9), (5, 5, 9, 99), (1, 1, 9, 9)
    add(tally, "a.jpg", annotation(("cat", flat), ("cat", good), ("dog", wide), ("dog", flat)))
    assert tally.notes["dropped_boxes"] == {"a.jpg": 2}
    assert tally.notes["clipped_boxes"] == {"a.jpg": 1}
    assert lines == [
        "a.jpg: the box of object 1, 4 has no area inside the image",
        "a.jpg: the box of object 3 is clipped",
    ]
    assert tally.classes["cat"]["objects"] == 1
    assert tally.summary() == [
        "2 boxes without area dropped; images: 1",
        "1 boxes clipped to the image; images: 1",
    ]


def test_many_lines_of_a_kind_are_cut_short_but_counted(tally, lines):
    for number in range(MAX_LINES + 5):
        add(tally, f"{number}.jpg", annotation(("cat", (5, 5, 5, 9))))
    assert len(lines) == MAX_LINES + 1
    assert "listed in the manifest under dropped_boxes" in lines[-1]
    assert len(tally.notes["dropped_boxes"]) == MAX_LINES + 5


def test_picture_that_exif_turns_is_noted_by_what_became_of_its_boxes(tally, lines):
    tally.add_turn("a.jpg", 6, DrawnOn.STORED)
    tally.add_turn("b.jpg", 6, DrawnOn.TURNED)
    tally.add_turn("c.jpg", 3, DrawnOn.UNKNOWN)
    assert (tally.notes["turned_back"], tally.notes["maybe_turned"]) == ({"b.jpg": 6}, {"c.jpg": 3})
    assert lines == [
        "b.jpg is turned by EXIF (6): its boxes were drawn on the turned image and are turned back",
        "c.jpg is turned by EXIF (3): its size does not tell whether its boxes were drawn on the "
        "turned image",
    ]
    assert tally.summary() == [
        "images turned by EXIF whose boxes were turned back: 1",
        "images turned by EXIF whose boxes may lie elsewhere: 1",
    ]


def test_bad_pictures_are_named_up_to_the_limit(tally, lines):
    tally.skip("a", InputError("a is bad."), limit=1)
    assert lines == ["skipped: a is bad."]
    assert tally.notes["skipped"] == {"a": "a is bad."}
    assert tally.summary() == ["bad images left out: 1"]
    with pytest.raises(InputError, match=r"^b is bad \(bad image number 2, --skip_bad=1;"):
        tally.skip("b", InputError("b is bad."), limit=1)


def test_table_is_aligned_and_ends_with_totals(tally):
    add(tally, "a.jpg", annotation(("cat", (1, 1, 9, 9)), ("dog", (1, 1, 9, 9), True)))
    assert tally.table().splitlines() == [
        "class    images   objects  difficult",
        "cat           1         1          0",
        "dog           0         0          1",
        "all           1         1          1",
    ]


def test_nothing_to_report_gives_no_summary(tally):
    assert tally.summary() == []
