"""What becomes of detections: their score, printed and written, whoever made them."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from evaluation import report, results
from evaluation.report_inputs import Evaluation, EvaluationInputs
from evaluation.settings import EvalSettings
from metrics import coco, tables, thresholds
from metrics.voc import Result, evaluate
from runtime import files
from runtime.files import write_text


def make_folders(settings: EvalSettings) -> None:
    """Makes the folders for the results, before the network runs over every image.

    Raises:
      InputError: one cannot be written.
    """
    sheet = settings.contact_sheet
    for name, folder in (
        ("eval_dir", settings.eval_dir),
        ("report_dir", settings.report_dir),
        ("contact_sheet", (os.path.dirname(sheet) or ".") if sheet else ""),
    ):
        if folder:
            files.make_folder(folder, given=f"--{name}={getattr(settings, name)}")


def score_and_write(
    scored: EvaluationInputs,
    settings: EvalSettings,
    *,
    drawings: Mapping[str, np.ndarray] | None = None,
) -> Result:
    """Scores, prints the tables, and writes metrics, TensorBoard's events and the report.

    With remove_difficult off, difficult objects count as any other.

    Args:
      scored: what was found and what is there.
      settings: how to score and where to write.
      drawings: file name -> image for TensorBoard.

    Raises:
      InputError: something cannot be written.
    """
    if not settings.remove_difficult:
        none = np.zeros_like(scored.truth.difficult)
        truth = scored.truth._replace(difficult=none)
        scored = dataclasses.replace(scored, truth=truth)
    result = evaluate(
        scored.detections,
        scored.truth,
        labels=scored.labels,
        iou_threshold=settings.matching_threshold,
    )
    num_images = len(scored.names)
    scores = coco.score(
        scored.detections,
        scored.truth,
        num_images=num_images,
        labels=scored.labels,
        all_numbers=settings.coco,
    )
    print(f"{tables.format_table(result, scores)}\n\n{tables.format_points(result)}")
    extra: dict[str, Any] = {}
    if scores.numbers:
        print("", tables.format_coco(scores.numbers), sep="\n")
        extra["COCO"] = scores.numbers
    if scored.checkpoint:
        extra["checkpoint"] = _relative(scored.checkpoint, settings.eval_dir)
    values = tables.metrics_json(result, scores, step=scored.step, num_images=num_images, **extra)
    if settings.eval_dir:
        with files.explain_write_errors(settings.eval_dir):
            write_text(settings.eval_dir, "metrics.json", json.dumps(values, indent=2).split("\n"))
            files.write(f"{settings.eval_dir}/curves.csv", thresholds.to_csv(result).encode())
            results.write(settings.eval_dir, values, drawings or {})
    if settings.report_dir:
        with files.explain_write_errors(settings.report_dir):
            evaluation = Evaluation(**vars(scored), result=result, scores=scores)
            report.write(settings.report_dir, evaluation)
    return result


def write(eval_dir: str, values: Mapping, drawings: Mapping[str, np.ndarray]) -> None:
    """Adds an events file to `eval_dir`.

    Args:
      eval_dir: exists.
      values: of metrics.json. Numbers that are None, of a class without objects, are left out.
      drawings: file name of an image -> uint8[H, W, 3] RGB, shown as `pictures/NAME`.
    """
    writer = tf.summary.create_file_writer(eval_dir)
    with writer.as_default(step=values["step"] or 0):
        for tag, value in scalars(values).items():
            tf.summary.scalar(tag, value)
        for name, drawing in drawings.items():
            tf.summary.image(f"pictures/{name}", drawing[None])
    writer.close()  # which says what could not be written


def _relative(checkpoint: str, eval_dir: str) -> str:
    """The path as seen from eval_dir, so that both can move together."""
    if not (files.is_local(checkpoint) and files.is_local(eval_dir)):
        return checkpoint
    return os.path.relpath(os.path.realpath(checkpoint), os.path.realpath(eval_dir))


def scalars(values: Mapping) -> dict[str, float]:
    """`AP_VOC07/mAP`, `AP_VOC07/CLASS`, likewise of other APs, and `COCO/AP` if there."""
    tags = {}
    for metric in ("AP_VOC07", "AP_VOC12", "AP50", "AP50_95"):
        tags[f"{metric}/mAP"] = values[f"m{metric}"]
        tags |= {f"{metric}/{label}": value for label, value in values[metric].items()}
    tags |= {f"COCO/{name}": value for name, value in values.get("COCO", {}).items()}
    return {tag: value for tag, value in tags.items() if value is not None}
