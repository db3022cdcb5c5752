"""Which way up an image is: EXIF's orientation, and boxes that were drawn on the turned image.

Viewers and most labelling tools show a JPEG as its EXIF tag says, decoders here as it is stored. An
annotation's size tells on which of the two its boxes were drawn, unless both have the same sides.
"""

import enum
import struct
from collections.abc import Sequence

from datasets.layouts.annotations import Annotation
from datasets.layouts.image_file import Header, read_header
from datasets.layouts.other_formats import format_of, read_size

_ORIENTATION = 0x0112
_MOST_TAGS = 1000
_SLACK = 2  # pixels by which tools round the size of an image
_MIRRORED_X, _MIRRORED_Y, _TRANSPOSED = (2, 3, 6, 7), (3, 4, 7, 8), (5, 6, 7, 8)

Box = tuple[float, float, float, float]


class DrawnOn(enum.Enum):
    """The image that boxes were drawn on; the value is said of an image that EXIF turns."""

    STORED = "its boxes are those of the image as it is stored"
    TURNED = "its boxes were drawn on the turned image and are turned back"
    UNKNOWN = "its size does not tell whether its boxes were drawn on the turned image"


def drawn_on(annotation: Annotation, header: Header, turn: int) -> DrawnOn:
    """Which image an annotation is of.

    Args:
      annotation: with the size that it claims, give or take two pixels; a side of 0 is unknown.
      header: of the image.
      turn: of `orientation`.

    Raises:
      ValueError: it claims the size of neither, as the end of a sentence that starts with it.
    """
    stored, claimed = (header.height, header.width), (annotation.height, annotation.width)
    turned = stored[::-1] if turn in _TRANSPOSED else stored
    off = max(abs(one - other) for one, other in zip(claimed, stored, strict=True))
    if all(claimed) and claimed != turned and off > _SLACK:
        hint = ": sides swapped, as by an EXIF rotation" if claimed == stored[::-1] else ""
        raise ValueError(
            f"says {annotation.width} x {annotation.height}, the image is {header.width} x "
            f"{header.height}{hint}"
        )
    if turn == 1:
        return DrawnOn.STORED
    if not all(claimed) or stored == turned:
        return DrawnOn.UNKNOWN
    return DrawnOn.TURNED if claimed == turned else DrawnOn.STORED


def turned_back(annotation: Annotation, turn: int) -> Annotation:
    """An annotation of the turned image as one of the image as it is stored."""
    height, width = annotation.height, annotation.width
    objects = tuple(
        item._replace(box=to_stored(item.box, turn, height=height, width=width))
        for item in annotation.objects
    )
    if turn in _TRANSPOSED:
        height, width = width, height
    return annotation._replace(height=height, width=width, objects=objects)


def to_stored(box: Sequence[float], turn: int, *, height: float = 1, width: float = 1) -> Box:
    """A box of the turned image -> the same of the image as it is stored.

    Args:
      box: ymin, xmin, ymax, xmax.
      turn: of `orientation`.
      height, width: of the turned image, in the box's unit.
    """
    ymin, xmin, ymax, xmax = box
    if turn in _MIRRORED_X:
        xmin, xmax = width - xmax, width - xmin
    if turn in _MIRRORED_Y:
        ymin, ymax = height - ymax, height - ymin
    return (xmin, ymin, xmax, ymax) if turn in _TRANSPOSED else (ymin, xmin, ymax, xmax)


def orientation(data: bytes) -> int:
    """EXIF's orientation of a JPEG file, 1 to 8; 1 where it has none or a broken one."""
    try:
        return _read_orientation(data)
    except (struct.error, IndexError):
        return 1


def shown_size(data: bytes) -> tuple[int, int]:
    """(height, width) in pixels of an image file as viewers show it, which turn it as EXIF says.

    Raises:
      ValueError: as `read_header`, or as `other_formats.read_size`.
    """
    if format_of(data):
        return read_size(data)
    header = read_header(data, whole=False)
    transposed = orientation(data) in _TRANSPOSED
    return (header.width, header.height) if transposed else (header.height, header.width)


def _read_orientation(data: bytes) -> int:
    position = 2
    while data[position] == 0xFF and data[position + 1] != 0xDA:
        if data[position + 1] == 0xFF:  # a fill byte
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        segment = data[position + 4 : position + 2 + length]
        if data[position + 1] == 0xE1 and segment.startswith(b"Exif\0\0"):
            return _orientation_in(segment[6:])
        position += 2 + length
    return 1


def _orientation_in(tiff: bytes) -> int:
    order = "<" if tiff[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for number in range(min(count, _MOST_TAGS)):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * number)
        if tag == _ORIENTATION:
            return value if 1 <= value <= 8 else 1
    return 1
