"""Values of annotation files: numbers, names and boxes, or one sentence of what is wrong.

JSON holds anything anywhere, so nothing is trusted to have its type. Names come without control
characters, which would reach the terminal, and class names in NFC, because some systems write
"é" as one character and others as two.
"""

import math
import reprlib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from datasets.layouts.annotations import Annotation
from datasets.layouts.labels import check_names
from runtime.errors import InputError

Box = tuple[float, float, float, float]
_MAX_SIDE = 1e6


def shortened(value: object) -> str:
    """A value for a message, however large it is, and without control characters."""
    return reprlib.repr(value)


def number(value: object, *, where: str) -> float:
    """A finite number.

    Raises:
      InputError: it is something else, such as a number in quotes.
    """
    try:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:  # of an integer beyond all floats
        pass
    raise InputError(f"{where} is {shortened(value)}; it must be a number.")


def text(value: object, *, where: str) -> str:
    """A name as text; JSON can escape half a character, which no file name or label may be.

    Raises:
      InputError: it is no text, or holds control characters.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: the name {shortened(value)} is no text: correct it.")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
        raise InputError(
            f"{where}: the name {ascii(value)[:100]} is no text, since it holds a control "
            "character or half a character: correct it."
        )
    return value


def class_name(value: object, *, where: str) -> str:
    """A class's name as `text`, stripped and in NFC.

    Raises:
      InputError: as `text`, or it is empty.
    """
    name = unicodedata.normalize("NFC", text(value, where=where)).strip()
    if not name:
        raise InputError(f"{where} has no class: every object needs one.")
    return name


def side(value: object, *, where: str) -> int:
    """Pixels of an image's side; 0 where it is None or 0, unknown.

    Raises:
      InputError: it is no such number.
    """
    pixels = 0.0 if value is None else number(value, where=where)
    if not 0 <= pixels <= _MAX_SIDE:
        raise InputError(f"{where} is {pixels:g}; it must lie between 0 and a million.")
    return round(pixels)


def around(points: object, *, where: str) -> Box:
    """The box (ymin, xmin, ymax, xmax) around points (x, y).

    Raises:
      InputError: there is none, or one is no pair of numbers.
    """
    pairs = []
    if not isinstance(points, list | tuple):
        raise InputError(f"{where} has {shortened(points)} in place of a list of points.")
    for point in points:
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise InputError(f"{where} has the point {shortened(point)}; it must be x and y.")
        pairs.append([number(v, where=f"{where}: a coordinate") for v in point])
    if not pairs:
        raise InputError(f"{where} has no points: correct or remove it.")
    xs, ys = zip(*pairs, strict=True)
    return min(ys), min(xs), max(ys), max(xs)


def mapping(value: object, *, where: str) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
      InputError: it is something else.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where} is {shortened(value)}; it must be an object of JSON, {{...}}.")
    return value


def listed(value: object, *, where: str) -> list[Any]:
    """A JSON list; None counts as an empty one.

    Raises:
      InputError: it is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{where} is {shortened(value)}; it must be a list of JSON, [...].")
    return value


def refuse_relative(annotations: Iterable[Annotation | InputError], *, where: str) -> None:
    """Checks that boxes are in pixels.

    Raises:
      InputError: there are boxes, and none reaches beyond 1: they are shares of the image's sides.
    """
    there = [item for item in annotations if isinstance(item, Annotation) and item.objects]
    if there and all(max(map(abs, t.box)) <= 1 for item in there for t in item.objects):
        raise InputError(
            f"{where}: every coordinate is 1 or less, so the boxes are shares of the images' "
            "sides: multiply them by width and height, since boxes are read in pixels."
        )


def learn_labels(annotations: Iterable[Annotation | InputError], *, where: str) -> tuple[str, ...]:
    """The class names of annotations, sorted.

    Raises:
      InputError: there is none, or one is no class's.
    """
    read = [item for item in annotations if isinstance(item, Annotation)]
    names = sorted({thing.name for item in read for thing in item.objects})
    if not names:
        raise InputError(
            f"{where} names no class, since no object was read: annotate images first."
        )
    return check_names(names, where=where)


def joined(one: Annotation | InputError, other: Annotation | InputError) -> Annotation | InputError:
    """The objects of both annotations of one image, each once; the first error of the two."""
    if isinstance(one, InputError):
        return one
    if isinstance(other, InputError):
        return other
    there = {*one.objects}
    return one._replace(objects=one.objects + tuple(t for t in other.objects if t not in there))
