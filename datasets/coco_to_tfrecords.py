"""Converts COCO's instances and their images to a data set of TFRecords.

Records number classes from 1 without a gap, in the order of COCO's category ids; the manifest notes
the ids under `coco_ids`, and each record keeps its image's id, so that results can be handed in
under COCO's numbers.
"""

import os
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from datasets.conversion import Conversion, Source, convert_source
from datasets.conversion_stats import ConversionStats
from datasets.layouts.annotations import Annotation
from datasets.layouts.coco import Coco, read_coco
from datasets.layouts.labels import read_labels
from runtime.errors import InputError


def convert(
    conversion: Conversion,
    *,
    report: Callable[[str], None] = print,
    progress: Callable[[Sequence[str]], Iterator[str]] = iter,
) -> ConversionStats:
    """Converts, or with `dry_run` only counts, a COCO file; as `convert_source`.

    Raises:
      InputError: the file, an image or the output folder breaks a rule.
    """
    source = find_coco_source(
        conversion.coco_annotations,
        pictures_dir=conversion.dataset_dir,
        labels_file=conversion.labels_file,
        with_pictures=not conversion.dry_run,
    )
    return convert_source(source, conversion, report=report, progress=progress)


def find_coco_source(
    path: str, *, pictures_dir: str, labels_file: str, with_pictures: bool
) -> Source:
    """What there is to convert: every image of the file, in its order.

    Raises:
      InputError: no such folder, a file that breaks a rule, or a class that is no label.
    """
    if with_pictures and not tf.io.gfile.isdir(pictures_dir):
        raise InputError(f"--dataset_dir={pictures_dir} is not a folder: pass the images' one.")
    coco = read_coco(path)
    labels = read_labels(labels_file) if labels_file else coco.labels
    _check_names(coco, labels, path=path)
    names = coco.filenames if with_pictures else {}
    return Source(
        pictures_dir=pictures_dir,
        ids=list(coco.annotations),
        annotations=coco.annotations,
        pictures={i: os.path.join(pictures_dir, name) for i, name in names.items()},
        labels=labels,
        source_ids={image_id: image_id for image_id in coco.annotations},
        notes={"coco_ids": {k: v for k, v in coco.category_ids.items() if k in labels}},
    )


def _check_names(coco: Coco, labels: tuple[str, ...], *, path: str) -> None:
    for image_id, annotation in coco.annotations.items():
        for item in annotation.objects if isinstance(annotation, Annotation) else ():
            if item.name not in labels:
                raise InputError(
                    f"{path}: image {image_id} has an object of class {item.name!r}, which is "
                    f"not among the {len(labels)} labels: add it to the labels file, or leave "
                    "--labels_file out."
                )
