"""Drawings, read back pixel by pixel: where lines, plates and images end up."""

import cv2
import numpy as np
import pytest

from visualization import pictures
from visualization.pictures import Comparison, DrawnBoxes

RED = (230, 57, 70)
COLOURS = {"cat": RED, "dog": (0, 128, 214)}
NONE = DrawnBoxes(np.zeros((0, 4), np.float32), ())


def grey(height=200, width=300):
    return np.full((height, width, 3), 128, np.uint8)


def of_colour(image, colour):
    return (image == colour).all(axis=2)


def changed(image, before):
    """(top, left, bottom, right) of the pixels that differ, ends included."""
    rows, columns = np.nonzero((image != before).any(axis=2))
    return rows.min(), columns.min(), rows.max(), columns.max()


def draw(boxes, names, *, image=None, **options):
    image = grey() if image is None else image
    return pictures.draw_boxes(image, np.array(boxes), names, colours=COLOURS, **options)


def test_frame_lies_on_the_box_and_leaves_its_inside():
    drawn = draw([[0.5, 0.1, 0.9, 0.6]], ["cat"])
    red = of_colour(drawn, RED)
    assert red[100:180, 30].all()
    assert red[100:180, 179].all()
    assert red[100, 30:180].all()
    assert red[179, 30:180].all()
    assert not red[180:].any()
    assert not red[100:, :30].any()
    assert (drawn[105:175, 35:175] == 128).all()


def test_picture_handed_in_stays_as_it_was():
    image = grey()
    draw([[0.1, 0.1, 0.9, 0.9]], ["cat"], image=image)
    assert (image == 128).all()


def test_no_boxes_change_nothing():
    np.testing.assert_array_equal(draw(np.zeros((0, 4)), []), grey())


def test_name_stands_above_the_box():
    top, left, _, _ = changed(draw([[0.5, 0.1, 0.9, 0.6]], ["cat"]), grey())
    assert 80 <= top < 100
    assert left == 30


def test_without_plates_frames_alone_are_drawn():
    drawn = draw([[0.5, 0.1, 0.9, 0.6]], ["cat"], written=False)
    assert changed(drawn, grey()) == (100, 30, 179, 179)


def test_scores_widen_the_plate():
    names = ["cat"]
    plain = of_colour(draw([[0.5, 0.1, 0.9, 0.6]], names), RED)[:99]
    scored = of_colour(draw([[0.5, 0.1, 0.9, 0.6]], names, scores=np.array([0.87])), RED)[:99]
    assert scored.any(axis=0).sum() > plain.any(axis=0).sum() + 10


def test_notes_widen_the_plate_where_there_is_one():
    boxes, names = [[0.5, 0.1, 0.9, 0.6], [0.5, 0.7, 0.9, 0.9]], ["cat", "dog"]
    plain = draw(boxes, names)
    noted = draw(boxes, names, notes=["class", ""])
    _, left, bottom, right = changed(noted, plain)
    assert 30 <= left < right < 210  # the second box is as it was
    assert bottom < 100
    with pytest.raises(ValueError):
        draw(boxes, names, notes=["class"])


@pytest.mark.parametrize(
    "box",
    [
        [0.0, 0.0, 0.2, 0.05],
        [0.0, 0.95, 0.2, 1.0],
        [0.97, 0.95, 1.0, 1.0],
        [0.98, 0.0, 1.0, 0.02],
        [0.0, 0.0, 1.0, 1.0],
    ],
)
@pytest.mark.parametrize("size", [(200, 300), (40, 400), (400, 60), (12, 14)])
def test_name_is_whole_and_within_the_picture_wherever_the_box_is(box, size):
    canvas = grey(*size)
    corners = pictures._to_pixels(np.array([box]), *size)[0]
    plate = pictures._place_plate(canvas, "cat", corners, [])
    assert plate.x >= 0
    assert plate.y >= 0
    assert plate.x + plate.width <= size[1]
    if size != (12, 14):
        assert plate.text == "cat"
        assert plate.y + plate.height <= size[0]
    assert (draw([box], ["cat"], image=canvas) != canvas).any()


def test_name_longer_than_the_picture_is_cut():
    canvas = grey(100, 60)
    plate = pictures._place_plate(canvas, "a" * 100, (50, 10, 80, 40), [])
    assert 0 < len(plate.text) < 100
    assert plate.width <= 60


def test_names_of_boxes_in_one_place_do_not_cover_each_other():
    canvas = grey()
    taken = []
    for _ in range(4):
        taken.append(pictures._place_plate(canvas, "cat 0.99", (80, 90, 130, 190), taken))
    pairs = [(a, b) for k, a in enumerate(taken) for b in taken[:k]]
    assert not any(a.overlaps(b) for a, b in pairs)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 3)])
def test_tiny_pictures_can_be_drawn_on(size):
    drawn = draw([[0.0, 0.0, 1.0, 1.0]], ["cat"], image=grey(*size))
    assert drawn.shape == (*size, 3)


@pytest.mark.parametrize(
    "box", [[-1.0, -1.0, 2.0, 2.0], [0.5, 0.5, 0.5, 0.5], [0.9, 0.9, 0.1, 0.1], [np.nan] * 4]
)
def test_boxes_beyond_the_edge_or_without_area_do_no_harm(box):
    assert draw([box], ["cat"]).shape == (200, 300, 3)


def test_lines_and_letters_grow_with_the_picture():
    box, names = [[0.4, 0.2, 0.9, 0.9]], ["cat"]
    small = of_colour(draw(box, names, image=grey(200, 300)), RED)
    large = of_colour(draw(box, names, image=grey(1600, 2400)), RED)
    assert large[1200].sum() > 3 * small[150].sum()


