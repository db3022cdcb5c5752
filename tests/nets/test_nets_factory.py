"""Networks by name."""

import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

from model.description import Description
from model.detector import Detector
from nets import nets_factory, ssd_vgg_300
from nets.parameters import FeatureLayer, SSDParameters
from preprocessing import preprocessing_factory
from runtime.errors import InputError


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


TINY = SSDParameters(
    name="tiny",
    image_size=(32, 32),
    layers=(FeatureLayer("half", 16, (2.0,), 2), FeatureLayer("quarter", 8, (), 4)),
    anchor_sizes={"voc": (4.0, 8.0, 16.0)},
)


def build_tiny(inputs, *, num_classes, depth_multiplier, initializer):
    del depth_multiplier
    with ssd_vgg_300.arg_scope(initializer):
        half = slim.conv2d(inputs, 8, [3, 3], stride=2, scope="conv1")
        quarter = slim.conv2d(half, 8, [3, 3], stride=2, scope="conv2")
        maps = {"half": half, "quarter": quarter}
        return *ssd_vgg_300.predictions(maps, TINY, num_classes), maps


def test_network_is_added_in_a_few_lines(monkeypatch):
    """A file with what stands above, and these two lines."""
    monkeypatch.setitem(nets_factory.NETWORKS, "tiny", nets_factory.Network(TINY, build_tiny))
    modules = preprocessing_factory.MODULES
    monkeypatch.setitem(modules, "tiny", modules["ssd_300_vgg"])
    detector = Detector(Description(model_name="tiny", labels=("cat", "dog")))
    assert "tiny/quarter_box/conv_cls/weights" in detector.variables_by_name
    predictions = detector.predict(tf.zeros([2, 32, 32, 3]))
    assert predictions.logits.shape == (2, 16 * 16 * 3 + 8 * 8 * 2, 3)
    (found,) = detector.detect(
        [np.zeros((40, 50, 3), np.uint8)], select_threshold=0.1, keep_top_k=7
    )
    assert len(found.boxes) == 7
