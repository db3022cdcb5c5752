"""The benchmark of the training step: what it counts, and that it runs."""

import numpy as np
import pytest

from benchmarks import training
from benchmarks._scenes import make_scenes
from model.description import Description
from model.detector import Detector


def test_operations_are_three_times_the_networks_less_the_first_inputs():
    layers = Detector(Description(model_name="ssd_300_vgg", labels=("a", "b"))).layers
    forward = 2 * sum(layer.multiply_adds for layer in layers)
    first = 2 * 300 * 300 * 9 * 3 * 64
    assert training.operations(3) == 3 * forward - first


def test_scenes_have_boxes_inside_and_labels_of_all_classes():
    scenes = make_scenes(50, classes=4, objects=7, side=60)
    assert scenes.images.shape == (50, 60, 60, 3)
    boxes, labels = np.stack(scenes.boxes), np.stack(scenes.labels)
    assert boxes.shape == (50, 7, 4)
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    sizes = boxes[..., 2:] - boxes[..., :2]
    assert sizes.min() >= 0.0999
    assert set(labels.ravel()) == {1, 2, 3}


@pytest.mark.slow
def test_benchmark_compares_a_step_with_the_limit(capsys):
    training.main(["--contenders=1", "--rounds=1", "--batch_size=1"])
    row = next(
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("this project, float32") and "%" in line
    ).split()
    assert row[4] == "1.00"
    assert 0 < float(row[6].rstrip("%")) < 300
