"""Statistics of boxes by set of records, and which boxes are drawn as faulty."""

import cv2
import numpy as np
import pytest

from datasets.layouts.annotations import Annotation, Object
from inspection import label_charts
from inspection.collect import _group, inspect
from inspection.defects import Item, check
from inspection.page import faulty_boxes

PNG = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (50, 100, 3), np.uint8))[1]


def item(place, *boxes, relative=False) -> Item:
    objects = tuple(Object("cat", box, difficult=False, truncated=False) for box in boxes)
    annotation = Annotation("a.png", 100, 50, 3, objects)
    return Item("a.png", place, annotation, PNG.tobytes, relative=relative)


RECORDS = [
    item("d/shapes_train_000.tfrecord, byte 0", (0, 0, 0.5, 0.2), (0, 0, 1, 0.4), relative=True),
    item("d/shapes_train_001.tfrecord, byte 9", (0.5, 0.5, 0.7, 1), relative=True),
    item("d/shapes_test_000.tfrecord, byte 0", relative=True),
]


def test_each_set_of_records_has_its_medians():
    found = inspect(RECORDS, title="t", input_side=300)
    assert label_charts.statistics(found) == {
        "shapes_train": {
            "pictures": 2,
            "objects": 3,
            "median_objects": 1.5,
            "median_width": pytest.approx(0.4),
            "median_height": pytest.approx(0.5),
        },
        "shapes_test": {
            "pictures": 1,
            "objects": 0,
            "median_objects": 0.0,
            "median_width": None,
            "median_height": None,
        },
    }
    rows = label_charts.table_rows(label_charts.statistics(found))
    assert rows[0] == ("shapes_train", 2, 3, "1.5", "40.0%", "50.0%")


def test_images_of_other_layouts_are_one_set():
    assert _group(item("Annotations/a_000.tfrecord.xml", (1, 1, 9, 9))) == ""
    found = inspect([item("a.xml", (0, 0, 25, 50))], title="t", input_side=300)
    assert [*label_charts.statistics(found)] == ["all"]


@pytest.mark.parametrize("items", [[], RECORDS[2:], RECORDS], ids=["nothing", "no boxes", "boxes"])
def test_chart_is_drawn_of_whatever_there_is(items):
    png = label_charts.draw(inspect(items, title="t", input_side=300))
    assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).std() > 5


def test_boxes_that_a_defect_names_are_shown_as_annotated():
    """Of a good box, one with swapped ends and one that leaves the image of 100 x 50."""
    given = item("a.xml", (10, 10, 20, 20), (10, 80, 20, 60), (0, 0, 40, 150))
    checked = check(given, labels=None, input_side=300)
    np.testing.assert_allclose(faulty_boxes(checked), [[0.2, 0.6, 0.4, 0.8], [0, 0, 0.8, 1.5]])
    fine = check(item("a.xml", (10, 10, 20, 20)), labels=None, input_side=300)
    assert faulty_boxes(fine).shape == (0, 4)
