"""Images of an evaluation, truth beside detections, for a contact sheet and TensorBoard."""

import collections
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from datasets.records import features
from datasets.records.source import RecordSource
from evaluation.predictions import Predictions
from visualization import pictures

SHEET_PICTURES = 12
SHEET_THRESHOLD = 0.5


class RunPictures:
    """The images of a run, read again from its records when they are asked for."""

    def __init__(
        self, run: Predictions, source: RecordSource, labels: Sequence[str], *, labels_offset: int
    ):
        """Takes what a run found, and the records that it read."""
        self._run, self._source = run, source
        self._labels, self._labels_offset = labels, labels_offset
        self._colours = pictures.class_colours(labels)

    def load(self, index: int) -> np.ndarray:
        """uint8[H, W, 3] RGB of an image, by its number in the run."""
        return _decode(self._example(index))

    def contact_sheet(self) -> np.ndarray:
        """Images spread evenly over the split, truth beside detections of score 0.5 or more."""
        rows = [self._compare(index) for index in self._spread(SHEET_PICTURES)]
        return pictures.contact_sheet(rows, colours=self._colours)

    def drawings(self, count: int) -> dict[str, np.ndarray]:
        """File name -> truth beside detections, for up to `count` images spread alike.

        Images of one name, as data sets of a mixture may have them, have their number behind it.
        """
        names = self._run.names
        counts = collections.Counter(names)
        drawings = {}
        for index in self._spread(count):
            title = names[index] if counts[names[index]] == 1 else f"{names[index]}, {index}"
            row = self._compare(index)
            drawings[title] = pictures.contact_sheet([row], colours=self._colours)
        return drawings

    def _spread(self, count: int) -> list[int]:
        """Numbers of up to `count` images from the first to the last."""
        last = len(self._run.names) - 1
        return sorted({round(place) for place in np.linspace(0, last, count)})

    def _compare(self, index: int) -> pictures.Comparison:
        example, found = self._example(index), self._run.found[index]
        sure = found.scores >= SHEET_THRESHOLD
        return pictures.Comparison(
            image=_decode(example),
            truth=pictures.DrawnBoxes(
                example["boxes"].numpy(),
                [self._labels[k - 1] for k in example["labels"].numpy()],
                difficult=example["difficult"].numpy(),
            ),
            found=pictures.DrawnBoxes(
                found.boxes[sure],
                [self._labels[k - 1] for k in found.classes[sure]],
                scores=found.scores[sure],
            ),
        )

    def _example(self, index: int) -> dict[str, tf.Tensor]:
        record = self._source.read(tf.constant(self._run.records[index], tf.int64))
        return features.parse_example(record, labels_offset=self._labels_offset)


def _decode(example: dict[str, tf.Tensor]) -> np.ndarray:
    return tf.io.decode_image(example["encoded"], channels=3, expand_animations=False).numpy()