def test_difficult_objects_have_a_thin_line():
    box, names = [[0.5, 0.1, 0.9, 0.6]], ["cat"]
    plain = of_colour(draw(box, names), RED)
    thin = of_colour(draw(box, names, difficult=np.array([True])), RED)
    assert thin[140].sum() == 2
    assert plain[140].sum() >= 4


def test_first_box_is_drawn_on_top():
    box = [0.3, 0.2, 0.9, 0.8]
    drawn = draw([box, box], ["dog", "cat"])
    assert of_colour(drawn, COLOURS["dog"])[120, 60]


@pytest.mark.parametrize("given", [{"scores": np.zeros(2)}, {"difficult": np.zeros(3, bool)}])
def test_lengths_that_differ_are_refused(given):
    with pytest.raises(ValueError):
        draw([[0.1, 0.1, 0.9, 0.9]], ["cat"], **given)
    with pytest.raises(ValueError):
        draw([[0.1, 0.1, 0.9, 0.9]], ["cat", "dog"])


def test_classes_have_colours_of_their_own():
    labels = [f"class_{k}" for k in range(80)]
    colours = pictures.class_colours(labels)
    assert len(set(colours.values())) == 80
    assert colours == pictures.class_colours(labels)
    assert all(0 <= value <= 255 for colour in colours.values() for value in colour)


def test_first_twenty_colours_differ_clearly():
    colours = np.array(list(pictures.class_colours([str(k) for k in range(20)]).values()))
    lab = cv2.cvtColor(np.float32(colours[None]) / 255, cv2.COLOR_RGB2LAB)[0]
    gaps = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1000 * np.eye(20)
    assert gaps.min() > 15


def test_class_without_a_colour_gets_the_same_one_everywhere():
    first = pictures.draw_boxes(grey(), np.array([[0.5, 0.1, 0.9, 0.6]]), ["zebra"])
    again = pictures.draw_boxes(grey(), np.array([[0.5, 0.1, 0.9, 0.6]]), ["zebra"])
    np.testing.assert_array_equal(first, again)
    assert tuple(first[150, 30]) in pictures._PALETTE


def contrast(one, other):
    """Of WCAG 2: 1 to 21."""
    luminance = [
        ((np.array(c) / 255.0) ** 2.2) @ (0.2126, 0.7152, 0.0722) + 0.05 for c in (one, other)
    ]
    return max(luminance) / min(luminance)


def test_text_can_be_read_on_every_colour():
    for colour in pictures.class_colours([str(k) for k in range(80)]).values():
        assert contrast(colour, pictures._readable_on(colour)) >= 3.0


def test_names_beyond_ascii_are_drawn():
    question = draw([[0.5, 0.1, 0.9, 0.6]], ["????"])
    assert (draw([[0.5, 0.1, 0.9, 0.6]], ["Äßéñ"]) != question).any()


def test_sheet_holds_truth_left_and_detections_right():
    truth = DrawnBoxes(np.array([[0.2, 0.2, 0.8, 0.8]]), ["cat"])
    found = DrawnBoxes(np.array([[0.2, 0.2, 0.8, 0.8]]), ["dog"], np.array([0.9]))
    row = Comparison(grey(), truth, found)
    sheet = pictures.contact_sheet([row], colours=COLOURS, cell=(200, 300))
    middle = sheet.shape[1] // 2
    assert of_colour(sheet[:, :middle], COLOURS["cat"]).any()
    assert not of_colour(sheet[:, :middle], COLOURS["dog"]).any()
    assert of_colour(sheet[:, middle:], COLOURS["dog"]).any()
    assert not of_colour(sheet[:, middle:], COLOURS["cat"]).any()


@pytest.mark.parametrize(
    ("count", "columns", "lines"), [(1, 2, 1), (4, 2, 2), (5, 2, 3), (3, 1, 3)]
)
def test_sheet_has_room_for_every_pair(count, columns, lines):
    row = Comparison(grey(100, 150), NONE, NONE)
    sheet = pictures.contact_sheet([row] * count, columns=columns, cell=(100, 150))
    assert sheet.dtype == np.uint8
    assert lines * 100 < sheet.shape[0] < lines * 110 + 40
    pairs = min(count, columns)
    assert pairs * 300 < sheet.shape[1] < pairs * 330 + 10
    assert of_colour(sheet, (128, 128, 128)).sum() == pytest.approx(2 * count * 15000, rel=0.01)


@pytest.mark.parametrize("size", [(50, 400), (400, 50), (10, 10)])
def test_pictures_of_any_shape_fit_into_their_cell(size):
    sheet = pictures.contact_sheet([Comparison(grey(*size), NONE, NONE)], cell=(100, 150))
    scale = min(100 / size[0], 150 / size[1])
    covered = of_colour(sheet, (128, 128, 128)).sum()
    assert covered == pytest.approx(2 * scale**2 * size[0] * size[1], rel=0.1)


def test_sheet_without_a_picture_is_refused():
    with pytest.raises(ValueError, match="at least one image"):
        pictures.contact_sheet([])


def test_png_holds_the_pixels(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "picture.png"
    pictures.write_png(str(path), image)
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), image)


def test_boxes_whose_names_are_not_written_keep_their_colours():
    image = np.full((100, 100, 3), 255, np.uint8)
    box = np.array([[0.2, 0.2, 0.8, 0.8]])
    red = (230, 57, 70)
    drawn = pictures.draw_boxes(image, box, ["cat"], colours={"cat": red}, written=False)
    assert (drawn == red).all(axis=2).any()
    changed = (drawn != 255).any(axis=2)
    assert not changed[:18].any()  # no plate above the box
    assert not changed[25:75, 25:75].any()
