"""Image files as bytes: what their header says, and whether they are whole.

Records hold JPEG and PNG files byte for byte, so a file is checked, never encoded anew (others are,
by `datasets.layouts.other_formats`). The format is told from the content: a PNG called `.jpg` is a
PNG. A JPEG that was cut off is found by its missing end marker before it is decoded, because
decoders differ in how they take it.
"""

import collections
import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from runtime import files
from runtime.errors import InputError, one_line

MAX_PIXELS = 100_000_000
# What tells images from other files in a folder; where an image has several, the first is taken.
PICTURE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"),
    *(".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".sr", ".ras"),
)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA
_JPEG_END = b"\xff\xd9"


class Header(NamedTuple):
    """`format` is "JPEG" or "PNG", height and width are pixels as stored (before EXIF rotation)."""

    format: str
    height: int
    width: int
    channels: int


def check_picture(data: bytes) -> Header:
    """Checks that an image file is whole and decodes, and returns its header.

    Raises:
      ValueError: what is wrong with it, as the end of a sentence that starts with its name.
    """
    header = read_header(data)
    check_size(header.height, header.width)
    try:
        if header.format == "JPEG":
            # All of the file is read and its Huffman codes decoded; only pixels come out fewer.
            tf.io.decode_jpeg(data, channels=3, ratio=8)
        else:
            tf.io.decode_png(data, channels=3)
    except tf.errors.OpError as error:
        raise ValueError(f"does not decode as {header.format}: copy or export it anew") from error
    return header


def check_header_limits(data: bytes) -> None:
    """Checks that decoding takes bounded memory, whatever an image's header claims.

    Raises:
      ValueError: too many pixels, a broken header, or none of JPEG, PNG, GIF and BMP.
    """
    if data.startswith((b"GIF8", b"BM")):
        at, sides = (6, "<HH") if data[:1] == b"G" else (18, "<ii")
        if len(data) < 26:
            raise ValueError("was cut off inside its header: copy it anew")
        width, height = map(abs, struct.unpack_from(sides, data, at))
    else:
        _, height, width, _ = read_header(data, whole=False)
    check_size(height, width)


def check_size(height: int, width: int) -> None:
    """Raises ValueError where an image has more pixels than decoding is allowed."""
    if height * width > MAX_PIXELS:
        raise ValueError(f"claims {width} x {height} pixels, more than {MAX_PIXELS}: scale it down")


def read_header(data: bytes, *, whole: bool = True) -> Header:
    """Reads the header of a JPEG or PNG file without decoding it.

    Args:
      data: the file.
      whole: whether to look for the file's end too.

    Raises:
      ValueError: another format, a broken header, or a JPEG without its end.
    """
    try:
        if data.startswith(_PNG_SIGNATURE):
            header = _read_png(data, whole=whole)
        elif data.startswith(b"\xff\xd8"):
            header = _read_jpeg(data, whole=whole)
        else:
            raise ValueError("is neither JPEG nor PNG: save it as one of them")
    except (struct.error, IndexError) as error:
        raise ValueError("was cut off inside its header: copy it anew") from error
    if not (header.height and header.width):
        raise ValueError(f"has {header.width} x {header.height} pixels: remove it")
    return header


def _read_png(data: bytes, *, whole: bool) -> Header:
    kind, width, height, _, colour = struct.unpack_from(">4sIIBB", data, 12)
    if kind != b"IHDR" or colour not in _PNG_CHANNELS:
        raise ValueError("has a broken PNG header: export it anew")
    if whole and b"IEND" not in data[-1024:]:
        raise ValueError("was cut off: its PNG end chunk is missing; copy it anew")
    return Header("PNG", height, width, _PNG_CHANNELS[colour])


