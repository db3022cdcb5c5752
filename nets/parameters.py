"""The parameter tuple that holds all geometry of an SSD network."""

from typing import NamedTuple

from errors import InputError


class FeatureLayer(NamedTuple):
    """One layer that predicts boxes.

    Attributes:
      name: the end point it reads, and `NAME_box` its scope.
      size: rows and columns of the feature map.
      ratios: width / height of the anchors after the two square ones.
      step: distance of two anchor centres in pixels.
      normalization: initial scale of an L2 normalisation; None for none.
    """

    name: str
    size: int
    ratios: tuple[float, ...]
    step: float
    normalization: float | None = None

    @property
    def anchors_per_cell(self) -> int:
        """The small square, the large square, and one anchor for each ratio."""
        return 2 + len(self.ratios)


class SSDParameters(NamedTuple):
    """Everything that a picture size decides.

    Attributes:
      name: variable scope and model name.
      image_size: height and width of the input, pixels.
      layers: the predicting layers, largest feature map first.
      anchor_sizes: preset -> one size more than there are layers, pixels.
      anchor_offset: centre of the first anchor, in steps.
      prior_scaling: variances of x, y, w, h in the box coder.
    """

    name: str
    image_size: tuple[int, int]
    layers: tuple[FeatureLayer, ...]
    anchor_sizes: dict[str, tuple[float, ...]]
    anchor_offset: float = 0.5
    prior_scaling: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)

    @property
    def num_anchors(self) -> int:
        """A: anchors of all layers together."""
        return sum(layer.size**2 * layer.anchors_per_cell for layer in self.layers)

    def sizes(self, preset: str) -> tuple[float, ...]:
        """Anchor sizes of a preset, pixels.

        Raises:
          InputError: the preset is unknown.
        """
        if preset not in self.anchor_sizes:
            known = ", ".join(sorted(self.anchor_sizes))
            raise InputError(
                f"--anchors={preset} is not a preset of {self.name}: use one of {known}."
            )
        return self.anchor_sizes[preset]
