"""Draws boxes on images, and sheets that show the truth beside what was found.

Every class keeps one colour, text stands on a filled plate in whichever of black and white reads
better, and line widths and letters grow with the image. An image handed in is never changed.
Needs OpenCV 5, whose fonts know letters beyond ASCII.
"""

import colorsys
import functools
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

Colour = tuple[int, int, int]  # RGB, 0-255

_PALETTE: tuple[Colour, ...] = (
    (230, 57, 70),
    (0, 128, 214),
    (42, 157, 67),
    (245, 130, 32),
    (132, 60, 190),
    (0, 171, 169),
    (226, 62, 153),
    (122, 92, 58),
    (250, 196, 40),
    (24, 78, 119),
    (148, 190, 48),
    (190, 110, 220),
    (128, 20, 40),
    (96, 205, 238),
    (255, 140, 130),
    (0, 92, 70),
    (150, 130, 0),
    (90, 90, 110),
    (255, 160, 210),
    (120, 225, 160),
)
_INK: Colour = (32, 33, 36)
_PAPER: Colour = (255, 255, 255)


class DrawnBoxes(NamedTuple):
    """Objects or detections of one image.

    Attributes:
      boxes: f32[K, 4] relative (ymin, xmin, ymax, xmax).
      names: K class names.
      scores: f32[K], or None for the truth.
      difficult: bool[K] or None; difficult objects are drawn with a thin line.
      notes: K words that stand behind names and scores, or None; "" for none.
      written: whether the names are written, or tell the colours only.
    """

    boxes: np.ndarray
    names: Sequence[str]
    scores: np.ndarray | None = None
    difficult: np.ndarray | None = None
    notes: Sequence[str] | None = None
    written: bool = True


class Comparison(NamedTuple):
    """An image, uint8[H, W, 3] RGB, with what is on it and what was found on it."""

    image: np.ndarray
    truth: DrawnBoxes
    found: DrawnBoxes


def class_colours(labels: Sequence[str]) -> dict[str, Colour]:
    """One colour for each class, as different as can be; the same for the same labels."""
    colours = {}
    for k, label in enumerate(labels):
        lap, place = divmod(k, len(_PALETTE))
        # Past the palette's end: the same hues again, each time darker or lighter.
        colours[label] = _shaded(_PALETTE[place], (1.0, 0.65, 1.35, 0.45)[lap % 4])
    return colours


def _shaded(colour: Colour, factor: float) -> Colour:
    hue, light, saturation = colorsys.rgb_to_hls(*(value / 255.0 for value in colour))
    shaded = colorsys.hls_to_rgb(hue, min(0.9, light * factor), saturation)
    red, green, blue = (round(255 * value) for value in shaded)
    return red, green, blue


