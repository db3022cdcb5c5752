"""What is unusual about a picture file that is whole: nothing that keeps it from being read."""

import os

from datasets.picture_file import Header

_EXTENSIONS = {"JPEG": (".jpg", ".jpeg", ".jpe"), "PNG": (".png",)}


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
    return found


def _png_oddities(data: bytes, header: Header) -> list[tuple[str, str]]:
    found = []
    if data[24] == 16:
        found.append(("sixteen_bit", "has 16 bits a channel, of which 8 are used"))
    if header.channels in (2, 4):
        found.append(("transparent", "has a channel of transparency, which is ignored"))
    return found
