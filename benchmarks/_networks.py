"""Which networks a benchmark compares, and what torchvision has beside each."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks._contenders import Contender
from runtime.errors import InputError

DEFAULT = "ssd_300_vgg"
_TORCHVISION = {
    "ssd_300_vgg": "ssd300_vgg16",
    "ssdlite_300_mobilenet_v2": "ssdlite320_mobilenet_v3_large",  # it resizes images to 320
}
Make = Callable[[], Contender]


def add_option(options: argparse.ArgumentParser) -> None:
    """Adds `--model_name` with a list of names."""
    options.add_argument(
        "--model_name",
        default=[DEFAULT],
        type=lambda text: text.split(","),
        help="one network, or several with commas between them; each meets all contenders",
    )


def side(model_name: str) -> int:
    """Of the network's input, pixels.

    Raises:
      InputError: there is no such network.
    """
    from nets import nets_factory

    return nets_factory.get_network(model_name).parameters.image_size[0]


def torchvision_model(torchvision: Any, model_name: str, **options) -> tuple[Any, str]:
    """What torchvision has beside a network, with new weights, and its name.

    Raises:
      InputError: it has none.
    """
    if model_name not in _TORCHVISION:
        raise InputError(f"torchvision has nothing like {model_name}")
    name = _TORCHVISION[model_name]
    build = getattr(torchvision.models.detection, name)
    return build(weights=None, weights_backbone=None, **options), name


def choose(known: Mapping[str, Mapping[str, Make]], numbers: str) -> dict[str, tuple[str, Make]]:
    """The contenders with these numbers, of each network: by what they are called in the table.

    Args:
      known: network -> name of a contender -> what makes it.
      numbers: of contenders, with commas between them.

    Returns:
      title -> (network, what makes it).
    """
    chosen = {}
    for model_name, makers in known.items():
        names: Sequence[str] = list(makers)
        for number in numbers.split(","):
            name = names[int(number)]
            title = name if len(known) == 1 else f"{model_name}: {name}"
            chosen[title] = (model_name, makers[name])
    return chosen
