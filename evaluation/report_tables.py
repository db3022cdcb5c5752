"""The numbers and sentences of a report: tiles, summary and the table of classes."""

import html
from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.report_inputs import Evaluation
from evaluation.report_pictures import SURE
from metrics import thresholds
from metrics.errors_by_kind import Diagnosis
from metrics.voc import Result, mean
from visualization import page

UNDERTRAINED = 0.1  # mean AP below which errors by kind say little


def tiles(evaluation: Evaluation) -> str:
    """Key numbers."""
    result, scores = evaluation.result, evaluation.scores
    point = thresholds.mean_point(result)
    numbers: list[tuple[str, object]] = [
        ("mAP_VOC07", page.number(result.mean_ap_voc07)),
        ("mAP50 (COCO)", page.number(mean(scores.AP50))),
        ("mAP50_95 (COCO)", page.number(mean(scores.AP50_95))),
        ("F1 of all classes", page.number(point and point.F1)),
        ("its score threshold", page.number(point and point.threshold)),
        ("images", len(evaluation.names)),
        ("objects", sum(row.num_objects for row in result.classes)),
    ]
    if evaluation.step is not None:
        numbers.append(("step", f"{evaluation.step:,}"))
    return page.tiles(numbers)


def undertrained(result: Result) -> str:
    """Says so of a model that finds next to nothing."""
    value = result.mean_ap_voc12
    if value is None or value >= UNDERTRAINED:
        return ""
    return page.warning(
        f"This model is undertrained: its mean AP, {value:.3f}, is below {UNDERTRAINED}. Train it "
        "longer, or check learning rate, anchors and labels, before you read errors by kind."
    )


def summary(
    evaluation: Evaluation,
    diagnosis: Diagnosis,
    costs: Mapping[str, np.ndarray],
    matrix: np.ndarray,
) -> str:
    """What was scored, the worst class and the costliest kind of error, in sentences."""
    result, truth = evaluation.result, evaluation.truth
    sentences = [
        f"{len(evaluation.names)} images, {int(np.sum(~truth.difficult))} objects that count "
        f"({int(np.sum(truth.difficult))} difficult ones beside them), "
        f"{len(evaluation.detections.scores)} detections. Mean AP "
        f"{page.number(result.mean_ap_voc12)} (VOC12), {page.number(result.mean_ap_voc07)} "
        f"(VOC07), at an IoU above {result.iou_threshold:g}."
    ]
    k = worst_class(result)
    if k is not None:
        worst = result.classes[k]
        unfound = int(np.sum(diagnosis.unfound & (truth.classes == k + 1)))
        sentences.append(
            f"Worst class: <b>{html.escape(worst.label)}</b>, AP {page.number(worst.ap_voc12)}. "
            f"{_main_error(costs, k)} {_predicted_as(matrix, k, evaluation.labels)} Without a true "
            f"positive at any score: {unfound}."
        )
        lost = means(costs)
        kind = max(lost, key=lambda name: lost[name])
        if lost[kind] >= 0.0005:  # which is shown as 0.001
            sentences.append(
                f"Over all classes, <b>{kind}</b> errors lose the most AP: without them the mean "
                f"AP would be {lost[kind]:.3f} higher."
            )
    return "".join(f"<p>{sentence}</p>" for sentence in sentences)


def worst_class(result: Result) -> int | None:
    """Row of the class with the lowest AP; None where none has any."""
    k, worst = min(enumerate(result.classes), key=lambda pair: _or_two(pair[1].ap_voc12))
    return None if worst.ap_voc12 is None else k


def _predicted_as(matrix: np.ndarray, k: int, labels: Sequence[str]) -> str:
    """What the objects of class k + 1 were predicted as, most frequent first."""
    row, own = matrix[k + 1], matrix[k + 1, k + 1]
    others = [other for other in np.argsort(-row, kind="stable") if row[other] and other != k + 1]
    names = ["missed" if other == 0 else f"predicted as {labels[other - 1]}" for other in others]
    fates = [f"{own} found", *(f"{row[j]} {name}" for j, name in zip(others, names, strict=True))]
    return (
        f"Of its {row.sum()} objects, at a score of {SURE} or more: "
        f"{html.escape(', '.join(fates))}; {matrix[0, k + 1]} detections of it are on background."
    )


def _main_error(costs: Mapping[str, np.ndarray], k: int) -> str:
    kind = max(costs, key=lambda name: np.nan_to_num(costs[name][k]))
    if np.nan_to_num(costs[kind][k]) <= 0:
        return "No kind of error lowers its AP."
    return f"<b>{kind}</b> errors lose it the most AP: {costs[kind][k]:.3f}."


def class_table(
    evaluation: Evaluation, diagnosis: Diagnosis, costs: Mapping[str, np.ndarray]
) -> str:
    """The scores of each class, the worst class first."""
    headings = (
        *("class", "objects", "not found", "detections", "AP VOC07", "AP VOC12", "AP50", "AP50_95"),
        *("threshold", "precision", "recall", "F1", "main error", "AP lost"),
    )
    rows, scores = [], evaluation.scores
    for k, row in enumerate(evaluation.result.classes):
        unfound = int(np.sum(diagnosis.unfound & (evaluation.truth.classes == k + 1)))
        point = thresholds.best_point(row) or (None,) * 4
        aps = (row.ap_voc07, row.ap_voc12, scores.AP50[k], scores.AP50_95[k])
        of_class = {name: float(np.nan_to_num(cost[k])) for name, cost in costs.items()}
        kind, gain = max(of_class.items(), key=lambda pair: pair[1])
        cells = (
            *(row.label, row.num_objects, unfound, row.num_detections),
            *map(page.number, (*aps, *point)),
            *((kind, page.number(gain)) if gain > 0 else ("-", "-")),
        )
        rows.append((_or_two(row.ap_voc12), cells))
    ordered = [cells for _, cells in sorted(rows, key=lambda pair: pair[0])]
    note = (
        "The worst class comes first. The main error is the kind that loses the most AP (VOC12); "
        "correcting it alone would regain the AP lost. Precision, recall and F1 are at the score "
        "threshold of the best F1. Not found are objects without a true "
        "positive at any score."
    )
    return f"<h2>Classes</h2>{page.table(headings, ordered)}{page.note(note)}"


def means(costs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Mean AP lost to each kind of error."""
    return {name: _mean(gain) for name, gain in costs.items()}


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def _or_two(value: float | None) -> float:
    """Classes without an AP sort behind all others."""
    return 2.0 if value is None else value
