"""What is on the drawn images, and that the annotation is honest about it."""

import collections

import numpy as np
import pytest

from datasets.shapes import drawing, scene


def draw(seed):
    return scene.draw(np.random.default_rng([7, seed]))


@pytest.fixture(scope="module")
def many():
    return [draw(seed) for seed in range(80)]


@pytest.fixture(scope="module")
def objects(many):
    return [each for picture in many for each in picture.objects]


def shape(ymin, xmin, ymax, xmax):
    contours = [np.array([[xmin, ymin], [xmax, ymin], [xmax, ymax], [xmin, ymax]], float)]
    return scene._shape("square", contours, (100, 100))


def test_same_generator_draws_the_same_picture():
    first, again, other = draw(3), draw(3), draw(4)
    np.testing.assert_array_equal(first.image, again.image)
    assert first.objects == again.objects
    assert first.objects != other.objects


def test_pictures_have_the_size_of_vocs(many):
    for picture in many:
        assert picture.image.dtype == np.uint8
        assert 320 <= min(picture.image.shape[:2]) < max(picture.image.shape[:2]) <= 500
    assert len({picture.image.shape for picture in many}) > 40
    assert any(picture.image.shape[0] > picture.image.shape[1] for picture in many)


def test_every_class_is_there_about_equally_often(objects):
    counts = collections.Counter(each.name for each in objects)
    assert set(counts) == set(drawing.NAMES)
    assert min(counts.values()) > 0.5 * len(objects) / len(counts)


def test_pictures_hold_none_to_seven_objects(many):
    counts = collections.Counter(len(picture.objects) for picture in many)
    assert 0 in counts
    assert max(counts) <= 7
    assert 2.5 < np.mean([len(picture.objects) for picture in many]) < 5.0


def test_boxes_lie_within_the_picture(many):
    for picture in many:
        height, width = picture.image.shape[:2]
        for ymin, xmin, ymax, xmax in (each.box for each in picture.objects):
            assert 0 <= ymin < ymax <= height
            assert 0 <= xmin < xmax <= width


def test_sizes_span_8_to_60_percent_of_the_side(many):
    sides = []
    for picture in many:
        for each in picture.objects:
            if not each.truncated:
                longest = max(each.box[2] - each.box[0], each.box[3] - each.box[1])
                sides.append(longest / min(picture.image.shape[:2]))
    assert min(sides) >= 0.08 - 1e-9
    assert max(sides) <= 0.60 + 1e-9
    assert np.quantile(sides, 0.1) < 0.13
    assert np.quantile(sides, 0.9) > 0.4


def test_some_objects_are_difficult_and_some_cut_off(objects):
    assert 0.02 < np.mean([each.difficult for each in objects]) < 0.2
    assert 0.04 < np.mean([each.truncated for each in objects]) < 0.25


def test_hidden_objects_are_difficult_and_none_is_hidden_altogether(objects):
    assert all(each.difficult for each in objects if each.visible < 0.4)
    assert any(each.visible < 0.4 for each in objects)
    assert min(each.visible for each in objects) > 0.1


def test_clearly_visible_objects_are_difficult_only_when_faint(objects):
    plain = [each for each in objects if each.visible >= 0.4]
    assert 0 < sum(each.difficult for each in plain) < 0.1 * len(plain)


def test_cut_off_objects_touch_the_edge(many):
    for picture in many:
        height, width = picture.image.shape[:2]
        for each in picture.objects:
            ymin, xmin, ymax, xmax = each.box
            at_edge = min(ymin, xmin, height - ymax, width - xmax) == 0
            assert at_edge or not each.truncated


def test_shapes_overlap_in_some_pictures(objects):
    assert np.mean([each.visible < 0.98 and not each.truncated for each in objects]) > 0.1


def test_objects_stand_out_from_the_ground(many):
    """Median colour inside a fully visible box differs from the image's most common one."""
    gaps = []
    for picture in many:
        ground = np.median(picture.image[::4, ::4].reshape(-1, 3), axis=0)
        for each in picture.objects:
            if each.visible == 1.0 and not each.difficult and each.name in ("circle", "square"):
                middle = np.array(each.box).reshape(2, 2).mean(axis=0).astype(int)
                gaps.append(np.abs(picture.image[tuple(middle)].astype(float) - ground).max())
    assert len(gaps) > 20
    assert np.quantile(gaps, 0.05) > 25.0


def test_board_counts_what_stays_visible():
    board = scene._Board((100, 100))
    board.place(shape(10, 10, 50, 50))
    upper = shape(10, 30, 50, 70)
    np.testing.assert_allclose(board.visible_under(upper), [0.5], atol=0.04)
    np.testing.assert_allclose(board.visible, [1.0])
    board.place(upper)
    np.testing.assert_allclose(board.visible, [0.5, 1.0], atol=0.04)


def test_board_tells_which_shapes_a_new_one_would_spoil():
    board = scene._Board((100, 100))
    board.place(shape(0, 0, 40, 40))
    board.place(shape(60, 60, 90, 90))
    mostly = shape(0, 0, 40, 30)
    barely = shape(0, 0, 40, 8)
    assert board.spoilt_by(mostly).tolist() == [True, False]
    assert board.spoilt_by(barely).tolist() == [False, False]


def test_shape_counts_the_part_beyond_the_edge_as_hidden():
    one = shape(-20, 40, 20, 80)
    assert one.truncated
    assert one.box == (0.0, 40.0, 20.0, 80.0)
    assert one.mask.sum() / one.area == pytest.approx(0.5, abs=0.03)


def test_overlap_is_intersection_over_union():
    other = shape(0, 0, 10, 10)
    assert scene._overlaps((0, 5, 10, 15), [other]) == pytest.approx([1 / 3])
    assert scene._overlaps((20, 20, 30, 30), [other]).tolist() == [0.0]
    assert scene._overlaps((0, 0, 10, 10), []).tolist() == []
