"""COCO's JSON of instances: images, categories and boxes as the converters want them.

COCO numbers its 80 categories from 1 to 90 with gaps, so an id is never a class: classes are the
categories in the order of their ids. Crowds, boxes around many objects at once, are kept as
difficult objects that are never trained on. A file name that leads out of the images' folder is
refused. Records number classes from 1 without a gap; the manifest notes the ids under `coco_ids`,
and each record keeps its image's id, so that results can be handed in under COCO's numbers.

What one row breaks is an error of its image alone. Exporters add categories that are no classes,
such as the project's name as everything's supercategory: without objects, these are left out.
"""

import collections
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from datasets.layouts import json_file
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.coco_rows import Id, read_id, read_image, read_object
from datasets.layouts.labels import BACKGROUND, check_names
from datasets.layouts.picture_files import PictureFinder, without_annotation
from datasets.layouts.source import AnnotatedImage, Options, Source
from datasets.layouts.values import class_name, joined, mapping, refuse_relative, shortened
from runtime import limits
from runtime.errors import InputError


class Coco(NamedTuple):
    """One file of instances.

    Attributes:
      labels: class k is labels[k - 1].
      category_ids: COCO's id of each label.
      annotations: by the image's id as text, in the file's order; the error met where an image
        or one of its boxes breaks a rule.
      filenames: relative to the images' folder; none for an image whose name leads out of it.
      left_out: categories and images that are not among these, with the reason.
    """

    labels: tuple[str, ...]
    category_ids: dict[str, Id]
    annotations: dict[str, Annotation | InputError]
    filenames: dict[str, str]
    left_out: dict[str, str]


def recognises(path: str) -> bool:
    """Whether it is a JSON file, unless it is one of another layout."""
    others = ("via", "labelstudio")
    return json_file.is_named_json(path) and json_file.format_of(path) not in others


def open_source(options: Options) -> Source:
    """Every image of the file, in its order.

    Raises:
      InputError: as `read_coco`.
    """
    coco = read_coco(options.annotations)
    images = images_of(coco, options)
    labels = {*(options.labels or coco.labels)}
    ids = {name: k for name, k in coco.category_ids.items() if name in labels}
    return Source(
        images,
        coco.labels,
        left_out=coco.left_out,
        findings=without_annotation(images.values()),
        notes={"coco_ids": ids},
    )


def images_of(coco: Coco, options: Options) -> dict[str, AnnotatedImage]:
    """The images of a file, by their ids."""
    images = {}
    finder = PictureFinder(options.folder, coco.filenames.values())
    for image_id, annotation in coco.annotations.items():
        name = coco.filenames.get(image_id, "")
        place = f"{options.annotations}, image {image_id}" + (f" ({name})" if name else "")
        path: str | InputError = finder.path(name) if options.with_images else name
        if image_id not in coco.filenames and isinstance(annotation, InputError):
            path = annotation
        images[image_id] = AnnotatedImage(place, annotation, path, source_id=image_id)
    return images


def read_coco(path: str) -> Coco:
    """Reads a file such as `instances_train2017.json`.

    Raises:
      InputError: it cannot be read, or is no such file.
    """
    tables = _read_tables(path)
    names, left_out = _read_categories(tables, where=path)
    ids = _image_ids(tables["images"], where=path)
    objects, errors = _read_objects(tables["annotations"], {*ids}, names, where=path)
    annotations: dict[str, Annotation | InputError] = {}
    filenames: dict[str, str] = {}
    for image_id, image in ids.items():
        key, here = str(image_id), f"{path}: image {image_id}"
        try:
            annotation = read_image(image, tuple(objects.get(image_id, ())), where=here)
        except InputError as error:
            annotations[key] = errors.get(image_id, error)
            continue
        filenames[key] = annotation.filename
        annotations[key] = errors.get(image_id, annotation)
    lost = {str(k): error for k, error in errors.items() if k not in ids}  # without image
    annotations |= lost
    refuse_relative(annotations.values(), where=path)
    left_out |= _merge_same_files(annotations, filenames, where=path)
    labels = tuple(names.values())
    return Coco(labels, {name: k for k, name in names.items()}, annotations, filenames, left_out)


def _read_tables(path: str) -> dict[str, list]:
    tables = json_file.read_json(path, layout="coco")
    for name in ("images", "annotations", "categories"):
        if not isinstance(tables, dict) or not isinstance(tables.get(name), list):
            raise InputError(
                f"{path} has no list of {name}: pass a COCO file of instances, such as "
                "instances_train2017.json."
            )
    needs = {
        "images": ("id", "file_name"),
        "annotations": ("image_id", "category_id"),
        "categories": ("id", "name"),
    }
    for name, keys in needs.items():
        rows = tables[name]
        for key in keys:
            if rows and not any(isinstance(row, dict) and key in row for row in rows):
                raise InputError(
                    f"{path} is no COCO file of instances (none of its {name} has a {key}): images "
                    "need id and file_name, annotations image_id, category_id and bbox, categories "
                    "id and name."
                )
    return tables


