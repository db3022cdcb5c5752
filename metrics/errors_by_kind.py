"""What kind of error each detection is, and what each kind costs.

The kinds follow Hoiem et al., "Diagnosing Error in Object Detectors" (2012), and Bolya et al.,
"TIDE" (2020). With t the IoU threshold of the score (0.5), a detection that is not right is, by the
first rule that holds:

- duplicate: the IoU with its best object of its class is above t, but a better detection has it;
- class: the IoU with an object of another class is above t;
- localisation: the IoU with an object of its class is above 0.1;
- both: the IoU with an object of another class is above 0.1;
- background: no IoU is above 0.1.

An object that counts is missed when no detection is right about it and no class or localisation
error lies on it: those name the reason already.

What a kind costs is the mean AP that is gained when it alone is repaired, everything else left as
it is (TIDE's dAP): wrong classes and places are set right (or dropped, where the object has a right
detection), duplicates, `both` and background are dropped, missed objects are no longer asked for.
The costs do not add up to 1 - AP. Surprising: background errors with low scores are many and cost
little, so counts alone mislead.
"""

import enum
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metrics.overlaps import best_overlaps
from metrics.voc import Detections, GroundTruth, Outcome, Result, evaluate

NEAR = 0.1


class Kind(enum.IntEnum):
    """What a detection is."""

    RIGHT = 0
    IGNORED = 1  # its best object is difficult
    LOCALISATION = 2
    CLASS = 3
    BOTH = 4
    DUPLICATE = 5
    BACKGROUND = 6


ERRORS = tuple(kind for kind in Kind if kind >= Kind.LOCALISATION)


class Diagnosis(NamedTuple):
    """Detections and objects, explained.

    Attributes:
      kinds: i8[D], a `Kind` for each detection.
      objects: i64[D], row of the object that the kind refers to; -1 for background.
      unfound: bool[M], objects that count and have no right detection.
      missed: bool[M], those of them that no class or localisation error explains.
    """

    kinds: np.ndarray
    objects: np.ndarray
    unfound: np.ndarray
    missed: np.ndarray


def diagnose(detections: Detections, truth: GroundTruth, result: Result) -> Diagnosis:
    """Explains every detection and object of one evaluation.

    Args:
      detections: of D rows, as they were scored.
      truth: of M rows, as they were scored.
      result: of `voc.evaluate` for them.
    """
    of_class = _nearest(detections, truth, same_class=True, threshold=NEAR)
    of_any = _nearest(detections, truth, same_class=False, threshold=NEAR)
    on_any = _nearest(detections, truth, same_class=False, threshold=result.iou_threshold)
    rules = [
        (result.outcomes == Outcome.TRUE_POSITIVE, Kind.RIGHT, result.matches),
        (result.outcomes == Outcome.IGNORED, Kind.IGNORED, result.matches),
        (result.matches >= 0, Kind.DUPLICATE, result.matches),
        (on_any >= 0, Kind.CLASS, on_any),
        (of_class >= 0, Kind.LOCALISATION, of_class),
        (of_any >= 0, Kind.BOTH, of_any),
    ]
    conditions, kinds, objects = zip(*rules, strict=True)
    chosen_kinds = np.select(conditions, kinds, Kind.BACKGROUND).astype(np.int8)
    chosen_objects = np.select(conditions, objects, -1)
    found, explained = np.zeros_like(truth.difficult), np.zeros_like(truth.difficult)
    found[chosen_objects[chosen_kinds == Kind.RIGHT]] = True
    explained[chosen_objects[np.isin(chosen_kinds, (Kind.CLASS, Kind.LOCALISATION))]] = True
    unfound = ~found & ~truth.difficult
    return Diagnosis(chosen_kinds, chosen_objects, unfound, unfound & ~explained)


def count_best(
    detections: Detections, truth: GroundTruth, diagnosis: Diagnosis, *, num_classes: int
) -> np.ndarray:
    """Kinds of each class's N best-scored detections, N its objects that count (Hoiem).

    Returns:
      i64[num_classes, len(Kind)]; row k - 1 is class k. Ignored detections take no place.
    """
    counts = np.zeros((num_classes, len(Kind)), np.int64)
    for k in range(1, num_classes + 1):
        rows = np.flatnonzero((detections.classes == k) & (diagnosis.kinds != Kind.IGNORED))
        rows = rows[np.lexsort((detections.images[rows], -detections.scores[rows]))]
        objects = int(np.sum((truth.classes == k) & ~truth.difficult))
        counts[k - 1] = np.bincount(diagnosis.kinds[rows[:objects]], minlength=len(Kind))
    return counts


