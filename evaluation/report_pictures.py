"""The best and the worst images of an evaluation, drawn with truth and detections."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from metrics.errors_by_kind import Diagnosis, Kind
from metrics.voc import Detections, GroundTruth
from visualization import pictures

SURE = 0.5
SHOWN = 6
UNFOUND = "!"
SHORT = {  # long words would cover small objects
    Kind.LOCALISATION: "loc",
    Kind.CLASS: "class",
    Kind.BOTH: "both",
    Kind.DUPLICATE: "dup",
    Kind.BACKGROUND: "bg",
}


class ImageCounts(NamedTuple):
    """Counts image by image, i64[P] each; detections of score 0.5 or more only."""

    right: np.ndarray
    wrong: np.ndarray
    unfound: np.ndarray  # objects that count and have no right detection that is sure

    @property
    def errors(self) -> np.ndarray:
        """Wrong detections and objects not found."""
        return self.wrong + self.unfound


class Shown(NamedTuple):
    """A drawn image with its caption."""

    image: int
    caption: str
    png: bytes


def count_by_image(
    detections: Detections,
    truth: GroundTruth,
    diagnosis: Diagnosis,
    *,
    num_images: int,
    number: int | None = None,
) -> ImageCounts:
    """Right, wrong and missing in each image; of class `number` alone where it is given."""
    sure, counted = detections.scores >= SURE, ~truth.difficult
    if number is not None:
        sure, counted = sure & (detections.classes == number), counted & (truth.classes == number)
    right = sure & (diagnosis.kinds == Kind.RIGHT)
    wrong = sure & (diagnosis.kinds > Kind.IGNORED)
    rights, wrongs = (
        np.bincount(detections.images[chosen], minlength=num_images) for chosen in (right, wrong)
    )
    objects = np.bincount(truth.images[counted], minlength=num_images)
    return ImageCounts(rights, wrongs, objects - rights)


def choose(counts: ImageCounts, *, shown: Sequence[int] = ()) -> tuple[list[int], list[int]]:
    """Numbers of the worst images (most errors first) and of the best (fewest errors an object).

    Images without errors are never among the worst, nor those with as many errors as right
    detections among the best. No image is in both, and images `shown` before are in neither.
    """
    number = np.arange(len(counts.errors))
    worst = np.lexsort((number, counts.right, -counts.errors))
    worst = [int(i) for i in worst if counts.errors[i] and i not in shown][:SHOWN]
    share = counts.errors / np.maximum(1, counts.errors + counts.right)
    best = np.lexsort((number, -counts.right, share))
    best = [int(i) for i in best if counts.right[i] > counts.errors[i] and i not in shown]
    return worst, [i for i in best if i not in worst][:SHOWN]


def draw(
    chosen: Sequence[int],
    load: Callable[[int], np.ndarray],
    detections: Detections,
    truth: GroundTruth,
    diagnosis: Diagnosis,
    counts: ImageCounts,
    *,
    labels: Sequence[str],
    names: Sequence[str],
) -> list[Shown]:
    """Truth on the left, detections of score 0.5 or more on the right, `SHORT` kinds behind errors.

    Args:
      chosen: numbers of images.
      load: number -> uint8[H, W, 3] RGB.
      detections: in pixels.
      truth: in pixels.
      diagnosis: of these.
      counts: of `count_by_image`.
      labels: class k has the name labels[k - 1].
      names: file names of all images.
    """
    colours = pictures.class_colours(labels)
    drawn = []
    for image in chosen:
        pixels = load(image)
        pair = _compare(image, pixels, detections, truth, diagnosis, labels)
        sheet = pictures.contact_sheet([pair], colours=colours, columns=1, cell=(300, 400))
        caption = (
            f"{names[image]}: {counts.right[image]} right, {counts.wrong[image]} wrong, "
            f"{counts.unfound[image]} not found"
        )
        drawn.append(Shown(image, caption, pictures.to_png(sheet)))
    return drawn


def _compare(
    image: int,
    pixels: np.ndarray,
    detections: Detections,
    truth: GroundTruth,
    diagnosis: Diagnosis,
    labels: Sequence[str],
) -> pictures.Comparison:
    scale = np.tile(pixels.shape[:2], 2)
    rows = np.flatnonzero((detections.images == image) & (detections.scores >= SURE))
    rows = rows[np.argsort(-detections.scores[rows], kind="stable")]
    kinds = [Kind(kind) for kind in diagnosis.kinds[rows]]
    objects = np.flatnonzero(truth.images == image)
    found = set(diagnosis.objects[rows[diagnosis.kinds[rows] == Kind.RIGHT]])
    return pictures.Comparison(
        image=pixels,
        truth=pictures.DrawnBoxes(
            truth.boxes[objects] / scale,
            [labels[k - 1] for k in truth.classes[objects]],
            difficult=truth.difficult[objects],
            notes=["" if k in found or truth.difficult[k] else UNFOUND for k in objects],
        ),
        found=pictures.DrawnBoxes(
            detections.boxes[rows] / scale,
            [labels[k - 1] for k in detections.classes[rows]],
            scores=detections.scores[rows],
            notes=[SHORT.get(kind, "") for kind in kinds],
        ),
    )
