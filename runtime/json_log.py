"""Logs of JSON lines: whole lines only, one object a line, floats unrounded."""

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from runtime.files import is_local, write_text

_REMOTE_SECS = 60.0


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
    whatever ends the process. An object store, which takes whole files only, gets them once a
    minute and at every `flush`. A resumed run carries on without a gap or a repeat: lines after the
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
        self._handed_over = -math.inf

    def write(self, values: Mapping[str, float]) -> None:
        """Adds one line; `values` holds "step". JSON has no NaN: what is not finite is null."""
        line = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps(line) + "\n")
        if is_local(self._path) or time.monotonic() - self._handed_over >= _REMOTE_SECS:
            self.flush()

    def flush(self) -> None:
        """Hands over what was written; call it before a checkpoint that follows these lines."""
        self._file.flush()
        self._handed_over = time.monotonic()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _whole_lines(path: str) -> list[str]:
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as file:
        lines = file.read().split("\n")
    return [line for line in lines[:-1] if line]
