"""Parameters and multiply-adds, against sums made by hand."""

import pytest
import tensorflow as tf

from nets import analysis, ssd_vgg_300
from nets.variables import SlimVariables


@pytest.fixture(scope="module")
def rows():
    owner = SlimVariables(seed=0)

    def network(inputs):
        with owner.scope("ssd_300_vgg"):
            return ssd_vgg_300.network(inputs, num_classes=21)[:2]

    spec = tf.TensorSpec([1, 300, 300, 3], tf.bfloat16)
    graph = tf.function(network, autograph=False).get_concrete_function(spec).graph
    return {row.name: row for row in analysis.layers(graph, owner.by_name)}


@pytest.mark.parametrize(
    ("name", "output", "parameters", "multiply_adds"),
    [
        ("conv1/conv1_1", (300, 300, 64), 27 * 64 + 64, 300 * 300 * 27 * 64),
        ("conv6", (19, 19, 1024), 9 * 512 * 1024 + 1024, 19 * 19 * 9 * 512 * 1024),  # dilated
        ("block9/conv3x3", (5, 5, 256), 9 * 128 * 256 + 256, 25 * 9 * 128 * 256),
        ("block4_box/conv_cls", (38, 38, 84), 9 * 512 * 84 + 84, 38 * 38 * 9 * 512 * 84),
        ("block4_box/L2Normalization", (), 512, 0),
    ],
)
def test_layer_is_counted(rows, name, output, parameters, multiply_adds):
    name = f"ssd_300_vgg/{name}"
    assert rows[name] == analysis.Layer(name, output, parameters, multiply_adds)


def test_sums_are_those_published(rows):
    """26.285 M parameters; 34.9 GMAC with COCO's 91 classes, of which 70 more cost 3.5 here."""
    assert len(rows) == 36
    assert sum(row.parameters for row in rows.values()) == 26_285_486
    cells = {38: (512, 4), 19: (1024, 6), 10: (512, 6), 5: (256, 6), 3: (256, 4), 1: (256, 4)}
    more = sum(side**2 * 9 * depth * anchors * 70 for side, (depth, anchors) in cells.items())
    total = sum(row.multiply_adds for row in rows.values())
    assert (total + more) / 1e9 == pytest.approx(34.9, abs=0.05)


def test_table_ends_with_the_sums():
    rows = [analysis.Layer("a/b", (2, 3, 4), 5, 6000), analysis.Layer("c", (), 7, 0)]
    lines = analysis.format_table(rows)
    assert lines[1].split() == ["a/b", "2x3x4", "5", "6,000"]
    assert lines[-1].split() == ["all", "layers", "12", "6,000"]
    assert len({len(line) for line in lines}) == 1
