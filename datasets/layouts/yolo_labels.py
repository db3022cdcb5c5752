"""YOLO's label files: a line for each object, in shares of the image's sides.

A line is a class, counted from 0, and the box's centre x, centre y, width and height; or a class
and the corners of a polygon, x and y each, which stands for the box around it.
"""

from collections.abc import Mapping

from datasets.layouts.annotations import Annotation, Object
from runtime.errors import InputError

_SLACK = 0.01  # by which tools round shares beyond 0 and 1
_BOX, _POLYGON = 4, 6  # numbers behind the class; a polygon has at least so many


def read_annotation(
    text: str,
    *,
    names: Mapping[int, str],
    filename: str,
    size: tuple[int, int],
    where: str,
    has_keypoints: bool = False,
) -> Annotation:
    """An image's objects.

    Args:
      text: of its label file.
      names: class names by number.
      filename: of the image.
      size: (height, width) of the image as viewers show it; of 1 x 1 pixels, boxes are shares.
      where: the label file, for messages.
      has_keypoints: whether more numbers behind the box are keypoints, which are not read.

    Raises:
      InputError: naming the file, the line and the rule that it breaks.
    """
    height, width = size
    objects = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            here = f"{where}, line {number}"
            index, numbers = _read_line(line, where=here)
            if index not in names:
                raise InputError(
                    f"{here}: class {index} has no name; there are {len(names)} names, counted "
                    "from 0: add it to them or correct the line."
                )
            corners = numbers[:_BOX] if has_keypoints else numbers
            ymin, xmin, ymax, xmax = _box_of(corners, where=here)
            box = ymin * height, xmin * width, ymax * height, xmax * width
            objects.append(Object(names[index], box, difficult=False, truncated=False))
    return Annotation(filename, width, height, 3, tuple(objects))


def _read_line(line: str, *, where: str) -> tuple[int, list[float]]:
    try:
        index, *numbers = map(float, line.split())
        if not index.is_integer():
            raise ValueError
    except ValueError:
        raise InputError(
            f"{where} is {line.strip()[:60]!r}; it must be a class number and numbers between 0 "
            "and 1."
        ) from None
    return int(index), numbers


def _box_of(numbers: list[float], *, where: str) -> tuple[float, float, float, float]:
    """(ymin, xmin, ymax, xmax) of a box or polygon, in shares."""
    is_polygon = len(numbers) >= _POLYGON and len(numbers) % 2 == 0
    if len(numbers) != _BOX and not is_polygon:
        raise InputError(
            f"{where} has {len(numbers)} numbers behind its class; a box has {_BOX}, a polygon an "
            f"even number from {_POLYGON} on (detections with a score are no annotations)."
        )
    outside = [v for v in numbers if not -_SLACK <= v <= 1 + _SLACK]
    if outside:
        raise InputError(
            f"{where} has {outside[0]:g}; coordinates are shares of the image's width "
            "and height, between 0 and 1: divide pixels by them."
        )
    if is_polygon:
        xs, ys = numbers[::2], numbers[1::2]
        return min(ys), min(xs), max(ys), max(xs)
    x, y, width, height = numbers
    return y - height / 2, x - width / 2, y + height / 2, x + width / 2