def costs(
    detections: Detections,
    truth: GroundTruth,
    diagnosis: Diagnosis,
    *,
    labels: Sequence[str],
    iou_threshold: float,
) -> dict[str, np.ndarray]:
    """AP (VOC12) that each class gains when one kind of error is repaired.

    Returns:
      kind in lower case, or "missed" -> f64[C - 1]; NaN for classes without an AP.
    """

    def precisions(fixed: Detections, objects: GroundTruth) -> np.ndarray:
        result = evaluate(fixed, objects, labels=labels, iou_threshold=iou_threshold)
        return np.array([np.nan if c.ap_voc12 is None else c.ap_voc12 for c in result.classes])

    now = precisions(detections, truth)
    gained = {}
    for kind in ERRORS:
        fixed = _repair(detections, truth, diagnosis, kind, labels, iou_threshold)
        gained[kind.name.lower()] = precisions(fixed, truth) - now
    without = truth._replace(difficult=truth.difficult | diagnosis.missed)
    # A class whose objects are all missed would be left without an AP: nothing else was wrong.
    gained["missed"] = (
        np.where(np.isnan(now), np.nan, _or_one(precisions(detections, without))) - now
    )
    return gained


def confusion(
    detections: Detections,
    truth: GroundTruth,
    *,
    num_classes: int,
    score_threshold: float,
    iou_threshold: float,
) -> np.ndarray:
    """What objects were predicted as: rows are true classes, columns predicted ones.

    Each object that counts stands once, in the column of the best-scored detection that lies on it
    (overlaps it more than any other object, and by more than the threshold). Detections that lie
    on nothing are in row 0. Difficult objects and detections on them are left out.

    Returns:
      i64[C, C]; column 0 is "missed", row 0 "background".
    """
    sure = np.flatnonzero(detections.scores >= score_threshold)
    sure = sure[np.argsort(-detections.scores[sure], kind="stable")]
    table = Detections(*(column[sure] for column in detections))
    objects = _nearest(table, truth, same_class=False, threshold=iou_threshold)
    said = np.zeros(len(truth.classes), np.int64)
    rows, first = np.unique(objects[objects >= 0], return_index=True)
    said[rows] = table.classes[objects >= 0][first]
    matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    counted = ~truth.difficult
    np.add.at(matrix, (truth.classes[counted], said[counted]), 1)
    np.add.at(matrix[0], table.classes[objects < 0], 1)
    return matrix


def _nearest(
    detections: Detections, truth: GroundTruth, *, same_class: bool, threshold: float
) -> np.ndarray:
    """Row of the object of the same image that each detection overlaps most, or -1."""
    num_images = 1 + max(table.images.max(initial=0) for table in (detections, truth))
    keys, object_keys = (
        table.images + num_images * table.classes * same_class for table in (detections, truth)
    )
    return best_overlaps(keys, detections.boxes, object_keys, truth.boxes, threshold=threshold)


def _repair(
    detections: Detections,
    truth: GroundTruth,
    diagnosis: Diagnosis,
    kind: Kind,
    labels: Sequence[str],
    iou_threshold: float,
) -> Detections:
    """The detections with one kind of error set right, or dropped where that is not possible."""
    rows = np.flatnonzero(diagnosis.kinds == kind)
    kept = np.ones(len(detections.scores), bool)
    if kind not in (Kind.CLASS, Kind.LOCALISATION):
        kept[rows] = False
        return Detections(*(column[kept] for column in detections))
    classes, boxes = detections.classes.copy(), detections.boxes.astype(np.float64)
    objects = diagnosis.objects[rows]
    classes[rows] = truth.classes[objects]
    boxes[rows] = truth.boxes[objects]
    fixed = detections._replace(classes=classes, boxes=boxes)
    outcomes = evaluate(fixed, truth, labels=labels, iou_threshold=iou_threshold).outcomes
    kept[rows] = outcomes[rows] == Outcome.TRUE_POSITIVE
    return Detections(*(column[kept] for column in fixed))


def _or_one(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), 1.0, values)