def _read_jpeg(data: bytes, *, whole: bool) -> Header:
    """Walks the segments up to the first scan; thumbnails inside them are jumped over."""
    header = None
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ValueError("has a broken JPEG header: export it anew")
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _JPEG_FRAMES:
            height, width, channels = struct.unpack_from(">HHB", data, position + 5)
            header = Header("JPEG", height, width, channels)
        position += 2 + length
        if marker == _JPEG_SCAN:
            break
    if header is None:
        raise ValueError("has no JPEG frame before its first scan: export it anew")
    if whole and data.find(_JPEG_END, position) < 0:
        raise ValueError("was cut off: its JPEG end marker is missing; copy it anew")
    return header


def printable(name: str) -> str:
    r"""A file's name with the bytes that are not UTF-8 spelled out, as in `caf\xe9.jpg`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def names_in(folder: str) -> list[str]:
    """Names in a folder, also those that are not UTF-8; none where it is no folder.

    Raises:
      InputError: it cannot be listed.
    """
    if not is_folder(folder):
        return []
    try:  # TensorFlow ends at a name that is not UTF-8
        return os.listdir(folder) if files.is_local(folder) else tf.io.gfile.listdir(folder)
    except (OSError, tf.errors.OpError) as error:
        raise InputError(f"{folder} cannot be listed ({one_line(error)}): check it.") from error


def others_in(folder: str) -> list[str]:
    """Names of what lies in a folder and is no image; of folders with a '/', and no hidden ones."""
    names = sorted(name.rstrip("/") for name in names_in(folder) if not name.startswith("."))
    others = (name for name in names if not name.lower().endswith(PICTURE_ENDINGS))
    return [f"{n}/" if is_folder(os.path.join(folder, n)) else n for n in others]


def count_endings(names: Iterable[str]) -> str:
    """How many names have which ending, the most first: "3 .heic, 1 folder, 1 without ending"."""
    endings = collections.Counter(
        "folder" if name.endswith("/") else os.path.splitext(name)[1].lower() or "without ending"
        for name in names
    )
    return ", ".join(f"{n} {e}{'s' * (e == 'folder' and n > 1)}" for e, n in endings.most_common())


def pictures_in(folder: str) -> list[str]:
    """Paths of a folder's images in the order of their names, without hidden ones."""
    names = sorted(name for name in names_in(folder) if not name.startswith("."))
    return [os.path.join(folder, n) for n in names if n.lower().endswith(PICTURE_ENDINGS)]


def is_folder(path: str) -> bool:
    """Whether there is a folder of this name, here or on a remote file system."""
    return os.path.isdir(path) if files.is_local(path) else tf.io.gfile.isdir(path)


def read_picture(path: str) -> np.ndarray:
    """Reads an image file as uint8[H, W, 3] RGB.

    Raises:
      ValueError: the file is empty, truncated or not a supported image, or its path is not UTF-8.
      tf.errors.OpError: the file cannot be opened.
    """
    if printable(path) != path:
        raise ValueError("its name is not UTF-8: rename it")
    with tf.io.gfile.GFile(path, "rb") as file:
        return decode_picture(file.read())


def decode_picture(encoded: bytes) -> np.ndarray:
    """An image file's bytes as uint8[H, W, 3] RGB.

    Raises:
      ValueError: they are empty, truncated or not a supported image.
    """
    data = np.frombuffer(encoded, np.uint8)
    if not data.size:
        raise ValueError("the file is empty")
    if data[:2].tobytes() == b"\xff\xd8":  # JPEG: OpenCV turns it upright and makes it 8-bit RGB
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    else:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("the file is truncated or not a supported image")
    return pixels if data[:2].tobytes() == b"\xff\xd8" else to_rgb(pixels)


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """OpenCV's pixels (grey or BGR, u8 or u16) -> uint8[H, W, 3] RGB, without transparency.

    Raises:
      ValueError: another type of number.
    """
    if pixels.dtype == np.uint16:
        pixels = np.round(pixels / 257.0).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ValueError(f"its pixels are {pixels.dtype}: only 8 and 16 bits are known")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] < 3:
        return cv2.cvtColor(pixels[..., 0], cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2RGB)
