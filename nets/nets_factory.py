"""Networks by name.

To add one: describe it in a file beside `ssd_vgg_300.py`, add a line to `NETWORKS`, and its name to
`MODULES` of `preprocessing_factory`. tests/nets/test_nets_factory.py adds one.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from nets import ssd_vgg_300, ssd_vgg_512
from nets.parameters import SSDParameters
from runtime.errors import InputError


class Network(NamedTuple):
    """A network function and its geometry; for `build` see `ssd_vgg_300.network`."""

    parameters: SSDParameters
    build: Callable[..., tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]]


NETWORKS: dict[str, Network] = {
    "ssd_300_vgg": Network(ssd_vgg_300.PARAMETERS, ssd_vgg_300.network),
    "ssd_512_vgg": Network(ssd_vgg_512.PARAMETERS, ssd_vgg_512.network),
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
