"""Scores every new checkpoint of a folder as it comes: `--wait_for_checkpoints`.

For a training that runs elsewhere; one that runs here scores itself (`train_and_evaluate.py`).
"""

import dataclasses
import time
from collections.abc import Callable, Iterator

import tensorflow as tf

from deployment import checkpoints
from deployment.eval_settings import EvalSettings
from deployment.evaluation import evaluate_checkpoint
from errors import InputError


def evaluate_as_they_come(settings: EvalSettings) -> int:
    """Scores the newest checkpoint of a folder, and each that is newer later.

    Returns:
      How many were scored, when none came for eval_timeout_secs.

    Raises:
      InputError: as `evaluate_checkpoint`; the path is no folder's; or none came at all.
    """
    folder, timeout = settings.checkpoint_path, settings.eval_timeout_secs
    if tf.io.gfile.exists(f"{folder}.index"):
        raise InputError(
            f"--checkpoint_path={folder} is one checkpoint, and --wait_for_checkpoints waits for "
            "more: give the folder."
        )
    print(f"Waiting for checkpoints in {folder}.", flush=True)
    count = 0
    for path in new_checkpoints(folder, interval=settings.eval_interval_secs, timeout=timeout):
        print(f"Scoring {path}.", flush=True)
        evaluate_checkpoint(dataclasses.replace(settings, checkpoint_path=path))
        count += 1
    if not count:
        raise InputError(
            f"--checkpoint_path={folder} got no checkpoint in the "
            f"{timeout:g} seconds of --eval_timeout_secs: is it the train_dir of the training?"
        )
    return count


def new_checkpoints(
    folder: str,
    *,
    interval: float,
    timeout: float | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Paths of a folder's newest checkpoint, as often as another becomes the newest.

    Args:
      folder: of checkpoints `ckpt-STEP`; it may not exist yet.
      interval: seconds between two looks.
      timeout: seconds without a new one after which it ends; None waits for ever.
      clock: seconds, monotonic; a test passes its own.
      sleep: a test passes its own.
    """
    scored, since = None, clock()
    while True:
        newest = max(checkpoints.list_steps(folder), default=None)
        if newest != scored and newest is not None:
            yield f"{folder.rstrip('/')}/ckpt-{newest}"
            scored, since = newest, clock()
        elif timeout is not None and clock() - since >= timeout:
            return
        else:
            sleep(interval)
