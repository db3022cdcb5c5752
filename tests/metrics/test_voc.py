"""VOC AP on cases small enough to work out by hand."""

from typing import NamedTuple

import numpy as np
import pytest

from metrics import voc
from metrics.voc import Outcome
from runtime.errors import InputError

CAT = (0.0, 0.0, 9.0, 9.0)  # ten by ten pixels
FAR = (200.0, 200.0, 240.0, 240.0)
LABELS = ("cat", "dog")


class Thing(NamedTuple):
    name: str
    box: tuple[float, float, float, float]
    difficult: bool = False


def found(*rows):
    """Detections of (image, class, score, box) rows."""
    images, classes, scores, boxes = zip(*rows, strict=True) if rows else ((), (), (), ())
    return voc.Detections(
        np.array(images, np.int64),
        np.array(classes, np.int64),
        np.array(scores, np.float64),
        np.array(boxes, np.float64).reshape(-1, 4),
    )


def score(pictures, *rows, iou_threshold=0.5, labels=LABELS):
    truth = voc.gather_truth(pictures, labels=labels)
    return voc.evaluate(found(*rows), truth, labels=labels, iou_threshold=iou_threshold)


def curve(recall, precision):
    return np.array(recall), np.array(precision)


def test_average_precision_of_two_levels_by_hand():
    points = curve([0.5, 0.5, 1.0], [1.0, 1 / 2, 2 / 3])
    assert voc.average_precision_voc07(*points) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert voc.average_precision_voc12(*points) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_average_precision_takes_the_best_precision_to_the_right():
    points = curve([0.0, 0.25, 0.5], [0.0, 1 / 2, 2 / 3])
    assert voc.average_precision_voc07(*points) == pytest.approx(6 * (2 / 3) / 11)
    assert voc.average_precision_voc12(*points) == pytest.approx(0.5 * 2 / 3)


def test_average_precision_of_a_perfect_ranking_is_one():
    points = curve(np.arange(1, 8) / 7, np.ones(7))
    assert voc.average_precision_voc07(*points) == pytest.approx(1.0, abs=1e-15)
    assert voc.average_precision_voc12(*points) == pytest.approx(1.0, abs=1e-15)


def test_average_precision_of_no_detection_is_zero():
    assert voc.average_precision_voc07(*curve([], [])) == 0.0
    assert voc.average_precision_voc12(*curve([], [])) == 0.0


@pytest.mark.parametrize(
    ("right", "points"),
    [(1, 2), (2, 3), (3, 3), (5, 6), (6, 6), (7, 7), (8, 9), (10, 11)],
)
def test_voc07_recall_thresholds_keep_the_rounding_of_arange(right, points):
    """Of ten objects, 3, 6 and 7 do not reach 0.30000000000000004, 0.6000000000000001 and so on."""
    recall = np.arange(1, right + 1) / 10
    assert voc.average_precision_voc07(recall, np.ones(right)) == pytest.approx(points / 11)


def test_one_right_detection_scores_one():
    result = score([[Thing("cat", CAT)]], (0, 1, 0.9, CAT))
    cat = result.classes[0]
    assert (cat.ap_voc07, cat.ap_voc12) == (pytest.approx(1.0), 1.0)
    assert result.outcomes.tolist() == [Outcome.TRUE_POSITIVE]
    assert result.matches.tolist() == [0]


def test_iou_equal_to_the_threshold_is_not_enough():
    pictures = [[Thing("cat", CAT)]]
    assert not score(pictures, (0, 1, 0.9, (0.0, 0.0, 9.0, 19.0))).outcomes[0]  # 100 / 200
    assert score(pictures, (0, 1, 0.9, (0.0, 0.0, 9.0, 18.9))).outcomes[0]


def test_boxes_include_their_last_pixel():
    """Three by two pixels in three by three: 6 / 9, where areas without the last say 2 / 4."""
    result = score([[Thing("cat", (0.0, 0.0, 2.0, 2.0))]], (0, 1, 0.9, (0.0, 0.0, 2.0, 1.0)))
    assert result.outcomes.tolist() == [Outcome.TRUE_POSITIVE]


def test_iou_threshold_is_the_callers():
    case = [[Thing("cat", CAT)]], (0, 1, 0.9, (0.0, 0.0, 9.0, 12.9))  # 100 / 139
    assert score(*case, iou_threshold=0.7).classes[0].ap_voc12 == 1.0
    assert score(*case, iou_threshold=0.75).classes[0].ap_voc12 == 0.0


@pytest.mark.parametrize("iou_threshold", [-0.1, 1.0, 50.0, float("nan")])
def test_iou_threshold_outside_its_range_is_refused(iou_threshold):
    with pytest.raises(ValueError, match="iou_threshold"):
        score([], iou_threshold=iou_threshold)


