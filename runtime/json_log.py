"""Logs of JSON lines: whole lines only, one object a line, floats unrounded.

A line that is none, as a broken disk or a text editor leaves it, is named and left out.
"""

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from runtime import files, limits
from runtime.files import is_local, write_text

_REMOTE_SECS = 60.0

Line = dict[str, Any]


def _print(sentence: str) -> None:
    print(sentence, flush=True)


def read_lines(folder: str, name: str) -> list[Line]:
    """The whole lines of a log of JSON objects; none where there is no log."""
    return [values for _, values in _read(tf.io.gfile.join(folder, name))]


def replace_line(folder: str, name: str, values: Mapping[str, Any]) -> None:
    """Adds one line to a log of JSON objects, in place of that of the same step if there is one."""
    lines = _read(tf.io.gfile.join(folder, name))
    kept = [line for line, there in lines if there["step"] != values["step"]]
    write_text(folder, name, [*kept, json.dumps(dict(values))])


class MetricsLog:
    """metrics.jsonl and evaluations.jsonl: one JSON object per line, floats unrounded.

    Each line is handed to the operating system at once: it can be watched, and is there after
    whatever ends the process. An object store, which takes whole files only, gets them once a
    minute and at every `flush`. A resumed run carries on without a repeat: lines after the
    restored step are cut off, and so is a last line that a crash tore.

    Attributes:
      earlier: the lines that were kept.
    """

    def __init__(self, train_dir: str, *, step: int, name: str, every: int | None = None):
        """Opens the log, and cuts it to the restored step.

        Args:
          train_dir: where it is.
          step: that is restored.
          name: of the log.
          every: steps between two lines, where that is known: a gap before `step` is told.
        """
        self._path = tf.io.gfile.join(train_dir, name)
        kept = [(line, v) for line, v in _read(self._path) if v["step"] <= step]
        write_text(train_dir, name, [line for line, _ in kept])
        self.earlier = [values for _, values in kept]
        if every:
            self._tell_gap(step, every)
        self._file = tf.io.gfile.GFile(self._path, "a")
        self._handed_over = -math.inf

    def _tell_gap(self, step: int, every: int) -> None:
        before, last = ([0, 0] + [line["step"] for line in self.earlier])[-2:]
        if step - last >= max(every, last - before):
            _print(f"WARNING: {self._path} has no line between the steps {last} and {step}.")

    def write(self, values: Mapping[str, float | None]) -> None:
        """Adds one line; `values` holds "step". JSON has no NaN: what is not finite is null."""
        line = {name: v if _is_number(v) else None for name, v in values.items()}
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


def _read(path: str) -> list[tuple[str, Line]]:
    """The whole lines, as they are and what they hold."""
    found = []
    for number, line in enumerate(_whole_lines(path), start=1):
        try:
            values = json.loads(line)
            if isinstance(values["step"], bool) or not isinstance(values["step"], int):
                raise ValueError("its step is no whole number")
        except (ValueError, TypeError, KeyError, RecursionError):
            _print(f"WARNING: {path}, line {number} is no line of this log: left out.")
            continue
        found.append((line, values))
    return found


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _whole_lines(path: str) -> list[str]:
    if not tf.io.gfile.exists(path):
        return []
    data = files.read(path, most=limits.MAX_TABLE_BYTES)
    lines = data.decode("utf-8", "replace").split("\n")
    return [line for line in lines[:-1] if line]
