"""Folders in YOLO's layout: a text file of boxes for each image.

The text files lie beside the images or in `labels` beside `images`, whichever folders these are in.
Class names come from Ultralytics' YAML file, from `classes.txt`, or from the user. Splits are what
these files name, or else folders called train, val (or valid) and test. An empty text file is an
image without objects; so is an image without text file that is in a split of Ultralytics' YAML,
which is counted. Elsewhere that is an image nobody labelled yet, and is left out.
"""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from datasets.layouts import tree, yolo_labels
from datasets.layouts.annotations import Annotation
from datasets.layouts.image_file import is_folder
from datasets.layouts.labels import check_names
from datasets.layouts.orientation import shown_size
from datasets.layouts.source import AnnotatedImage, Options, Source
from datasets.layouts.yolo_data import Description, describe, has_names, is_yaml
from runtime import files, limits
from runtime.errors import InputError

_LABEL_FOLDERS = ("labels", "label", "txt")
_HEADER = 65536  # bytes that hold the size of most images
_START = 200  # bytes that tell whether a text file holds numbers
_LOOKED_AT = 100  # text files, of which some may be empty
_DEEPEST = 3  # folders within folders that are looked into to recognise the layout


class _Files(NamedTuple):
    """Images and text files by id, relative to the folder; several others have an image's id."""

    pictures: Mapping[str, str]
    labels: Mapping[str, str]
    spare: Mapping[str, str]


def recognises(path: str) -> bool:
    """Whether it is a folder with text files of numbers for images, or a YAML file of classes."""
    if is_yaml(path):
        return has_names(path)
    try:
        if not path or not is_folder(path):
            return False
        paths = tree.list_files(path, deepest=_DEEPEST)
        labels = list(sort(paths).labels.values())
        described = (f"{path}/{name}" for name in paths if is_yaml(name) and "/" not in name)
        texts = (f"{path}/{label}" for label in labels[:_LOOKED_AT])
        return bool(labels) and (any(map(has_names, described)) or any(map(_holds_numbers, texts)))
    except InputError:
        return False


def _holds_numbers(path: str) -> bool:
    words = files.read_start(path, _START).split()[:5]
    try:
        return len([float(word) for word in words]) == 5
    except ValueError:
        return False


def sort(paths: Sequence[str]) -> _Files:
    """Which of a folder's files are images, and which are the labels of one."""
    pictures, spare = tree.pictures_by_id(paths)
    texts = (path for path in paths if path.lower().endswith(".txt"))
    labels = {tree.id_of(path, _LABEL_FOLDERS): path for path in texts}
    return _Files(pictures, {i: labels[i] for i in pictures if i in labels}, spare)


def open_source(options: Options) -> Source:
    """Reads the labels of a YOLO folder's split; `folder` may be its YAML file.

    Raises:
      InputError: no such folder, images, labels, class names or split.
    """
    chosen = os.path.basename(options.folder) if is_yaml(options.folder) else ""
    folder = (os.path.dirname(options.folder) or ".") if chosen else options.folder
    folder = tree.check_folder(folder, flag=options.folder_flag, kind="YOLO folder")
    paths = tree.list_files(folder)
    found = sort(paths)
    labels = {*found.labels.values()}
    description = describe(folder, [p for p in paths if p not in labels], chosen=chosen)
    if not found.labels:
        raise InputError(
            f"{options.folder_flag}={options.folder} has no text file for any of its "
            f"{len(found.pictures)} images: a.jpg needs a.txt beside it, or images/a.jpg "
            "labels/a.txt."
        )
    names = description.names or dict(enumerate(options.labels or ()))
    if not names:
        raise InputError(
            f"{folder} does not say what its classes are called: add a classes.txt with a name a "
            "line, or give --labels_file."
        )
    images, left_out, missing = {}, {}, 0
    in_splits = {*itertools.chain(*description.splits.values())}
    splits = _splits(found, description)
    for image_id in _ids(found, splits, options):
        picture, label = found.pictures[image_id], found.labels.get(image_id)
        path = f"{folder}/{picture}"
        if label is None and not (description.is_ultralytics and picture in in_splits):
            left_out[path] = "has no text file; an image without objects has an empty one"
            continue
        missing += label is None
        place = f"{folder}/{label}" if label else path
        annotation = _read(place if label else "", path, names, description, options)
        images[image_id] = AnnotatedImage(place, annotation, path)
    if missing:
        options.report(f"Images without text file, taken as images without objects: {missing}.")
    return Source(
        images,
        check_names(list(names.values()), where=folder),
        left_out=left_out | dict(_left_out(folder, paths, found, description)),
        notes={"images_without_label_file": missing} if missing else {},
        splits=tuple(sorted(splits)),
    )


def _splits(found: _Files, description: Description) -> dict[str, set[str]]:
    """Paths of the images of each split."""
    splits = {split: {*paths} for split, paths in description.splits.items() if paths}
    if not splits:
        for path in found.pictures.values():
            splits.setdefault(tree.split_of(path), set()).add(path)
        splits.pop("", None)
    return splits


def _ids(found: _Files, splits: Mapping[str, set[str]], options: Options) -> list[str]:
    """Ids of the images of the split."""
    there = ", ".join(sorted(splits))
    if not options.split:
        if splits:
            options.report(f"No --split: the images of all are taken (splits: {there}).")
        return list(found.pictures)
    chosen = splits.get(tree.split_called(options.split))
    if chosen is None:
        raise InputError(
            f"--split={options.split}: neither a file nor a folder of {options.folder} is of it "
            f"(splits there: {there or 'none'})."
        )
    return [image_id for image_id, path in found.pictures.items() if path in chosen]


def _read(
    label: str, path: str, names: Mapping[int, str], description: Description, options: Options
) -> Annotation | InputError:
    """An image's objects in pixels; in shares where nobody looks at images."""
    try:
        return yolo_labels.read_annotation(
            files.read_text(label) if label else "",
            names=names,
            filename=os.path.basename(path),
            size=_size_of(path) if options.with_images else (1, 1),
            where=label,
            has_keypoints=description.has_keypoints,
        )
    except InputError as error:
        return error


def _size_of(path: str) -> tuple[int, int]:
    """(height, width); 1 x 1 of an image that is broken, which is found out later."""
    for count in (_HEADER, limits.MAX_IMAGE_BYTES):
        try:
            return shown_size(files.read_start(path, count))
        except ValueError:
            continue
    return 1, 1


def _left_out(
    folder: str, paths: Sequence[str], found: _Files, description: Description
) -> Iterator[tuple[str, str]]:
    """What else lies in the folder: pairs (place, reason)."""
    yield from ((f"{folder}/{path}", reason) for path, reason in found.spare.items())
    used = {*found.labels.values(), *description.used}
    others = [path for path in paths if not (path in used or tree.is_picture(path))]
    alone = [path for path in others if path.lower().endswith(".txt") and _is_label(path)]
    yield from ((f"{folder}/{path}", "has no image") for path in alone)
    others = sorted({*others} - {*alone})
    yield from tree.passed_over(folder, others, layout="YOLO folder").items()
    yield from description.left_out.items()


def _is_label(path: str) -> bool:
    return any(folder.lower() in _LABEL_FOLDERS for folder in path.split("/")[:-1])
