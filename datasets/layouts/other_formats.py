"""Images that records cannot hold as they are, BMP, WebP, AVIF and others, encoded anew as PNG.

That loses no pixel, beyond 16 bits of which 8 are kept, transparency, and the further images of an
animation. What a header claims is checked before anything is decoded.
"""

import re
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np

from datasets.layouts.image_file import check_size, to_rgb

_WIDTH, _HEIGHT, _SHORT = 256, 257, 3  # tags of TIFF, and a type of their values
_MOST_TAGS = 1000
_HEADER = 65536  # bytes in which the boxes of AVIF and JPEG 2000 are looked for
_BLANK = rb"(?:\s|#[^\n]*\n)+"  # of PBM, PGM and PPM, between the first three fields
_PNM = re.compile(rb"P[1-6]" + _BLANK + rb"(\d{1,9})" + _BLANK + rb"(\d{1,9})\s")


def format_of(data: bytes) -> str:
    """What an image file is in, a key of `_SIZES`; "" for all others."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    if re.match(rb"P[1-7]\s", data):
        return "PNM"
    starts = (name for name, some in _STARTS.items() if data.startswith(some))
    return next(starts, "")


def read_size(data: bytes) -> tuple[int, int]:
    """(height, width) in pixels that the header of such a file claims.

    Raises:
      ValueError: another format, or a broken header.
    """
    try:
        height, width = _SIZES[format_of(data)](data)
    except (struct.error, IndexError, KeyError, ValueError) as error:
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


def _size_of_avif(data: bytes) -> tuple[int, int]:
    """The largest of the sizes there: an image has tiles and thumbnails too."""
    head, sizes, at = data[:_HEADER], [], 0
    while (at := head.find(b"ispe", at)) >= 0:
        width, height = struct.unpack_from(">II", head, at + 8)
        sizes.append((height, width))
        at += 4
    return max(sizes, key=lambda size: size[0] * size[1])


def _size_of_jpeg_2000(data: bytes) -> tuple[int, int]:
    """Of the file's box, or of a bare code stream."""
    if (at := data[:_HEADER].find(b"ihdr")) >= 0:
        height, width = struct.unpack_from(">II", data, at + 4)
        return height, width
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    return bottom - top, right - left


def _size_of_pnm(data: bytes) -> tuple[int, int]:
    if data[:2] == b"P7":
        head = data[:_HEADER].split(b"ENDHDR")[0]
        fields = dict(re.findall(rb"^(WIDTH|HEIGHT) (\d{1,9})$", head, re.MULTILINE))
        return int(fields[b"HEIGHT"]), int(fields[b"WIDTH"])
    found = _PNM.match(data[:_HEADER])
    if not found:
        raise ValueError
    return int(found[2]), int(found[1])


def _size_of_sun_raster(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 4)
    return height, width


_STARTS: Mapping[str, tuple[bytes, ...]] = MappingProxyType(
    {
        "TIFF": (b"II*\0", b"MM\0*"),
        "GIF": (b"GIF87a", b"GIF89a"),
        "JPEG 2000": (b"\0\0\0\x0cjP  \r\n", b"\xff\x4f\xff\x51"),
        "Sun raster": (b"\x59\xa6\x6a\x95",),
        "BMP": (b"BM",),
    }
)
_SIZES: Mapping[str, Callable[[bytes], tuple[int, int]]] = MappingProxyType(
    {
        "WebP": _size_of_webp,
        "AVIF": _size_of_avif,
        "PNM": _size_of_pnm,
        "TIFF": _size_of_tiff,
        "GIF": _size_of_gif,
        "JPEG 2000": _size_of_jpeg_2000,
        "Sun raster": _size_of_sun_raster,
        "BMP": _size_of_bmp,
    }
)
