"""What a report is made of."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from metrics.coco import Scores
from metrics.voc import Detections, GroundTruth, Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationInputs:
    """Detections and what they are held to.

    Attributes:
      detections: in pixels, of D rows.
      truth: in pixels, of M rows, as it is to be scored.
      labels: class k has the name labels[k - 1].
      names: file name of each of the P images.
      sizes: [P, 2], height and width of each, pixels.
      load: number of an image -> uint8[H, W, 3] RGB; None where there are no images.
      title: of the report.
      step: of the checkpoint; None where there is none.
      checkpoint: its path; "" where devkit files are scored.
    """

    detections: Detections
    truth: GroundTruth
    labels: Sequence[str]
    names: Sequence[str]
    sizes: np.ndarray
    load: Callable[[int], np.ndarray] | None
    title: str
    step: int | None = None
    checkpoint: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation(EvaluationInputs):
    """What the report is made of: the inputs, and what `voc` and `coco` make of them."""

    result: Result
    scores: Scores
