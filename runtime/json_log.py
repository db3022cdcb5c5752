"""Logs of JSON lines: whole lines only, one object a line, floats unrounded."""

import json
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from runtime.files import write_text


def read_lines(folder: str, name: str) -> list[dict[str, Any]]:
    """The whole lines of a log of JSON objects; none where there is no log."""
    return [json.loads(line) for line in _whole_lines(tf.io.gfile.join(folder, name))]


def replace_line(folder: str, name: str, values: Mapping[str, Any]) -> None:
    """Adds one line to a log of JSON objects, in place of that of the same step if there is one."""
    lines = _whole_lines(tf.io.gfile.join(folder, name))
    kept = [line for line in lines if json.loads(line)["step"] != values["step"]]
    write_text(folder, name, [*kept, json.dumps(dict(values))])


class MetricsLog:
    """metrics.jsonl and evaluations.jsonl: one JSON object per line, floats unrounded.

    Each line is handed to the operating system at once: it can be watched, and is there after
    whatever ends the process. A resumed run carries on without a gap or a repeat: lines after the
    restored step are cut off, and so is a last line that a crash tore.

    Attributes:
      earlier: the lines that were kept.
    """

    def __init__(self, train_dir: str, *, step: int, name: str):
        self._path = tf.io.gfile.join(train_dir, name)
        lines = [(line, json.loads(line)) for line in _whole_lines(self._path)]
        kept = [(line, values) for line, values in lines if values["step"] <= step]
        write_text(train_dir, name, [line for line, _ in kept])
        self.earlier = [values for _, values in kept]
        self._file = tf.io.gfile.GFile(self._path, "a")

    def write(self, values: Mapping[str, float | None]) -> None:
        """Adds one line; `values` holds "step". JSON has no NaN: what is not finite is null."""
        line = {name: v if _is_number(v) else None for name, v in values.items()}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _whole_lines(path: str) -> list[str]:
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as file:
        lines = file.read().split("\n")
    return [line for line in lines[:-1] if line]
