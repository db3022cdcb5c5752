"""What TensorBoard shows of a training besides scalars: histograms, and images as trained on.

Made when summaries are due and at no other time. Activations and images come from the first
images of the chief's first clone, by a forward pass of their own after the step; gradients are
those of the step, of the global batch. Tags are those of slim's trainers.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from datasets.input_pipeline import Batch
from model.detector import Detector
from nets import boxes
from nets.matching import Targets
from training.step import GRADIENT
from visualization import pictures

PICTURES = 4
_SAME_BOX = 1e-3  # relative; what decoding leaves of an object's box differs by less


class Summary(NamedTuple):
    """A value, its tag, and the function that writes both to the default summary writer."""

    write: Callable[[str, Any], Any]
    tag: str
    value: Any


class TrainSummaries:
    """Finds what the flags ask for; nothing by default."""

    def __init__(
        self,
        detector: Detector,
        strategy: tf.distribute.Strategy,
        *,
        histograms: bool,
        images: bool,
    ):
        self._detector, self._strategy = detector, strategy
        self._histograms, self._images = histograms, images
        self._end_points = tf.function(detector.end_points, autograph=False)

    def of_step(self, batch: Batch, result: Mapping[str, tf.Tensor]) -> list[Summary]:
        """Histograms and drawn images of a step, all computed and none written.

        Args:
          batch: what the chief trained on; the strategy's distributed one where it has clones.
          result: of the step, with gradients.
        """
        if not (self._histograms or self._images):
            return []
        local = self._strategy.experimental_local_results
        first = tf.nest.map_structure(lambda rows: local(rows)[0][:PICTURES], batch)
        found: list[Summary] = []
        if self._histograms:
            found += [*self._of_variables(result), *self._of_activations(first.images)]
        if self._images:
            write = functools.partial(tf.summary.image, max_outputs=PICTURES)
            found.append(Summary(write, "training_pictures", draw(self._detector, first)))
        return found

    def _of_variables(self, result: Mapping[str, tf.Tensor]) -> Iterator[Summary]:
        for name, variable in self._detector.variables_by_name.items():
            yield Summary(tf.summary.histogram, name, variable)
            if (gradient := result.get(f"{name}{GRADIENT}")) is not None:
                yield Summary(tf.summary.histogram, f"{name}/gradient", gradient)
                yield Summary(tf.summary.scalar, f"{name}/gradient_norm", tf.norm(gradient))

    def _of_activations(self, images: tf.Tensor) -> Iterator[Summary]:
        for name, values in self._end_points(images).items():
            yield Summary(tf.summary.histogram, f"activations/{name}", values)
            yield Summary(tf.summary.scalar, f"sparsity/{name}", tf.nn.zero_fraction(values))


def draw(detector: Detector, batch: Batch) -> np.ndarray:
    """uint8[B, S, S, 3]: network inputs, objects with their names over their matched anchors."""
    inputs = batch.images.numpy() + np.array(detector.preprocessing.rgb_means, np.float32)
    canvases = np.clip(np.round(inputs), 0, 255).astype(np.uint8)
    colours = pictures.class_colours(detector.labels)
    for k, canvas in enumerate(canvases):
        matched = Targets(*(values[k].numpy() for values in batch.targets))
        anchors, anchor_names = _matched_anchors(detector, matched)
        objects, names = _objects(detector, matched)
        canvas = pictures.draw_boxes(
            canvas,
            anchors,
            anchor_names,
            difficult=np.ones(len(anchors), bool),
            colours=colours,
            written=False,
        )
        canvases[k] = pictures.draw_boxes(canvas, objects, names, colours=colours)
    return canvases


def _matched_anchors(detector: Detector, targets: Targets) -> tuple[np.ndarray, list[str]]:
    positive = targets.classes > 0
    names = [detector.labels[label - 1] for label in targets.classes[positive]]
    return detector.anchors.numpy()[positive], names


def _objects(detector: Detector, targets: Targets) -> tuple[np.ndarray, list[str]]:
    """The boxes that matched anchors are to become, each once, and their names."""
    anchors, names = _matched_anchors(detector, targets)
    offsets = targets.offsets[targets.classes > 0]
    decoded = boxes.decode(offsets, anchors, detector.parameters.prior_scaling).numpy()
    first: list[int] = []
    for k, box in enumerate(decoded):
        same = [j for j in first if names[j] == names[k]]
        if all(np.abs(decoded[j] - box).max() >= _SAME_BOX for j in same):
            first.append(k)
    return decoded[first], [names[k] for k in first]
