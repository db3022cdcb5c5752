"""Pascal VOC folders: split files, annotations and where the images lie.

A VOC folder holds `Annotations/<id>.xml`, `JPEGImages/<id>.<extension>` and, mostly,
`ImageSets/Main/<split>.txt`. Tools also write `annotations` and `images`, folders in these two, XML
beside the images, and a folder for each split; `datasets.layouts.tree` says which id a file has.
The id is the annotation's own file name: `<filename>` inside the XML is often a path of another
machine or lacks its extension, so it never serves to find the image.
"""

import os
from collections.abc import Collection, Iterable
from typing import NamedTuple

from datasets.layouts import tree
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.image_file import is_folder
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
    "scan",
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


_ANNOTATION_FOLDERS = (
    *("annotations", "annotation", "annots", "annot", "xmls", "xml", "labels", "label"),
)
_HOLDERS = (*_ANNOTATION_FOLDERS, *tree.IMAGE_FOLDERS)
_OTHER_FOLDERS = ("ImageSets", "SegmentationClass", "SegmentationObject")


class Contents(NamedTuple):
    """What lies in a VOC folder.

    Attributes:
      annotations: image id -> path of its XML, by id.
      pictures: image id -> path of the image, by id; annotated or not.
      annotation_folder: where the annotations lie: a folder in the VOC folder, or itself.
      picture_folder: where the images lie.
      left_out: files of no use: place -> reason.
    """

    annotations: dict[str, str]
    pictures: dict[str, str]
    annotation_folder: str
    picture_folder: str
    left_out: dict[str, str]


def find_voc_dir(dataset_dir: str, *, flag: str = "--dataset_dir") -> str:
    """The VOC folder that `dataset_dir` is, or the only one that it contains (a VOCdevkit).

    Raises:
      InputError: no such folder, no VOC folder in it, or several.
    """
    folder = tree.check_folder(dataset_dir, flag=flag, kind="VOC folder")
    if _is_voc(folder) or _split_folders(folder):
        return folder
    names = tree.list_names(folder)
    children = (path for path in tree.folders_in(folder) if _is_voc(path) or _split_folders(path))
    found = [os.path.basename(path) for path in children]
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


def _is_voc(folder: str) -> bool:
    """Whether it holds a folder of annotations, or annotations beside their images."""
    names = tree.list_names(folder)
    for name in names:
        path = os.path.join(folder, name)
        named = name.lower() in _ANNOTATION_FOLDERS and is_folder(path)
        if named and (name == "Annotations" or any(map(_is_xml, tree.list_files(path)))):
            return True
    pictures = {os.path.splitext(name)[0] for name in names if tree.is_picture(name)}
    return any(_is_xml(name) and os.path.splitext(name)[0] in pictures for name in names)


def _split_folders(folder: str) -> list[str]:
    """Paths of the folders in it that hold a split each: train, valid, test."""
    paths = tree.folders_in(folder)
    called = [p for p in paths if tree.split_called(os.path.basename(p)) in tree.SPLITS]
    return [p for p in called if _is_voc(p) and not is_folder(os.path.join(p, "ImageSets"))]


def _is_xml(name: str) -> bool:
    return name.lower().endswith(".xml")


def scan(voc_dir: str) -> Contents:
    """Finds the files of a VOC folder.

    Raises:
      InputError: a file has a name that is not UTF-8.
    """
    paths = tree.list_files(voc_dir, skip=_OTHER_FOLDERS)
    of_xml = _holder(filter(_is_xml, paths), _ANNOTATION_FOLDERS)
    of_pictures = _holder(filter(tree.is_picture, paths), tree.IMAGE_FOLDERS)
    xml = [path for path in paths if _is_xml(path) and path.startswith(of_xml)]
    shown = [path for path in paths if tree.is_picture(path) and path.startswith(of_pictures)]
    pictures, spare = tree.pictures_by_id(shown)
    annotations: dict[str, str] = {}
    for path in xml:
        image_id = _id_of_xml(path, pictures)
        if (first := annotations.setdefault(image_id, path)) != path:
            spare[path] = f"is the annotation of the same image as {first}"
    others = [path for path in {*paths} - {*xml, *shown} if _may_be_data(path, of_xml, of_pictures)]
    left_out = {os.path.join(voc_dir, path): reason for path, reason in spare.items()}
    return Contents(
        tree.under(voc_dir, dict(sorted(annotations.items()))),
        tree.under(voc_dir, pictures),
        os.path.join(voc_dir, of_xml).rstrip("/"),
        os.path.join(voc_dir, of_pictures).rstrip("/"),
        left_out | tree.passed_over(voc_dir, others, layout="VOC folder"),
    )


def _holder(paths: Iterable[str], holders: tuple[str, ...]) -> str:
    """The folder that the paths are taken from, with a '/' at its end; "" where none is for them.

    The first of `holders` in whatever case, the devkit's own before others.
    """
    tops = {path.split("/")[0] for path in paths if "/" in path}
    known = [top for top in tops if top.lower() in holders]
    devkit = [top for top in known if top in ("Annotations", "JPEGImages")]
    chosen = devkit or sorted(known, key=lambda top: (holders.index(top.lower()), top))
    return f"{chosen[0]}/" if chosen else ""


