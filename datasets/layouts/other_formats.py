"""Images that records cannot hold as they are: BMP, GIF, WebP, TIFF and PNM, encoded anew as PNG.

That loses no pixel, beyond 16 bits of which 8 are kept, transparency, and the further images of an
animation. What a header claims is checked before anything is decoded.
"""

import re
import struct

import cv2
import numpy as np

from datasets.layouts.image_file import check_size, to_rgb

_WIDTH, _HEIGHT, _SHORT = 256, 257, 3  # tags of TIFF, and a type of their values
_MOST_TAGS = 1000
_BLANK = rb"(?:\s|#[^\n]*\n)+"  # of PBM, PGM and PPM, between the first three fields
_PNM = re.compile(rb"P[1-6]" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})\s")


def format_of(data: bytes) -> str:
    """What an image file is in: "BMP", "GIF", "WebP", "TIFF" or "PNM"; "" for all others."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if _PNM.match(data):
        return "PNM"
    return "BMP" if data[:2] == b"BM" else ""


def read_size(data: bytes) -> tuple[int, int]:
    """(height, width) in pixels that the header of such a file claims.

    Raises:
      ValueError: another format, or a broken header.
    """
    readers = {
        "WebP": _size_of_webp,
        "TIFF": _size_of_tiff,
        "GIF": _size_of_gif,
        "PNM": _size_of_pnm,
    }
    try:
        height, width = readers.get(format_of(data), _size_of_bmp)(data)
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError("was cut off inside its header: copy it anew") from error
    if not (height and width):
        raise ValueError(f"has {width} x {height} pixels: remove it")
    return height, width


def as_png(data: bytes) -> bytes:
    """Such a file as PNG.

    Raises:
      ValueError: it does not decode or claims too many pixels, as the end of a sentence that starts
        with its name.
    """
    check_size(*read_size(data))
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError(f"does not decode as {format_of(data)}: copy or export it anew")
    return cv2.imencode(".png", to_rgb(pixels)[..., ::-1])[1].tobytes()


def _size_of_bmp(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(height), abs(width)


def _size_of_gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return height, width


def _size_of_pnm(data: bytes) -> tuple[int, int]:
    sides = _PNM.match(data)
    if not sides:
        raise IndexError
    return int(sides[2]), int(sides[1])


def _size_of_webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        return (high_height << 16 | low_height) + 1, (high_width << 16 | low_width) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return height & 0x3FFF, width & 0x3FFF


def _size_of_tiff(data: bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    sides = {}
    for number in range(min(count, _MOST_TAGS)):
        at = start + 2 + 12 * number
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in (_WIDTH, _HEIGHT):
            (sides[tag],) = struct.unpack_from(
                order + ("H" if kind == _SHORT else "I"), data, at + 8
            )
    return sides[_HEIGHT], sides[_WIDTH]