def _read_categories(
    tables: Mapping[str, list], *, where: str
) -> tuple[dict[Id, str], dict[str, str]]:
    """Category id -> name, by id; and what is none, with the reason."""
    if not tables["categories"]:
        raise InputError(
            f"{where} names no class, since its list of categories is empty: export it anew "
            "together with its classes."
        )
    if len(tables["categories"]) > limits.MAX_CLASSES:
        raise InputError(
            f"{where} has {len(tables['categories'])} categories, more than {limits.MAX_CLASSES}."
        )
    names: dict[Id, str] = {}
    parents = set()
    for number, row in enumerate(tables["categories"], start=1):
        here = f"{where}: category number {number}"
        row = mapping(row, where=here)
        category, name = read_id(row.get("id"), where=f"{here}, id"), row.get("name")
        name = class_name(name, where=here)
        if names.setdefault(category, name) != name:
            raise InputError(f"{where}: two categories have the same id: each needs its own.")
        parent = row.get("supercategory")
        if isinstance(parent, str) and parent != name:
            parents.add(unicodedata.normalize("NFC", parent).strip())
    used = {_id_or_none(row.get("category_id")) for row in tables["annotations"] if _is_row(row)}
    left_out = {}
    for category, name in [item for item in names.items() if item[0] not in used]:
        place = f"{where}: category {category} ({name})"
        if name in parents:
            left_out[place] = "is the supercategory of others and has no objects"
        elif name.lower() == BACKGROUND:
            left_out[place] = "is the background, class 0 of every detector, and has no objects"
        if place in left_out:
            del names[category]
    ordered = dict(sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0])))
    check_names(list(ordered.values()), where=where)
    return ordered, left_out


def _is_row(row: object) -> bool:
    return isinstance(row, dict)


def _id_or_none(value: object) -> Id | None:
    try:
        return read_id(value, where="")
    except InputError:
        return None


def _image_ids(rows: Iterable[object], *, where: str) -> dict[Id, Mapping[str, Any]]:
    ids: dict[Id, Mapping[str, Any]] = {}
    for number, row in enumerate(rows, start=1):
        here = f"{where}: image number {number}"
        image = mapping(row, where=here)
        image_id = read_id(image.get("id"), where=f"{here}, id")
        if image_id in ids:
            raise InputError(f"{where}: two images have the id {image_id}: remove one.")
        ids[image_id] = image
    return ids


def _read_objects(
    rows: Iterable[object], ids: set[Id], names: Mapping[Id, str], *, where: str
) -> tuple[dict[Id, list[Object]], dict[Id, InputError]]:
    """Objects of every image, and the first error of those that have one, be they there or not."""
    objects: dict[Id, list[Object]] = collections.defaultdict(list)
    errors: dict[Id, InputError] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            error = InputError(f"{where}: annotation number {number} is {shortened(row)}.")
            errors.setdefault(f"of annotation number {number}", error)
            continue
        here = f"{where}: annotation {shortened(row.get('id', 'without id')).strip(chr(39))}"
        image_id: Id = f"of annotation number {number}"
        try:
            image_id = read_id(row.get("image_id"), where=f"{here}, image_id")
            if image_id not in ids:
                raise InputError(f"{here} is of image {image_id}, which is not among the images.")
            category = read_id(row.get("category_id"), where=f"{here}, category_id")
            if category not in names:
                raise InputError(
                    f"{here} is of category {category}, which is not among the others."
                )
            objects[image_id].append(read_object(row, names[category], where=here))
        except InputError as error:
            errors.setdefault(image_id, error)
    return objects, errors


def _merge_same_files(
    annotations: dict[str, Annotation | InputError], filenames: dict[str, str], *, where: str
) -> dict[str, str]:
    """Joins the objects of a file that is listed under several ids to its first; the others go."""
    first: dict[str, str] = {}
    left_out = {}
    for image_id, name in list(filenames.items()):
        kept = first.setdefault(name, image_id)
        if kept == image_id:
            continue
        annotations[kept] = joined(annotations[kept], annotations.pop(image_id))
        del filenames[image_id]
        place = f"{where}: image {image_id} ({name})"
        left_out[place] = f"is the same file as image {kept}, which has its objects now"
    return left_out
