"""Which networks a benchmark compares, and what stands beside them."""

import argparse
import types

import pytest

from benchmarks import _networks, training
from runtime.errors import InputError


def test_several_networks_meet_the_same_contenders_under_titles_that_tell_them_apart():
    makers = {name: object() for name in ("this project", "torchvision", "another")}
    assert _networks.choose({"a": makers}, "2,0") == {
        "another": ("a", makers["another"]),
        "this project": ("a", makers["this project"]),
    }
    assert _networks.choose({"a": makers, "b": makers}, "1") == {
        "a: torchvision": ("a", makers["torchvision"]),
        "b: torchvision": ("b", makers["torchvision"]),
    }


def test_vgg_is_compared_unless_networks_are_named():
    options = argparse.ArgumentParser()
    _networks.add_option(options)
    assert options.parse_args([]).model_name == ["ssd_300_vgg"]
    assert options.parse_args(["--model_name=a,b"]).model_name == ["a", "b"]
    assert (_networks.side("ssd_512_vgg"), _networks.side("ssd_32_tiny")) == (512, 32)


def test_network_stands_beside_torchvisions_of_its_kind():
    detection = types.SimpleNamespace(
        ssd300_vgg16=lambda **options: ("vgg", options),
        ssdlite320_mobilenet_v3_large=lambda **options: ("lite", options),
    )
    torchvision = types.SimpleNamespace(models=types.SimpleNamespace(detection=detection))
    new = {"weights": None, "weights_backbone": None, "num_classes": 3}
    for name, wanted in (("ssd_300_vgg", "vgg"), ("ssdlite_300_mobilenet_v2", "lite")):
        model, _ = _networks.torchvision_model(torchvision, name, num_classes=3)
        assert model == (wanted, new)
    with pytest.raises(InputError, match="nothing like ssd_512_vgg"):
        _networks.torchvision_model(torchvision, "ssd_512_vgg")


def test_operations_are_the_named_networks():
    tiny, vgg = training.operations(21, "ssd_32_tiny"), training.operations(21)
    assert 0 < tiny < vgg / 1000


@pytest.mark.slow
def test_two_networks_stand_in_one_table(capsys):
    names = ["ssdlite_300_mobilenet_v2", "ssd_32_tiny"]
    training.main(
        ["--contenders=1", "--rounds=1", "--batch_size=1", f"--model_name={','.join(names)}"]
    )
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.startswith("ssd") and "%" in line]
    assert [row[0] for row in rows] == [f"{name}:" for name in names]
    assert float(rows[1][4]) < float(rows[0][4])
