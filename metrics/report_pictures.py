"""The best and the worst pictures of an evaluation, drawn with truth and detections."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from metrics import pictures
from metrics.errors_by_kind import Diagnosis, Kind
from metrics.voc import Detections, GroundTruth

SURE = 0.5
SHOWN = 6


class Tally(NamedTuple):
    """Counts picture by picture, i64[P] each; detections of score .5 or more only."""

    right: np.ndarray
    wrong: np.ndarray
    unfound: np.ndarray  # objects that count and have no right detection that is sure

    @property
    def errors(self) -> np.ndarray:
        """Wrong detections and objects not found."""
        return self.wrong + self.unfound


class Shown(NamedTuple):
    """A drawn picture with its caption."""

    image: int
    caption: str
    png: bytes


def tally(
    detections: Detections, truth: GroundTruth, diagnosis: Diagnosis, *, num_images: int
) -> Tally:
    """Right, wrong and missing in each picture."""
    sure = detections.scores >= SURE
    right = sure & (diagnosis.kinds == Kind.RIGHT)
    wrong = sure & (diagnosis.kinds > Kind.IGNORED)
    rights, wrongs = (
        np.bincount(detections.images[chosen], minlength=num_images) for chosen in (right, wrong)
    )
    objects = np.bincount(truth.images[~truth.difficult], minlength=num_images)
    return Tally(rights, wrongs, objects - rights)


def choose(counts: Tally) -> tuple[list[int], list[int]]:
    """Numbers of the worst pictures (most errors first) and of the best (most right, none wrong).

    Pictures without errors are never among the worst, nor pictures with errors among the best.
    """
    number = np.arange(len(counts.errors))
    worst = np.lexsort((number, counts.right, -counts.errors))
    best = np.lexsort((number, -counts.right))
    return (
        [int(i) for i in worst if counts.errors[i]][:SHOWN],
        [int(i) for i in best if counts.right[i] and not counts.errors[i]][:SHOWN],
    )


def draw(
    chosen: Sequence[int],
    load: Callable[[int], np.ndarray],
    detections: Detections,
    truth: GroundTruth,
    counts: Tally,
    *,
    labels: Sequence[str],
    names: Sequence[str],
) -> list[Shown]:
    """Truth on the left, detections of score .5 or more on the right.

    Args:
      chosen: numbers of pictures.
      load: number -> uint8[H, W, 3] RGB.
      detections: in pixels.
      truth: in pixels.
      counts: of `tally`.
      labels: class k has the name labels[k - 1].
      names: file names of all pictures.
    """
    colours = pictures.class_colours(labels)
    drawn = []
    for image in chosen:
        pixels = load(image)
        scale = np.tile(pixels.shape[:2], 2)
        rows = np.flatnonzero((detections.images == image) & (detections.scores >= SURE))
        rows = rows[np.argsort(-detections.scores[rows], kind="stable")]
        there = truth.images == image
        pair = pictures.Comparison(
            image=pixels,
            truth=pictures.Boxes(
                truth.boxes[there] / scale,
                [labels[k - 1] for k in truth.classes[there]],
                difficult=truth.difficult[there],
            ),
            found=pictures.Boxes(
                detections.boxes[rows] / scale,
                [labels[k - 1] for k in detections.classes[rows]],
                scores=detections.scores[rows],
            ),
        )
        sheet = pictures.contact_sheet([pair], colours=colours, columns=1, cell=(300, 400))
        caption = (
            f"{names[image]}: {counts.right[image]} right, {counts.wrong[image]} wrong, "
            f"{counts.unfound[image]} not found"
        )
        drawn.append(Shown(image, caption, _encode(sheet)))
    return drawn


def _encode(image: np.ndarray) -> bytes:
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return data.tobytes()
