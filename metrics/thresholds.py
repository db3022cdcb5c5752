"""Precision, recall and F1 against the score, and the threshold that each class does best with.

A detection counts when its score is above the threshold, as in `nets.detections.detect`. Where no
score is, precision is 1: nothing was found and nothing of it is wrong.
"""

import csv
import io
from typing import NamedTuple

import numpy as np

from metrics.voc import ClassResult, Result

GRID = np.linspace(0.0, 1.0, 101)


class OperatingPoint(NamedTuple):
    """What a threshold makes of a class."""

    threshold: float
    precision: float
    recall: float
    F1: float


class Curves(NamedTuple):
    """f64[101] each, at the thresholds of `GRID`."""

    precision: np.ndarray
    recall: np.ndarray
    F1: np.ndarray


def best_point(row: ClassResult) -> OperatingPoint | None:
    """The highest F1, by the higher threshold of equals; None for a class without a true positive.

    The threshold lies halfway between the last score that is kept and the next one, or 0.
    """
    if not len(row.scores) or not row.recall[-1]:
        return None
    following = np.append(row.scores[1:], row.scores.dtype.type(0))
    values = np.where(following < row.scores, _f1(row.precision, row.recall), -1.0)  # ties: all
    k = int(np.argmax(values))
    halfway = (float(row.scores[k]) + float(following[k])) / 2
    threshold = min(halfway, float(np.nextafter(row.scores[k], following[k])))
    return OperatingPoint(
        threshold, float(row.precision[k]), float(row.recall[k]), float(values[k])
    )


def curves(row: ClassResult) -> Curves:
    """Of one class."""
    counts = np.searchsorted(-np.asarray(row.scores, np.float64), -GRID)
    precision = np.append(1.0, row.precision)[counts]
    recall = np.append(0.0, row.recall)[counts]
    return Curves(precision, recall, _f1(precision, recall))


def mean_curves(result: Result) -> Curves | None:
    """Mean over the classes that have objects; None where none has."""
    known = [curves(row) for row in result.classes if row.num_objects]
    return Curves(*np.mean(known, axis=0)) if known else None


def mean_point(result: Result) -> OperatingPoint | None:
    """The one threshold of the highest mean F1; None where nothing was found.

    Precision, recall and F1 are means over the classes that have objects, at this threshold.
    """
    mean = mean_curves(result)
    if mean is None or not mean.F1.any():
        return None
    k = int(np.argmax(mean.F1))
    return OperatingPoint(float(GRID[k]), *(float(values[k]) for values in mean))


def suggested(result: Result) -> tuple[float, ...] | None:
    """A threshold for each class, in their order; None where nothing was found.

    A class that has no best one, as it has no objects, gets that of the mean.
    """
    common = mean_point(result)
    if common is None:
        return None
    points = (best_point(row) or common for row in result.classes)
    return tuple(point.threshold for point in points)


def to_csv(result: Result) -> str:
    """The curves as a table: class, threshold, precision, recall, F1; the mean has no class."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("class", "threshold", *Curves._fields))
    named = {row.label: curves(row) for row in result.classes if row.num_objects}
    if mean := mean_curves(result):
        named = {"": mean} | named
    for label, of_class in named.items():
        for values in zip(GRID, *of_class, strict=True):
            rows.writerow((label, *(f"{value:.6g}" for value in values)))
    return text.getvalue()


def _f1(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    total = precision + recall
    return 2 * precision * recall / np.where(total, total, 1.0)
