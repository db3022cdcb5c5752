"""COCO's JSON of instances: images, categories and boxes as the converters want them.

COCO numbers its 80 categories from 1 to 90 with gaps, so an id is never a class: classes are the
categories in the order of their ids. Crowds, boxes around many objects at once, are kept as
difficult objects that are never trained on. A file name that leads out of the images' folder is
refused. Records number classes from 1 without a gap; the manifest notes the ids under `coco_ids`,
and each record keeps its image's id, so that results can be handed in under COCO's numbers.
"""

import json
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.labels import check_labels
from datasets.layouts.source import AnnotatedImage, Options, Source
from runtime.errors import InputError


class Coco(NamedTuple):
    """One file of instances.

    Attributes:
      labels: class k is labels[k - 1].
      category_ids: COCO's id of each label.
      annotations: by the image's id as text, in the file's order; the error met where an image
        or one of its boxes breaks a rule.
      filenames: relative to the images' folder; none for an image whose name leads out of it.
    """

    labels: tuple[str, ...]
    category_ids: dict[str, int]
    annotations: dict[str, Annotation | InputError]
    filenames: dict[str, str]


def recognises(path: str) -> bool:
    """Whether it is a JSON file."""
    return path.endswith(".json")


def open_source(options: Options) -> Source:
    """Every image of the file, in its order.

    Raises:
      InputError: as `read_coco`.
    """
    coco = read_coco(options.annotations)
    images = {}
    for image_id, annotation in coco.annotations.items():
        name = coco.filenames.get(image_id, "")
        place = f"{options.annotations}, image {image_id}" + (f" ({name})" if name else "")
        path: str | InputError = os.path.join(options.folder, name)
        if image_id not in coco.filenames and isinstance(annotation, InputError):
            path = annotation
        images[image_id] = AnnotatedImage(place, annotation, path, source_id=image_id)
    labels = options.labels or coco.labels
    ids = {name: k for name, k in coco.category_ids.items() if name in labels}
    return Source(images, coco.labels, notes={"coco_ids": ids})


def read_coco(path: str) -> Coco:
    """Reads a file such as `instances_train2017.json`.

    Raises:
      InputError: it cannot be read, is no such file, or names an image or category that it does
        not have.
    """
    tables = _read_tables(path)
    try:
        names = _read_categories(tables["categories"], where=path)
        objects, errors = _read_objects(tables, names, where=path)
        annotations, filenames = {}, {}
        for image in tables["images"]:
            image_id = str(image["id"])
            if image_id in annotations:
                raise InputError(f"{path}: two images have the id {image_id}: remove one.")
            annotation = _read_image(image, tuple(objects[image_id]), where=path)
            annotations[image_id] = errors.get(image_id, annotation)
            if isinstance(annotation, Annotation):
                filenames[image_id] = annotation.filename
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path} is no COCO file of instances ({type(error).__name__}: {error}): images need "
            "id and file_name, annotations image_id, category_id and bbox, categories id and name."
        ) from error
    labels = tuple(names.values())
    return Coco(labels, {name: k for k, name in names.items()}, annotations, filenames)


def _read_tables(path: str) -> dict[str, list]:
    if not path:
        raise InputError("--coco_annotations is missing: give the JSON file of the instances.")
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            tables = json.loads(file.read())
    except tf.errors.OpError as error:
        raise InputError(f"{path} cannot be read ({error.message}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}): copy or export it anew.") from error
    for name in ("images", "annotations", "categories"):
        if not isinstance(tables, dict) or not isinstance(tables.get(name), list):
            raise InputError(
                f"{path} has no list of {name}: pass a COCO file of instances, such as "
                "instances_train2017.json."
            )
    return tables


def _read_categories(rows: list[Mapping[str, Any]], *, where: str) -> dict[int, str]:
    """Category id -> name, by id."""
    names = {row["id"]: _text(row["name"], where=where).strip() for row in rows}
    if len(names) < len(rows):
        raise InputError(f"{where}: two categories have the same id: each needs its own.")
    ordered = dict(sorted(names.items()))
    check_labels(list(ordered.values()), where=where)
    return ordered


def _read_objects(
    tables: Mapping[str, list], names: Mapping[int, str], *, where: str
) -> tuple[dict[str, list[Object]], dict[str, InputError]]:
    """Objects of every image, and the first error of those that have one."""
    objects: dict[str, list[Object]] = {str(image["id"]): [] for image in tables["images"]}
    errors: dict[str, InputError] = {}
    for row in tables["annotations"]:
        image_id, category = str(row["image_id"]), row["category_id"]
        here = f"{where}: annotation {row.get('id', 'without id')}"
        if image_id not in objects:
            raise InputError(f"{here} is of image {image_id}, which is not among the images.")
        if category not in names:
            raise InputError(f"{here} is of category {category}, which is not among the others.")
        try:
            objects[image_id].append(_read_object(row, names[category], where=here))
        except InputError as error:
            errors.setdefault(image_id, error)
    return objects, errors


def _read_object(row: Mapping[str, Any], name: str, *, where: str) -> Object:
    box = row["bbox"]
    plain = isinstance(box, list) and len(box) == 4
    if not plain or not all(isinstance(v, int | float) and math.isfinite(v) for v in box):
        raise InputError(
            f"{where} has the bbox {box}; it must be four numbers x, y, width, height."
        )
    x, y, width, height = map(float, box)
    crowd = bool(row.get("iscrowd", 0))
    return Object(
        name=name,
        box=(y, x, y + height, x + width),
        difficult=crowd,
        truncated=False,
        crowd=crowd,
    )


def _read_image(
    image: Mapping[str, Any], objects: tuple[Object, ...], *, where: str
) -> Annotation | InputError:
    name = _text(image["file_name"], where=where)
    if name.startswith(("/", "~")) or "://" in name or ".." in name.replace("\\", "/").split("/"):
        return InputError(
            f"{where}: image {image['id']} is {name!r}, which leads out of the images' folder: "
            "names are relative to it."
        )
    sides = [image.get(side) or 0 for side in ("width", "height")]
    if not all(isinstance(side, int | float) and 0 <= side <= 1e6 for side in sides):
        return InputError(f"{where}: image {image['id']} has the size {sides}, no pixels.")
    return Annotation(name, round(sides[0]), round(sides[1]), 3, objects)


def _text(value: object, *, where: str) -> str:
    """A name as text; JSON can escape half a character, which no file name or label may be."""
    text = str(value)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{where}: the name {text!a} is no text: correct it.")
    return text
