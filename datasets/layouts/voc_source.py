"""Folders in Pascal VOC layout: Annotations/ID.xml, JPEGImages/ID.jpg, ImageSets/Main/SPLIT.txt.

When all class names of the folder are VOC's, the labels are VOC's 20 with their official ids, be
some of them absent; otherwise they are the folder's own names, sorted. They are taken from all
annotations, not only from the split's, so that the splits of one folder agree.
"""

import functools
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence

from datasets.layouts.labels import check_labels
from datasets.layouts.source import AnnotatedImage, Finding, Options, Source
from datasets.layouts.voc import (
    VOC_LABELS,
    Annotation,
    annotation_path,
    find_pictures,
    find_voc_dir,
    list_annotated,
    list_splits,
    read_annotation,
    read_split,
)
from runtime.errors import InputError

_SPLITS_APART = (("train", "val"), ("train", "test"), ("val", "test"), ("trainval", "test"))


def recognises(path: str) -> bool:
    """Whether it is a VOC folder, or contains just one."""
    try:
        find_voc_dir(path)
    except InputError:
        return False
    return True


def open_source(options: Options) -> Source:
    """Reads the annotations of a VOC folder's split.

    Raises:
      InputError: the folder or its split breaks a rule. An annotation that cannot be read is no
        error yet.
    """
    voc_dir = find_voc_dir(options.folder, flag=options.folder_flag)
    ids = read_split(voc_dir, options.split)
    splits = list_splits(voc_dir)
    if splits and not options.split:
        said = f"all {len(ids)} annotated images are taken (splits: {_some(splits)})."
        options.report(f"No --split: {said}")
    paths = find_pictures(voc_dir) if options.with_images else {}
    images = {}
    for image_id in ids:
        place, annotation = annotation_path(voc_dir, image_id), _read(voc_dir, image_id)
        missing = f"{os.path.join(voc_dir, 'JPEGImages')} has no image of {image_id}: add it."
        path = paths.get(image_id) or InputError(missing)
        images[image_id] = AnnotatedImage(place, annotation, path)
    return Source(
        images,
        labels=functools.partial(_learn_labels, voc_dir, images, options),
        findings=functools.partial(_find, voc_dir, options.split, paths),
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _read(voc_dir: str, image_id: str) -> Annotation | InputError:
    try:
        return read_annotation(annotation_path(voc_dir, image_id))
    except InputError as error:
        return error


def _learn_labels(
    voc_dir: str, images: Mapping[str, AnnotatedImage], options: Options
) -> tuple[str, ...]:
    others = [_read(voc_dir, i) for i in list_annotated(voc_dir) if i not in images]
    for error in (item for item in others if isinstance(item, InputError)):
        options.report(f"outside the split, so only its classes are missed: {error}")
    annotations = [*others, *(image.annotation for image in images.values())]
    read = [item for item in annotations if isinstance(item, Annotation)]
    names = {item.name for annotation in read for item in annotation.objects}
    if names <= set(VOC_LABELS):
        return VOC_LABELS
    return check_labels(sorted(names), where=f"The annotations in {voc_dir}")


def _find(voc_dir: str, split: str, paths: Mapping[str, str]) -> Iterator[Finding]:
    """What a VOC folder's lists tell: images without annotation, images in two splits."""
    splits: dict[str, set[str]] = {}
    for name in sorted({*list_splits(voc_dir)} & {*itertools.chain(*_SPLITS_APART)}):
        try:
            splits[name] = set(read_split(voc_dir, name))
        except InputError as error:
            yield Finding("bad_split", f"{voc_dir}/ImageSets/Main", str(error))
    for one, other in _SPLITS_APART:
        if split not in (one, other, ""):
            continue
        for image_id in sorted(splits.get(one, set()) & splits.get(other, set())):
            what = f"is in both {one} and {other}: the score would be of images trained on"
            yield Finding("shared_by_splits", annotation_path(voc_dir, image_id), what)
    if not split:
        for image_id in sorted(paths.keys() - set(list_annotated(voc_dir))):
            yield Finding("no_annotation", paths[image_id], "has no annotation")
