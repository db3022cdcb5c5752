"""The detector: one object for scripts, notebooks and services, with four verbs.

`preprocess` (any image -> network input), `predict` (input -> logits and offsets), `postprocess`
(-> boxes, classes, scores) and `loss` (predictions and targets -> named scalars).

    detector = Detector.from_checkpoint("train_dir")
    found = detector.detect([image])[0]
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model import checkpoints, score_thresholds
from model.description import CheckpointOverrides, Description
from nets import analysis, anchors, detections, losses, nets_factory, variables
from nets.losses import Loss, Predictions
from nets.matching import Targets
from optimization.averages import averaged
from runtime import hardware
from runtime.errors import InputError

NO_HINTS = CheckpointOverrides()


class PictureDetections(NamedTuple):
    """Detections of one image, best first.

    Attributes:
      boxes: f32[K, 4] relative.
      classes: i64[K], from 1.
      scores: f32[K].
    """

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


class Detector(tf.Module):
    """A network with its anchors, labels and weights.

    Attributes:
      description: what it is.
      network: its record in `nets_factory`.
      parameters: the geometry of the network.
      anchors: f32[A, 4].
      preprocessing: from images to what the network takes, and its mean.
      variables_by_name: the weights and state by slim name.
      layers: what it consists of, with parameters and multiply-adds.
    """

    def __init__(
        self,
        description: Description,
        *,
        precision: str | None = None,
        initializer: str = "he",
        seed: int = 0,
    ):
        """Makes the variables, with random weights; inside `strategy.scope()` to distribute them.

        Args:
          description: the network, its classes and anchors.
          precision: type of the arithmetic; that of the description by default.
          initializer: "he" from scratch, "xavier" below imported weights.
          seed: of the random weights.
        """
        super().__init__(name="detector")
        network = nets_factory.get_network(description.model_name)
        self.description, self.parameters = description, network.parameters
        self.anchors = tf.constant(anchors.make(network.parameters, description.anchor_sizes))
        self.network, self._initializer = network, initializer
        self._dtype = hardware.compute_dtype(precision or description.precision)
        self._variables = variables.SlimVariables(seed=seed)
        self.preprocessing = description.make_preprocessing()
        self._detect = self._compile(frozen=False)
        # Tracing makes the variables without computing anything.
        spec = tf.TensorSpec([1, *self.image_size, 3], tf.float32)
        traced = tf.function(self._run, autograph=False).get_concrete_function(spec)
        network.check_maps(traced.structured_outputs[2])
        self.layers = analysis.layers(traced.graph, self.variables_by_name)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint_path: str,
        *,
        precision: str = "auto",
        use_moving_average: bool = True,
        hints: CheckpointOverrides = NO_HINTS,
    ) -> "Detector":
        """The detector that a checkpoint (or the newest of a train_dir) holds.

        Args:
          checkpoint_path: a checkpoint or a folder of some.
          precision: type of the arithmetic; auto is the fastest that the machine has.
          use_moving_average: take averaged weights where the checkpoint has them.
          hints: what the user says of it.

        Raises:
          InputError: no checkpoint there, or not one of such a network.
        """
        path = checkpoints.resolve(checkpoint_path)
        tensors = checkpoints.read(path)
        description = score_thresholds.with_evaluation(hints.describe(tensors), path)
        detector = cls(description, precision=hardware.resolve_precision(precision))
        detector.load(detector.weights_of(tensors, use_moving_average=use_moving_average))
        detector.freeze()
        return detector

    @property
    def labels(self) -> tuple[str, ...]:
        """Class id k has the name labels[k - 1]."""
        return self.description.labels

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the network's input, pixels."""
        return self.parameters.image_size

    @property
    def variables_by_name(self) -> dict[str, tf.Variable]:
        """The weights and state by slim name, in the order of the network."""
        return self._variables.by_name

    @property
    def state_by_name(self) -> dict[str, tf.Variable]:
        """Those of `variables_by_name` that are saved and restored, but not trained."""
        return self._variables.state_by_name

    def weights_of(
        self, tensors: dict[str, np.ndarray], *, use_moving_average: bool = True
    ) -> dict[str, np.ndarray]:
        """What `load` takes, of all that a checkpoint holds.

        Averages take the place of weights where they are wanted and there; a checkpoint that does
        not describe itself is translated from the conventions of its network's world.
        """
        if use_moving_average:
            tensors = averaged(tensors)
        if "description" in tensors:
            return tensors
        translate = self.network.imports.translate
        return {name: translate(name, value) for name, value in tensors.items()}

    def load(self, tensors: dict[str, np.ndarray]) -> None:
        """Sets every weight from a map of names.

        Raises:
          InputError: a weight is missing, has another shape, or is not finite.
        """
        for name, variable in self.variables_by_name.items():
            if name not in tensors or tensors[name].shape != tuple(variable.shape):
                there = tensors[name].shape if name in tensors else "missing"
                raise InputError(
                    f"The checkpoint's {name} is {there}, the network's is "
                    f"{tuple(variable.shape)}: it belongs to another network or class count."
                )
            if not np.isfinite(tensors[name]).all():
                raise InputError(
                    f"The checkpoint's {name} holds NaN or infinity, as after a training that "
                    "diverged: use an earlier checkpoint."
                )
            variable.assign(tensors[name])
        self._detect = self._compile(frozen=False)

    def freeze(self) -> None:
        """Says that the weights stay as they are until `load`: detecting compiles them in."""
        self._detect = self._compile(frozen=True)

    def preprocess(self, image: tf.Tensor) -> tf.Tensor:
        """uint8[H, W, 3] RGB of any size -> f32[S, S, 3] network input, RGB minus mean."""
        return self.preprocessing.for_eval(image)

    def predict(self, inputs: tf.Tensor, *, frozen: bool = False) -> Predictions:
        """f32[B, S, S, 3] -> logits and offsets.

        `frozen` is for a function that is traced once and called often, and never differentiated:
        the weights' present values become constants in it, which TensorFlow casts and reorders once
        and not in every call.
        """
        logits, offsets, *_ = self._run(inputs, frozen=frozen)
        return Predictions(tf.cast(logits, tf.float32), tf.cast(offsets, tf.float32))

    def predict_in_training(self, inputs: tf.Tensor) -> tuple[Predictions, dict[str, tf.Tensor]]:
        """As `predict`, where layers with statistics take the batch's.

        Returns:
          The predictions, and what state becomes by this batch: f32 values by name.
        """
        logits, offsets, _, updates = self._run(inputs, training=True)
        predictions = Predictions(tf.cast(logits, tf.float32), tf.cast(offsets, tf.float32))
        return predictions, updates

    def feature_maps(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """f32[B, S, S, 3] -> what each predicting layer reads, f32[B, H, W, D] by layer name."""
        end_points = self.end_points(inputs)
        return {layer.name: end_points[layer.name] for layer in self.parameters.layers}

    def end_points(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """f32[B, S, S, 3] -> activations at the end of every block, f32[B, H, W, D] by its name."""
        _, _, end_points, _ = self._run(inputs)
        return {name: tf.cast(values, tf.float32) for name, values in end_points.items()}

    def postprocess(self, predictions: Predictions, **thresholds) -> detections.PaddedDetections:
        """Predictions -> detections; the thresholds are those of `detections.detect`."""
        return detections.detect(
            predictions.logits,
            predictions.offsets,
            self.anchors,
            prior_scaling=self.parameters.prior_scaling,
            score=self.description.score,
            **thresholds,
        )

    def loss(
        self,
        predictions: Predictions,
        targets: Targets,
        *,
        normalizer: tf.Tensor | None = None,
        loss: Loss = losses.MULTIBOX,
        step: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """The parts of a loss by name, such as "classification" and "localisation", f32 scalars.

        Args:
          predictions: of a batch.
          targets: of the same batch.
          normalizer: what the sums are divided by; by default the batch's positives, at least 1.
          loss: gives the sums.
          step: updates made before, for what sets in over a training.
        """
        if normalizer is None:
            normalizer = tf.maximum(1.0, count_positives(targets))
        sums = loss(predictions, targets, step=step)
        return {name: value / normalizer for name, value in sums.items()}

    def detect(
        self,
        images: Sequence[np.ndarray],
        *,
        select_threshold: str | score_thresholds.Threshold = score_thresholds.AUTO,
        **thresholds,
    ) -> list[PictureDetections]:
        """All four steps on images of any size.

        Args:
          images: uint8[H, W, 3] RGB each.
          select_threshold: score that a detection must exceed, or that of each class; auto is that
            of the best F1 where an evaluation found it, else 0.3.
          **thresholds: others of `detections.detect`.
        """
        if not images:
            return []
        inputs = tf.stack([self.preprocess(tf.constant(image)) for image in images])
        limit = score_thresholds.resolve(select_threshold, self.description)
        return unpad(self._detect(inputs, select_threshold=limit, **thresholds))

    def detect_inputs(self, inputs: tf.Tensor, **thresholds) -> detections.PaddedDetections:
        """f32[B, S, S, 3] network inputs -> padded detections, as one compiled function."""
        return self._detect(inputs, **thresholds)

    def _compile(self, *, frozen: bool) -> Callable[..., detections.PaddedDetections]:
        def detect(inputs: tf.Tensor, **thresholds) -> detections.PaddedDetections:
            return self.postprocess(self.predict(inputs, frozen=frozen), **thresholds)

        return tf.function(detect, autograph=False, reduce_retracing=True)

    def _run(
        self, inputs: tf.Tensor, *, frozen: bool = False, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        scaled = tf.cast(inputs * self.description.input_scale, self._dtype)
        scope = self._variables.scope(
            self.network.variable_scope,
            frozen=frozen,
            weight_hook=self.network.weight_hook,
        )
        with scope as updates:
            outputs = self.network.build(
                scaled,
                num_classes=self.description.num_classes,
                depth_multiplier=self.description.depth_multiplier,
                initializer=self._initializer,
                training=training,
            )
        return *outputs, updates


def count_positives(targets: Targets) -> tf.Tensor:
    """Matched anchors of a batch, f32 scalar."""
    return tf.reduce_sum(tf.cast(targets.classes > 0, tf.float32))


def unpad(found: detections.PaddedDetections) -> list[PictureDetections]:
    """Padded detections of a batch -> NumPy detections image by image."""
    boxes, classes, scores, counts = (value.numpy() for value in found)
    return [
        PictureDetections(boxes[i, :count], classes[i, :count], scores[i, :count])
        for i, count in enumerate(counts)
    ]
