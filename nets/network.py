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
Outputs = tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]


def _unchanged(name: str, value: np.ndarray) -> np.ndarray:
    del name
    return value


class ImportRules(NamedTuple):
    """How a network's variables are found in the classifier that its backbone comes from.

    Attributes:
      classifier: what to call it in messages; "" where there is none.
      reduced: layer -> the classifier's layer that it is cut out of.
      reduce: (name there, value) -> what is cut out.
    """

    classifier: str = ""
    reduced: Mapping[str, str] = {}
    reduce: Callable[[str, np.ndarray], np.ndarray] = _unchanged


class Network(NamedTuple):
    """A network function and every fact of it that others need.

    Attributes:
      parameters: its geometry, and its name.
      build: (inputs, *, num_classes, depth_multiplier, initializer, training) -> logits, offsets,
        end points; see `ssd_vgg_300.network`. `training` is for layers that behave in another way
        while they are trained.
      first_layer: the convolution that reads the input: a factor on the input is one on its
        weights, and a checkpoint's scope is what stands before its name.
      preprocessing: a name of `preprocessing_factory`.
      rgb_means: what is subtracted from pixels; None for the preprocessing's own.
      imported_input_scale: factor on RGB minus mean that weights in slim's names expect.
      score: a name of `detections.SCORES`: what makes scores of logits.
      read_depth_multiplier: (shapes of a checkpoint, scope) -> the width. KeyError where a variable
        is missing, ValueError where no width fits; None for a network of one width.
      imports: what else than its own names it can start from.
      weight_hook: (name, weights) -> the weights that the layers get; see `SlimVariables.scope`.
    """

    parameters: SSDParameters
    build: Callable[..., Outputs]
    first_layer: str
    preprocessing: str = "ssd_vgg"
    rgb_means: tuple[float, float, float] | None = None
    imported_input_scale: float = 1.0
    score: str = "softmax"
    read_depth_multiplier: Callable[[Shapes, str], float] | None = None
    imports: ImportRules = ImportRules()
    weight_hook: WeightHook | None = None

    @property
    def first_weights(self) -> str:
        """Name of the first layer's weights."""
        return f"{self.parameters.name}/{self.first_layer}/weights"

    def read_shapes(self, shapes: Shapes) -> tuple[int, float]:
        """C, background counted, and the depth multiplier of a checkpoint in slim's names.

        Args:
          shapes: of its variables, by name.

        Raises:
          KeyError: a variable is missing.
          ValueError: the layers have widths of no depth multiplier.
        """
        scope = self.parameters.name
        head = f"{scope}/{self.parameters.layers[0].name}_box"
        outputs = shapes[f"{head}/conv_cls/weights"][-1]
        anchors_per_cell = shapes[f"{head}/conv_loc/weights"][-1] // 4
        width = self.read_depth_multiplier(shapes, scope) if self.read_depth_multiplier else 1.0
        return outputs // anchors_per_cell, width

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
