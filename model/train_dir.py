"""The folder of a run: its lock, flags.txt, labels.txt, metrics.jsonl and best/."""

import contextlib
import os
import re
import socket
import uuid
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from runtime import files, json_log
from runtime.errors import InputError

METRIC = "mAP_VOC07"
SCORES = (METRIC, "mAP_VOC12", "mAP50", "mAP50_95", "F1")  # of evaluations.jsonl
Line = dict[str, Any]

METRICS = "metrics.jsonl"
METRICS_CSV = "metrics.csv"
RESULTS = "results.png"
_HOLDER = ".holder"
_THIS_PROCESS = f"process {os.getpid()} of {socket.gethostname()}, {uuid.uuid4().hex}"
EVALUATIONS = "evaluations.jsonl"
FLAGS = "flags.txt"
LABELS = "labels.txt"
CONFIGURATION = "configuration.txt"
BEST = "best"
_OURS = re.compile(
    r"ckpt-\d+(_temp|\..*)?|checkpoint|events\.out\..*|metrics\.(jsonl|csv)|results\.png|flags\.txt|labels\.txt"
    r"|evaluations(\.jsonl)?|best|configuration\.txt"
)


@contextlib.contextmanager
def locked(train_dir: str) -> Iterator[None]:
    """Makes the folder and holds it until the end; the kernel releases it when the process ends.

    An object store (gs://) has no locks: the last training that begins holds the folder, and one
    before it ends at its next save (`check_holder`). Folders of filesystems without locks go
    without. The lock is on a file because NFS locks no folders.

    Raises:
      InputError: another training holds it, or it cannot be written.
    """
    if not files.is_local(train_dir):
        with _held(train_dir):
            yield
        return
    try:
        os.makedirs(train_dir, exist_ok=True)
        # Behind a link there may be a file with content, and in its place a pipe, which blocks.
        flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.fdopen(os.open(os.path.join(train_dir, ".lock"), flags, 0o666), "w")
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


@contextlib.contextmanager
def _held(train_dir: str) -> Iterator[None]:
    """Writes this process's name into the folder until the end."""
    path = tf.io.gfile.join(train_dir, _HOLDER)
    with files.explain_write_errors(f"--train_dir={train_dir}"):
        tf.io.gfile.makedirs(train_dir)
        if tf.io.gfile.exists(path):
            holder = files.read_start(path, 200).decode(errors="replace")
            print(
                f"WARNING: --train_dir={train_dir} is in use by another training, or was left in "
                f"the middle of one ({holder}). Where that still runs, it ends at its next save.",
                flush=True,
            )
        files.write(path, _THIS_PROCESS.encode())
    try:
        yield
    finally:
        with contextlib.suppress(InputError, tf.errors.OpError):  # another holds it, or it is away
            check_holder(train_dir)
            tf.io.gfile.remove(path)


def check_holder(train_dir: str) -> None:
    """Ends a training whose folder in an object store another one has taken; call it to save.

    Raises:
      InputError: another training has begun in this folder.
    """
    if files.is_local(train_dir):
        return
    path = tf.io.gfile.join(train_dir, _HOLDER)
    holder = (
        files.read_start(path, 200).decode(errors="replace")
        if tf.io.gfile.exists(path)
        else "nobody"
    )
    if holder != _THIS_PROCESS:
        raise InputError(
            f"--train_dir={train_dir} was taken by another training while this one ran (now held "
            f"by {holder}): nothing more is saved here; give each training a folder of its own."
        )


def clear(train_dir: str) -> None:
    """Removes what an earlier run left, and nothing else."""
    for name in tf.io.gfile.listdir(train_dir):
        if _OURS.fullmatch(name.rstrip("/")):
            files.remove_tree(tf.io.gfile.join(train_dir, name))


def clears(train_dir: str, path: str) -> bool:
    """Whether `clear` would remove this path."""
    first = os.path.relpath(os.path.realpath(path), os.path.realpath(train_dir)).split(os.sep)[0]
    return bool(_OURS.fullmatch(first))


def find(folder: str) -> str:
    """The train_dir that a folder is or, as `train`, holds."""
    folder = folder.rstrip("/") or folder
    inside = tf.io.gfile.join(folder, "train")
    is_one = tf.io.gfile.exists(tf.io.gfile.join(folder, FLAGS))
    return inside if not is_one and tf.io.gfile.isdir(inside) else folder


def of_checkpoint(path: str) -> str:
    """The train_dir of a checkpoint, which may be in its best/."""
    folder = os.path.dirname(path)
    return os.path.dirname(folder) if os.path.basename(folder) == BEST else folder


def read_flags(train_dir: str) -> dict[str, str]:
    """The flags of the run, as flags.txt has them; none where it is absent."""
    path = tf.io.gfile.join(train_dir, FLAGS)
    if not tf.io.gfile.exists(path):
        return {}
    return dict(re.findall(r"^--(\w+)=(.*)$", files.read_text(path), re.MULTILINE))


def read_number(train_dir: str, flag: str) -> int | None:
    """The whole number that the run's flags.txt has for a flag; None where it has none."""
    value = read_flags(train_dir).get(flag, "")
    return int(value) if re.fullmatch(r"[0-9]{1,18}", value) else None


def last_step(folder: str) -> int | None:
    """Where the training of a train_dir ended early, or where it is to end by its flags, if at all.

    Its files are read; any process may ask.
    """
    history = json_log.read_lines(folder, EVALUATIONS)
    if has_converged(history, read_number(folder, "early_stopping_evals") or 0):
        return history[-1]["step"]
    return read_number(folder, "max_number_of_steps")


def best_of(history: list[Line]) -> Line:
    """The line of the highest score, the first of equals; no score is the lowest of all."""

    def score(line: Line) -> float:
        value = line.get(METRIC)
        return value if isinstance(value, int | float) else -1.0

    return max(history, key=score)


def has_converged(history: list[Line], patience: int) -> bool:
    """Whether the last `patience` evaluations were no better than one before; 0 says never."""
    if not patience or not history:
        return False
    return len(history) - 1 - history.index(best_of(history)) >= patience
