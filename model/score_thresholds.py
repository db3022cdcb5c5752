"""The minimum score of a detection, by class: where an evaluation left it, and what auto means.

A best checkpoint carries the thresholds of its evaluation in its description. For any other one
they are looked for in `metrics.json` of an evaluation of it, in a folder beside it, in its
own folder or in one beside that: `runs/mine/eval` for `runs/mine/ckpt-900` and for
`runs/mine/train/ckpt-900`.
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from model.description import Description
from runtime import files
from runtime.errors import InputError

AUTO = "auto"
FALLBACK = 0.3  # where no evaluation is known
_METRICS = "metrics.json"

Threshold = float | Sequence[float]


def with_evaluation(description: Description, path: str) -> Description:
    """The description with thresholds, where an evaluation of the checkpoint is found.

    Args:
      description: of the checkpoint; its own thresholds stay.
      path: of the checkpoint, without ending; evaluations of remote ones are not looked for.
    """
    if description.thresholds or not files.is_local(path):
        return description
    for metrics in _evaluations_beside(path):
        if found := _read(metrics, path, description.labels):
            return dataclasses.replace(description, thresholds=found, thresholds_from=metrics)
    return description


def parse(text: str | float) -> str | float:
    """What --select_threshold says: `auto`, or a number.

    Raises:
      InputError: it is neither, or not in [0, 1).
    """
    if text == AUTO:
        return AUTO
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise InputError(f"--select_threshold={text} must be auto, or a number in [0, 1).")
    return value


def resolve(given: str | Threshold, description: Description) -> Threshold:
    """The threshold, or that of each class, which a score must exceed; `given` may be `AUTO`."""
    if isinstance(given, str):
        return description.thresholds or FALLBACK if parse(given) == AUTO else float(given)
    return given


def describe(given: str | float, description: Description) -> str:
    """Says which thresholds `resolve` takes, and why."""
    values = resolve(given, description)
    if given != AUTO:
        return f"Minimum score: {values} (--select_threshold)."
    if not isinstance(values, Sequence):
        return (
            f"Minimum score: {values}, as no evaluation of this checkpoint is known; "
            "eval_ssd_network.py finds the best one."
        )
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    span = low if low == high else f"{low} to {high} by class"
    return f"Minimum score: {span}, which had the best F1 ({description.thresholds_from})."


def _evaluations_beside(path: str) -> Iterator[str]:
    folder = os.path.dirname(path) or "."
    for parent in (folder, os.path.dirname(folder) or ("." if folder != "." else "..")):
        for name in sorted(os.listdir(parent) if os.path.isdir(parent) else ()):
            metrics = os.path.join(parent, name, _METRICS)
            if os.path.isfile(metrics):
                yield metrics


def _read(metrics: str, path: str, labels: Sequence[str]) -> tuple[float, ...] | None:
    """The thresholds that an evaluation found, if it is one of this checkpoint and its classes."""
    try:
        values: dict[str, Any] = json.loads(files.read(metrics))
        there = os.path.join(os.path.dirname(metrics), values["checkpoint"])
        common, points = values["operating_point"], values["operating_points"]
    except (InputError, ValueError, KeyError, TypeError):
        return None  # not ours, or of an earlier version
    if os.path.realpath(there) != os.path.realpath(path) or [*points] != [*labels] or not common:
        return None
    return tuple((points[label] or common)["threshold"] for label in labels)
