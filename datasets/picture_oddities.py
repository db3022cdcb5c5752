"""What is unusual about a picture file that is whole: nothing that keeps it from being read.

EXIF's rotation is the one that does harm: viewers and labelling tools obey it, decoders here do
not, so boxes may have been drawn on a picture that lies on its side.
"""

import os
import struct

from datasets.picture_file import Header

_EXTENSIONS = {"JPEG": (".jpg", ".jpeg", ".jpe"), "PNG": (".png",)}
_ORIENTATION = 0x0112
_MOST_TAGS = 1000


def find_oddities(data: bytes, header: Header, *, filename: str) -> list[tuple[str, str]]:
    """(kind of defect, sentence's end) pairs for a picture file that `check_picture` passed."""
    found = []
    extension = os.path.splitext(filename)[1].lower()
    if extension and extension not in _EXTENSIONS[header.format]:
        found.append(("mislabelled", f"is a {header.format} file called {extension}"))
    if header.channels in (1, 2):
        found.append(("greyscale", "is greyscale"))
    if header.format == "JPEG" and header.channels == 4:
        found.append(("cmyk", "has four channels (CMYK): its colours may change in decoding"))
    if header.format == "PNG":
        found += _png_oddities(data, header)
    elif (turn := orientation(data)) > 1:
        found.append(("exif_rotated", f"is rotated by its EXIF tag ({turn}), which is not obeyed"))
    return found


def _png_oddities(data: bytes, header: Header) -> list[tuple[str, str]]:
    found = []
    if data[24] == 16:
        found.append(("sixteen_bit", "has 16 bits a channel, of which 8 are used"))
    if header.channels in (2, 4):
        found.append(("transparent", "has a channel of transparency, which is ignored"))
    return found


def orientation(data: bytes) -> int:
    """EXIF's orientation of a JPEG file, 1 to 8; 1 where it has none or a broken one."""
    try:
        return _read_orientation(data)
    except (struct.error, IndexError):
        return 1


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
