"""Roboflow's exports as COCO and as TensorFlow CSV: train, valid and test, each with its images.

Each folder has the annotations of its images in `_annotations.coco.json` or `_annotations.csv`. All
splits have the same classes with the same ids, be some of them absent from one.
"""

import functools
import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

from datasets.layouts import coco, tf_csv
from datasets.layouts.annotations import Annotation
from datasets.layouts.image_file import PICTURE_ENDINGS
from datasets.layouts.labels import check_names
from datasets.layouts.picture_files import no_folder, walk
from datasets.layouts.source import AnnotatedImage, Options, Source
from datasets.layouts.values import refuse_relative
from runtime.errors import InputError

_NAMES = ("_annotations.coco.json", "_annotations.csv")
_NAMED = " or ".join(_NAMES)
_ANOTHER = "for Roboflow's VOC export pass --dataset_name=pascalvoc"


def recognises(path: str) -> bool:
    """Whether a folder, or one right inside it, has annotations under Roboflow's names."""
    return os.path.isdir(path) and bool(_find(path))


def _find(folder: str) -> dict[str, str]:
    """Split -> file of annotations; the split "" is the folder itself."""
    inside = sorted(e.name for e in os.scandir(folder) if e.is_dir() and e.name[0] != ".")
    found = {}
    for split in ("", *inside):
        paths = [os.path.join(folder, split, name) for name in _NAMES]
        path = next((path for path in paths if os.path.isfile(path)), None)
        if path:
            found[split] = path
    return found


def open_source(options: Options) -> Source:
    """The images of one split, or of all.

    Raises:
      InputError: there is no such folder or split, or a file of it cannot be read.
    """
    folder, flag = options.folder, options.folder_flag
    if not os.path.isdir(folder):
        raise no_folder(folder, flag=flag, what="the export's folder, of train, valid and test")
    found = _find(folder)
    if not found:
        raise InputError(
            f"{flag}={folder} has no {_NAMED}, nor has a folder in it: pass the export's folder "
            f"({_ANOTHER})."
        )
    chosen = _choose(found, options)
    splits = {split: _open(path, options) for split, path in found.items()}
    ids = {name: k for source in splits.values() for name, k in _ids(source).items()}
    kept = tuple(f"({name})" for name in ids)  # a category is left out if no split has it
    images, left_out = {}, {}
    for split, path in chosen.items():
        source = splits[split]
        for image_id, image in source.images.items():
            images[f"{split}/{image_id}" if split else image_id] = image
        left_out |= {
            place: reason
            for place, reason in source.left_out.items()
            if not (place.startswith(f"{path}: category ") and place.endswith(kept))
        }
        left_out |= dict(_unnamed(os.path.dirname(path), source.images, options, {*found.values()}))
    if not options.split:
        left_out |= dict(_elsewhere(folder, {os.path.dirname(p) for p in found.values()}, options))
    refuse_relative([image.annotation for image in images.values()], where=folder)
    return Source(
        images,
        labels=functools.partial(_learn_labels, splits, where=folder),
        left_out=left_out,
        notes={"coco_ids": ids} if ids else {},
        splits=tuple(filter(None, found)),
    )


def _choose(found: Mapping[str, str], options: Options) -> Mapping[str, str]:
    """The splits to take."""
    if not options.split:
        if len(found) > 1:
            options.report(f"No --split: all are taken ({', '.join(found)}).")
        return found
    if options.split not in found:
        there = ", ".join(name for name in found if name) or "none"
        raise InputError(
            f"--split={options.split}: {options.folder} has no {_NAMED} in a folder of that name "
            f"(splits there: {there})."
        )
    return {options.split: found[options.split]}


def _open(path: str, options: Options) -> Source:
    layout = coco if path.endswith(".json") else tf_csv
    folder = os.path.dirname(path)
    return layout.open_source(options._replace(folder=folder, annotations=path))


def _unnamed(
    folder: str, images: Mapping[str, AnnotatedImage], options: Options, known: set[str]
) -> Iterator[tuple[str, str]]:
    """Images of a split's folder that its file does not name."""
    if not options.with_images:
        return
    paths = {os.path.normpath(i.path) for i in images.values() if isinstance(i.path, str)}
    others = {os.path.dirname(path) for path in known} - {folder}
    for path in walk(folder):
        inside_other = any(path.startswith(other + os.sep) for other in others)
        is_picture = path.lower().endswith(PICTURE_ENDINGS)
        if is_picture and not inside_other and os.path.normpath(path) not in paths:
            yield path, "is not in the annotations of its folder"


def _elsewhere(folder: str, known: set[str], options: Options) -> Iterator[tuple[str, str]]:
    """Images in other folders than those with annotations."""
    for path in walk(folder) if options.with_images else ():
        inside = any(path.startswith(other + os.sep) for other in known)
        if path.lower().endswith(PICTURE_ENDINGS) and not inside:
            yield path, f"lies in no folder with {_NAMED}"


def _ids(source: Source) -> dict[str, Any]:
    """COCO's ids of the classes; empty for CSV."""
    return cast(dict, source.notes.get("coco_ids", {}))


def _learn_labels(splits: Mapping[str, Source], *, where: str) -> tuple[str, ...]:
    """COCO's classes in the order of their ids, others sorted; those of any split."""
    names: dict[str, Any] = {}
    for source in splits.values():
        annotations = [image.annotation for image in source.images.values()]
        read = [item for item in annotations if isinstance(item, Annotation)]
        for name in (thing.name for item in read for thing in item.objects):
            names.setdefault(name, 0)
        names |= _ids(source)
    ordered = sorted(names, key=lambda name: (isinstance(names[name], str), names[name], name))
    return check_names(ordered, where=where)