def test_duplicate_is_wrong_even_when_it_fits_better():
    shifted = (0.0, 1.0, 9.0, 10.0)
    result = score([[Thing("cat", CAT)]], (0, 1, 0.3, CAT), (0, 1, 0.9, shifted))
    assert result.outcomes.tolist() == [Outcome.FALSE_POSITIVE, Outcome.TRUE_POSITIVE]
    assert result.matches.tolist() == [0, 0]
    assert result.classes[0].precision.tolist() == [1.0, 0.5]


def test_detection_does_not_fall_back_to_its_second_best_object():
    neighbour = (0.0, 2.0, 9.0, 11.0)
    between = (0.0, 0.5, 9.0, 9.5)  # IoU above 0.5 with both, best with CAT
    pictures = [[Thing("cat", neighbour), Thing("cat", CAT)]]
    result = score(pictures, (0, 1, 0.9, CAT), (0, 1, 0.8, between))
    assert result.matches.tolist() == [1, 1]
    assert result.outcomes.tolist() == [Outcome.TRUE_POSITIVE, Outcome.FALSE_POSITIVE]
    assert result.classes[0].recall.tolist() == [0.5, 0.5]


def test_detection_of_another_class_or_picture_is_wrong():
    pictures = [[Thing("cat", CAT)], []]
    result = score(pictures, (1, 1, 0.9, CAT), (0, 2, 0.9, CAT))
    assert result.outcomes.tolist() == [Outcome.FALSE_POSITIVE] * 2
    assert result.matches.tolist() == [-1, -1]
    assert result.classes[0].ap_voc07 == 0.0


def test_detection_of_a_difficult_object_counts_neither_way():
    pictures = [[Thing("cat", FAR, difficult=True), Thing("cat", CAT)]]
    result = score(pictures, (0, 1, 0.9, FAR), (0, 1, 0.8, FAR), (0, 1, 0.7, CAT))
    cat = result.classes[0]
    assert result.outcomes.tolist() == [Outcome.IGNORED, Outcome.IGNORED, Outcome.TRUE_POSITIVE]
    assert (cat.num_objects, cat.num_difficult, cat.num_detections) == (1, 1, 3)
    assert (cat.ap_voc07, cat.ap_voc12) == (pytest.approx(1.0), 1.0)
    assert cat.scores.tolist() == [0.7]


def test_false_positive_stays_beside_a_difficult_first_object():
    pictures = [[Thing("cat", CAT, difficult=True), Thing("cat", FAR)]]
    result = score(pictures, (0, 1, 0.9, (50.0, 50.0, 60.0, 60.0)), (0, 1, 0.8, FAR))
    assert result.outcomes.tolist() == [Outcome.FALSE_POSITIVE, Outcome.TRUE_POSITIVE]
    assert result.classes[0].ap_voc12 == 0.5


def test_best_object_decides_though_a_counted_one_overlaps_enough():
    pictures = [[Thing("cat", (0.0, 2.0, 9.0, 11.0)), Thing("cat", CAT, difficult=True)]]
    result = score(pictures, (0, 1, 0.9, CAT))
    assert result.outcomes.tolist() == [Outcome.IGNORED]
    assert result.classes[0].ap_voc07 == 0.0


def test_difficult_objects_count_when_their_flags_are_cleared():
    truth = voc.gather_truth([[Thing("cat", CAT, difficult=True)]], labels=LABELS)
    truth = truth._replace(difficult=np.zeros(1, bool))
    result = voc.evaluate(found((0, 1, 0.9, CAT)), truth, labels=LABELS)
    assert (result.classes[0].num_objects, result.classes[0].ap_voc12) == (1, 1.0)


def test_class_without_counted_objects_has_no_ap_and_no_part_in_the_mean():
    pictures = [[Thing("cat", CAT), Thing("dog", FAR, difficult=True)]]
    result = score(pictures, (0, 1, 0.9, CAT), (0, 2, 0.9, CAT), (0, 2, 0.8, FAR))
    dog = result.classes[1]
    assert (dog.ap_voc07, dog.ap_voc12) == (None, None)
    assert dog.recall.tolist() == [0.0]
    assert (result.mean_ap_voc07, result.mean_ap_voc12) == (pytest.approx(1.0), 1.0)


def test_class_with_objects_and_no_detection_has_ap_zero():
    result = score([[Thing("cat", CAT), Thing("dog", FAR)]], (0, 1, 0.9, CAT))
    assert (result.classes[1].ap_voc07, result.classes[1].ap_voc12) == (0.0, 0.0)
    assert (result.mean_ap_voc07, result.mean_ap_voc12) == (pytest.approx(0.5), 0.5)


def test_pictures_without_objects_and_detections_score_as_nothing():
    result = score([[], []])
    assert [row.ap_voc07 for row in result.classes] == [None, None]
    assert (result.mean_ap_voc07, result.mean_ap_voc12) == (None, None)
    assert (len(result.outcomes), len(result.matches)) == (0, 0)


