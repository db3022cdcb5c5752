"""Image files as pixels; what a header claims is checked before anything is decoded."""

import cv2
import numpy as np

from datasets.layouts.image_file import (
    check_size,
    printable,
    read_header,
    read_image_bytes,
    to_rgb,
)
from datasets.layouts.other_formats import format_of, read_size

_UNKNOWN = "the file is truncated or not a supported image"


def read_picture(path: str) -> np.ndarray:
    """Reads an image file as uint8[H, W, 3] RGB.

    Raises:
      ValueError: the file cannot be read, is empty, too large, truncated or not a supported image,
        or its path is not UTF-8.
    """
    if printable(path) != path:
        raise ValueError("its name is not UTF-8 or has control characters: rename it")
    return decode_picture(read_image_bytes(path))


def decode_picture(data: bytes) -> np.ndarray:
    """An image file's bytes as uint8[H, W, 3] RGB.

    Raises:
      ValueError: they are none, too many pixels, truncated or not a supported image.
    """
    if not data:
        raise ValueError("the file is empty")
    is_jpeg = data.startswith(b"\xff\xd8")
    if is_jpeg or data.startswith(b"\x89PNG\r\n\x1a\n"):
        header = read_header(data, whole=False)
        check_size(header.height, header.width)
    elif format_of(data):
        check_size(*read_size(data))
    else:
        raise ValueError(_UNKNOWN)
    # OpenCV turns a JPEG upright and makes it 8-bit RGB.
    how = cv2.IMREAD_COLOR_RGB if is_jpeg else cv2.IMREAD_UNCHANGED
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    if pixels is None:
        raise ValueError(_UNKNOWN)
    return pixels if is_jpeg else to_rgb(pixels)
