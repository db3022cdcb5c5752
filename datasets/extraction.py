"""Turns records back into a VOC folder, which converts to the same records again.

Numbers are written so that they give the same float32 when they are divided by the image's size:
whole pixels where these do, else as many digits as it takes. What VOC has no word for is a
`<crowd>` tag; COCO's image ids are lost. Names are untrusted: only their last part is used,
and one that cannot be a file's is replaced by the record's number.
"""

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from datasets.layouts.annotations import Annotation, Object, annotation_of
from datasets.layouts.image_file import Header, read_header
from datasets.layouts.labels import format_labels
from datasets.layouts.voc_xml_writer import format_annotation
from datasets.records.features import Contents, read_contents
from datasets.records.reader import RecordReader
from runtime import files
from runtime.errors import InputError

_EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png"}
_LONGEST_NAME = 250  # bytes, of the 255 that filesystems have: it is written as `NAME.temp` first


def extract(
    shards: Sequence[str],
    labels: Sequence[str],
    folder: str,
    *,
    split: str,
    labels_offset: int = 0,
) -> int:
    """Writes images, annotations, `ImageSets/Main/SPLIT.txt` and `labels.txt`, all or nothing.

    Args:
      shards: of the records.
      labels: their class names.
      folder: new or empty.
      split: name of the file that lists the images in the order of the records.
      labels_offset: subtracted from the records' labels.

    Returns:
      How many images there are.

    Raises:
      InputError: the folder is in use, or a record cannot be read.
    """
    with files.replacing_folder(folder, check=refuse_used) as partial:
        return _write(shards, labels, partial, split=split, labels_offset=labels_offset)


def refuse_used(folder: str) -> None:
    """Raises InputError where there is something in the folder, or a file in its place."""
    if tf.io.gfile.exists(folder) and not (
        tf.io.gfile.isdir(folder) and not tf.io.gfile.listdir(folder)
    ):
        raise InputError(f"--extract={folder} is not empty: give a new folder.")


def _write(
    shards: Sequence[str], labels: Sequence[str], folder: str, *, split: str, labels_offset: int
) -> int:
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        tf.io.gfile.makedirs(os.path.join(folder, name))
    used: set[str] = set()
    ids = []
    with RecordReader(shards) as reader:
        for index in range(len(reader)):
            try:
                contents = read_contents(reader.read(index))
                header = read_header(contents.encoded)
            except ValueError as error:
                place = "{}, byte {}".format(*reader.locate(index))
                raise InputError(f"{place}: it cannot be extracted: {error}") from error
            name = _file_name(contents, index, extension=_EXTENSIONS[header.format], used=used)
            ids.append(os.path.splitext(name)[0])
            objects = annotation_of(contents, labels, labels_offset=labels_offset).objects
            text = format_annotation(_to_voc(name, objects, header))
            files.write(os.path.join(folder, "JPEGImages", name), contents.encoded)
            files.write(os.path.join(folder, "Annotations", ids[-1] + ".xml"), text)
    listing = "".join(f"{image_id}\n" for image_id in ids)
    files.write(os.path.join(folder, "ImageSets", "Main", f"{split}.txt"), listing.encode())
    files.write(os.path.join(folder, "labels.txt"), format_labels(labels))
    return len(ids)


def _file_name(contents: Contents, index: int, *, extension: str, used: set[str]) -> str:
    """The record's own name where it can be a file's and stands for no other image."""
    name = contents.filename.replace("\\", "/").rsplit("/", 1)[-1]
    stem, ending = os.path.splitext(name)
    plain = stem and stem == stem.strip() and stem[0] != "." and name.isprintable()
    plain = plain and len(os.fsencode(name)) <= _LONGEST_NAME
    if not plain or ending.lower() not in (".jpg", ".jpeg", ".png") or stem in used:
        stem, ending = f"record_{index:06d}", extension
    used.add(stem)
    return stem + ending


def _to_voc(name: str, objects: Sequence[Object], header: Header) -> Annotation:
    height, width = header.height, header.width
    in_pixels = []
    for thing in objects:
        sides = zip(thing.box, (height, width, height, width), strict=True)
        ymin, xmin, ymax, xmax = (_pixels(*pair) for pair in sides)
        in_pixels.append(thing._replace(box=(ymin, xmin, ymax, xmax)))
    return Annotation(name, width, height, header.channels, tuple(in_pixels))


def _pixels(relative: float, size: int) -> float:
    whole = round(relative * size)
    return whole if np.float32(whole / size) == np.float32(relative) else relative * size