def _may_be_data(path: str, *holders: str) -> bool:
    """False for what lies beside the folders of both, such as a list of sources."""
    known = tree.is_picture(path) or _is_xml(path)
    return known or not all(holders) or path.startswith(holders)


def _id_of_xml(path: str, pictures: Collection[str]) -> str:
    """An image's id; that of a.jpg where the annotation is called a.jpg.xml."""
    image_id = tree.id_of(path, _ANNOTATION_FOLDERS)
    shorter = os.path.splitext(image_id)[0]
    of_file = tree.is_picture(image_id) and image_id not in pictures and shorter in pictures
    return shorter if of_file else image_id


def annotation_path(voc_dir: str, image_id: str) -> str:
    """Where the devkit has the annotation of an image."""
    return os.path.join(voc_dir, "Annotations", image_id + ".xml")


def list_annotated(voc_dir: str) -> list[str]:
    """The ids of all annotated images, sorted. Raises InputError when there are none."""
    ids = list(scan(voc_dir).annotations)
    if not ids:
        raise InputError(f"{voc_dir}/Annotations holds no .xml file: annotate images first.")
    return ids


def list_splits(voc_dir: str) -> list[str]:
    """The names of the splits, sorted: files in ImageSets/Main, or else folders called so."""
    folder = os.path.join(voc_dir, "ImageSets", "Main")
    if is_folder(folder):
        return [name[:-4] for name in tree.list_names(folder) if name.endswith(".txt")]
    if not is_folder(voc_dir):
        return []
    return sorted({tree.split_of(i) for i in scan(voc_dir).annotations} - {""})


def read_split(voc_dir: str, split: str, *, flag: str = "--split") -> list[str]:
    """The image ids of a split, in the file's order; every annotated image when split is ''.

    A second column of -1, 0 or 1 (the devkit's per-class files) is left out, and with it its
    meaning: every image that the file names is taken. It is no column where it is the end of an
    annotated image's name, as in "photo 1". A path of an annotated image stands for its id.

    Raises:
      InputError: the split file is missing or empty, or a line is no image id or stands twice.
    """
    if not split:
        return list_annotated(voc_dir)
    path = os.path.join(voc_dir, "ImageSets", "Main", split + ".txt")
    splits = list_splits(voc_dir)
    by_folder = not is_folder(os.path.dirname(path))
    called = tree.split_called(split) if by_folder else split
    if "/" in split or called not in splits:
        there = ", ".join(splits) or "none"
        raise InputError(f"{flag}={split}: there is no {path} (splits there: {there}).")
    annotated = scan(voc_dir).annotations
    if by_folder:
        return [i for i in annotated if tree.split_of(i) == called]
    ids = {}
    for number, line in enumerate(files.read_text(path).splitlines(), start=1):
        if line.strip():
            image_id = _picture_id(line, annotated)
            _add_id(ids, image_id, annotated, number=number, path=path)
    if not ids:
        raise InputError(f"{path} names no image: a split has one image id per line.")
    return list(ids)


def find_pictures(voc_dir: str) -> dict[str, str]:
    """Maps image id to the path of its file in JPEGImages; JPEG first where an id has several."""
    pictures = scan(voc_dir).pictures
    folders = {name.lower() for name in tree.list_names(voc_dir)}
    if not pictures and not folders & {*tree.IMAGE_FOLDERS}:
        raise InputError(f"{voc_dir} has no JPEGImages folder: put the images there.")
    return pictures


def _picture_id(line: str, annotated: Collection[str]) -> str:
    whole = line.strip()
    first, *rest = whole.rsplit(maxsplit=1)
    is_column = rest in (["-1"], ["0"], ["1"]) and whole not in annotated
    image_id = first if is_column else whole
    if image_id in annotated:
        return image_id
    pair = len(rest) == 1 and _is_xml(rest[0])  # an image and its annotation
    return _of_path(first if pair else image_id, annotated) or image_id


def _of_path(path: str, annotated: Collection[str]) -> str:
    """The id of the annotated image that a path of an image or annotation ends with, or ""."""
    path = path.replace("\\", "/").removeprefix("./")
    if ".." in path.split("/"):
        return ""
    ended = tree.is_picture(path) or _is_xml(path)
    parts = tree.id_of(path if ended else f"{path}.", _HOLDERS).split("/")
    ends = ("/".join(parts[at:]) for at in range(len(parts)))
    return next((image_id for image_id in ends if image_id in annotated), "")


def _add_id(
    ids: dict[str, int], image_id: str, annotated: Collection[str], *, number: int, path: str
) -> None:
    is_path = "/" in image_id or "\\" in image_id or image_id in (".", "..")
    if is_path and image_id not in annotated:
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
