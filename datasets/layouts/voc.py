"""Pascal VOC folders: split files, annotations and where the images lie.

A VOC folder holds `Annotations/<id>.xml`, `JPEGImages/<id>.<extension>` and, mostly,
`ImageSets/Main/<split>.txt`. The id is the annotation's own file name: `<filename>` inside the XML
is often a path of another machine or lacks its extension, so it never serves to find the image.
"""

import os
from collections.abc import Collection

import tensorflow as tf

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.image_file import PICTURE_ENDINGS
from datasets.layouts.voc_xml import read_annotation
from runtime import files
from runtime.errors import InputError

__all__ = [
    "VOC_LABELS",
    "Annotation",
    "Object",
    "annotation_path",
    "find_pictures",
    "find_voc_dir",
    "list_annotated",
    "list_splits",
    "read_annotation",
    "read_split",
]

VOC_LABELS = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)


def find_voc_dir(dataset_dir: str, *, flag: str = "--dataset_dir") -> str:
    """The VOC folder that `dataset_dir` is, or the only one that it contains (a VOCdevkit).

    Raises:
      InputError: no such folder, no VOC folder in it, or several.
    """
    folder = dataset_dir.rstrip("/") or dataset_dir
    if not folder or not tf.io.gfile.isdir(folder):
        raise InputError(f"{flag}={dataset_dir} is not a folder: pass a VOC folder.")
    if tf.io.gfile.isdir(os.path.join(folder, "Annotations")):
        return folder
    names = sorted(name.rstrip("/") for name in _list(folder))
    found = [n for n in names if tf.io.gfile.isdir(os.path.join(folder, n, "Annotations"))]
    if len(found) == 1:
        return os.path.join(folder, found[0])
    if found:
        raise InputError(
            f"{flag}={dataset_dir} contains several VOC folders ({', '.join(found)}): pass "
            f"one of them, for example {flag}={os.path.join(folder, found[0])}."
        )
    raise InputError(
        f"{flag}={dataset_dir} has no Annotations folder, nor has a folder in it (there "
        f"are: {', '.join(names[:10]) or 'no files'}): pass the folder that holds Annotations."
    )


def annotation_path(voc_dir: str, image_id: str) -> str:
    """Where the annotation of an image stands."""
    return os.path.join(voc_dir, "Annotations", image_id + ".xml")


def list_annotated(voc_dir: str) -> list[str]:
    """The ids of all annotated images, sorted. Raises InputError when there are none."""
    ids = sorted(_annotated(voc_dir))
    if not ids:
        raise InputError(f"{voc_dir}/Annotations holds no .xml file: annotate images first.")
    return ids


def _list(folder: str) -> list[str]:
    try:
        return tf.io.gfile.listdir(folder)
    except UnicodeDecodeError as error:  # of the name that is its `object`
        name = error.object.decode("utf-8", "backslashreplace")
        raise InputError(f"{folder}/{name} has a name that is not UTF-8: rename it.") from error


def _annotated(voc_dir: str) -> list[str]:
    names = _list(os.path.join(voc_dir, "Annotations"))
    return [name[:-4] for name in names if name.endswith(".xml") and name[0] != "."]


def list_splits(voc_dir: str) -> list[str]:
    """The names of the split files in ImageSets/Main, sorted; empty without such a folder."""
    folder = os.path.join(voc_dir, "ImageSets", "Main")
    if not tf.io.gfile.isdir(folder):
        return []
    return sorted(n[:-4] for n in _list(folder) if n.endswith(".txt"))


def read_split(voc_dir: str, split: str, *, flag: str = "--split") -> list[str]:
    """The image ids of a split, in the file's order; every annotated image when split is ''.

    A second column of -1, 0 or 1 (the devkit's per-class files) is left out, and with it its
    meaning: every image that the file names is taken. It is no column where it is the end of an
    annotated image's name, as in "photo 1".

    Raises:
      InputError: the split file is missing or empty, or a line is no image id or stands twice.
    """
    if not split:
        return list_annotated(voc_dir)
    path = os.path.join(voc_dir, "ImageSets", "Main", split + ".txt")
    if "/" in split or split not in list_splits(voc_dir):
        there = ", ".join(list_splits(voc_dir)) or "none"
        raise InputError(f"{flag}={split}: there is no {path} (splits there: {there}).")
    lines = _read_text(path).splitlines()
    annotated = set(_annotated(voc_dir))
    ids = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            _add_id(ids, _picture_id(line, annotated), number=number, path=path)
    if not ids:
        raise InputError(f"{path} names no image: a split has one image id per line.")
    return list(ids)


def find_pictures(voc_dir: str) -> dict[str, str]:
    """Maps image id to the path of its file in JPEGImages; JPEG first where an id has several."""
    folder = os.path.join(voc_dir, "JPEGImages")
    if not tf.io.gfile.isdir(folder):
        raise InputError(f"{voc_dir} has no JPEGImages folder: put the images there.")
    stems = [(*os.path.splitext(name), name) for name in _list(folder)]
    known = [s for s in stems if s[1].lower() in PICTURE_ENDINGS and s[2][0] != "."]
    known.sort(key=lambda s: PICTURE_ENDINGS.index(s[1].lower()), reverse=True)
    return {stem: os.path.join(folder, name) for stem, _, name in known}


def _picture_id(line: str, annotated: Collection[str]) -> str:
    whole = line.strip()
    first, *rest = whole.rsplit(maxsplit=1)
    is_column = rest in (["-1"], ["0"], ["1"]) and whole not in annotated
    return first if is_column else whole


def _add_id(ids: dict[str, int], image_id: str, *, number: int, path: str) -> None:
    if "/" in image_id or "\\" in image_id or image_id in (".", ".."):
        raise InputError(
            f"{path}, line {number}: {image_id!r} is a path, but a split names image ids: "
            "the file name of the annotation without folder and .xml."
        )
    if image_id in ids:
        raise InputError(
            f"{path}, line {number}: {image_id} stands already in line {ids[image_id]}; an image "
            "may be in a split once: remove one of the lines."
        )
    ids[image_id] = number


def _read_text(path: str) -> str:
    try:
        return files.read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}): save it as UTF-8.") from error
