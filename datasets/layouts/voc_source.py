"""What a conversion of a VOC folder starts from: ids, annotations, images and labels.

When all class names of the folder are VOC's, the labels are VOC's 20 with their official ids, be
some of them absent; otherwise they are the folder's own names, sorted. They are taken from all
annotations, not only from the split's, so that the splits of one folder agree.
"""

import os
from collections.abc import Callable, Sequence

from datasets.conversion import Source
from datasets.layouts.labels import check_labels, read_labels
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


def find_source(
    dataset_dir: str,
    *,
    split: str,
    labels_file: str,
    with_pictures: bool,
    report: Callable[[str], None],
) -> Source:
    """Reads a VOC folder's split and annotations and settles its labels.

    Args:
      split: "" for every annotated image.
      labels_file: "" to take the labels from the annotations.
      with_pictures: whether JPEGImages is looked at.

    Raises:
      InputError: the folder, its split or the labels file breaks a rule, or an object has a class
        that is no label. An annotation that cannot be read is no error yet.
    """
    voc_dir = find_voc_dir(dataset_dir)
    ids = read_split(voc_dir, split)
    splits = list_splits(voc_dir)
    if splits and not split:
        report(f"No --split: all {len(ids)} annotated images are taken (splits: {_some(splits)}).")
    whole_folder = [] if labels_file else list_annotated(voc_dir)
    annotations = {i: _read(voc_dir, i) for i in dict.fromkeys([*ids, *whole_folder])}
    labels = read_labels(labels_file) if labels_file else _labels_of(annotations, voc_dir=voc_dir)
    _report_unread(annotations, ids, report=report)
    _check_names(annotations, ids, labels, voc_dir=voc_dir)
    found = find_pictures(voc_dir) if with_pictures else {}
    return Source(
        pictures_dir=os.path.join(voc_dir, "JPEGImages"),
        ids=ids,
        annotations=annotations,
        pictures={i: found[i] for i in ids if i in found},
        labels=labels,
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _read(voc_dir: str, image_id: str) -> Annotation | InputError:
    try:
        return read_annotation(annotation_path(voc_dir, image_id))
    except InputError as error:
        return error


def _labels_of(annotations: dict, *, voc_dir: str) -> tuple[str, ...]:
    read = [item for item in annotations.values() if isinstance(item, Annotation)]
    names = {item.name for annotation in read for item in annotation.objects}
    if names <= set(VOC_LABELS):
        return VOC_LABELS
    return check_labels(sorted(names), where=f"The annotations in {voc_dir}")


def _report_unread(annotations: dict, ids: Sequence[str], *, report: Callable[[str], None]) -> None:
    for image_id in annotations.keys() - set(ids):
        if isinstance(annotations[image_id], InputError):
            report(f"outside the split, so only its classes are missed: {annotations[image_id]}")


def _check_names(
    annotations: dict, ids: Sequence[str], labels: tuple[str, ...], *, voc_dir: str
) -> None:
    for image_id in ids:
        if isinstance(annotations[image_id], InputError):
            continue
        for number, item in enumerate(annotations[image_id].objects, start=1):
            if item.name not in labels:
                raise InputError(
                    f"{annotation_path(voc_dir, image_id)}, object {number}: class {item.name!r} "
                    f"is not among the {len(labels)} labels ({_some(labels)}): add it to the "
                    "labels file, or leave --labels_file out to take the annotations' classes."
                )
