"""Runs a detector over a split: what it found and what is there, image by image.

Every image counts once, whatever the batch size. Whatever brought an image to the network's
size, boxes come out relative to the original image, and in its pixels.
"""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from datasets import input_pipeline
from datasets.records.source import RecordSource
from evaluation.settings import EvalSettings
from metrics.voc import Detections, GroundTruth, concatenate
from model.detector import Detector, PictureDetections, unpad
from model.exported import ExportedDetector
from nets.detections import PaddedDetections
from preprocessing import eval_resize
from preprocessing.eval_resize import EvalResize
from runtime.errors import InputError
from runtime.progress import Progress


class Predictions(NamedTuple):
    """What a detector found in a split, and what is there.

    Attributes:
      names: file name of each image, or the number of its record where that has none.
      found: detections image by image, relative.
      detections: the same in pixels, in one table.
      truth: the objects in pixels.
      sizes: [P, 2], height and width of each image, pixels.
      records: number of each image's record; those left out are not among them.
    """

    names: list[str]
    found: list[PictureDetections]
    detections: Detections
    truth: GroundTruth
    sizes: np.ndarray
    records: list[int]


def run_detector(
    detector: Detector | ExportedDetector,
    source: RecordSource,
    settings: EvalSettings,
    *,
    on_batch: Callable[[], None] = lambda: None,
) -> Predictions:
    """Detects on every record once, in their order; `on_batch` is called after every batch.

    Raises:
      InputError: a record is bad and may not be left out, or none is left.
    """
    preprocessing = detector.preprocessing
    if name := settings.preprocessing_name:
        preprocessing = detector.description.make_preprocessing(name)
    resize = EvalResize(settings.eval_resize)
    batches = input_pipeline.evaluation_batches(
        source,
        decode=preprocessing.decode,
        preprocess=functools.partial(preprocessing.for_eval, resize=resize),
        batch_size=settings.batch_size,
        labels_offset=settings.labels_offset,
        num_threads=settings.num_preprocessing_threads,
    )
    thresholds = {
        name: getattr(settings, name)
        for name in ("select_threshold", "select_top_k", "nms_threshold", "keep_top_k")
    }
    names, found, detections, truth, all_sizes, numbers = [], [], [], [], [], []
    with Progress(len(source), "evaluating", unit="images") as progress:
        for batch in _explained(batches.take(settings.max_num_batches or -1), source):
            new_names = _names(batch)
            if resize == EvalResize.NONE:
                _check_sizes(new_names, batch["size"].numpy(), detector.image_size)
            padded = detector.detect_inputs(batch["image"], **thresholds)
            new = _on_pictures(padded, batch["size"], detector.image_size, resize)
            sizes = batch["size"].numpy()
            detections += to_pixels(new, sizes, first=len(names))
            truth.append(_truth(batch, first=len(names)))
            names += new_names
            found += new
            all_sizes.append(sizes)
            numbers += batch["record"].numpy().tolist()
            progress.update(len(names))
            on_batch()
    if not names:
        raise InputError(
            f"No record of {settings.dataset_name}, {settings.dataset_split_name} can be read: "
            "convert it again."
        )
    joined = GroundTruth(*(np.concatenate(column) for column in zip(*truth, strict=True)))
    return Predictions(
        names, found, concatenate(detections), joined, np.concatenate(all_sizes), numbers
    )


def _explained(batches: tf.data.Dataset, source: RecordSource) -> Iterator[dict[str, tf.Tensor]]:
    """The batches; a failure is raised as what is wrong with which record."""
    with source.explain_bad_records():
        yield from batches


def _names(batch: dict[str, tf.Tensor]) -> list[str]:
    """What each image is called; records of SSD-Tensorflow's converter have no file names."""
    pairs = zip(batch["filename"].numpy(), batch["record"].numpy(), strict=True)
    return [name.decode("utf-8", "replace") or f"{record:06d}" for name, record in pairs]


def _check_sizes(names: list[str], sizes: np.ndarray, image_size: tuple[int, int]) -> None:
    for name, size in zip(names, sizes, strict=True):
        if tuple(size) != image_size:
            raise InputError(
                f"{name} has {size[1]} x {size[0]} pixels: --eval_resize=1 takes only "
                f"images of the network's {image_size[1]} x {image_size[0]}; choose 2, 3 or 4."
            )


def _on_pictures(
    padded: PaddedDetections, sizes: tf.Tensor, image_size: tuple[int, int], resize: EvalResize
) -> list[PictureDetections]:
    """Detections relative to the images; those beside an image, on its border, are left out."""
    boxes = eval_resize.to_picture(padded.boxes, sizes, image_size, resize)
    found = unpad(padded._replace(boxes=boxes))
    if resize == EvalResize.WARP:
        return found
    kept = [(picture.boxes[:, 2:] > picture.boxes[:, :2]).all(1) for picture in found]
    pairs = zip(found, kept, strict=True)
    return [PictureDetections(*(v[rows] for v in one)) for one, rows in pairs]


def to_pixels(found: list[PictureDetections], sizes: np.ndarray, *, first: int) -> list[Detections]:
    """Relative detections of B images, numbered from `first`; sizes [B, 2] in pixels."""
    return [
        Detections(
            images=np.full(len(picture.scores), first + i),
            classes=picture.classes,
            scores=picture.scores,
            boxes=picture.boxes * np.tile(sizes[i], 2).astype(np.float64),
        )
        for i, picture in enumerate(found)
    ]


def _truth(batch: dict[str, tf.Tensor], *, first: int) -> GroundTruth:
    """The objects of a padded batch: label 0 marks padding."""
    labels = batch["labels"].numpy()
    row, column = np.nonzero(labels)
    sizes = np.tile(batch["size"].numpy(), 2).astype(np.float64)
    return GroundTruth(
        images=first + row,
        classes=labels[row, column],
        boxes=batch["boxes"].numpy()[row, column] * sizes[row],
        difficult=batch["difficult"].numpy()[row, column],
    )
