"""Anchors against hand arithmetic in pixels, and against a plain loop over RECIPE's table."""

import itertools
import math

import numpy as np
import pytest

from nets import anchors
from nets.parameters import SSDParameters
from nets.ssd_vgg_300 import PARAMETERS
from runtime.errors import InputError

CELLS = (38, 19, 10, 5, 3, 1)
STEPS = (8, 16, 32, 64, 100, 300)
RATIOS = ((2, 1 / 2),) + ((2, 1 / 2, 3, 1 / 3),) * 3 + ((2, 1 / 2),) * 2
SIZES = {
    "voc": (30, 60, 111, 162, 213, 264, 315),
    "coco": (21, 45, 99, 153, 207, 261, 315),
}
STARTS = np.cumsum([0] + [n * n * (2 + len(r)) for n, r in zip(CELLS, RATIOS, strict=True)])


def plain_reading(sizes) -> list[list[float]]:
    """[ymin, xmin, ymax, xmax] in pixels, a loop in a loop as the recipe says it."""
    found = []
    for layer, cells in enumerate(CELLS):
        small, large = sizes[layer], sizes[layer + 1]
        shapes = [(small, small), (math.sqrt(small * large),) * 2]
        for ratio in RATIOS[layer]:
            shapes.append((small / math.sqrt(ratio), small * math.sqrt(ratio)))
        for row in range(cells):
            for column in range(cells):
                y, x = (row + 0.5) * STEPS[layer], (column + 0.5) * STEPS[layer]
                for height, width in shapes:
                    found.append([y - height / 2, x - width / 2, y + height / 2, x + width / 2])
    return found


def make(given: str, parameters: SSDParameters = PARAMETERS) -> np.ndarray:
    """The anchors of a value of --anchors."""
    return anchors.make(parameters, parameters.sizes_of(given))


@pytest.mark.parametrize("preset", ["voc", "coco"])
def test_anchors_equal_a_plain_reading_of_the_recipe(preset):
    made = make(preset)
    assert made.shape == (8732, 4)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made * 300, plain_reading(SIZES[preset]), rtol=0, atol=1e-4)


def test_anchors_of_a_layer_stand_together():
    assert STARTS.tolist() == [0, 5776, 7942, 8542, 8692, 8728, 8732]
    heights = (lambda boxes: boxes[:, 2] - boxes[:, 0])(make("voc") * 300)
    first = heights[STARTS[:-1]]
    np.testing.assert_allclose(first, [30, 60, 111, 162, 213, 264], rtol=1e-5)


# The first cell of each layer: centre (step / 2, step / 2) and (height, width) of its anchors.
FIRST_CELLS = {
    0: (4, [(30, 30), (42.4264, 42.4264), (21.2132, 42.4264), (42.4264, 21.2132)]),
    1: (
        8,
        [
            (60, 60),
            (81.6088, 81.6088),
            (42.4264, 84.8528),
            (84.8528, 42.4264),
            (34.6410, 103.9230),
            (103.9230, 34.6410),
        ],
    ),
    2: (
        16,
        [
            (111, 111),
            (134.0970, 134.0970),
            (78.4889, 156.9777),
            (156.9777, 78.4889),
            (64.0859, 192.2576),
            (192.2576, 64.0859),
        ],
    ),
    3: (
        32,
        [
            (162, 162),
            (185.7579, 185.7579),
            (114.5513, 229.1026),
            (229.1026, 114.5513),
            (93.5307, 280.5922),
            (280.5922, 93.5307),
        ],
    ),
    4: (50, [(213, 213), (237.1329, 237.1329), (150.6137, 301.2275), (301.2275, 150.6137)]),
    5: (150, [(264, 264), (288.3748, 288.3748), (186.6762, 373.3524), (373.3524, 186.6762)]),
}


@pytest.mark.parametrize("layer", range(6))
def test_first_cell_of_each_layer_is_as_worked_out_by_hand(layer):
    centre, shapes = FIRST_CELLS[layer]
    boxes = make("voc")[STARTS[layer] : STARTS[layer] + len(shapes)] * 300
    np.testing.assert_allclose((boxes[:, :2] + boxes[:, 2:]) / 2, centre, atol=1e-4)
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], shapes, atol=2e-4)


def test_columns_run_faster_than_rows():
    made = make("voc") * 300
    centres = (made[:, :2] + made[:, 2:]) / 2
    np.testing.assert_allclose(centres[4], [4, 12], atol=1e-4)
    np.testing.assert_allclose(centres[4 * 38], [12, 4], atol=1e-4)
    np.testing.assert_allclose(centres[STARTS[1] - 1], [300, 300], atol=1e-4)  # 37.5 * 8


def test_anchors_reach_over_the_border_unclipped():
    made = make("voc")
    np.testing.assert_allclose(made[0] * 300, [-11, -11, 19, 19], atol=1e-4)
    assert made.min() < 0
    assert made.max() > 1


def test_presets_differ_in_every_layer():
    voc, coco = (make(preset) for preset in ("voc", "coco"))
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (voc, coco)]
    for start, end in itertools.pairwise(STARTS):
        assert (areas[1][start:end] < areas[0][start:end]).all()


def test_sides_given_in_pixels_are_those_of_the_squares():
    given = "21-50,60-81,111-134,162-186,213-237,264-288"
    made = make(given) * 300
    heights, widths = (made[:, 2:] - made[:, :2]).T
    first = [(21, 21), (50, 50), (21 / 2**0.5, 21 * 2**0.5), (21 * 2**0.5, 21 / 2**0.5)]
    np.testing.assert_allclose(np.stack([heights, widths], 1)[:4], first, atol=1e-3)
    np.testing.assert_allclose(heights[STARTS[1] : STARTS[1] + 2], [60, 81], atol=1e-3)


def test_unknown_preset_is_refused():
    with pytest.raises(InputError, match=r"--anchors=imagenet .* coco, voc"):
        make("imagenet")


def test_picture_that_is_not_square_divides_rows_by_its_height():
    wide = PARAMETERS._replace(image_size=(300, 600))
    made, square = make("voc", wide), make("voc")
    np.testing.assert_allclose(made[:, ::2], square[:, ::2], atol=1e-6)
    np.testing.assert_allclose(made[:, 1::2], square[:, 1::2] / 2, atol=1e-6)
