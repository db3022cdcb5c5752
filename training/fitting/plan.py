"""What a fit chooses for its data and machine, and why.

The rates and lengths are those of the measured recipes in `configs/`: 900 steps of 8 images from
COCO weights (`bccd_from_coco.flags`), and the quarter-width network of `demo.flags` from scratch.
"""

import math
import os
from typing import Any, NamedTuple

import tensorflow as tf

from inspection import anchor_fit
from inspection.collect import Inspection
from model import checkpoints, weights
from model.description import Description
from nets import anchors, nets_factory
from nets.parameters import write_anchor_sizes
from runtime import hardware
from runtime.errors import InputError
from training.fitting.data import NAME, FitData
from training.fitting.settings import SCRATCH, FitSettings

COCO = "ssdlite_mobilenet_v2_coco"
_FROM_SCRATCH = "ssd_300_vgg"
_NETWORK_OF = {  # of weights that have a name
    COCO: "ssdlite_300_mobilenet_v2",
    "mobilenet_v2": "ssdlite_300_mobilenet_v2",
    "vgg_16": "ssd_300_vgg",
    "resnet_v1_50": "ssd_300_resnet_v1_50",
}
_WARM_UP = 1 / 18  # of the steps: 50 of 900
_EVALUATIONS = 6
_BETTER_RECALL = 0.02  # for which other anchors are worth it
_SHAPES = 6


class Length(NamedTuple):
    """How long to train if nobody says: so many images, within a range of epochs."""

    images: int
    min_epochs: float
    max_epochs: float

    def epochs(self, num_images: int) -> float:
        """Passes over so many images."""
        return min(max(self.images / num_images, self.min_epochs), self.max_epochs)


_FINE_TUNED = Length(7200, 12, 100)
_LEARNT_ANEW = Length(28800, 40, 400)


class Plan(NamedTuple):
    """A training that was chosen.

    Attributes:
      settings: of it; how long is told by `epochs` or in `settings`.
      reasons: lines for the user.
    """

    settings: dict[str, Any]
    reasons: list[str]


class Network(NamedTuple):
    """The network of a fit.

    Attributes:
      name: of `nets_factory`.
      weights: what it starts from; "" for nothing.
      why: a line for the user.
    """

    name: str
    weights: str
    why: str


def choose(settings: FitSettings, network: Network, data: FitData, found: Inspection) -> Plan:
    """Chooses all but the length.

    Args:
      settings: of the fit; what is given there is taken.
      network: of `choose_network`.
      data: its records.
      found: what the inspection saw.
    """
    given = settings.given_to_training()
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    chosen: dict[str, Any] = {
        "train_dir": os.path.join(settings.output_dir, "train"),
        "dataset_dir": os.path.join(settings.output_dir, "records"),
        "dataset_name": NAME,
        "dataset_split_name": data.train,
        "eval_split": data.val,
        "model_name": network.name,
        "checkpoint_path": network.weights,
        "seed": settings.seed,
        "batch_size": min(32 if on_gpu else 8, data.num_images[data.train]),
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "learning_rate_decay_type": "cosine",
        "end_learning_rate": 0.0,
        "slow_start_learning_rate": 0.0,
        "clip_gradient_norm": 10.0,
        "save_interval_secs": 120.0,
        "skip_bad": settings.skip_bad,
    }
    reasons = [f"network: {network.why}"]
    if not network.weights and network.name == _FROM_SCRATCH and not on_gpu:
        chosen["depth_multiplier"] = 0.25
        reasons.append("width: a quarter of the channels, which a CPU trains in minutes")
    elif network.name == _FROM_SCRATCH:
        chosen["learning_rate"] = 4e-4
    own, line = _anchors(found, network)
    chosen |= own
    reasons += [
        line,
        f"batch: {chosen['batch_size']} images, on {'a GPU' if on_gpu else 'the CPU'} in "
        f"{hardware.resolve_precision('auto')}",
        f"learning rate: AdamW at {chosen['learning_rate']:g}, falling to 0 as a cosine",
    ]
    if given:
        flags = ", ".join(f"--{name}" for name in given)
        reasons.append(f"as you say: {flags} (--train_flags)")
    return Plan(chosen | given, reasons)


