"""VIA's JSON (VGG Image Annotator 1 and 2): annotations alone, or a whole project.

Rectangles, polygons, circles and ellipses are objects, by the box around them. Which attribute of a
region is its class, users name as they like: it is the only one, or one called class, label or the
like. An attribute of checkboxes gives an object for each box that is ticked. VIA does not tell the
size of an image, and lists those without regions, which are images without objects.
"""

import collections
import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from datasets.layouts import json_file
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.picture_files import PictureFinder, base_name, without_annotation
from datasets.layouts.source import AnnotatedImage, Options, Source
from datasets.layouts.values import (
    Box,
    around,
    class_name,
    joined,
    learn_labels,
    mapping,
    number,
    refuse_relative,
    shortened,
    text,
)
from runtime.errors import InputError

_CLASS_NAMES = ("class", "label", "name", "type", "category", "object", "class_name", "species")


class Regions(NamedTuple):
    """One file.

    Attributes:
      annotations: by the image's name, in the file's order; the error met where a region breaks a
        rule.
      left_out: regions that are no objects, with the reason.
    """

    annotations: dict[str, Annotation | InputError]
    left_out: dict[str, str]


def recognises(path: str) -> bool:
    """Whether it is a JSON file of VIA."""
    return json_file.is_named_json(path) and json_file.format_of(path) == "via"


def open_source(options: Options) -> Source:
    """Every image of the file, in its order.

    Raises:
      InputError: it is no such file, or does not tell which attribute is the class.
    """
    path = options.annotations
    regions = read_regions(path)
    refuse_relative(regions.annotations.values(), where=path)
    finder = PictureFinder(options.folder, regions.annotations)
    images = {
        name: AnnotatedImage(
            f"{path}, {base_name(name)}",
            annotation,
            finder.path(name) if options.with_images else name,
        )
        for name, annotation in regions.annotations.items()
    }
    return Source(
        images,
        labels=functools.partial(learn_labels, regions.annotations.values(), where=path),
        left_out=regions.left_out,
        findings=without_annotation(images.values()),
    )


def read_regions(path: str) -> Regions:
    """Reads a file of annotations or a project.

    Raises:
      InputError: it is no such file, or does not tell which attribute is the class.
    """
    tables = mapping(json_file.read_json(path, layout="via"), where=path)
    rows = mapping(tables.get("_via_img_metadata", tables), where=f"{path}: _via_img_metadata")
    if not any(isinstance(row, dict) and "filename" in row for row in rows.values()):
        raise InputError(
            f"{path} has no image with a filename: export the annotations as JSON from VIA."
        )
    attribute = _class_attribute(rows.values(), where=path)
    annotations: dict[str, Annotation | InputError] = {}
    left_out: dict[str, str] = {}
    for position, value in enumerate(rows.values(), start=1):
        name = where = f"{path}, image number {position}"
        annotation: Annotation | InputError
        try:
            row = mapping(value, where=where)
            name = text(row.get("filename"), where=where)
            where = f"{path}, {base_name(name)}"
            annotation = _read(row, name, attribute, left_out, where=where)
        except InputError as error:
            annotation = error
        there = annotations.get(name)
        annotations[name] = joined(there, annotation) if there else annotation
    return Regions(annotations, left_out)


def _regions_of(row: object) -> Iterator[tuple[str, Any]]:
    """Regions with their numbers: a list in VIA 2, an object of numbers in VIA 1."""
    regions = row.get("regions") if isinstance(row, dict) else None
    if isinstance(regions, dict):
        yield from regions.items()
    elif isinstance(regions, list):
        yield from ((str(k), region) for k, region in enumerate(regions))


def _class_attribute(rows: Iterable[object], *, where: str) -> str:
    """The attribute of regions that is their class; "" where no region has any."""
    counts: collections.Counter[str] = collections.Counter()
    for row in rows:
        for _, region in _regions_of(row):
            attributes = region.get("region_attributes") if isinstance(region, dict) else None
            if isinstance(attributes, dict):
                counts.update(name for name, value in attributes.items() if value)
    known = [name for name in counts if name.strip().lower() in _CLASS_NAMES]
    if known:
        return min(known, key=lambda name: _CLASS_NAMES.index(name.strip().lower()))
    if len(counts) > 1:
        raise InputError(
            f"{where}: regions have the attributes {shortened([*counts])}, and which is the class "
            "cannot be told: rename that one to class."
        )
    return next(iter(counts), "")


def _read(
    row: Mapping[str, Any], name: str, attribute: str, left_out: dict[str, str], *, where: str
) -> Annotation:
    if not isinstance(row.get("regions", []), list | dict):
        raise InputError(f"{where}: regions is {shortened(row['regions'])}; it must be a list.")
    objects: list[Object] = []
    for key, value in _regions_of(row):
        here = f"{where}, region {shortened(key)}"
        region = mapping(value, where=here)
        shape = mapping(region.get("shape_attributes"), where=f"{here}: shape_attributes")
        box = _box(shape, where=here)
        names = _names_of(region, attribute, where=here)
        if box is None:
            left_out[here] = f"{shortened(shape.get('name'))} has no area"
        elif not names:
            left_out[here] = "has no class"
        else:
            objects += [Object(each, box, difficult=False, truncated=False) for each in names]
    return Annotation(base_name(name), 0, 0, 3, tuple(objects))


def _names_of(region: Mapping[str, Any], attribute: str, *, where: str) -> list[str]:
    attributes = mapping(region.get("region_attributes") or {}, where=f"{where}: region_attributes")
    value = attributes.get(attribute)
    ticked = (
        [name for name, is_on in value.items() if is_on] if isinstance(value, dict) else [value]
    )
    return [class_name(each, where=where) for each in ticked if each not in (None, "")]


def _box(shape: Mapping[str, Any], *, where: str) -> Box | None:
    """The box around a shape; None for points and lines."""

    def read(*keys: str) -> list[float]:
        return [number(shape.get(key), where=f"{where}: {key}") for key in keys]

    kind = shape.get("name")
    if kind == "rect":
        x, y, width, height = read("x", "y", "width", "height")
        return y, x, y + height, x + width
    if kind == "polygon":
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if not (isinstance(xs, list) and isinstance(ys, list) and len(xs) == len(ys)):
            raise InputError(f"{where}: all_points_x and all_points_y must be lists of one length.")
        return around([*zip(xs, ys, strict=True)], where=where)
    if kind == "circle":
        x, y, radius = read("cx", "cy", "r")
        return y - radius, x - radius, y + radius, x + radius
    if kind == "ellipse":
        x, y, a, b = read("cx", "cy", "rx", "ry")
        turn = number(shape.get("theta") or 0, where=f"{where}: theta")
        sine, cosine = math.sin(turn), math.cos(turn)
        across, down = math.hypot(a * cosine, b * sine), math.hypot(a * sine, b * cosine)
        return y - down, x - across, y + down, x + across
    if kind in ("point", "polyline"):
        return None
    raise InputError(f"{where} has the shape {shortened(kind)}, which VIA 2 does not have.")
