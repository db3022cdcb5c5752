"""Detections as the VOC devkit's text files, comp4_det_test_CLASS.txt, one per class.

A line is `image_id score xmin ymin xmax ymax`. Coordinates are in the annotations' own pixel
coordinates, nothing added or taken off: VOC's start at 1 and include the last pixel. Numbers are
written with as many digits as reading them back to the same value takes, so files score exactly
as the detections they were written from.

The name says "test" whatever the split: other tools look for that name.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, NoReturn

import numpy as np
import tensorflow as tf

from metrics.voc import Detections, concatenate
from runtime import files, limits
from runtime.errors import InputError

_FIELDS = "image_id score xmin ymin xmax ymax"


class Submission(NamedTuple):
    """What a folder of devkit files holds."""

    detections: Detections  # images numbered by their place in the image ids
    warnings: tuple[str, ...]  # a sentence for each class that lacks its file


def file_name(label: str) -> str:
    """Name of the file of one class."""
    return f"comp4_det_test_{label}.txt"


def check_names(*, labels: Sequence[str] = (), image_ids: Sequence[str] = ()) -> None:
    """What a label, part of a file's name, and an image's id, a field of a line, may be.

    Raises:
      InputError: a label has a slash in it; an id has a space in it or is another's too.
    """
    for label in labels:
        if "/" in label:
            raise InputError(
                f"Class {label!r} cannot have a devkit file, in whose name a slash would be a "
                "folder's: rename the class, or do without these files."
            )
    seen: set[str] = set()
    for image_id in image_ids:
        if len(image_id.split()) != 1:
            raise InputError(
                f"Image {image_id!r} cannot be in a devkit file, where spaces separate the "
                f"fields: rename the image."
            )
        if image_id in seen:
            raise InputError(
                f"Two images have the id {image_id!r}, and a devkit file could not tell them "
                "apart: write one data set at a time, or rename an image."
            )
        seen.add(image_id)


def write(
    folder: str | os.PathLike[str],
    detections: Detections,
    *,
    image_ids: Sequence[str],
    labels: Sequence[str],
) -> None:
    """Writes a file per class, empty ones included, sorted by image.

    Args:
      folder: made when absent; files of the same names are replaced, others are left.
      detections: of D rows.
      image_ids: image i has the id image_ids[i].
      labels: class k has the name labels[k - 1].

    Raises:
      InputError: as `check_names`.
    """
    check_names(labels=labels, image_ids=image_ids)
    tf.io.gfile.makedirs(os.fspath(folder))
    order = np.lexsort((detections.images, detections.classes))
    bounds = np.searchsorted(detections.classes[order], np.arange(1, len(labels) + 2))
    for number, label in enumerate(labels, start=1):
        rows = order[bounds[number - 1] : bounds[number]]
        with tf.io.gfile.GFile(os.path.join(folder, file_name(label)), "w") as file:
            file.write("".join(_lines(Detections(*(c[rows] for c in detections)), image_ids)))


def read(
    folder: str | os.PathLike[str],
    *,
    image_ids: Sequence[str],
    labels: Sequence[str],
    expected: Collection[str] | None = None,
) -> Submission:
    """Reads the files of all classes; a class without one has no detections and a warning.

    Args:
      folder: other files in it are left aside.
      image_ids: the images of the split; image i has the id image_ids[i].
      labels: class k has the name labels[k - 1].
      expected: those of the labels that are worth a warning; all by default.

    Raises:
      InputError: the folder is absent or has a file for none of the classes; a label has a slash
        in it; a line does not have six fields, has a number that is none or not finite, a box that
        ends before it begins, or the id of an image outside the split (the message names file and
        line); or a file is no text.
    """
    check_names(labels=labels)
    folder = os.fspath(folder)
    if not tf.io.gfile.isdir(folder):
        raise InputError(f"{folder} is not a folder: give one with {file_name('CLASS')} files.")
    present = set(tf.io.gfile.listdir(folder))
    missing = [label for label in labels if file_name(label) not in present]
    if len(missing) == len(labels):
        raise InputError(
            f"{folder} has no file for any of the {len(labels)} classes: name them "
            f"{file_name('CLASS')}, for instance {file_name(labels[0])}."
        )
    numbers = {image_id: number for number, image_id in enumerate(image_ids)}
    parts = [
        _read_class(os.path.join(folder, file_name(label)), number, numbers)
        for number, label in enumerate(labels, start=1)
        if label not in missing
    ]
    warnings = (
        f"{folder} has no {file_name(label)}: class {label} scored as if it had no detections."
        for label in missing
        if expected is None or label in expected
    )
    return Submission(concatenate(parts), tuple(warnings))


def _lines(detections: Detections, image_ids: Sequence[str]) -> Iterable[str]:
    scores = detections.scores.astype(str)  # the shortest digits that a float32 needs are fewer
    columns = (detections.images.tolist(), scores.tolist(), detections.boxes.tolist())
    for image, score, (ymin, xmin, ymax, xmax) in zip(*columns, strict=True):
        yield f"{image_ids[image]} {score} {xmin!r} {ymin!r} {xmax!r} {ymax!r}\n"


def _read_class(path: str, number: int, image_numbers: Mapping[str, int]) -> Detections:
    rows = [line.split() for line in _read_text(path).splitlines()]
    kept = [row for row in rows if row]
    try:
        images = np.array([image_numbers[row[0]] for row in kept], np.int64)
        numbers = np.array([row[1:] for row in kept], np.float64).reshape(len(kept), 5)
    except (KeyError, ValueError):
        _refuse_first_bad(path, rows, image_numbers)
    boxes = numbers[:, [2, 1, 4, 3]]
    sizes = boxes[:, 2:] - boxes[:, :2] + 1.0
    if not np.isfinite(numbers).all() or (sizes < 0).any():
        _refuse_first_bad(path, rows, image_numbers)
    return Detections(images, np.full(len(kept), number), numbers[:, 0], boxes)


def _read_text(path: str) -> str:
    try:
        return files.read(path, most=limits.MAX_TABLE_BYTES).decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text: it must have lines of {_FIELDS}.") from None


def _refuse_first_bad(
    path: str, rows: Sequence[Sequence[str]], image_numbers: Mapping[str, int]
) -> NoReturn:
    for line, row in enumerate(rows, start=1):
        problem = _problem(row, image_numbers) if row else None
        if problem:
            raise InputError(f"{path}, line {line}: {problem}")
    raise AssertionError(f"{path} was refused but every line of it reads")


def _problem(row: Sequence[str], image_numbers: Mapping[str, int]) -> str | None:
    """The rule that a line breaks and how to correct it, or None."""
    if len(row) != 6:
        return f"it has {len(row)} fields: it must have six, {_FIELDS}."
    if row[0] not in image_numbers:
        return (
            f"image {row[0]!r} is not among the {len(image_numbers)} of the split: score the "
            f"split that the detections were made for."
        )
    try:
        numbers = np.array(row[1:], np.float64)
    except ValueError:
        numbers = np.full(5, np.nan)
    if not np.isfinite(numbers).all():
        return f"{' '.join(row[1:])!r} must be five finite numbers, {_FIELDS[9:]}."
    if (numbers[3:] - numbers[1:3] + 1.0 < 0).any():
        return f"the box {' '.join(row[2:])} ends before it begins: the order is {_FIELDS[15:]}."
    return None
