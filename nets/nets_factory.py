"""Networks by name.

To add one: describe it in a file that ends with its record, as `ssd_tiny_32.py` does, and name that
in `NETWORKS`. tests/nets/test_nets_factory.py adds one.
"""

from collections.abc import Iterable

from nets import (
    ssd_300_resnet_v1_50,
    ssd_tiny_32,
    ssd_vgg_300,
    ssd_vgg_512,
    ssdlite_300_mobilenet_v2,
)
from nets.network import Network
from runtime.errors import InputError

DEFAULT = ssd_vgg_300.PARAMETERS.name

NETWORKS: dict[str, Network] = {
    network.parameters.name: network
    for network in (
        ssd_vgg_300.NETWORK,
        ssd_vgg_512.NETWORK,
        ssd_300_resnet_v1_50.NETWORK,
        ssdlite_300_mobilenet_v2.NETWORK,
        ssd_tiny_32.NETWORK,
    )
}


def get_network(name: str) -> Network:
    """The network called `name`.

    Raises:
      InputError: there is none.
    """
    if name not in NETWORKS:
        known = ", ".join(sorted(NETWORKS))
        raise InputError(
            f"--model_name={name} is not a network of this project: use one of {known}."
        )
    return NETWORKS[name]


def recognise(names: Iterable[str]) -> str:
    """The network that a checkpoint's variables are named after; `DEFAULT` where none is."""
    names = set(names)
    fitting = [name for name, each in NETWORKS.items() if each.first_weights in names]
    return fitting[0] if fitting else DEFAULT


def get_preprocessing_name(model_name: str, name: str | None) -> str:
    """The preprocessing that `name` stands for: itself, a network's, or by default one's own.

    Raises:
      InputError: there is no network `model_name`.
    """
    own = get_network(model_name).preprocessing
    if name is None:
        return own
    return NETWORKS[name].preprocessing if name in NETWORKS else name
