"""A data set of drawn objects in the layout of the Pascal VOC devkit.

`generate` writes images, annotations and split files as VOC2007 has them, so that every tool for
VOC reads them. Six classes, textured grounds, shapes that lie on one another, that the image's
edge cuts off, that are faint or mostly hidden (`difficult`), and now and then an empty image.

Image number k of a split depends on the seed, the split and k only: more training images leave
the first ones and the test images as they were. The folder appears under its name when it is
whole, never before.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.voc_xml_writer import format_annotation
from datasets.shapes import drawing, scene
from runtime import files
from runtime.errors import InputError

LABELS = drawing.NAMES
_SPLITS = ("train", "test")


class _Entry(NamedTuple):
    """A line of a split file: the image and what is on it."""

    image_id: str
    objects: tuple[scene.Labelled, ...]


def generate(
    output_dir: str,
    *,
    seed: int = 0,
    num_train: int = 2400,
    num_test: int = 200,
    folder: str = "VOC2007",
    on_picture: Callable[[int], None] | None = None,
) -> str:
    """Writes `num_train + num_test` images with annotations under `output_dir/folder`.

    There: `Annotations/ID.xml`, `JPEGImages/ID.jpg` and `ImageSets/Main/` with `train.txt`,
    `trainval.txt` (the same images) and `test.txt`, and `CLASS_SPLIT.txt` beside each (1 present,
    -1 absent, 0 difficult ones only). Ids count from 000001, the test images after the others.
    Boxes follow VOC: whole pixels, counted from 1, both ends included.

    Args:
      output_dir: the devkit folder, made where it is missing.
      seed: 0 or more; the same seed and counts give the same files.
      num_train, num_test: numbers of images, each at least 1.
      folder: name of the data set's folder.
      on_picture: called with 1, 2, ... after each image is written.

    Returns:
      Path of the new folder.

    Raises:
      InputError: a number out of range, or the folder is there already.
    """
    _check(seed=seed, num_train=num_train, num_test=num_test)
    voc_dir = os.path.join(output_dir, folder)
    if tf.io.gfile.exists(voc_dir):
        raise InputError(f"{voc_dir} is there already: delete it or choose another output_dir.")
    tf.io.gfile.makedirs(output_dir)
    # One folder further down, so that nothing takes what a kill leaves behind for a data set.
    unfinished = os.path.join(output_dir, f".unfinished-{os.getpid()}")
    counts = {"train": num_train, "test": num_test}
    try:
        _write(os.path.join(unfinished, folder), folder, seed, counts, on_picture)
        tf.io.gfile.rename(os.path.join(unfinished, folder), voc_dir)
    finally:
        files.remove_tree(unfinished)
    return voc_dir


def _check(*, seed: int, num_train: int, num_test: int) -> None:
    if seed < 0:
        raise InputError(f"seed is {seed}: give 0 or a positive number.")
    for name, number in (("num_train", num_train), ("num_test", num_test)):
        if not 1 <= number < 500_000:
            raise InputError(f"{name} is {number}: each split needs 1 to 499,999 images.")


def _write(
    voc_dir: str,
    folder: str,
    seed: int,
    counts: Mapping[str, int],
    on_picture: Callable[[int], None] | None,
) -> None:
    for name in ("Annotations", "JPEGImages", os.path.join("ImageSets", "Main")):
        tf.io.gfile.makedirs(os.path.join(voc_dir, name))
    entries: dict[str, list[_Entry]] = {split: [] for split in counts}
    for number, (split, picture) in enumerate(_pictures(seed, counts), start=1):
        entry = _Entry(f"{number:06d}", picture.objects)
        height, width = picture.image.shape[:2]
        text = annotation(entry.image_id, picture.objects, height, width, folder=folder, seed=seed)
        _put(os.path.join(voc_dir, "Annotations", f"{entry.image_id}.xml"), text)
        _put(os.path.join(voc_dir, "JPEGImages", f"{entry.image_id}.jpg"), _jpeg(picture.image))
        entries[split].append(entry)
        if on_picture is not None:
            on_picture(number)
    _write_splits(os.path.join(voc_dir, "ImageSets", "Main"), entries)


def _pictures(seed: int, counts: Mapping[str, int]) -> Iterator[tuple[str, scene.Picture]]:
    for split, count in counts.items():
        for k in range(count):
            rng = np.random.default_rng([seed, _SPLITS.index(split), k])
            yield split, scene.draw(rng)


def _jpeg(image: np.ndarray) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return data.tobytes()


def _put(path: str, data: bytes) -> None:
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(data)


def annotation(
    image_id: str,
    objects: Sequence[scene.Labelled],
    height: int,
    width: int,
    *,
    folder: str = "VOC2007",
    seed: int = 0,
) -> bytes:
    """The XML file of one image, `height` x `width` pixels."""
    source = {
        "database": f"Drawn shapes, seed {seed}",
        "annotation": "PASCAL VOC2007",
        "image": "generated",
    }
    drawn = Annotation(f"{image_id}.jpg", width, height, 3, tuple(map(_object, objects)))
    return format_annotation(drawn, folder=folder, source=source)


def _object(labelled: scene.Labelled) -> Object:
    ymin, xmin, ymax, xmax = labelled.box
    box = np.floor(ymin) + 1, np.floor(xmin) + 1, np.ceil(ymax), np.ceil(xmax)
    return Object(labelled.name, box, labelled.difficult, labelled.truncated)


def _write_splits(folder: str, entries: Mapping[str, Sequence[_Entry]]) -> None:
    named = {"train": entries["train"], "trainval": entries["train"], "test": entries["test"]}
    for split, pictures in named.items():
        lines = [f"{entry.image_id}\n" for entry in pictures]
        _put(os.path.join(folder, f"{split}.txt"), "".join(lines).encode())
        for label in LABELS:
            lines = [f"{entry.image_id} {_presence(label, entry):2d}\n" for entry in pictures]
            _put(os.path.join(folder, f"{label}_{split}.txt"), "".join(lines).encode())


def _presence(label: str, entry: _Entry) -> int:
    """1 where an image has such an object, -1 where it has none, 0 where all are difficult."""
    difficult = [each.difficult for each in entry.objects if each.name == label]
    if not difficult:
        return -1
    return 0 if all(difficult) else 1
