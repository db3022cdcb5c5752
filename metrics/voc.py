"""Average precision as Pascal VOC defines it, for all classes at once, in NumPy.

The rules are those of the devkit as detectors' papers use it: a detection belongs to the object
of its class and image that it overlaps most; it is right when that IoU is above the threshold
and no better-scored detection has that object already. What surprises:

- A detection never falls back to its second-best object, so no loop over detections is needed:
  of all that chose one object, the first in the ranking is right and the rest are duplicates.
- Boxes include their last pixel: a width is xmax - xmin + 1. An IoU equal to the threshold
  is not enough (MATLAB's devkit accepts it, the usual Python scorer does not).
- A detection whose best object is difficult counts neither way.
- Equal scores rank by image number, then in the order given. Number the images by something
  lasting, their place in the split file, and neither batches nor threads can move the result.
- The recall thresholds of the 11-point metric keep the rounding of `numpy.arange`: the fourth is
  0.30000000000000004, and three objects of ten do not reach it. Published figures depend on it.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from metrics.overlaps import best_overlaps
from runtime.errors import InputError

_RECALL_THRESHOLDS = np.arange(0.0, 1.1, 0.1)


class Detections(NamedTuple):
    """What a detector found in all images, in any order."""

    images: np.ndarray  # i64[D], number of the image
    classes: np.ndarray  # i64[D], 1 to the number of labels
    scores: np.ndarray  # f32[D] or f64[D]
    boxes: np.ndarray  # f64[D, 4], ymin, xmin, ymax, xmax in pixels


class GroundTruth(NamedTuple):
    """The annotated objects of all images, in any order; images may have none."""

    images: np.ndarray  # i64[M], number of the image
    classes: np.ndarray  # i64[M], 1 to the number of labels
    boxes: np.ndarray  # f64[M, 4], ymin, xmin, ymax, xmax in pixels
    difficult: np.ndarray  # bool[M]


class Outcome(enum.IntEnum):
    """What a detection turned out to be."""

    FALSE_POSITIVE = 0
    TRUE_POSITIVE = 1
    IGNORED = 2  # its best object is difficult


class ClassResult(NamedTuple):
    """One class. The curve's K points are its detections that count, by falling score."""

    label: str
    num_objects: int  # those that count: not difficult
    num_difficult: int
    num_detections: int  # all, ignored ones included
    ap_voc07: float | None  # None: no object counts, so there is nothing to average
    ap_voc12: float | None
    scores: np.ndarray  # f32[K] or f64[K], as given
    recall: np.ndarray  # f64[K]; zeros where no object counts
    precision: np.ndarray  # f64[K]


@dataclass(frozen=True, eq=False)
class Result:
    """The score of one evaluation.

    Attributes:
      classes: one `ClassResult` per label, in the labels' order.
      outcomes: i8[D], an `Outcome` for each detection, in the order they were given.
      matches: i64[D], row in the truth of the object that a detection overlaps most and by more
        than the threshold, else -1. Duplicates and ignored detections have one too.
      iou_threshold: IoU above which a detection is right.
    """

    classes: tuple[ClassResult, ...]
    outcomes: np.ndarray
    matches: np.ndarray
    iou_threshold: float

    @property
    def mean_ap_voc07(self) -> float | None:
        """Mean over the classes that have an AP; None where none has."""
        return mean(result.ap_voc07 for result in self.classes)

    @property
    def mean_ap_voc12(self) -> float | None:
        """Mean over the classes that have an AP; None where none has."""
        return mean(result.ap_voc12 for result in self.classes)


