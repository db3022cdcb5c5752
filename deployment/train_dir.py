"""The folder of a run: its lock, flags.txt, labels.txt and metrics.jsonl."""

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from datasets import files
from deployment import disk
from errors import InputError

METRICS = "metrics.jsonl"
EVALUATIONS = "evaluations.jsonl"
FLAGS = "flags.txt"
LABELS = "labels.txt"
CONFIGURATION = "configuration.txt"
_OURS = re.compile(
    r"ckpt-\d+(_temp|\..*)?|checkpoint|events\.out\..*|metrics\.jsonl|flags\.txt|labels\.txt"
    r"|evaluations(\.jsonl)?|best|configuration\.txt"
)


@contextlib.contextmanager
def locked(train_dir: str) -> Iterator[None]:
    """Makes the folder and holds it until the end; the kernel lets go when the process dies.

    Not locked are folders of TensorFlow's filesystem plugins (gs:// and the like), and those whose
    filesystem has no locks. The lock is on a file because NFS locks no folders.

    Raises:
      InputError: another training holds it, or it cannot be written.
    """
    if not files.is_local(train_dir):
        with disk.explained(f"--train_dir={train_dir}"):
            tf.io.gfile.makedirs(train_dir)
        yield
        return
    try:
        os.makedirs(train_dir, exist_ok=True)
        lock = open(os.path.join(train_dir, ".lock"), "w")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise InputError(
            f"--train_dir={train_dir} cannot be written ({error.strerror}): choose another folder."
        ) from error
    with lock:
        try:
            files.lock(lock.fileno(), wait=False)
        except BlockingIOError as error:
            raise InputError(
                f"--train_dir={train_dir} is in use by another training: wait for its end or "
                "choose another folder."
            ) from error
        yield


def clear(train_dir: str) -> None:
    """Removes what an earlier run left, and nothing else."""
    for name in tf.io.gfile.listdir(train_dir):
        path = tf.io.gfile.join(train_dir, name.rstrip("/"))
        if _OURS.fullmatch(name.rstrip("/")):
            (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)


def clears(train_dir: str, path: str) -> bool:
    """Whether `clear` would remove this path."""
    first = os.path.relpath(os.path.realpath(path), os.path.realpath(train_dir)).split(os.sep)[0]
    return bool(_OURS.fullmatch(first))


def write_text(train_dir: str, name: str, lines: Sequence[str]) -> None:
    """Writes a text file whole or not at all.

    Raises:
      InputError: it could not be written, such as on a full disk; what was there stays.
    """
    path = tf.io.gfile.join(train_dir, name)
    with (
        disk.explained(path),
        disk.replacing(path) as temporary,
        tf.io.gfile.GFile(temporary, "w") as file,
    ):
        file.write("".join(f"{line}\n" for line in lines))


def read_number(train_dir: str, flag: str) -> int | None:
    """The whole number that the run's flags.txt has for a flag; None where it has none."""
    path = tf.io.gfile.join(train_dir, FLAGS)
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        match = re.search(rf"^--{flag}=(\d+)$", file.read(), re.MULTILINE)
    return int(match.group(1)) if match else None


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

    def __init__(self, train_dir: str, *, step: int, name: str = METRICS):
        self._path = tf.io.gfile.join(train_dir, name)
        lines = [(line, json.loads(line)) for line in _whole_lines(self._path)]
        kept = [(line, values) for line, values in lines if values["step"] <= step]
        write_text(train_dir, name, [line for line, _ in kept])
        self.earlier = [values for _, values in kept]
        self._file = tf.io.gfile.GFile(self._path, "a")

    def write(self, values: Mapping[str, float]) -> None:
        """Adds one line; `values` holds "step". JSON has no NaN: what is not finite is null."""
        line = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _whole_lines(path: str) -> list[str]:
    if not tf.io.gfile.exists(path):
        return []
    with tf.io.gfile.GFile(path) as file:
        lines = file.read().split("\n")
    return [line for line in lines[:-1] if line]
