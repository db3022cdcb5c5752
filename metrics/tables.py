"""Scores as a dict for metrics.json and as tables for people.

A class without counted objects has no AP: null in the dict, a dash in the table, and no part in
the mean. NaN, which JSON does not know, never appears.
"""

from collections.abc import Mapping
from typing import Any

from metrics.voc import ClassResult, Result

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
_HEADINGS = ("class", "objects", "difficult", "detections", "AP_VOC07", "AP_VOC12")


def metrics_json(result: Result, *, step: int | None, num_images: int, **extra: Any) -> dict:
    """What eval_dir/metrics.json holds.

    Args:
      result: of `voc.evaluate`.
      step: the checkpoint's; None where devkit files of another detector were scored.
      num_images: all evaluated images, those without objects and detections included.
      **extra: more keys with JSON values, COCO's numbers for instance; they come last.

    Returns:
      step, num_images, num_objects (counted ones), num_difficult, num_detections, iou_threshold,
      mAP_VOC07, mAP_VOC12, AP_VOC07 and AP_VOC12 {class: AP or None}; APs lie in [0, 1].

    Raises:
      ValueError: an extra key is one of ours.
    """
    ours = {
        "step": step,
        "num_images": num_images,
        "num_objects": sum(row.num_objects for row in result.classes),
        "num_difficult": sum(row.num_difficult for row in result.classes),
        "num_detections": sum(row.num_detections for row in result.classes),
        "iou_threshold": result.iou_threshold,
        "mAP_VOC07": result.mean_ap_voc07,
        "mAP_VOC12": result.mean_ap_voc12,
        "AP_VOC07": {row.label: row.ap_voc07 for row in result.classes},
        "AP_VOC12": {row.label: row.ap_voc12 for row in result.classes},
    }
    if taken := sorted(ours.keys() & extra.keys()):
        raise ValueError(f"extra metrics {taken} are keys that metrics_json fills itself")
    return ours | extra


def format_table(result: Result) -> str:
    """One line per class and the mean, aligned, without a newline at the end."""
    rows = [_HEADINGS, *(_class_row(row) for row in result.classes), _mean_row(result)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def format_coco(numbers: Mapping[str, float | None]) -> str:
    """One line for each of COCO's numbers, as of `coco.evaluate`, without a newline at the end."""
    return "\n".join(
        f"COCO {name:<9}  {_format_ap(value):>6}  {_COCO_MEANINGS[name]}"
        for name, value in numbers.items()
    )


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([cells[0].ljust(widths[0]), *numbers])


def _class_row(row: ClassResult) -> tuple[str, ...]:
    counts = (row.num_objects, row.num_difficult, row.num_detections)
    return row.label, *map(str, counts), _format_ap(row.ap_voc07), _format_ap(row.ap_voc12)


def _mean_row(result: Result) -> tuple[str, ...]:
    known = sum(row.ap_voc07 is not None for row in result.classes)
    counts = zip(*((row[1], row[2], row[3]) for row in result.classes), strict=True)
    return (
        f"mean of {known}",
        *(str(sum(column)) for column in counts),
        _format_ap(result.mean_ap_voc07),
        _format_ap(result.mean_ap_voc12),
    )


def _format_ap(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
