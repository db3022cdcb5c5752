"""Unusual picture files: EXIF rotation written by hand, grey, 16 bits, transparent, misnamed."""

import struct

import cv2
import numpy as np
import pytest

from datasets.picture_file import Header, check_picture
from datasets.picture_oddities import find_oddities, orientation


def jpeg(channels: int = 3) -> bytes:
    pixels = np.zeros((8, 16, channels), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def png(dtype=np.uint8, channels: int = 3) -> bytes:
    return cv2.imencode(".png", np.zeros((8, 16, channels), dtype))[1].tobytes()


def with_exif(data: bytes, turn: int, *, order: str = "<", count: int = 1) -> bytes:
    """A JPEG with an EXIF segment that holds the orientation alone."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, turn, 0)
    tiff = mark + struct.pack(f"{order}IH", 8, count) + entry
    body = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def kinds(data: bytes, filename: str) -> list[str]:
    return [kind for kind, _ in find_oddities(data, check_picture(data), filename=filename)]


def test_plain_pictures_have_none():
    assert kinds(jpeg(), "a.JPG") == kinds(jpeg(), "a.jpeg") == kinds(png(), "a.png") == []
    assert kinds(jpeg(), "without extension") == []


def test_png_called_jpg_is_mislabelled():
    assert kinds(png(), "a.jpg") == ["mislabelled"]
    assert kinds(jpeg(), "a.png") == ["mislabelled"]


def test_grey_pictures_are_noted():
    assert kinds(jpeg(channels=1), "a.jpg") == ["greyscale"]
    assert kinds(png(channels=1), "a.png") == ["greyscale"]


def test_sixteen_bits_and_transparency_are_noted():
    assert kinds(png(np.uint16), "a.png") == ["sixteen_bit"]
    assert kinds(png(channels=4), "a.png") == ["transparent"]


def test_four_channels_of_a_jpeg_are_cmyk():
    found = find_oddities(jpeg(), Header("JPEG", 8, 16, 4), filename="a.jpg")
    assert [kind for kind, _ in found] == ["cmyk"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turn", [3, 6, 8])
def test_rotation_is_read_in_both_byte_orders(order, turn):
    data = with_exif(jpeg(), turn, order=order)
    assert orientation(data) == turn
    assert kinds(data, "a.jpg") == ["exif_rotated"]


@pytest.mark.parametrize("turn", [0, 1, 9, 65535])
def test_upright_and_nonsense_are_upright(turn):
    assert orientation(with_exif(jpeg(), turn)) == 1


def test_broken_exif_is_upright():
    data = with_exif(jpeg(), 6, count=65535)
    assert orientation(data) == 6
    assert orientation(data[:30]) == 1
    assert orientation(b"\xff\xd8") == 1
    assert orientation(data.replace(struct.pack("<HH", 0x0112, 3), b"\0\0\0\0")) == 1
