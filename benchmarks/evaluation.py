"""Times the VOC scorer against the loop over detections that detectors usually bring along.

    python -m benchmarks.evaluation [--images=4952] [--detections=250000] [--rounds=7]

Both score the same arrays in memory, in turn, so reading files and XML counts for neither. The
plain loop below is our own reading of the devkit's rules; the fuzz test of `metrics.voc` holds
both against each other too.
"""

import argparse
import collections
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metrics import voc

_LABELS = tuple(f"class_{number}" for number in range(1, 21))


class PlainResult(NamedTuple):
    """What the plain loop says of one class."""

    ap_voc07: float
    ap_voc12: float
    true_positives: frozenset[int]  # rows of the detections
    ignored: frozenset[int]


def plain_evaluate(
    detections: voc.Detections,
    truth: voc.GroundTruth,
    *,
    labels: tuple[str, ...],
    iou_threshold: float = 0.5,
) -> list[PlainResult]:
    """Scores class by class and detection by detection; APs are 0 where no object counts."""
    return [
        _plain_class(detections, truth, number, iou_threshold)
        for number in range(1, len(labels) + 1)
    ]


def _plain_class(
    detections: voc.Detections, truth: voc.GroundTruth, number: int, iou_threshold: float
) -> PlainResult:
    objects, num_objects = _objects_by_picture(truth, number)
    rows = np.flatnonzero(detections.classes == number)
    rows = rows[np.lexsort((detections.images[rows], -detections.scores[rows]))]
    right, wrong = np.zeros(len(rows)), np.zeros(len(rows))
    ignored = set()
    for rank, row in enumerate(rows):
        overlap, best, found = -np.inf, None, objects.get(detections.images[row])
        if found is not None:
            overlaps = _plain_iou(detections.boxes[row], found["boxes"])
            overlap, best = np.max(overlaps), np.argmax(overlaps)
        if found is None or overlap <= iou_threshold:
            wrong[rank] = 1
        elif found["difficult"][best]:
            ignored.add(int(row))
        elif found["taken"][best]:
            wrong[rank] = 1
        else:
            right[rank] = 1
            found["taken"][best] = True
    recall = np.cumsum(right) / max(1, num_objects)
    total = np.cumsum(right) + np.cumsum(wrong)
    precision = np.cumsum(right) / np.maximum(total, np.finfo(np.float64).eps)
    return PlainResult(
        _plain_voc07(recall, precision),
        _plain_voc12(recall, precision),
        frozenset(rows[right > 0].tolist()),
        frozenset(ignored),
    )


def _objects_by_picture(truth: voc.GroundTruth, number: int) -> tuple[dict, int]:
    rows_of = collections.defaultdict(list)
    for row in np.flatnonzero(truth.classes == number):
        rows_of[truth.images[row]].append(row)
    objects = {
        image: {
            "boxes": truth.boxes[rows],
            "difficult": truth.difficult[rows],
            "taken": [False] * len(rows),
        }
        for image, rows in rows_of.items()
    }
    return objects, int(np.sum(~truth.difficult[truth.classes == number]))


def _plain_iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.minimum(boxes[:, 2:], box[2:])
    sides = np.maximum(high - low + 1.0, 0.0)
    shared = sides[:, 0] * sides[:, 1]
    area = (box[2] - box[0] + 1.0) * (box[3] - box[1] + 1.0)
    areas = (boxes[:, 2] - boxes[:, 0] + 1.0) * (boxes[:, 3] - boxes[:, 1] + 1.0)
    return shared / (area + areas - shared)


def _plain_voc07(recall: np.ndarray, precision: np.ndarray) -> float:
    total = 0.0
    for threshold in np.arange(0.0, 1.1, 0.1):
        reached = precision[recall >= threshold]
        total += (np.max(reached) if len(reached) else 0.0) / 11.0
    return float(total)


def _plain_voc12(recall: np.ndarray, precision: np.ndarray) -> float:
    recall = np.concatenate(([0.0], recall, [1.0]))
    precision = np.concatenate(([0.0], precision, [0.0]))
    for i in range(len(precision) - 1, 0, -1):
        precision[i - 1] = max(precision[i - 1], precision[i])
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(np.sum((recall[steps + 1] - recall[steps]) * precision[steps + 1]))


def random_case(
    *, seed: int, num_pictures: int, num_objects: int, num_detections: int, num_classes: int
) -> tuple[voc.Detections, voc.GroundTruth]:
    """Objects, and detections of which 60 % are jittered copies of one; rows in random order."""
    draw = np.random.default_rng(seed)
    truth = voc.GroundTruth(
        draw.integers(num_pictures, size=num_objects),
        draw.integers(1, num_classes + 1, size=num_objects),
        _random_boxes(draw, num_objects),
        draw.random(num_objects) < 0.2,
    )
    copied = draw.integers(num_objects, size=int(num_detections * 0.6))
    others = num_detections - len(copied)
    jitter = draw.normal(scale=20.0, size=(len(copied), 4))
    detections = voc.Detections(
        np.append(truth.images[copied], draw.integers(num_pictures, size=others)),
        np.append(truth.classes[copied], draw.integers(1, num_classes + 1, size=others)),
        draw.random(num_detections),
        np.append(_ordered(truth.boxes[copied] + jitter), _random_boxes(draw, others), axis=0),
    )
    shuffled = draw.permutation(num_detections)
    return voc.Detections(*(column[shuffled] for column in detections)), truth


def _random_boxes(draw: np.random.Generator, count: int) -> np.ndarray:
    return _ordered(draw.uniform(0.0, 500.0, size=(count, 4)))


def _ordered(boxes: np.ndarray) -> np.ndarray:
    corners = np.sort(boxes.reshape(-1, 2, 2), axis=1)
    return corners.reshape(-1, 4)


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the median seconds of both over the rounds, and their ratio."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--images", type=int, default=4952)
    options.add_argument("--objects", type=int, default=14976)
    options.add_argument("--detections", type=int, default=250_000)
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args(argv)
    case = random_case(
        seed=0,
        num_pictures=given.images,
        num_objects=given.objects,
        num_detections=given.detections,
        num_classes=len(_LABELS),
    )
    seconds = {voc.evaluate: [], plain_evaluate: []}
    for _ in range(given.rounds):
        for scorer, spent in seconds.items():
            start = time.perf_counter()
            scorer(*case, labels=_LABELS)
            spent.append(time.perf_counter() - start)
    ours, plain = (statistics.median(spent) for spent in seconds.values())
    print(f"{given.detections:,} detections, {given.images:,} images, {given.rounds} rounds")
    print(f"metrics.voc {ours:.3f} s   plain loop {plain:.3f} s   ratio {plain / ours:.1f}")


if __name__ == "__main__":
    main()
