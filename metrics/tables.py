"""Scores as a dict for metrics.json and as tables for people.

A class without counted objects has no AP: null in the dict, a dash in the table, and no part in
the mean. NaN, which JSON does not know, never appears.
"""

from collections.abc import Mapping
from typing import Any

from metrics.coco import Scores
from metrics.thresholds import OperatingPoint, best_point, mean_point
from metrics.voc import ClassResult, Result, mean

# What COCO's names stand for; areas are boxes', in pixels of the original image.
_COCO_MEANINGS = {
    "AP": "mean over IoU 0.50, 0.55 ... 0.95",
    "AP50": "IoU 0.50",
    "AP75": "IoU 0.75",
    "AP_small": "objects whose box is below 32 x 32 (COCO goes by the segmentation's area)",
    "AP_medium": "32 x 32 to 96 x 96",
    "AP_large": "from 96 x 96",
    "AR_1": "recall with 1 detection of a class and image",
    "AR_10": "with 10",
    "AR_100": "with 100",
    "AR_small": "with 100, objects below 32 x 32",
    "AR_medium": "32 x 32 to 96 x 96",
    "AR_large": "from 96 x 96",
}
_HEADINGS = (
    *("class", "objects", "difficult", "detections"),
    *("AP_VOC07", "AP_VOC12", "AP50", "AP50_95"),
)
_POINT_HEADINGS = ("best F1", "threshold", "precision", "recall", "F1")


def metrics_json(
    result: Result, scores: Scores, *, step: int | None, num_images: int, **extra: Any
) -> dict:
    """What eval_dir/metrics.json holds.

    Args:
      result: of `voc.evaluate`.
      scores: of `coco.score`, for the same classes.
      step: the checkpoint's; None where devkit files of another detector were scored.
      num_images: all evaluated images, those without objects and detections included.
      **extra: more keys with JSON values, COCO's numbers for instance; they come last.

    Returns:
      step, num_images, num_objects (counted ones), num_difficult, num_detections, iou_threshold,
      mAP_VOC07, mAP_VOC12, mAP50, mAP50_95, AP_VOC07, AP_VOC12, AP50 and AP50_95
      {class: AP or None}, operating_point and operating_points {class: threshold, precision, recall
      and F1, or None}; APs lie in [0, 1].

    Raises:
      ValueError: an extra key is one of ours.
    """
    labels = [row.label for row in result.classes]
    ours = {
        "step": step,
        "num_images": num_images,
        "num_objects": sum(row.num_objects for row in result.classes),
        "num_difficult": sum(row.num_difficult for row in result.classes),
        "num_detections": sum(row.num_detections for row in result.classes),
        "iou_threshold": result.iou_threshold,
        "mAP_VOC07": result.mean_ap_voc07,
        "mAP_VOC12": result.mean_ap_voc12,
        "mAP50": mean(scores.AP50),
        "mAP50_95": mean(scores.AP50_95),
        "AP_VOC07": {row.label: row.ap_voc07 for row in result.classes},
        "AP_VOC12": {row.label: row.ap_voc12 for row in result.classes},
        "AP50": dict(zip(labels, scores.AP50, strict=True)),
        "AP50_95": dict(zip(labels, scores.AP50_95, strict=True)),
        "operating_point": _as_dict(mean_point(result)),
        "operating_points": {row.label: _as_dict(best_point(row)) for row in result.classes},
    }
    if taken := sorted(ours.keys() & extra.keys()):
        raise ValueError(f"extra metrics {taken} are keys that metrics_json fills itself")
    return ours | extra


def format_table(result: Result, scores: Scores) -> str:
    """One line per class and the mean, aligned, without a newline at the end."""
    pairs = zip(scores.AP50, scores.AP50_95, strict=True)
    rows = [_class_row(row, *aps) for row, aps in zip(result.classes, pairs, strict=True)]
    return _format([_HEADINGS, *rows, _mean_row(result, scores)])


def format_points(result: Result) -> str:
    """The threshold of the highest F1 of each class, and the one that is best for all."""
    rows = [_point_row(row.label, best_point(row)) for row in result.classes]
    return _format([_POINT_HEADINGS, *rows, _point_row("one for all", mean_point(result))])


def format_coco(numbers: Mapping[str, float | None]) -> str:
    """One line for each of COCO's numbers, as of `coco.evaluate`, without a newline at the end."""
    return "\n".join(
        f"COCO {name:<9}  {_format_ap(value):>6}  {_COCO_MEANINGS[name]}"
        for name, value in numbers.items()
    )


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([cells[0].ljust(widths[0]), *numbers])


def _format(rows: list[tuple[str, ...]]) -> str:
    """Headings, rows and the last row, which sums up, with rules between."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _class_row(row: ClassResult, *coco_aps: float | None) -> tuple[str, ...]:
    counts = (row.num_objects, row.num_difficult, row.num_detections)
    return row.label, *map(str, counts), *map(_format_ap, (row.ap_voc07, row.ap_voc12, *coco_aps))


def _mean_row(result: Result, scores: Scores) -> tuple[str, ...]:
    known = sum(row.ap_voc07 is not None for row in result.classes)
    counts = zip(*((row[1], row[2], row[3]) for row in result.classes), strict=True)
    means = (
        *(result.mean_ap_voc07, result.mean_ap_voc12),
        *(mean(scores.AP50), mean(scores.AP50_95)),
    )
    return f"mean of {known}", *(str(sum(column)) for column in counts), *map(_format_ap, means)


def _point_row(name: str, point: OperatingPoint | None) -> tuple[str, ...]:
    return name, *(("-",) * 4 if point is None else (f"{value:.3f}" for value in point))


def _as_dict(point: OperatingPoint | None) -> dict[str, float] | None:
    return None if point is None else point._asdict()


def _format_ap(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
