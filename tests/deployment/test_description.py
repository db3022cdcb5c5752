"""What a checkpoint that says nothing of itself is taken for."""

import pytest

from deployment.description import Description
from deployment.detector import Detector
from errors import InputError


def from_shapes(shapes, *, labels=None, model_name="ssd_300_vgg") -> Description:
    return Description.from_shapes(shapes, model_name=model_name, labels=labels, anchors="coco")


@pytest.fixture(scope="module")
def shapes():
    description = Description(
        model_name="ssd_300_vgg", labels=("a", "b", "c"), depth_multiplier=0.0625
    )
    variables = Detector(description).variables_by_name
    return {name: tuple(variable.shape) for name, variable in variables.items()}


def test_shapes_tell_classes_and_width(shapes):
    assert from_shapes(shapes, labels=("cat", "dog", "emu")) == Description(
        model_name="ssd_300_vgg",
        labels=("cat", "dog", "emu"),
        anchors="coco",
        depth_multiplier=0.0625,
        input_scale=1.0,
    )


def test_classes_without_labels_are_numbered(shapes):
    assert from_shapes(shapes).labels == ("class_1", "class_2", "class_3")


def test_labels_of_another_number_are_refused(shapes):
    with pytest.raises(InputError, match=r"tells 4 classes apart.* there are 2 labels"):
        from_shapes(shapes, labels=("cat", "dog"))


def test_checkpoint_of_another_network_is_refused(shapes):
    others = {f"vgg_16/{name}": shape for name, shape in shapes.items()}
    with pytest.raises(InputError, match="so it is not of ssd_300_vgg: give --model_name"):
        from_shapes(others)
