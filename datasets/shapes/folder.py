"""A data set of drawn objects in the layout of the Pascal VOC devkit.

`generate` writes images, annotations and split files as VOC2007 has them, so that every tool for
VOC reads them. Six classes, textured grounds, shapes that lie on one another, that the image's
edge cuts off, that are faint or mostly hidden (`difficult`), and now and then an empty image.

Image number k of a split depends on the seed, the split and k only: more training images leave
the first ones and the test images as they were. The folder appears under its name when it is
whole, never before.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import cv2
import numpy as np
import tensorflow as tf

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.voc_xml_writer import format_annotation
from datasets.shapes import drawing, scene
from runtime import files
from runtime.errors import InputError

LABELS = drawing.NAMES


def generate(
    output_dir: str,
    *,
    seed: int = 0,
    num_train: int = 2400,
    num_test: int = 200,
    folder: str = "VOC2007",
    on_picture: Callable[[int], None] = lambda number: None,
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
    counts = {"train": num_train, "test": num_test}
    if seed < 0:
        raise InputError(f"seed is {seed}: give 0 or a positive number.")
    for split, number in counts.items():
        if not 1 <= number < 500_000:
            raise InputError(f"num_{split} is {number}: each split needs 1 to 499,999 images.")
    voc_dir = os.path.join(output_dir, folder)
    if tf.io.gfile.exists(voc_dir):
        raise InputError(f"{voc_dir} is there already: delete it or choose another output_dir.")
    tf.io.gfile.makedirs(output_dir)
    # One folder further down, so that nothing takes what a kill leaves behind for a data set.
    unfinished = os.path.join(output_dir, f".unfinished-{os.getpid()}")
    try:
        _write(os.path.join(unfinished, folder), seed, counts, on_picture)
        tf.io.gfile.rename(os.path.join(unfinished, folder), voc_dir)
    finally:
        files.remove_tree(unfinished)
    return voc_dir


def _write(
    voc_dir: str, seed: int, counts: Mapping[str, int], on_picture: Callable[[int], None]
) -> None:
    folder, number = os.path.basename(voc_dir), 0
    for nth, (split, count) in enumerate(counts.items()):
        entries = {}
        for k in range(count):
            image, objects = scene.draw(np.random.default_rng([seed, nth, k]))
            number += 1
            image_id = f"{number:06d}"
            text = annotation(image_id, objects, *image.shape[:2], folder=folder, seed=seed)
            _put(voc_dir, f"Annotations/{image_id}.xml", text)
            _, jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
            _put(voc_dir, f"JPEGImages/{image_id}.jpg", jpeg.tobytes())
            entries[image_id] = objects
            on_picture(number)
        for name in ("train", "trainval") if split == "train" else (split,):
            _put_lines(voc_dir, name, entries)
            for label in LABELS:
                lines = [f"{each} {_presence(label, on):2d}" for each, on in entries.items()]
                _put_lines(voc_dir, f"{label}_{name}", lines)


def _put(voc_dir: str, name: str, data: bytes) -> None:
    path = os.path.join(voc_dir, name)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(data)


def _put_lines(voc_dir: str, split: str, lines: Iterable[str]) -> None:
    _put(voc_dir, f"ImageSets/Main/{split}.txt", "".join(f"{line}\n" for line in lines).encode())


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


def _presence(label: str, objects: Sequence[scene.Labelled]) -> int:
    """1 where an image has such an object, -1 where it has none, 0 where all are difficult."""
    difficult = [each.difficult for each in objects if each.name == label]
    return -1 if not difficult else int(not all(difficult))
