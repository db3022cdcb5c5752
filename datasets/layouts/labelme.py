"""LabelMe: a JSON file beside each image, with shapes in pixels.

Rectangles, polygons, circles and masks are objects, by the box around them; shapes of one label and
one group_id are parts of one object, as LabelMe's own converters take them. Points and lines are
left out. An image has the name of its file; where there is none, the one that the file names, if
that lies beside it. `difficult` is X-AnyLabeling's.
"""

import functools
import itertools
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from datasets.layouts import json_file
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.image_file import PICTURE_ENDINGS
from datasets.layouts.picture_files import base_name, no_folder, walk
from datasets.layouts.source import AnnotatedImage, Options, Source
from datasets.layouts.values import (
    Box,
    around,
    class_name,
    learn_labels,
    listed,
    mapping,
    shortened,
    side,
    text,
)
from runtime.errors import InputError

# Files that are listed, and looked into, before a folder is no LabelMe's.
_LISTED, _ASKED = 200_000, 20
_NO_AREA = ("point", "points", "line", "linestrip")
_SIDES = ("imageHeight", "imageWidth")
_BOUNDED = ("rectangle", "polygon", "rotation", "mask", "quadrilateral")


class Shapes(NamedTuple):
    """One file: its annotation, and shapes that are no objects, with the reason."""

    annotation: Annotation
    left_out: dict[str, str]


def recognises(path: str) -> bool:
    """Whether a folder has LabelMe's JSON files in it or below, among the first that are found."""
    if not os.path.isdir(path):
        return False
    found = filter(json_file.is_named_json, itertools.islice(walk(path), _LISTED))
    return any(json_file.format_of(file) == "labelme" for file in itertools.islice(found, _ASKED))


def open_source(options: Options) -> Source:
    """The images of all files in the folder and below.

    Raises:
      InputError: there is no such folder, or no such file in it.
    """
    folder, flag = options.folder, options.folder_flag
    if not os.path.isdir(folder):
        raise no_folder(folder, flag=flag, what="the folder of LabelMe's JSON files")
    paths = list(walk(folder))
    pictures = {path for path in paths if path.lower().endswith(PICTURE_ENDINGS)}
    images: dict[str, AnnotatedImage] = {}
    left_out: dict[str, str] = {}
    users: dict[str, str] = {}  # of each image, the file that annotates it
    for path in filter(json_file.is_named_json, paths):
        image = _read(path, pictures, left_out, options)
        if image and isinstance(image.path, str) and users.setdefault(image.path, path) != path:
            error = InputError(f"{path} is of {image.path}, as {users[image.path]} is: remove one.")
            image = image._replace(annotation=error, path=error)
        if image:
            images[os.path.splitext(os.path.relpath(path, folder))[0]] = image
    if not images:
        raise InputError(
            f"{flag}={folder} has no JSON file of LabelMe in it or below: pass the folder that "
            "holds them beside their images."
        )
    for path in sorted(pictures - users.keys()) if options.with_images else ():
        left_out[path] = "has no annotation"
    annotations = [image.annotation for image in images.values()]
    return Source(
        images,
        labels=functools.partial(learn_labels, annotations, where=folder),
        left_out=left_out,
    )


def _read(
    path: str, pictures: set[str], left_out: dict[str, str], options: Options
) -> AnnotatedImage | None:
    """The image of a file; None where it is of another format, and left out."""
    annotation: Annotation | InputError
    told = json_file.format_of(path)
    if told not in ("labelme", ""):
        left_out[path] = f"is a file of {json_file.FORMATS[told].title}"
        return None
    try:
        made = json_file.read_json(path, layout="labelme", flag=options.folder_flag)
        if not isinstance(made, dict) or "shapes" not in made:
            left_out[path] = "is no file of LabelMe, since it has no shapes"
            return None
        annotation, others = read_shapes(made, where=path)
        left_out |= others
    except InputError as error:
        annotation = error
    name = annotation.filename if isinstance(annotation, Annotation) else ""
    return AnnotatedImage(path, annotation, _find_picture(path, name, pictures))


def _find_picture(path: str, name: str, pictures: set[str]) -> str | InputError:
    stem = os.path.splitext(path)[0]
    named = os.path.join(os.path.dirname(path), name)
    beside = [stem + ending for ending in PICTURE_ENDINGS]
    beside += [stem + ending.upper() for ending in PICTURE_ENDINGS]
    for candidate in (*beside, named):
        if candidate in pictures:
            return candidate
    said = f" ({name})" if name else ""
    return InputError(f"{path} has no image{said} beside it: put it there.")


def read_shapes(made: Mapping[str, Any], *, where: str) -> Shapes:
    """Reads the content of one file.

    Raises:
      InputError: a shape or the image's size breaks a rule.
    """
    name = base_name(text(made.get("imagePath") or "", where=f"{where}, imagePath"))
    height, width = (side(made.get(key), where=f"{where}: {key}") for key in _SIDES)
    objects: list[Object] = []
    groups: dict[tuple[str, int | str], int] = {}
    left_out = {}
    for number, value in enumerate(listed(made["shapes"], where=f"{where}: shapes"), start=1):
        here = f"{where}, shape {number}"
        shape = mapping(value, where=here)
        label = class_name(shape.get("label"), where=here)
        kind = shape.get("shape_type") or "polygon"
        if kind not in (*_BOUNDED, "circle"):
            what = "has no area" if kind in _NO_AREA else "is no shape that a box can be made of"
            left_out[f"{here} ({label})"] = f"{shortened(kind)} {what}"
            continue
        thing = Object(
            label,
            _bounds(shape.get("points"), kind, where=here),
            difficult=shape.get("difficult") is True,
            truncated=False,
        )
        group = shape.get("group_id")
        at = groups.get((label, group)) if isinstance(group, int | str) else None
        if at is not None:
            objects[at] = thing._replace(box=_union(objects[at].box, thing.box))
            continue
        if isinstance(group, int | str):
            groups[label, group] = len(objects)
        objects.append(thing)
    return Shapes(Annotation(name, width, height, 3, tuple(objects)), left_out)


def _bounds(points: Any, kind: str, *, where: str) -> Box:
    box = around(points, where=where)
    if kind != "circle":
        return box
    if len(points) != 2:
        raise InputError(f"{where} is a circle of {len(points)} points; it must be centre and rim.")
    (x, y), rim = points
    radius = math.dist((x, y), rim)
    return y - radius, x - radius, y + radius, x + radius


def _union(one: Box, other: Box) -> Box:
    least = [min(pair) for pair in zip(one[:2], other[:2], strict=True)]
    most = [max(pair) for pair in zip(one[2:], other[2:], strict=True)]
    return least[0], least[1], most[0], most[1]