def test_detections_in_pictures_without_any_object_are_wrong():
    result = score([[]], (0, 1, 0.9, CAT))
    assert result.outcomes.tolist() == [Outcome.FALSE_POSITIVE]
    assert result.mean_ap_voc07 is None


def test_curve_holds_scores_recall_and_precision_by_falling_score():
    pictures = [[Thing("cat", CAT)], [Thing("cat", CAT)]]
    cat = score(pictures, (0, 1, 0.2, CAT), (1, 1, 0.4, FAR), (1, 1, 0.9, CAT)).classes[0]
    assert cat.scores.tolist() == [0.9, 0.4, 0.2]
    assert cat.recall.tolist() == [0.5, 0.5, 1.0]
    assert cat.precision.tolist() == [1.0, 1 / 2, 2 / 3]


def test_equal_scores_rank_by_picture_number_whatever_the_order_given():
    pictures = [[], [Thing("cat", CAT)]]
    rows = (1, 1, 0.5, CAT), (0, 1, 0.5, CAT)
    assert score(pictures, *rows).classes[0].ap_voc12 == 0.5
    assert score(pictures, *rows[::-1]).classes[0].ap_voc12 == 0.5


def test_equal_scores_of_one_picture_rank_as_given():
    pictures = [[Thing("cat", CAT)]]
    rows = (0, 1, 0.5, CAT), (0, 1, 0.5, FAR)
    assert score(pictures, *rows).classes[0].ap_voc12 == 1.0
    assert score(pictures, *rows[::-1]).classes[0].ap_voc12 == 0.5


def test_narrow_integers_do_not_overflow():
    """As int16, 5 * 20001 + 0 and 1 * 20001 + 14468 are the same number."""
    labels = tuple("abcde")
    pictures = [[] for _ in range(20001)]
    pictures[14468] = [Thing("a", CAT)]
    pictures[20000] = [Thing("a", CAT)]
    truth = voc.gather_truth(pictures, labels=labels)
    truth = truth._replace(images=truth.images.astype(np.int16), classes=np.ones(2, np.int8))
    detections = voc.Detections(
        np.array([0, 20000], np.int16), np.array([5, 1], np.int8), np.ones(2), truth.boxes
    )
    assert voc.evaluate(detections, truth, labels=labels).matches.tolist() == [-1, 1]


def test_concatenate_joins_batches_in_order():
    first, second = found((0, 1, 0.5, CAT)), found((1, 2, 0.4, FAR), (1, 1, 0.3, CAT))
    joined = voc.concatenate([first, second])
    assert joined.images.tolist() == [0, 1, 1]
    assert joined.classes.tolist() == [1, 2, 1]
    assert joined.scores.tolist() == [0.5, 0.4, 0.3]
    assert joined.boxes.tolist() == [list(CAT), list(FAR), list(CAT)]


def test_concatenate_of_no_batch_can_be_scored():
    nothing = voc.concatenate([])
    truth = voc.gather_truth([[Thing("cat", CAT)]], labels=LABELS)
    assert voc.evaluate(nothing, truth, labels=LABELS).mean_ap_voc07 == 0.0


def test_gather_truth_numbers_pictures_and_classes():
    truth = voc.gather_truth([[], [Thing("dog", FAR, True), Thing("cat", CAT)]], labels=LABELS)
    assert truth.images.tolist() == [1, 1]
    assert truth.classes.tolist() == [2, 1]
    assert truth.boxes.tolist() == [list(FAR), list(CAT)]
    assert truth.difficult.tolist() == [True, False]


def test_gather_truth_refuses_an_unknown_class():
    with pytest.raises(InputError, match="yeti are annotated, but the labels are cat, dog: add"):
        voc.gather_truth([[Thing("yeti", CAT)]], labels=LABELS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.array([np.nan])}, "scores has values that are not finite"),
        ({"boxes": np.full((1, 4), np.inf)}, "boxes has values that are not finite"),
        ({"boxes": np.zeros((1, 5))}, "boxes has shape"),
        ({"scores": np.zeros(2)}, "scores has shape"),
        ({"classes": np.array([0])}, "classes runs from 0"),
        ({"classes": np.array([3])}, "labels are 1 to 2"),
        ({"images": np.array([-1])}, "images count from 0"),
    ],
)
def test_malformed_detections_are_refused(change, message):
    truth = voc.gather_truth([], labels=LABELS)
    with pytest.raises(ValueError, match=message):
        voc.evaluate(found((0, 1, 0.9, CAT))._replace(**change), truth, labels=LABELS)


def test_malformed_truth_is_refused():
    truth = voc.gather_truth([[Thing("dog", CAT)]], labels=LABELS)
    with pytest.raises(ValueError, match=r"GroundTruth\.classes"):
        voc.evaluate(found(), truth, labels=LABELS[:1])
