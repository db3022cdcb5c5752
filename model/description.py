"""The description that a checkpoint carries: evaluation, detection and export need no flags.

One in slim's names has none. Its names and shapes tell network, classes and width; the rest is
what the network's record holds to be true of such checkpoints (`CheckpointDefaults`), in training,
evaluation, detection and export alike, unless the user says otherwise.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from datasets.layouts.labels import check_labels, read_labels
from datasets.layouts.values import shortened
from model.checkpoints import text_in
from nets import nets_factory
from nets.detections import SCORES
from nets.parameters import AnchorSizes
from preprocessing import preprocessing_factory
from preprocessing.preprocessing_factory import Preprocessing
from runtime import limits
from runtime.errors import InputError, one_line
from runtime.hardware import PRECISIONS

FORMAT = 1
_KINDS: dict[str, Any] = {
    **dict.fromkeys(("model_name", "anchors", "precision", "score"), str),
    **dict.fromkeys(("depth_multiplier", "input_scale"), float),
    "labels": list,
    "preprocessing_name": str | None,
    "half_pixel_centers": bool,
    "thresholds": list | None,
    "thresholds_from": str,
}
_KNOWN = {"precision": PRECISIONS, "score": SCORES}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Description:
    """Everything that a network's arithmetic depends on, besides its weights.

    Attributes:
      model_name: a name of `nets_factory`.
      labels: class names; class id k has the name labels[k - 1].
      anchors: preset of the anchors, or the sides of their squares.
      depth_multiplier: factor on the channels of every layer.
      input_scale: factor on RGB minus mean.
      precision: what the network was trained with: float32, bfloat16 or mixed_float16.
      preprocessing_name: a name of `preprocessing_factory`; None for the network's own.
      score: a name of `detections.SCORES`: what makes scores of logits.
      half_pixel_centers: of the warp to the network's size; see `geometry.resize`.
      thresholds: score of each class's best F1, where an evaluation found them.
      thresholds_from: which evaluation did.
    """

    model_name: str
    labels: tuple[str, ...]
    anchors: str = "voc"
    depth_multiplier: float = 1.0
    input_scale: float = 1.0
    precision: str = "float32"
    preprocessing_name: str | None = None
    score: str = "softmax"
    half_pixel_centers: bool = True
    thresholds: tuple[float, ...] | None = None
    thresholds_from: str = ""

    def __post_init__(self):
        _ = self.anchor_sizes  # which refuses what it cannot read
        if not 0 < self.depth_multiplier <= limits.MAX_DEPTH_MULTIPLIER:
            raise InputError(
                f"--depth_multiplier={self.depth_multiplier} must be above 0 and at most "
                f"{limits.MAX_DEPTH_MULTIPLIER:g}: 1 is full width."
            )

    @functools.cached_property
    def anchor_sizes(self) -> AnchorSizes:
        """What `anchors` says, read once: sides of each layer's two square anchors, pixels."""
        return nets_factory.get_network(self.model_name).parameters.sizes_of(self.anchors)

    def check_shapes(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Raises InputError where weights of these shapes are of other classes; see `from_shapes`.

        A network of as many classes as a hostile description says could take all memory.
        """
        try:
            told, _ = nets_factory.get_network(self.model_name).read_shapes(shapes)
        except (KeyError, ValueError):  # told when they are loaded, with their names
            return
        if told != self.num_classes:
            raise InputError(
                f"The checkpoint describes itself as one of {self.num_classes} classes with "
                f"background, and its weights are of {told}: use a fresh copy of it."
            )

    @property
    def num_classes(self) -> int:
        """C: the labels and background."""
        return len(self.labels) + 1

    def make_preprocessing(self, name: str | None = None) -> Preprocessing:
        """From images to the network's input, and its mean; `name` asks for another one.

        Raises:
          InputError: there is none of that name.
        """
        network = nets_factory.get_network(self.model_name)
        return preprocessing_factory.get_preprocessing(
            nets_factory.get_preprocessing_name(self.model_name, name or self.preprocessing_name),
            network.parameters.image_size,
            rgb_means=network.rgb_means,
            half_pixel_centers=self.half_pixel_centers,
        )

    def to_json(self) -> str:
        """One line of JSON, with the network's image size for readers that know no networks."""
        image_size = nets_factory.get_network(self.model_name).parameters.image_size
        own = dataclasses.asdict(self)
        if self.thresholds is None:
            del own["thresholds"], own["thresholds_from"]
        return json.dumps({"format": FORMAT, "image_size": image_size, **own})

    @classmethod
    def from_shapes(
        cls,
        shapes: Mapping[str, Sequence[int]],
        *,
        model_name: str,
        labels: tuple[str, ...] | None,
        anchors: str,
    ) -> "Description":
        """The description of a slim checkpoint, which carries none.

        Args:
          shapes: of its variables, by name; the network tells classes and width by them.
          model_name: scope of the variables.
          labels: class names; None for those that the network's record knows, else class_1, ...
          anchors: preset.

        Raises:
          InputError: it is not of this network, or the labels are of another number.
        """
        network = nets_factory.get_network(model_name)
        try:
            num_classes, depth_multiplier = network.read_shapes(shapes)
        except KeyError as error:
            raise InputError(
                f"The checkpoint has no {error.args[0]}, so it is not of {model_name}: give "
                "--model_name, or another checkpoint."
            ) from error
        except ValueError as error:
            raise InputError(
                f"The checkpoint's layers have widths of no --depth_multiplier of {model_name} "
                f"({error}): give another checkpoint."
            ) from error
        if labels and len(labels) + 1 != num_classes:
            raise InputError(
                f"The checkpoint has {num_classes} classes with background, and there "
                f"are {len(labels)} labels: give the labels that it was trained with."
            )
        known = network.undescribed
        if not labels and len(known.labels) + 1 == num_classes:
            labels = known.labels
        return cls(
            model_name=model_name,
            labels=labels or tuple(f"class_{k}" for k in range(1, num_classes)),
            anchors=anchors,
            depth_multiplier=depth_multiplier,
            input_scale=known.input_scale,
            score=known.score,
            half_pixel_centers=known.half_pixel_centers,
        )

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """The inverse of `to_json`.

        Raises:
          InputError: written by a newer version of this project, or not by this project.
        """
        try:
            values = dict(json.loads(text))
            if (version := values.pop("format")) == FORMAT:
                values.pop("image_size", None)  # told by model_name
                return cls(**_typed(values))
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"The description in the checkpoint cannot be understood ({one_line(error)}): use "
                "another checkpoint or a fresh copy of this one."
            ) from error
        raise InputError(
            f"The checkpoint is of format {shortened(version)} and not {FORMAT}, from a newer "
            "version: update this project."
        )

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> "Description":
        """The description in a checkpoint. Raises InputError as `from_json`."""
        return cls.from_json(text_in(tensors["description"]))


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a description, of their types. Raises ValueError where one is not."""
    found = {}
    for name, value in values.items():
        kind = _KINDS[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = is_number and math.isfinite(value) if kind is float else isinstance(value, kind)
        if not fits:
            raise ValueError(f"{name} is {shortened(value)}")
        if name in _KNOWN and value not in _KNOWN[name]:
            raise ValueError(f"{name} is {shortened(value)}, which is unknown")
        found[name] = value
    if not found["input_scale"]:
        raise ValueError("input_scale is 0")
    labels = check_labels(found["labels"], where="The checkpoint")
    thresholds = found.get("thresholds")
    if thresholds is not None:
        thresholds = tuple(thresholds)
        if len(thresholds) != len(labels) or not all(map(_is_score, thresholds)):
            raise ValueError(f"thresholds is {shortened(found['thresholds'])}")
    return {**found, "labels": labels, "thresholds": thresholds}


def _is_score(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


class CheckpointOverrides(NamedTuple):
    """What the user says of a checkpoint: needed where it says nothing, else only checked.

    Attributes:
      model_name: its network; that of its variables' names where nobody says.
      num_classes: with background.
      anchors: preset.
      labels: class names; class_1, class_2, ... where nobody says.
      labels_from: who says the labels.
    """

    model_name: str | None = None
    num_classes: int | None = None
    anchors: str | None = None
    labels: tuple[str, ...] | None = None
    labels_from: str = "--labels_file"

    @classmethod
    def of_flags(cls, settings: Any) -> "CheckpointOverrides":
        """Those of settings with the flags model_name, num_classes, anchors and labels_file.

        Raises:
          InputError: there is no such file of labels.
        """
        return cls(
            model_name=settings.model_name,
            num_classes=settings.num_classes,
            anchors=settings.anchors,
            labels=read_labels(settings.labels_file) if settings.labels_file else None,
        )

    def describe(self, tensors: Mapping[str, np.ndarray]) -> Description:
        """What a checkpoint is; prints a line where its anchors are a guess.

        Args:
          tensors: all of it, by name.

        Raises:
          InputError: it disagrees with what the user says, or is not of this network.
        """
        if "description" in tensors:
            description = Description.from_tensors(tensors)
            description.check_shapes({name: value.shape for name, value in tensors.items()})
        else:
            name = self.model_name or nets_factory.recognise(tensors)
            known = nets_factory.get_network(name).undescribed
            if not self.anchors and known.anchors_note:
                print(known.anchors_note)
            description = Description.from_shapes(
                {name: value.shape for name, value in tensors.items()},
                model_name=name,
                labels=self.labels,
                anchors=self.anchors or known.anchors,
            )
        self.check(description)
        return description

    def check(self, description: Description) -> None:
        """Raises InputError where a checkpoint is not what the user says."""
        for name in ("model_name", "num_classes", "anchors"):
            asked, true = getattr(self, name), getattr(description, name)
            if asked not in (None, true):
                raise InputError(
                    f"--{name}={asked} differs from the checkpoint's {true}: remove the flag."
                )
        if self.labels and self.labels != description.labels:
            raise InputError(
                f"The checkpoint has the classes {', '.join(description.labels)} and "
                f"{self.labels_from} has {', '.join(self.labels)}: give those that it was trained "
                "on."
            )
