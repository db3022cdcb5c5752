"""The network of tests and tries: it holds to every convention of the large ones, and is small."""

import pytest
import tensorflow as tf

from model.description import Description
from model.detector import Detector
from nets import anchors, nets_factory, ssd_tiny_32

NAME = "ssd_32_tiny"


def detector(**options) -> Detector:
    return Detector(Description(model_name=NAME, labels=("cat", "dog"), **options))


@pytest.mark.parametrize("preset", ["voc", "coco"])
def test_every_anchor_has_a_prediction(preset):
    made = detector(anchors=preset)
    predictions = made.predict(tf.zeros([2, 32, 32, 3]))
    count = (8 * 8 + 4 * 4 + 2 * 2) * 4
    assert anchors.make(ssd_tiny_32.PARAMETERS, made.description.anchor_sizes).shape == (count, 4)
    assert ssd_tiny_32.PARAMETERS.num_anchors == count
    assert predictions.logits.shape == (2, count, 3)
    assert predictions.offsets.shape == (2, count, 4)


def test_weights_are_few():
    assert sum(row.parameters for row in detector().layers) < 60_000


def test_first_layer_is_the_one_that_reads_pixels():
    first = nets_factory.get_network(NAME).first_weights
    assert detector().variables_by_name[first].shape[:3] == (3, 3, 3)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_shapes_tell_classes_and_width(factor):
    made = detector(depth_multiplier=factor)
    shapes = {name: tuple(v.shape) for name, v in made.variables_by_name.items()}
    told = Description.from_shapes(shapes, model_name=NAME, labels=None, anchors="voc")
    assert (told.num_classes, told.depth_multiplier) == (3, factor)


def test_widths_of_no_factor_are_refused():
    shapes = {f"{NAME}/conv{k}/weights": (3, 3, 3, 32) for k in range(1, 5)}
    with pytest.raises(ValueError, match="no factor gives"):
        ssd_tiny_32.read_depth_multiplier(shapes, NAME)
