"""Single rows of COCO's tables: ids, boxes and crowds, as many tools write them.

An id is a number or text, and the same in all tables: 1, 1.0 and "1" are equal. Where a row has a
polygon and no bbox, its box is the one around the polygon.
"""

import re
from collections.abc import Mapping
from typing import Any

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.picture_files import leads_out, with_slashes
from datasets.layouts.values import around, number, shortened, side, text
from runtime.errors import InputError

Id = int | str
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,30})(\.0+)?")
_NOT_NUMBERS = "it must be four numbers x, y, width, height"


def read_id(value: object, *, where: str) -> Id:
    """An id, a number wherever it is a whole one.

    Raises:
      InputError: it is neither number nor text.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InputError(f"{where} is {shortened(value)}; an id is a number or text.")
    if isinstance(value, int):
        return value
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value.split(".")[0])
    return text(value, where=where)


def read_object(row: Mapping[str, Any], name: str, *, where: str) -> Object:
    """The object of an annotation.

    Raises:
      InputError: it has no box, or iscrowd is neither 0 nor 1.
    """
    crowd = row.get("iscrowd", 0)
    if not isinstance(crowd, int | float) or crowd not in (0, 1):
        raise InputError(f"{where} has the iscrowd {shortened(crowd)}; it must be 0 or 1.")
    return Object(
        name=name,
        box=_read_box(row, where=where),
        difficult=bool(crowd),
        truncated=False,
        crowd=bool(crowd),
    )


def _read_box(row: Mapping[str, Any], *, where: str) -> tuple[float, float, float, float]:
    box = row.get("bbox")
    if box is None or box == []:
        return _around_polygon(row.get("segmentation"), where=where)
    told = f"{where} has the bbox {shortened(box)}"
    if isinstance(box, dict) and {"x", "y", "width", "height"} <= box.keys():
        raise InputError(f"{told}, an object as imglab writes it; {_NOT_NUMBERS}, in a list.")
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(f"{told}; {_NOT_NUMBERS}.")
    if any(isinstance(value, str) for value in box):
        raise InputError(f"{told}, text in quotes; {_NOT_NUMBERS}: export it without quotes.")
    try:
        x, y, width, height = (number(value, where=where) for value in box)
    except InputError as error:
        raise InputError(f"{told}; {_NOT_NUMBERS}.") from error
    return y, x, y + height, x + width


def _around_polygon(polygons: object, *, where: str) -> tuple[float, float, float, float]:
    if not isinstance(polygons, list) or not any(polygons):
        what = "only a mask" if polygons else "no polygon either"
        raise InputError(f"{where} has the bbox None, and {what}: {_NOT_NUMBERS}.")
    # One polygon is a flat list of coordinates; some tools leave the outer list out.
    flat = [polygons] if isinstance(polygons[0], int | float) else polygons
    points: list[list[object]] = []
    for polygon in flat:
        if not isinstance(polygon, list) or len(polygon) % 2:
            raise InputError(f"{where} has the polygon {shortened(polygon)}, no pairs x, y.")
        points += [polygon[k : k + 2] for k in range(0, len(polygon), 2)]
    return around(points, where=where)


def read_image(image: Mapping[str, Any], objects: tuple[Object, ...], *, where: str) -> Annotation:
    """The annotation of an image.

    Raises:
      InputError: its name leads out of the images' folder, or its size is none.
    """
    name = text(image.get("file_name"), where=f"{where}, file_name")
    if leads_out(name):
        raise InputError(
            f"{where} is {name!r}, which leads out of the images' folder: names are relative to it."
        )
    sides = [image.get(key) for key in ("width", "height")]
    try:
        width, height = (side(value, where=where) for value in sides)
    except InputError as error:
        raise InputError(f"{where} has the size {shortened(sides)}, no pixels.") from error
    return Annotation(with_slashes(name), width, height, 3, objects)