def choose_network(settings: FitSettings) -> Network:
    """The network, and what it starts from.

    Raises:
      InputError: the weights cannot be found, or their network is not known.
    """
    path, light = settings.checkpoint_path, _NETWORK_OF[COCO]
    if settings.model_name:
        nets_factory.get_network(settings.model_name)  # which refuses one that there is not
    if not path and settings.model_name in (None, light):
        if os.path.exists(f"{weights.path_of(COCO)}.index"):
            return Network(light, COCO, f"{light}, from COCO weights ({COCO})")
        name = settings.model_name or _FROM_SCRATCH
        why = f"{name}, from scratch: `make weights` fetches COCO weights (18 MB)"
        return Network(name, "", why)
    if path in ("", SCRATCH):
        name = settings.model_name or _FROM_SCRATCH
        return Network(name, "", f"{name}, from scratch")
    name = settings.model_name or _NETWORK_OF.get(path) or _described(path)
    checkpoints.resolve(path)  # which says how to fetch weights that are not there
    return Network(name, path, f"{name}, from {path}")


def _described(path: str) -> str:
    """The network that a checkpoint says it is of.

    Raises:
      InputError: there is none, or it says nothing.
    """
    text = checkpoints.read_header(checkpoints.resolve(path)).description
    if text is None:
        raise InputError(
            f"--checkpoint_path={path} does not say which network it is of: give --model_name, one "
            f"of {', '.join(nets_factory.NETWORKS)}."
        )
    return Description.from_json(text).model_name


def _anchors(found: Inspection, network: Network) -> tuple[dict[str, str], str]:
    """Flags of the anchors, and a line about how they fit."""
    parameters = nets_factory.get_network(network.name).parameters
    usual = parameters.sizes_of("voc")
    recall = _recall(found, parameters, usual)
    fit = f"an IoU of .5 or more with {recall:.0%} of the objects"
    if network.weights:
        return {}, f"anchors: those of the weights; {fit}"
    sizes = (found.boxes[:, 2:] - found.boxes[:, :2]).astype(float) * parameters.image_size
    shapes = anchor_fit.propose(sizes, _SHAPES)
    proposal = anchor_fit.propose_sides(found.boxes, parameters, usual, shapes)
    better = _recall(found, parameters, proposal) if proposal else recall
    if proposal and better >= recall + _BETTER_RECALL:
        line = f"anchors: of your boxes by k-means; an IoU of .5 or more with {better:.0%} of "
        return {"anchors": write_anchor_sizes(proposal)}, line + f"them (voc: {recall:.0%})"
    return {"anchors": "voc"}, f"anchors: voc; {fit}"


def _recall(found: Inspection, parameters, sizes) -> float:
    best = anchor_fit.best_overlaps(found.boxes, anchors.make(parameters, sizes))
    return float((best >= anchor_fit.RECALL_AT).mean())


def with_length(
    plan: Plan,
    settings: FitSettings,
    data: FitData,
    *,
    images_per_second: float | None = None,
    seconds: float = math.inf,
) -> Plan:
    """The plan with steps, warm-up and evaluations.

    Args:
      plan: of `choose`.
      settings: of the fit.
      data: its records.
      images_per_second: how fast this training is here, where `minutes` are given.
      seconds: that are left of them.
    """
    num_images, batch = data.num_images[data.train], plan.settings["batch_size"]
    usual = _FINE_TUNED if plan.settings["checkpoint_path"] else _LEARNT_ANEW
    if steps := plan.settings.get("max_number_of_steps"):
        why = "as you say"
    elif images_per_second:
        steps = _steps_in(seconds, images_per_second, data, batch)
        why = f"--minutes={settings.minutes:g} at {images_per_second:.3g} images/s"
    else:
        epochs = settings.epochs or usual.epochs(num_images)
        steps = max(1, math.ceil(epochs * num_images / batch))
        why = "--epochs" if settings.epochs else "usual for so many images"
    epochs = steps * batch / num_images
    every = max(1, math.ceil(steps / _EVALUATIONS))
    length = {
        "max_number_of_steps": steps,
        "slow_start_step": min(500, int(steps * _WARM_UP)),
        **({} if _evaluates(plan.settings) else {"eval_every_n_steps": every}),
        "log_every_n_steps": max(1, min(10, steps // 20)),
    }
    interval = "as you say" if _evaluates(plan.settings) else f"every {every} steps"
    reasons = [
        f"length: {steps} steps, {epochs:.3g} epochs of {num_images} images; {why}",
        f"evaluation: {interval} on {data.num_images[data.val]} images of "
        f"{data.val}; the best checkpoint is kept",
    ]
    return Plan({**length, **plan.settings}, [*plan.reasons, *reasons])


def _evaluates(settings: dict[str, Any]) -> bool:
    """Whether the user said how often."""
    return any(name.startswith("eval_every") for name in settings)


def _steps_in(seconds: float, images_per_second: float, data: FitData, batch: int) -> int:
    """Steps that leave time for the evaluations, which take a third of a step's time an image."""
    evaluated = _EVALUATIONS * data.num_images[data.val] + data.num_images[data.test]
    left = seconds - evaluated / (3 * images_per_second)
    return max(20, int(left * images_per_second / batch))
