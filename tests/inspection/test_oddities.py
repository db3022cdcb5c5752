"""Unusual image files: grey, 16 bits, transparent, misnamed."""

import cv2
import numpy as np

from datasets.layouts.image_file import Header, check_picture
from inspection.defects import find_oddities


def jpeg(channels: int = 3) -> bytes:
    pixels = np.zeros((8, 16, channels), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def png(dtype=np.uint8, channels: int = 3) -> bytes:
    return cv2.imencode(".png", np.zeros((8, 16, channels), dtype))[1].tobytes()


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
