"""Folders in Pascal VOC layout: Annotations/ID.xml, JPEGImages/ID.jpg, ImageSets/Main/SPLIT.txt.

The folders may have other names, lie in one for each split, or be one, as `datasets.layouts.voc`
knows them.
When all class names of the folder are VOC's, the labels are VOC's 20 with their official ids, be
some of them absent; otherwise they are the folder's own names, sorted. They are taken from all
annotations, not only from the split's, so that the splits of one folder agree.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence

from datasets.layouts.labels import check_names
from datasets.layouts.source import AnnotatedImage, Finding, Options, Source
from datasets.layouts.voc import (
    VOC_LABELS,
    Annotation,
    Contents,
    annotation_path,
    find_pictures,
    find_voc_dir,
    list_splits,
    read_annotation,
    read_split,
    scan,
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
    contents = scan(voc_dir)
    _say_what_is_taken(voc_dir, contents, len(ids), options)
    paths = find_pictures(voc_dir) if options.with_images else {}
    images = {}
    for image_id in ids:
        place = contents.annotations.get(image_id) or annotation_path(voc_dir, image_id)
        missing = f"{contents.picture_folder} has no image of {image_id}: add it."
        path = paths.get(image_id) or InputError(missing)
        images[image_id] = AnnotatedImage(place, _read(place), path)
    alone = [] if options.split else sorted(paths.keys() - contents.annotations.keys())
    unannotated = {paths[image_id]: "has no annotation" for image_id in alone}
    return Source(
        images,
        labels=functools.partial(_learn_labels, voc_dir, contents, images, options),
        left_out=unannotated | contents.left_out,
        findings=functools.partial(_find, voc_dir, contents, options.split, unannotated),
        splits=tuple(list_splits(voc_dir)),
    )


def _say_what_is_taken(voc_dir: str, contents: Contents, count: int, options: Options) -> None:
    folders = contents.annotation_folder, contents.picture_folder
    if folders != (f"{voc_dir}/Annotations", f"{voc_dir}/JPEGImages") and contents.pictures:
        taken = "XML and images in {}" if len({*folders}) == 1 else "XML in {}, images in {}"
        options.report(f"VOC layout: {taken.format(*folders)}.")
    splits = list_splits(voc_dir)
    if splits and not options.split:
        images = "the annotated image is" if count == 1 else f"all {count} annotated images are"
        said = f"{images} taken (splits: {_some(splits)})."
        options.report(f"No --split: {said}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _read(path: str) -> Annotation | InputError:
    try:
        return read_annotation(path)
    except InputError as error:
        return error


def _learn_labels(
    voc_dir: str, contents: Contents, images: Mapping[str, AnnotatedImage], options: Options
) -> tuple[str, ...]:
    others = [_read(path) for i, path in contents.annotations.items() if i not in images]
    for error in (item for item in others if isinstance(item, InputError)):
        options.report(f"outside the split, so only its classes are missed: {error}")
    annotations = [*others, *(image.annotation for image in images.values())]
    read = [item for item in annotations if isinstance(item, Annotation)]
    names = {item.name for annotation in read for item in annotation.objects}
    if names <= set(VOC_LABELS):
        return VOC_LABELS
    return check_names(sorted(names), where=f"The annotations in {voc_dir}")


def _find(
    voc_dir: str, contents: Contents, split: str, unannotated: Mapping[str, str]
) -> Iterator[Finding]:
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
            place = contents.annotations.get(image_id) or annotation_path(voc_dir, image_id)
            yield Finding("shared_by_splits", place, what)
    for path, what in unannotated.items():
        yield Finding("no_annotation", path, what)
