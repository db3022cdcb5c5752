"""VOC AP on random cases: against the plain loop, and by laws that hold for every case."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import evaluation
from metrics import voc
from metrics.voc import Outcome

LABELS = ("a", "b", "c")
seeds = st.integers(0, 2**32 - 1)


def draw_case(seed, *, coarse):
    """Up to 40 detections and 15 objects; coarse ones have many equal scores and IoUs."""
    draw = np.random.default_rng(seed)
    detections, truth = evaluation.random_case(
        seed=seed,
        num_pictures=int(draw.integers(1, 6)),
        num_objects=int(draw.integers(1, 16)),
        num_detections=int(draw.integers(0, 41)),
        num_classes=len(LABELS),
    )
    if coarse:  # boxes within 8 by 8 pixels
        truth = truth._replace(boxes=np.floor(truth.boxes / 64))
        boxes = np.floor(np.clip(detections.boxes, 0, 499) / 64)
        scores = np.round(detections.scores, 1).astype(np.float32)
        detections = detections._replace(boxes=boxes, scores=scores)
    return detections, truth


def aps(detections, truth, **options):
    classes = voc.evaluate(detections, truth, labels=LABELS, **options).classes
    return np.array([(row.ap_voc07 or 0.0, row.ap_voc12 or 0.0) for row in classes])


def take(table, rows):
    return type(table)(*(column[rows] for column in table))


@pytest.mark.parametrize("coarse", [True, False])
@settings(max_examples=150, deadline=None)
@given(seed=seeds, iou_threshold=st.sampled_from([0.25, 0.5, 0.75]))
def test_evaluate_agrees_with_the_plain_loop(coarse, seed, iou_threshold):
    case = draw_case(seed, coarse=coarse)
    ours = voc.evaluate(*case, labels=LABELS, iou_threshold=iou_threshold)
    plain = evaluation.plain_evaluate(*case, labels=LABELS, iou_threshold=iou_threshold)
    right = frozenset().union(*(row.true_positives for row in plain))
    ignored = frozenset().union(*(row.ignored for row in plain))
    assert set(np.flatnonzero(ours.outcomes == Outcome.TRUE_POSITIVE)) == right
    assert set(np.flatnonzero(ours.outcomes == Outcome.IGNORED)) == ignored
    for row, expected in zip(ours.classes, plain, strict=True):
        assert (row.ap_voc07 is None) == (row.num_objects == 0)
        assert (row.ap_voc07 or 0.0) == pytest.approx(expected.ap_voc07, abs=1e-12)
        assert (row.ap_voc12 or 0.0) == pytest.approx(expected.ap_voc12, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_result_does_not_depend_on_the_order_of_pictures_or_batches(seed):
    detections, truth = draw_case(seed, coarse=True)
    draw = np.random.default_rng(seed)
    arrival = draw.permutation(6)  # within an image the detector's order stays
    rows = np.argsort(arrival[detections.images], kind="stable")
    objects = np.argsort(arrival[truth.images], kind="stable")
    before = voc.evaluate(detections, truth, labels=LABELS)
    after = voc.evaluate(take(detections, rows), take(truth, objects), labels=LABELS)
    np.testing.assert_array_equal(after.outcomes, before.outcomes[rows])
    np.testing.assert_array_equal(aps(detections, truth), aps(take(detections, rows), truth))


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_result_does_not_depend_on_any_order_when_scores_differ(seed):
    detections, truth = draw_case(seed, coarse=False)
    draw = np.random.default_rng(seed)
    rows, renumbered = draw.permutation(len(detections.images)), draw.permutation(6)
    moved = take(detections, rows)
    moved = moved._replace(images=renumbered[moved.images], scores=np.log(moved.scores))
    moved_truth = truth._replace(images=renumbered[truth.images])
    np.testing.assert_array_equal(aps(moved, moved_truth), aps(detections, truth))


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_ap_never_rises_with_the_iou_threshold(seed):
    case = draw_case(seed, coarse=True)
    levels = np.stack([aps(*case, iou_threshold=at) for at in (0.0, 0.3, 0.5, 0.7, 0.95)])
    assert (np.diff(levels, axis=0) <= 1e-12).all()
    assert levels.min() >= 0.0
    assert levels.max() <= 1.0 + 1e-12


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_ap_does_not_fall_when_false_positives_go(seed):
    detections, truth = draw_case(seed, coarse=True)
    outcomes = voc.evaluate(detections, truth, labels=LABELS).outcomes
    kept = np.flatnonzero(outcomes == Outcome.TRUE_POSITIVE)
    assert (aps(take(detections, kept), truth) >= aps(detections, truth) - 1e-12).all()


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_ap_stays_when_ignored_detections_or_trailing_false_positives_change(seed):
    detections, truth = draw_case(seed, coarse=True)
    outcomes = voc.evaluate(detections, truth, labels=LABELS).outcomes
    kept = take(detections, outcomes != Outcome.IGNORED)
    nowhere = np.full((3, 4), 900.0)
    tail = voc.Detections(np.zeros(3, int), np.arange(1, 4), np.full(3, -1.0), nowhere)
    changed = voc.concatenate([kept, tail])
    np.testing.assert_allclose(aps(changed, truth), aps(detections, truth), atol=1e-12)


def test_benchmark_prints_both_times(capsys):
    evaluation.main(["--rounds=1", "--detections=300", "--images=20", "--objects=50"])
    printed = capsys.readouterr().out
    assert "300 detections, 20 images, 1 rounds" in printed
    assert "ratio" in printed