def concatenate(parts: Iterable[Detections]) -> Detections:
    """Detections of several batches, one after the other; of no batch, an empty set."""
    empty = np.zeros(0, np.int64)
    parts = [Detections(empty, empty, np.zeros(0, np.float32), np.zeros((0, 4))), *parts]
    return Detections(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def gather_truth(pictures: Iterable[Iterable[Any]], *, labels: Sequence[str]) -> GroundTruth:
    """Lists the objects of annotated images; image number i is the i-th one given.

    Args:
      images: for each image its objects, which have `name`, `box` (ymin, xmin, ymax, xmax in
        pixels) and `difficult`.
      labels: class k has the name labels[k - 1].

    Raises:
      InputError: an object's name is not among the labels.
    """
    numbers = {label: number for number, label in enumerate(labels, start=1)}
    rows = [(image, thing) for image, objects in enumerate(pictures) for thing in objects]
    if unknown := sorted({thing.name for _, thing in rows} - numbers.keys()):
        raise InputError(
            f"Objects of class {', '.join(unknown)} are annotated, but the labels are "
            f"{', '.join(labels)}: add what is missing to the labels."
        )
    return GroundTruth(
        images=np.array([image for image, _ in rows], np.int64),
        classes=np.array([numbers[thing.name] for _, thing in rows], np.int64),
        boxes=np.array([thing.box for _, thing in rows], np.float64).reshape(-1, 4),
        difficult=np.array([thing.difficult for _, thing in rows], bool),
    )


def evaluate(
    detections: Detections, truth: GroundTruth, *, labels: Sequence[str], iou_threshold: float = 0.5
) -> Result:
    """Scores detections by both VOC metrics.

    Args:
      detections: of D rows; no image needs any.
      truth: of M rows. To count difficult objects as any other, pass all False for them.
      labels: class k has the name labels[k - 1].
      iou_threshold: from 0 up to but not including 1; a right detection overlaps by more.

    Raises:
      ValueError: columns of different lengths, a class outside the labels, a negative image
        number, or a score or box that is not finite.

    Source: VOCdevkit VOCevaldet.m, and the Python scorer of py-faster-rcnn that papers use.
    """
    if not 0 <= iou_threshold < 1:
        raise ValueError(f"iou_threshold is {iou_threshold}: it must be in [0, 1)")
    _check_columns(detections, num_classes=len(labels), finite=("scores", "boxes"))
    _check_columns(truth, num_classes=len(labels), finite=("boxes",))
    num_images = 1 + max(table.images.max(initial=0) for table in (detections, truth))
    keys, object_keys = (
        table.classes.astype(np.int64) * num_images + table.images for table in (detections, truth)
    )
    matches = best_overlaps(
        keys, detections.boxes, object_keys, truth.boxes, threshold=iou_threshold
    )
    ranking = np.lexsort((detections.images, -detections.scores, detections.classes))
    outcomes = _judge(matches, ranking, truth.difficult)
    bounds = np.searchsorted(detections.classes[ranking], np.arange(1, len(labels) + 2))
    classes = []
    for number, label in enumerate(labels, start=1):
        rows = ranking[bounds[number - 1] : bounds[number]]
        difficult = truth.difficult[truth.classes == number]
        classes.append(_score_class(label, detections.scores[rows], outcomes[rows], difficult))
    return Result(tuple(classes), outcomes, matches, iou_threshold)


def average_precision_voc07(recall: np.ndarray, precision: np.ndarray) -> float:
    """Mean of the best precision at recall 0, 0.1, ... 1 or more (VOC2007).

    Args:
      recall: f64[K], never falling.
      precision: f64[K], at the same points. With K = 0 the result is 0.
    """
    reached = np.searchsorted(recall, _RECALL_THRESHOLDS)
    return float(np.append(_envelope(precision), 0.0)[reached].mean())


def average_precision_voc12(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area under the precision made monotonic, at every point (VOC2010 to 2012).

    Args:
      recall: f64[K], never falling.
      precision: f64[K], at the same points. With K = 0 the result is 0.
    """
    return float(np.sum(np.diff(recall, prepend=0.0) * _envelope(precision)))


def _envelope(precision: np.ndarray) -> np.ndarray:
    """The best precision at each recall or any higher one, f64[K]."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def mean(values: Iterable[float | None]) -> float | None:
    """Of the values that there are; None where there is none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _check_columns(table: Any, *, num_classes: int, finite: Sequence[str]) -> None:
    name, count = type(table).__name__, len(table.images)
    for field, column in table._asdict().items():
        shape = (count, 4) if field == "boxes" else (count,)
        if column.shape != shape:
            raise ValueError(f"{name}.{field} has shape {column.shape}: it must be {shape}")
    for field in finite:
        if not np.isfinite(getattr(table, field)).all():
            raise ValueError(f"{name}.{field} has values that are not finite")
    if count and table.images.min() < 0:
        raise ValueError(f"{name}.images has {table.images.min()}: images count from 0")
    if count and not 1 <= table.classes.min() <= table.classes.max() <= num_classes:
        span = f"{table.classes.min()} to {table.classes.max()}"
        raise ValueError(f"{name}.classes runs from {span}: labels are 1 to {num_classes}")


def _judge(matches: np.ndarray, ranking: np.ndarray, difficult: np.ndarray) -> np.ndarray:
    """An `Outcome` per detection, i8[D]: the best-ranked one that chose an object has it."""
    outcomes = np.full(len(matches), Outcome.FALSE_POSITIVE, np.int8)
    rows = ranking[matches[ranking] >= 0]
    chosen = matches[rows]
    _, first = np.unique(chosen, return_index=True)
    outcomes[rows[first]] = Outcome.TRUE_POSITIVE
    outcomes[rows[difficult[chosen]]] = Outcome.IGNORED
    return outcomes


def _score_class(
    label: str, scores: np.ndarray, outcomes: np.ndarray, difficult: np.ndarray
) -> ClassResult:
    """Scores one class from its detections, ranked, and its objects' difficult bool[M]."""
    num_objects = int(np.sum(~difficult))
    counts = outcomes != Outcome.IGNORED
    right = np.cumsum(outcomes[counts] == Outcome.TRUE_POSITIVE)
    recall = right / max(1, num_objects)
    precision = right / np.arange(1, len(right) + 1)
    known = num_objects > 0
    return ClassResult(
        label=label,
        num_objects=num_objects,
        num_difficult=len(difficult) - num_objects,
        num_detections=len(outcomes),
        ap_voc07=average_precision_voc07(recall, precision) if known else None,
        ap_voc12=average_precision_voc12(recall, precision) if known else None,
        scores=scores[counts],
        recall=recall,
        precision=precision,
    )
