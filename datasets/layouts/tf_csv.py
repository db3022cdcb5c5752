"""CSV of the TensorFlow Object Detection API: a line a box, its image's name and size beside it.

The header names the columns filename, width, height, class, xmin, ymin, xmax, ymax, in any order;
width and height may be missing, and other columns are passed over. An image without objects has no
line: it is an image without annotation.
"""

import csv
import functools
import io
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.picture_files import PictureFinder, with_slashes, without_annotation
from datasets.layouts.source import AnnotatedImage, Options, Source
from datasets.layouts.values import (
    class_name,
    learn_labels,
    number,
    refuse_relative,
    shortened,
    side,
    text,
)
from runtime import files, limits
from runtime.errors import InputError

_SIDES = ("ymin", "xmin", "ymax", "xmax")
_NEEDED = ("filename", "class", *_SIDES)
_HEAD_BYTES = 1 << 12


class Table(NamedTuple):
    """One CSV file.

    Attributes:
      annotations: by the image's name, in the file's order; the error met where a line breaks a
        rule.
      left_out: lines of no image, with the reason.
    """

    annotations: dict[str, Annotation | InputError]
    left_out: dict[str, str]


def recognises(path: str) -> bool:
    """Whether it is a file called .csv."""
    return path.lower().endswith(".csv") and os.path.isfile(path)


def open_source(options: Options) -> Source:
    """Every image of the file, in the order of its lines.

    Raises:
      InputError: as `read_table`.
    """
    table = read_table(options.annotations)
    refuse_relative(table.annotations.values(), where=options.annotations)
    images = images_of(table, options.annotations, options)
    return Source(
        images,
        labels=functools.partial(
            learn_labels, table.annotations.values(), where=options.annotations
        ),
        left_out=table.left_out,
        findings=without_annotation(images.values()),
    )


def images_of(table: Table, path: str, options: Options) -> dict[str, AnnotatedImage]:
    """The images of a table, by their names; `path` is its file's."""
    finder = PictureFinder(options.folder, table.annotations)
    images = {}
    for name, annotation in table.annotations.items():
        where = finder.path(name) if options.with_images else name
        images[name] = AnnotatedImage(f"{path}, {name}", annotation, where)
    return images


def read_table(path: str) -> Table:
    """Reads a file of boxes.

    Raises:
      InputError: there is none, or it has no such header.
    """
    if not path:
        raise InputError("--annotations is missing: give the CSV file of the boxes.")
    if files.is_local(path) and os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"--annotations={path} is not a regular file: pass the CSV file.")
    content = files.read_text(path, most=limits.MAX_TABLE_BYTES)
    separator, columns = _read_header(content, where=path)
    objects: dict[str, list[Object]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    errors: dict[str, InputError] = {}
    left_out = {}
    for line, row in _rows(content, separator, where=path):
        here = f"{path}, line {line}"
        try:
            name = with_slashes(text(_cell(row, columns["filename"]), where=here)).strip()
        except InputError as error:
            left_out[here] = str(error)
            continue
        if not name:
            left_out[here] = "names no image"
            continue
        objects.setdefault(name, [])
        try:
            objects[name].append(_read_object(row, columns, where=here))
            size = _read_size(row, columns, where=here)
            if sizes.setdefault(name, size) != size:
                raise InputError(f"{here}: {name} has the size {size}, and {sizes[name]} before.")
        except InputError as error:
            errors.setdefault(name, error)
    annotations = {
        name: errors.get(name) or Annotation(name, *sizes[name], 3, tuple(things))
        for name, things in objects.items()
    }
    return Table(annotations, left_out)


def _read_header(content: str, *, where: str) -> tuple[str, dict[str, int]]:
    """What separates cells, and the number of each column."""
    first = content[:_HEAD_BYTES].splitlines()[0] if content.strip() else ""
    for separator in ",;\t":
        names = [cell.strip().strip('"').strip().lower() for cell in first.split(separator)]
        if {*_NEEDED} <= {*names}:
            return separator, {name: names.index(name) for name in names}
    known = "the CSV of Open Images" if "ImageID" in first else "another CSV"
    raise InputError(
        f"{where} is {known}, since its first line is {shortened(first)}: the header must name "
        f"the columns {', '.join(_NEEDED)}, as the TensorFlow Object Detection API has them."
    )


def _rows(content: str, separator: str, *, where: str) -> Iterator[tuple[int, list[str]]]:
    """Lines behind the header, with their numbers; empty ones are none."""
    rows = csv.reader(io.StringIO(content, newline=""), delimiter=separator)
    try:
        next(rows)
        for row in rows:
            if any(cell.strip() for cell in row):
                yield rows.line_num, row
    except csv.Error as error:
        raise InputError(
            f"{where}, line {rows.line_num} is no line of CSV ({error}): correct it."
        ) from error


def _cell(row: list[str], column: int) -> str:
    return row[column] if column < len(row) else ""


def _read_object(row: list[str], columns: Mapping[str, int], *, where: str) -> Object:
    name = class_name(_cell(row, columns["class"]), where=where)
    ymin, xmin, ymax, xmax = (_number(row, columns, key, where=where) for key in _SIDES)
    return Object(name, (ymin, xmin, ymax, xmax), difficult=False, truncated=False)


def _read_size(row: list[str], columns: Mapping[str, int], *, where: str) -> tuple[int, int]:
    if not {"width", "height"} <= columns.keys():
        return 0, 0
    pixels = [_number(row, columns, key, where=where) for key in ("width", "height")]
    width, height = (side(value, where=f"{where}: the image's side") for value in pixels)
    return width, height


def _number(row: list[str], columns: Mapping[str, int], key: str, *, where: str) -> float:
    cell = _cell(row, columns[key])
    try:
        return number(float(cell), where=where)
    except ValueError as error:  # which an InputError is too
        raise InputError(f"{where}: {key} is {shortened(cell)}; it must be a number.") from error
