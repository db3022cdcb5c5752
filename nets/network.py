"""What the rest of the program has to know of a network: one record, which its own file fills in.

No other file knows a network's name or its layers. `ssd_vgg_300.py` ends with such a record, and
`nets_factory` lists it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from nets.parameters import SSDParameters
from nets.variables import WeightHook

Shapes = Mapping[str, Sequence[int]]
SLIM_ANCHORS_NOTE = (
    "NOTE: the checkpoint does not name its anchors; --anchors=coco is assumed, as "
    "SSD-Tensorflow's checkpoints have them. Pass --anchors=voc if it was made for these."
)
Outputs = tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]


def _unchanged(name: str, value: np.ndarray) -> np.ndarray:
    del name
    return value


class ImportRules(NamedTuple):
    """How a network's variables are found in the classifier that its backbone comes from.

    Attributes:
      classifier: what to call it in messages; "" where there is none.
      backbone: (scope here, scope in the classifier) of the layers that both have; ("", "") where
        names below the network's scope are the same.
      reduced: layer -> the classifier's layer that it is cut out of.
      reduce: (name there, value) -> what is cut out.
      translate: (name, value) of a checkpoint that does not describe itself -> the value in this
        project's conventions; its own inverse, for checkpoints that are written in those names.
    """

    classifier: str = ""
    backbone: tuple[str, str] = ("", "")
    reduced: Mapping[str, str] = {}
    reduce: Callable[[str, np.ndarray], np.ndarray] = _unchanged
    translate: Callable[[str, np.ndarray], np.ndarray] = _unchanged


class CheckpointDefaults(NamedTuple):
    """What is assumed of a checkpoint in a network's names that has no description.

    Attributes:
      anchors: preset.
      input_scale: factor on RGB minus mean.
      score: a name of `detections.SCORES`.
      half_pixel_centers: of the warp to the network's size; see `geometry.resize`.
      labels: class names, where it has as many classes.
      anchors_note: what the user is told where the anchors are a guess; "" where they are known.
    """

    anchors: str
    input_scale: float = 1.0
    score: str = "softmax"
    half_pixel_centers: bool = True
    labels: tuple[str, ...] = ()
    anchors_note: str = ""


class Network(NamedTuple):
    """A network function and every fact of it that others need.

    Attributes:
      parameters: its geometry, and its name.
      build: (inputs, *, num_classes, depth_multiplier, initializer, training) -> logits, offsets,
        end points; see `ssd_vgg_300.network`. `training` is for layers that behave in another way
        while they are trained.
      first_layer: the convolution that reads the input, by its name below `scope`: a factor on the
        input is one on its weights, and a checkpoint's scope is what stands before its name.
      scope: of the variables; None for the network's name.
      class_head: scope of a predictor of classes; {layer} and {number} are the feature layer's.
      box_head: scope of a predictor of boxes.
      preprocessing: a name of `preprocessing_factory`.
      rgb_means: what is subtracted from pixels; None for the preprocessing's own.
      input_scale: factor on RGB minus mean of a network that starts from scratch.
      undescribed: what holds of checkpoints in its names that say nothing of themselves.
      has_batch_norm: whether there are statistics to be trained, or frozen.
      read_depth_multiplier: (shapes of a checkpoint, scope) -> the width. KeyError where a variable
        is missing, ValueError where no width fits; None for a network of one width.
      imports: what else than its own names it can start from.
      weight_hook: (name, weights) -> the weights that the layers get; see `SlimVariables.scope`.
    """

    parameters: SSDParameters
    build: Callable[..., Outputs]
    first_layer: str
    scope: str | None = None
    class_head: str = "{layer}_box/conv_cls"
    box_head: str = "{layer}_box/conv_loc"
    preprocessing: str = "ssd_vgg"
    rgb_means: tuple[float, float, float] | None = None
    input_scale: float = 1 / 58  # brings RGB minus mean to about unit variance
    undescribed: CheckpointDefaults = CheckpointDefaults("coco", anchors_note=SLIM_ANCHORS_NOTE)
    has_batch_norm: bool = False
    read_depth_multiplier: Callable[[Shapes, str], float] | None = None
    imports: ImportRules = ImportRules()
    weight_hook: WeightHook | None = None

    @property
    def variable_scope(self) -> str:
        """The scope of all variables; "" where there is none."""
        return self.parameters.name if self.scope is None else self.scope

    def full_name(self, name: str) -> str:
        """A variable or a scope of this network, given by its name below the network's scope."""
        return f"{self.variable_scope}/{name}".lstrip("/")

    def is_head(self, name: str, *, classes_only: bool = False) -> bool:
        """Whether a variable, below any scope, belongs to the predictors, or to those of classes.

        The last layer alone is meant where a predictor has several.
        """
        patterns = [self.class_head] if classes_only else [self.class_head, self.box_head]
        return any(
            f"/{pattern.format(layer=layer.name, number=number)}/" in f"/{name}"
            for pattern in patterns
            for number, layer in enumerate(self.parameters.layers)
        )

    @property
    def first_weights(self) -> str:
        """Name of the first layer's weights."""
        return self.full_name(f"{self.first_layer}/weights")

    def read_shapes(self, shapes: Shapes) -> tuple[int, float]:
        """C, background counted, and the depth multiplier of a checkpoint in slim's names.

        Args:
          shapes: of its variables, by name.

        Raises:
          KeyError: a variable is missing.
          ValueError: the layers have widths of no depth multiplier.
        """
        first = self.parameters.layers[0].name
        outputs, offsets = (
            shapes[self.full_name(f"{head.format(layer=first, number=0)}/weights")][-1]
            for head in (self.class_head, self.box_head)
        )
        read = self.read_depth_multiplier
        width = read(shapes, self.variable_scope) if read else 1.0
        return outputs * 4 // offsets, width

    def check_maps(self, end_points: Mapping[str, tf.Tensor]) -> None:
        """Holds the geometry to what the network function made.

        Raises:
          ValueError: a predicting layer has another number of cells than its anchors.
        """
        for layer in self.parameters.layers:
            made = tuple(end_points[layer.name].shape[1:3])
            if made != (layer.size, layer.size):
                raise ValueError(
                    f"{self.parameters.name}: {layer.name} has {made} cells where its FeatureLayer "
                    f"says {layer.size} x {layer.size}: correct its size."
                )
