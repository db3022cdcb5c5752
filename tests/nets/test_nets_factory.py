"""Networks by name."""

import pytest

from errors import InputError
from nets import nets_factory, ssd_vgg_300


def test_ssd_300_vgg_is_found_with_its_geometry():
    network = nets_factory.get_network("ssd_300_vgg")
    assert network.parameters is ssd_vgg_300.PARAMETERS
    assert network.build is ssd_vgg_300.network


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"--model_name=vgg_16 .* ssd_300_vgg"):
        nets_factory.get_network("vgg_16")


def test_every_network_has_the_name_it_is_found_by():
    for name, network in nets_factory.NETWORKS.items():
        assert network.parameters.name == name