def _colour_of(name: str, colours: Mapping[str, Colour]) -> Colour:
    return colours.get(name) or _PALETTE[zlib.crc32(name.encode()) % len(_PALETTE)]


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    names: Sequence[str],
    *,
    scores: np.ndarray | None = None,
    difficult: np.ndarray | None = None,
    notes: Sequence[str] | None = None,
    colours: Mapping[str, Colour] | None = None,
    written: bool = True,
) -> np.ndarray:
    """Draws boxes with their names on a copy of an image.

    Args:
      image: uint8[H, W, 3] RGB.
      boxes: f32[K, 4] relative; parts outside the image are not drawn. Best first: the first are
        drawn last, on top.
      names: K class names.
      scores: f32[K], written behind the names where given.
      difficult: bool[K]; a thin line for those that are.
      notes: K words, written behind names and scores.
      colours: name to RGB, as of `class_colours`; a name that is missing gets one by its letters.
      written: whether names are written.

    Returns:
      uint8[H, W, 3] RGB.

    Raises:
      ValueError: the lengths of boxes, names, scores, difficult or notes differ.
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    scores = [None] * len(boxes) if scores is None else list(scores)
    difficult = [False] * len(boxes) if difficult is None else list(difficult)
    notes = [""] * len(boxes) if notes is None else list(notes)
    canvas = np.ascontiguousarray(image).copy()
    corners = _to_pixels(boxes, *canvas.shape[:2])
    items = list(zip(corners, names, scores, difficult, notes, strict=True))
    for box, name, _, thin, _ in reversed(items):
        _frame(canvas, box, _colour_of(name, colours or {}), thin)
    taken: list[_Plate] = []
    for box, name, score, _, note in items if written else ():
        text = name if score is None else f"{name} {score:.2f}"
        taken.append(_place_plate(canvas, f"{text} {note}".rstrip(), box, taken))
    for plate, name in reversed(list(zip(taken, names, strict=written))):
        _draw_plate(canvas, plate, _colour_of(name, colours or {}))
    return canvas


def _to_pixels(boxes: np.ndarray, height: int, width: int) -> list[tuple[int, ...]]:
    """First and last pixel of every box: (top, left, bottom, right), within the image."""
    scaled = np.clip(np.nan_to_num(boxes), 0.0, 1.0) * (height, width, height, width)
    first = np.minimum(np.round(scaled[:, :2]), (height - 1, width - 1))
    last = np.maximum(np.round(scaled[:, 2:]) - 1.0, first)
    return [tuple(map(int, row)) for row in np.concatenate([first, last], axis=1)]


def _text_size(canvas: np.ndarray) -> int:
    """Pixels; small images keep letters that can be read."""
    return int(np.clip(round(min(canvas.shape[:2]) / 27), 9, 64))


def _frame(canvas: np.ndarray, box: Sequence[int], colour: Colour, thin: bool) -> None:
    """A line within the box, and a hairline of paper inside it that shows it on its own colour."""
    top, left, bottom, right = box
    width = 1 if thin else max(2, round(min(canvas.shape[:2]) / 160))
    for inset, tone in [*((k, colour) for k in range(width)), (width, _PAPER)][
        : width + (not thin)
    ]:
        low, high = (left + inset, top + inset), (right - inset, bottom - inset)
        if low[0] <= high[0] and low[1] <= high[1]:
            cv2.rectangle(canvas, low, high, tone, 1)


@functools.cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")


def _measure(text: str, size: int) -> tuple[int, int]:
    """Width of the text and height of a line, pixels."""
    _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, 600)
    return width, round(1.25 * size)


class _Plate(NamedTuple):
    """A filled rectangle that bears a name, pixels."""

    text: str
    x: int
    y: int
    width: int
    height: int
    pad: int

    def overlaps(self, other: "_Plate") -> bool:
        apart = (
            self.x + self.width <= other.x
            or other.x + other.width <= self.x
            or self.y + self.height <= other.y
            or other.y + other.height <= self.y
        )
        return not apart


def _place_plate(
    canvas: np.ndarray, text: str, box: Sequence[int], taken: Sequence[_Plate]
) -> _Plate:
    """Above the box, inside it, at its right or below: the first place that is free.

    Always within the image; above or inside where no place is free.
    """
    top, left, bottom, right = box
    size = _text_size(canvas)
    pad = max(2, size // 4)
    while text and _measure(text, size)[0] + 2 * pad > canvas.shape[1]:
        text = text[:-1]
    width, height = _measure(text, size)
    width += 2 * pad
    aligned_right = right + 1 - width
    spots = [(left, top - height), (left, top), (aligned_right, top - height), (left, bottom + 1)]
    room_x, room_y = canvas.shape[1] - width, max(0, canvas.shape[0] - height)
    plates = [
        _Plate(text, max(0, min(x, room_x)), y, width, height, pad)
        for x, y in [*spots, (aligned_right, top), (aligned_right, bottom + 1)]
        if 0 <= y <= room_y
    ]
    plates.append(_Plate(text, max(0, min(left, room_x)), min(top, room_y), width, height, pad))
    free = [plate for plate in plates if not any(plate.overlaps(other) for other in taken)]
    return (free or plates)[0]


def _draw_plate(canvas: np.ndarray, plate: _Plate, colour: Colour) -> None:
    corner = (plate.x + plate.width - 1, plate.y + plate.height - 1)
    cv2.rectangle(canvas, (plate.x, plate.y), corner, colour, -1)
    size = _text_size(canvas)
    _write(canvas, plate.text, plate.x + plate.pad, plate.y, size, _readable_on(colour))


def _write(canvas: np.ndarray, text: str, x: int, y: int, size: int, ink: Colour) -> None:
    """Text in the line whose upper left corner is (x, y)."""
    cv2.putText(canvas, text, (x, y + round(0.95 * size)), ink, _font(), size, 600)


def _readable_on(colour: Colour) -> Colour:
    """Paper where it has a contrast of 3 or more (luminance of WCAG 2), else ink.

    WCAG's own rule, the greater contrast, puts black on saturated blues and reads worse.
    """
    linear = (np.array(colour) / 255.0) ** 2.2
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return _PAPER if luminance <= 0.3 else _INK


def contact_sheet(
    rows: Sequence[Comparison],
    *,
    colours: Mapping[str, Colour] | None = None,
    columns: int = 2,
    cell: tuple[int, int] = (240, 320),
    titles: tuple[str, str] = ("truth", "detections"),
) -> np.ndarray:
    """A sheet of pairs: the image with its truth on the left, with its detections on the right.

    Args:
      rows: the images, from left to right and from top to bottom; at least one.
      colours: as of `draw_boxes`.
      columns: pairs beside each other.
      cell: height and width that an image is fitted into, pixels.
      titles: what stands above each pair's images.

    Returns:
      uint8[H, W, 3] RGB, white between the images.

    Raises:
      ValueError: no rows.
    """
    if not rows:
        raise ValueError("a contact sheet needs at least one image")
    gap, header = 6, 26
    columns = min(columns, len(rows))
    height, width = cell
    pair_width = 2 * width + gap
    lines = -(-len(rows) // columns)
    sheet_height = header + lines * (height + gap) + gap
    sheet = np.full((sheet_height, columns * (pair_width + 3 * gap) + gap, 3), 255, np.uint8)
    for column in range(columns):
        for half, title in enumerate(titles):
            x = 2 * gap + column * (pair_width + 3 * gap) + half * (width + gap)
            _write(sheet, title, x + (width - _measure(title, 15)[0]) // 2, 5, 15, _INK)
    for k, row in enumerate(rows):
        line, column = divmod(k, columns)
        y, x = header + line * (height + gap), 2 * gap + column * (pair_width + 3 * gap)
        for half, objects in enumerate((row.truth, row.found)):
            _place(sheet, row.image, objects, colours, (y, x + half * (width + gap)), cell)
    return sheet


def _place(
    sheet: np.ndarray,
    image: np.ndarray,
    objects: DrawnBoxes,
    colours: Mapping[str, Colour] | None,
    corner: tuple[int, int],
    cell: tuple[int, int],
) -> None:
    """Fits the image into a cell and draws on it there, so that letters keep their size."""
    scale = min(cell[0] / image.shape[0], cell[1] / image.shape[1])
    height, width = (max(1, round(scale * side)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, (width, height), interpolation=method)
    drawn = draw_boxes(
        small,
        objects.boxes,
        objects.names,
        scores=objects.scores,
        difficult=objects.difficult,
        notes=objects.notes,
        colours=colours,
        written=objects.written,
    )
    y, x = corner[0] + (cell[0] - height) // 2, corner[1] + (cell[1] - width) // 2
    sheet[y : y + height, x : x + width] = drawn


def to_png(image: np.ndarray) -> bytes:
    """uint8[H, W, 3] RGB as a PNG file."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be written as PNG")
    return data.tobytes()


def write_png(path: str, image: np.ndarray) -> None:
    """Writes uint8[H, W, 3] RGB to a PNG file; `path` may be on any of TensorFlow's filesystems."""
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(to_png(image))
