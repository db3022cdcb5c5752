"""What a checkpoint says of itself, so that evaluation, detection and export need no flags."""

import dataclasses
import json

from errors import InputError
from nets import nets_factory

FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """Everything that a network's arithmetic depends on, besides its weights.

    Attributes:
      model_name: a name of `nets_factory`.
      labels: class names; class id k has the name labels[k - 1].
      anchors: preset of the anchors, or the sides of their squares.
      depth_multiplier: factor on the channels of every layer.
      input_scale: factor on RGB minus mean.
      precision: type the network was trained with: float32 or bfloat16.
    """

    model_name: str
    labels: tuple[str, ...]
    anchors: str = "voc"
    depth_multiplier: float = 1.0
    input_scale: float = 1.0
    precision: str = "float32"

    def __post_init__(self):
        nets_factory.get_network(self.model_name).parameters.squares(self.anchors)
        if not self.depth_multiplier > 0:
            raise InputError(
                f"--depth_multiplier={self.depth_multiplier} must be above 0: 1 is full width."
            )

    @property
    def num_classes(self) -> int:
        """C: the labels and background."""
        return len(self.labels) + 1

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """The inverse of `to_json`.

        Raises:
          InputError: written by a newer version of this project.
        """
        values = json.loads(text)
        if values.pop("format") != FORMAT:
            raise InputError("The checkpoint comes from a newer version: update this project.")
        return cls(**{**values, "labels": tuple(values["labels"])})
