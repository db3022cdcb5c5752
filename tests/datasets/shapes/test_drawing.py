"""Outlines against geometry done by hand, and what painting changes on a canvas."""

import numpy as np
import pytest

from datasets.shapes import backgrounds, drawing

CENTRED = drawing.Window(left=-50, top=-50, width=100, height=100)


def extent(contours):
    return np.ptp(contours[0], axis=0)


def test_there_are_six_shapes_in_alphabetical_order():
    assert drawing.NAMES == ("circle", "cross", "ring", "square", "star", "triangle")


@pytest.mark.parametrize("name", drawing.NAMES)
@pytest.mark.parametrize("angle", [0.0, 17.0, 200.0])
def test_outline_has_the_size_asked_for_and_is_centred(name, angle):
    contours = drawing.outline(name, size=60.0, angle=angle, stretch=1.2)
    assert extent(contours).max() == pytest.approx(60.0)
    np.testing.assert_allclose(contours[0].min(axis=0), -contours[0].max(axis=0), atol=1e-9)


@pytest.mark.parametrize("name", ["circle", "ring", "square"])
def test_round_and_square_shapes_are_never_stretched(name):
    width, height = extent(drawing.outline(name, size=40.0, angle=0.0, stretch=1.25))
    assert width == pytest.approx(height, rel=1e-6)


def test_other_shapes_are_stretched_before_they_turn():
    width, height = extent(drawing.outline("cross", size=50.0, angle=0.0, stretch=1.25))
    assert width / height == pytest.approx(1.25)
    width, height = extent(drawing.outline("cross", size=50.0, angle=90.0, stretch=1.25))
    assert height / width == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("square", 60.0**2),
        ("circle", np.pi * 30.0**2),
        ("ring", np.pi * 30.0**2 * (1.0 - 0.52**2)),
        # a cross of arm 0.34 of the half side: two bars less the square that they share
        ("cross", 2 * 60.0 * 20.4 - 20.4**2),
        ("triangle", 60.0 * 60.0 * np.sqrt(3) / 4.0),
    ],
)
def test_coverage_has_the_area_of_the_shape(name, area):
    contours = drawing.outline(name, size=60.0, angle=0.0)
    covered = drawing.coverage(contours, CENTRED).sum() / 255.0
    assert covered == pytest.approx(area, rel=0.02)


def test_ring_has_a_hole():
    ring = drawing.coverage(drawing.outline("ring", size=60.0, angle=0.0), CENTRED)
    assert ring[50, 50] == 0
    assert ring[50, 25] == 255


def test_coverage_fits_its_bounding_box_within_a_pixel():
    outline = drawing.outline("star", size=50.0, angle=33.0)
    contours = [part + np.array([40.0, 30.0]) for part in outline]
    mask = drawing.coverage(contours, drawing.Window(0, 0, 100, 100)) > 127
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    low, high = contours[0].min(axis=0), contours[0].max(axis=0)
    np.testing.assert_allclose([columns[0], rows[0]], low, atol=1.5)
    np.testing.assert_allclose([columns[-1] + 1, rows[-1] + 1], high, atol=1.5)


def test_colour_keeps_away_from_those_to_avoid():
    avoid = [np.float32([250, 199, 62]), np.float32([240, 240, 240]), np.float32([226, 61, 68])]
    for seed in range(20):
        colour = drawing.choose_colour(np.random.default_rng(seed), avoid, name="star")
        gaps = [np.linalg.norm(drawing._lab(colour) - drawing._lab(other)) for other in avoid]
        assert min(gaps) >= 30.0


def test_colour_farthest_away_is_taken_when_none_is_far_enough():
    vivid = np.float32(drawing._VIVID)
    colour = drawing.choose_colour(np.random.default_rng(0), list(vivid), name="star")
    jitter = np.random.default_rng(0).uniform(-10.0, 10.0, vivid.shape)
    gaps = [
        min(np.linalg.norm(drawing._lab(one) - drawing._lab(o)) for o in vivid)
        for one in np.clip(vivid + jitter, 0.0, 255.0).astype(np.float32)
    ]
    assert max(gaps) < 30.0
    assert np.abs(vivid + jitter - colour).max(axis=1).argmin() == np.argmax(gaps)


def paint(name, *, canvas, centre, opacity=1.0):
    contours = [part + np.array(centre) for part in drawing.outline(name, size=40.0, angle=10.0)]
    drawing.paint(
        canvas,
        contours,
        colour=np.float32([200, 30, 30]),
        rng=np.random.default_rng(1),
        opacity=opacity,
    )
    return canvas


def test_painting_changes_the_canvas_only_near_the_shape():
    canvas = paint("square", canvas=np.full((100, 120, 3), 90.0, np.float32), centre=(60.0, 50.0))
    changed = (canvas != 90.0).any(axis=2)
    assert changed[50, 60]
    assert not changed[:24].any()
    assert not changed[:, :34].any()
    assert canvas[50, 60, 0] > 120.0 > canvas[50, 60, 1]


@pytest.mark.parametrize(
    "centre", [(0.0, 0.0), (120.0, 50.0), (60.0, 105.0), (300.0, 300.0), (-90.0, -90.0)]
)
def test_painting_beyond_the_edge_is_cut_off(centre):
    canvas = paint("star", canvas=np.full((100, 120, 3), 90.0, np.float32), centre=centre)
    assert canvas.shape == (100, 120, 3)
    assert (canvas != 90.0).any() == (centre not in ((300.0, 300.0), (-90.0, -90.0)))


def test_faint_shape_changes_less_and_casts_no_shadow():
    grey = np.full((100, 120, 3), 90.0, np.float32)
    full = np.abs(paint("circle", canvas=grey.copy(), centre=(60.0, 50.0)) - 90.0)
    faint = np.abs(paint("circle", canvas=grey.copy(), centre=(60.0, 50.0), opacity=0.2) - 90.0)
    assert faint.max() < 0.25 * full.max()
    assert (faint > 0).sum() < (full > 0).sum()


@pytest.mark.parametrize("seed", range(24))
def test_ground_has_two_near_tones_and_is_never_flat(seed):
    image, tones = backgrounds.ground(np.random.default_rng(seed), (90, 130))
    assert image.shape == (90, 130, 3)
    assert image.dtype == np.float32
    assert image.std() > 1.0
    assert np.abs(tones[0] - tones[1]).max() < 60.0
    assert -40.0 < image.min() < image.max() < 320.0


def test_class_takes_its_usual_colours_where_they_stand_out():
    ground = [np.float32([128, 128, 128])]
    for k, name in enumerate(sorted(drawing._OUTLINES)):
        usual = np.float32(drawing._VIVID[2 * k : 2 * k + 2])
        for seed in range(5):
            rng = np.random.default_rng(seed)
            colour = drawing.choose_colour(rng, ground, name=name)
            assert np.abs(usual - colour).max(axis=1).min() <= 10.0
