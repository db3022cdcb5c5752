"""EXIF's eight orientations, held against OpenCV's reading of the same files."""

import struct

import cv2
import numpy as np
import pytest

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.image_file import Header
from datasets.layouts.orientation import DrawnOn, drawn_on, orientation, to_stored, turned_back
from tests.voc_folder import picture_bytes, with_exif

STORED = Header("JPEG", 20, 40, 3)


def annotation(width: int, height: int, *boxes: tuple) -> Annotation:
    objects = tuple(Object("cat", box, False, False) for box in boxes)
    return Annotation("a.jpg", width, height, 3, objects)


@pytest.mark.parametrize("turn", range(1, 9))
def test_box_on_the_shown_picture_comes_back_to_the_stored_one(turn):
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[8:24, 40:80] = 255  # in no half of the image alone, and no square
    data = with_exif(cv2.imencode(".jpg", pixels)[1].tobytes(), turn)
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    height, width = shown.shape[:2]
    rows, columns = np.nonzero(shown[..., 0] > 128)
    box = tuple(map(int, (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)))
    there = annotation(width, height, box)
    back = turned_back(there, turn)
    assert back == annotation(96, 64, (8, 40, 24, 80))
    relative = to_stored(np.array(box) / (height, width, height, width), turn)
    np.testing.assert_allclose(relative, [8 / 64, 40 / 96, 24 / 64, 80 / 96])


@pytest.mark.parametrize(
    ("turn", "width", "height", "view"),
    [
        (1, 40, 20, DrawnOn.STORED),
        (1, 0, 0, DrawnOn.STORED),
        (1, 41, 18, DrawnOn.STORED),
        (6, 40, 20, DrawnOn.STORED),
        (5, 20, 40, DrawnOn.TURNED),
        (8, 20, 40, DrawnOn.TURNED),
        (3, 40, 20, DrawnOn.UNKNOWN),
        (6, 0, 40, DrawnOn.UNKNOWN),
    ],
)
def test_size_tells_which_picture_was_drawn_on(turn, width, height, view):
    assert drawn_on(annotation(width, height), STORED, turn) is view


def test_square_picture_does_not_tell():
    square = Header("JPEG", 40, 40, 3)
    assert drawn_on(annotation(40, 40), square, 6) is DrawnOn.UNKNOWN
    assert drawn_on(annotation(40, 40), square, 1) is DrawnOn.STORED


@pytest.mark.parametrize(
    ("turn", "width", "height", "said"),
    [
        (1, 20, 40, "says 20 x 40, the image is 40 x 20: sides swapped, as by an EXIF rotation"),
        (3, 20, 40, "sides swapped"),
        (6, 40, 23, "says 40 x 23, the image is 40 x 20$"),
        (6, 80, 40, "says 80 x 40"),
    ],
)
def test_size_of_neither_is_a_contradiction(turn, width, height, said):
    with pytest.raises(ValueError, match=said):
        drawn_on(annotation(width, height), STORED, turn)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turn", [3, 6, 8])
def test_orientation_is_read_in_both_byte_orders(order, turn):
    assert orientation(with_exif(picture_bytes(), turn, order=order)) == turn


@pytest.mark.parametrize("turn", [0, 1, 9, 65535])
def test_upright_and_nonsense_are_upright(turn):
    assert orientation(with_exif(picture_bytes(), turn)) == 1


def test_broken_exif_is_upright():
    data = with_exif(picture_bytes(), 6, count=65535)
    assert orientation(data) == 6
    assert orientation(data[:30]) == 1
    assert orientation(b"\xff\xd8") == orientation(b"") == 1
    assert orientation(data.replace(struct.pack("<HH", 0x0112, 3), b"\0\0\0\0")) == 1
