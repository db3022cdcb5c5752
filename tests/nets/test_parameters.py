"""The parameter tuples: counts and presets."""

import re

import pytest

from nets.parameters import FeatureLayer, SSDParameters, caffe_shapes, chained, write_anchor_sizes
from nets.ssd_vgg_300 import PARAMETERS
from runtime.errors import InputError

TINY = SSDParameters(
    name="tiny",
    image_size=(20, 20),
    layers=(FeatureLayer("a", 3, caffe_shapes(2.0), 8), FeatureLayer("b", 2, caffe_shapes(), 10)),
    anchor_sizes={"one": chained(1.0, 2.0, 3.0)},
)


def test_anchors_of_a_cell_are_two_squares_and_one_for_each_ratio():
    assert [layer.anchors_per_cell for layer in TINY.layers] == [3, 2]
    assert [layer.anchors_per_cell for layer in PARAMETERS.layers] == [4, 6, 6, 6, 4, 4]


def test_number_of_anchors_is_summed_over_cells():
    assert TINY.num_anchors == 9 * 3 + 4 * 2
    assert PARAMETERS.num_anchors == 8732


def test_squares_of_a_preset_are_its_sizes_and_their_geometric_means():
    assert TINY.sizes_of("one") == ((1.0, pytest.approx(2**0.5)), (2.0, pytest.approx(6**0.5)))
    assert [small for small, _ in PARAMETERS.sizes_of("voc")] == [30, 60, 111, 162, 213, 264]
    assert [small for small, _ in PARAMETERS.sizes_of("coco")] == [21, 45, 99, 153, 207, 261]
    assert PARAMETERS.sizes_of("coco")[-1][1] == pytest.approx((261 * 315) ** 0.5)


def test_squares_may_be_given_in_pixels():
    assert TINY.sizes_of("2-5,7.5-9") == ((2.0, 5.0), (7.5, 9.0))


def test_squares_are_written_as_they_are_read():
    assert write_anchor_sizes(((2.0, 5.04), (7.5, 9.0))) == "2-5,7.5-9"
    assert write_anchor_sizes(TINY.sizes_of("2-5,7.5-9")) == "2-5,7.5-9"


@pytest.mark.parametrize(
    "anchors", ["two", "", "2-5", "2-5,7-9,10-11", "2-5,7", "2-5,0-9", "2-5,-7-9", "2-5, 7-9"]
)
def test_other_anchors_are_refused_with_both_rules(anchors):
    rule = f"--anchors={anchors} is not a preset of tiny: use one of one, or give 2 pairs"
    with pytest.raises(InputError, match=re.escape(rule)):
        TINY.sizes_of(anchors)


def test_every_preset_has_two_rising_sides_a_layer():
    for squares in PARAMETERS.anchor_sizes.values():
        assert len(squares) == len(PARAMETERS.layers)
        sides = [side for pair in squares for side in pair]
        assert sides == sorted(sides)


def test_only_the_first_layer_is_normalized_and_starts_at_20():
    assert [layer.normalization for layer in PARAMETERS.layers] == [20.0] + [None] * 5


def test_box_coder_has_the_recipes_variances_and_half_a_step_of_offset():
    assert PARAMETERS.prior_scaling == (0.1, 0.1, 0.2, 0.2)
    assert PARAMETERS.anchor_offset == 0.5
