"""The parameter tuple that holds all geometry of an SSD network."""

import itertools
import math
import re
from typing import NamedTuple

from runtime.errors import InputError

PRIOR_SCALING = (0.1, 0.1, 0.2, 0.2)  # of the reference, for every image size
_SIDES = re.compile(r"([1-9]\d*(?:\.\d+)?)-([1-9]\d*(?:\.\d+)?)")

AnchorSizes = tuple[tuple[float, float], ...]  # sides of each layer's two, small and large, pixels

SMALL, LARGE = 0, 1
Shape = tuple[int, float]  # (which of a layer's two sides, width / height)


def caffe_shapes(*ratios: float) -> tuple[Shape, ...]:
    """The small square, the large square, and the small one in each ratio: Caffe SSD's order."""
    return ((SMALL, 1.0), (LARGE, 1.0), *((SMALL, ratio) for ratio in ratios))


def chained(*sizes: float) -> AnchorSizes:
    """Squares of sizes that follow each other, pixels: one more than there are layers.

    A layer's squares are its own size and the geometric mean of that and the next.
    """
    return tuple((a, math.sqrt(a * b)) for a, b in itertools.pairwise(sizes))


class FeatureLayer(NamedTuple):
    """One layer that predicts boxes.

    Attributes:
      name: the end point it reads, and `NAME_box` its scope.
      size: rows and columns of the feature map.
      shapes: of the anchors of a cell, in their order.
      step: distance of two anchor centres in pixels.
      normalization: initial scale of an L2 normalisation; None for none.
    """

    name: str
    size: int
    shapes: tuple[Shape, ...]
    step: float
    normalization: float | None = None

    @property
    def anchors_per_cell(self) -> int:
        """One for each shape."""
        return len(self.shapes)


class SSDParameters(NamedTuple):
    """Everything that an image size decides.

    Attributes:
      name: variable scope and model name.
      image_size: height and width of the input, pixels.
      layers: the predicting layers, largest feature map first.
      anchor_sizes: preset -> the squares of each layer; the first is what training takes by
        default.
      anchor_offset: centre of the first anchor, in steps.
      prior_scaling: variances of x, y, w, h in the box coder.
    """

    name: str
    image_size: tuple[int, int]
    layers: tuple[FeatureLayer, ...]
    anchor_sizes: dict[str, AnchorSizes]
    anchor_offset: float = 0.5
    prior_scaling: tuple[float, float, float, float] = PRIOR_SCALING

    @property
    def num_anchors(self) -> int:
        """A: anchors of all layers together."""
        return sum(layer.size**2 * layer.anchors_per_cell for layer in self.layers)

    def sizes_of(self, anchors: str) -> AnchorSizes:
        """Sides of each layer's two square anchors, pixels, small and large.

        Args:
          anchors: name of a preset, or the sides themselves: `small-large`, a pair a layer, such as
            "21-50,60-81,111-134,162-186,213-237,264-288".

        Raises:
          InputError: neither.
        """
        if anchors in self.anchor_sizes:
            return self.anchor_sizes[anchors]
        pairs = [_SIDES.fullmatch(pair) for pair in anchors.split(",")]
        squares = tuple((float(pair[1]), float(pair[2])) for pair in pairs if pair)
        if len(squares) != len(self.layers) or None in pairs:
            known = ", ".join(sorted(self.anchor_sizes))
            raise InputError(
                f"--anchors={anchors} is not a preset of {self.name}: use one of {known}, or give "
                f"{len(self.layers)} pairs small-large of sides in pixels, a pair a layer."
            )
        return squares


def write_anchor_sizes(squares: AnchorSizes) -> str:
    """The value of --anchors that stands for them, to a tenth of a pixel."""
    return ",".join("-".join(f"{round(side, 1):g}" for side in pair) for pair in squares)
