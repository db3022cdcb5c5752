"""Headers of image files, and the files that must be refused."""

import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from datasets.layouts.image_file import Header, check_header_limits, check_picture, read_header
from runtime import limits

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)


def encode(extension, pixels=PIXELS, parameters=()):
    return cv2.imencode(extension, pixels, list(parameters))[1].tobytes()


def png(*, width, height):
    """A PNG that claims a size and holds no pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    "data, expected",
    [
        (encode(".jpg"), Header("JPEG", 20, 40, 3)),
        (encode(".jpg", PIXELS[..., 0]), Header("JPEG", 20, 40, 1)),
        (encode(".jpg", parameters=[cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), Header("JPEG", 20, 40, 3)),
        (encode(".png"), Header("PNG", 20, 40, 3)),
        (encode(".png", PIXELS[..., 0]), Header("PNG", 20, 40, 1)),
        (encode(".png", np.dstack([PIXELS, PIXELS[..., 0]])), Header("PNG", 20, 40, 4)),
        (encode(".png", PIXELS.astype(np.uint16) * 256), Header("PNG", 20, 40, 3)),
    ],
)
def test_good_picture_gives_its_header(data, expected):
    assert check_picture(data) == expected


def with_thumbnail(data, thumbnail):
    """A JPEG with another whole JPEG in an APP1 segment, as cameras write."""
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]


def test_thumbnail_inside_a_jpeg_is_not_the_picture():
    data = with_thumbnail(encode(".jpg"), encode(".jpg", PIXELS[:8, :8]))
    assert read_header(data) == Header("JPEG", 20, 40, 3)


@pytest.mark.parametrize("missing", [1, 2, 100, 400])
def test_truncated_jpeg_is_found(missing):
    data = with_thumbnail(encode(".jpg"), encode(".jpg", PIXELS[:8, :8]))
    with pytest.raises(ValueError, match="cut off"):
        check_picture(data[:-missing])


def test_bytes_after_the_end_of_a_jpeg_are_harmless():
    assert check_picture(encode(".jpg") + b"\0" * 9).width == 40


@pytest.mark.parametrize("missing", [5, 12, 600])
def test_truncated_png_is_found(missing):
    with pytest.raises(ValueError, match="cut off"):
        check_picture(encode(".png")[: -8 - missing])


@pytest.mark.parametrize("length", [2, 3, 10, 20, 150])
def test_picture_cut_inside_its_header_is_found(length):
    with pytest.raises(ValueError, match=r"cut off|broken"):
        check_picture(encode(".jpg")[:length])


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<html>", encode(".bmp")])
def test_other_formats_are_refused(data):
    with pytest.raises(ValueError, match="neither JPEG nor PNG"):
        check_picture(data)


@pytest.mark.parametrize("size", [(40_000, 40_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bomb_is_refused_before_decoding(size):
    data = png(width=size[0], height=size[1])
    with pytest.raises(ValueError, match=f"more than {limits.MAX_PIXELS}"):
        check_picture(data)


def test_picture_without_pixels_is_refused():
    with pytest.raises(ValueError, match="0 x 20 pixels"):
        check_picture(png(width=0, height=20))


def test_picture_that_does_not_decode_is_refused():
    with pytest.raises(ValueError, match="does not decode as PNG"):
        check_picture(png(width=40, height=20))


def test_broken_headers_are_refused():
    jpeg = encode(".jpg")
    with pytest.raises(ValueError, match="broken JPEG"):
        check_picture(jpeg[:2] + b"\0" + jpeg[3:])
    with pytest.raises(ValueError, match="broken PNG"):
        check_picture(png(width=4, height=4).replace(b"IHDR", b"IHDX"))


@pytest.mark.parametrize("seed", range(5))
def test_garbage_after_a_jpeg_signature_is_a_value_error(seed):
    garbage = np.random.default_rng(seed).bytes(500)
    with pytest.raises(ValueError):
        check_picture(b"\xff\xd8" + garbage)


@pytest.mark.parametrize("filling", [b"\xff" * 50_000_000, b"\xff\xe5\0\2" * 10_000_000])
def test_header_of_nothing_is_passed_or_refused_within_a_second(filling):
    jpeg = encode(".jpg")
    began = time.monotonic()
    try:
        assert read_header(jpeg[:2] + filling + jpeg[2:]) == read_header(jpeg)
    except ValueError as error:
        assert "broken JPEG header" in str(error)  # noqa: PT017 (either is right)
    assert time.monotonic() - began < 1


def gif(*, screen=(8, 8), frame=(8, 8)):
    sides = struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + sides + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\2\x4c\1\0;"


def test_gif_in_a_record_is_refused_since_its_frames_have_sizes_of_their_own():
    with pytest.raises(ValueError, match="neither JPEG nor PNG"):
        check_header_limits(gif(frame=(20_000, 20_000)))
