"""Scores every checkpoint of a training that runs elsewhere as it comes: `--wait_for_checkpoints`.

Each is scored as a single evaluation would, oldest first; eval_dir/metrics.jsonl gets a line for
each, and what has a line is not scored again. A checkpoint that the training removed before its
turn is skipped.
"""

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Collection, Iterator

import tensorflow as tf

from evaluation.evaluate import evaluate_checkpoint
from evaluation.results import make_folders
from evaluation.settings import EvalSettings
from model import checkpoints, train_dir
from model import train_dir as model_train_dir
from runtime import json_log
from runtime.errors import InputError


def evaluate_continuously(settings: EvalSettings) -> int:
    """Scores the checkpoints of a folder until the training's last, or until none comes.

    Returns:
      How many were scored.

    Raises:
      InputError: as `evaluate_checkpoint`; the path is no folder's; or none came at all.
    """
    folder, timeout = train_dir.find(settings.checkpoint_path), settings.eval_timeout_secs
    if tf.io.gfile.exists(f"{folder}.index"):
        raise InputError(
            f"--checkpoint_path={folder} is one checkpoint, and --wait_for_checkpoints waits for "
            "more: give the train_dir."
        )
    if os.path.realpath(folder) == os.path.realpath(settings.eval_dir):
        raise InputError(
            f"--eval_dir={settings.eval_dir} is the train_dir, whose metrics.jsonl is the "
            "training's: choose another folder."
        )
    make_folders(settings)
    scored = scored_before(folder, settings.eval_dir)
    print(f"Waiting for checkpoints in {folder}, {len(scored)} scored before.", flush=True)
    count = 0
    for step in new_steps(
        folder, interval=settings.eval_interval_secs, timeout=timeout, scored=scored
    ):
        count += _evaluate(settings, f"{folder}/ckpt-{step}", step)
    if not count and not scored:
        waited = "" if timeout is None else f" in the {timeout:g} seconds of --eval_timeout_secs"
        raise InputError(
            f"--checkpoint_path={folder} got no checkpoint that can be read{waited}: is it the "
            "train_dir of the training?"
        )
    return count


def scored_before(folder: str, eval_dir: str) -> set[int]:
    """Steps of a folder's checkpoints that eval_dir/metrics.jsonl has, and that are older than it.

    A newer one is of a run that was started over.
    """
    known = _written(tf.io.gfile.join(eval_dir, train_dir.METRICS))
    steps = {line["step"] for line in json_log.read_lines(eval_dir, train_dir.METRICS)}
    return {step for step in steps if 0 < _written(f"{folder}/ckpt-{step}.index") <= known}


def _written(path: str) -> int:
    """When a file was written, nanoseconds; 0 where there is none."""
    try:
        return tf.io.gfile.stat(path).mtime_nsec
    except tf.errors.NotFoundError:
        return 0


def new_steps(
    folder: str,
    *,
    interval: float,
    timeout: float | None,
    scored: Collection[int] = (),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[int]:
    """Steps of a folder's checkpoints as they come, each once; ends after the training's last.

    Args:
      folder: train_dir; it may not exist yet.
      interval: seconds between two looks.
      timeout: seconds without a new one after which it ends; None waits forever.
      scored: steps that came before.
      clock: seconds, monotonic; a test passes its own.
      sleep: a test passes its own.
    """
    seen, limit = {*scored}, math.inf if timeout is None else timeout
    since = clock()
    while True:
        steps = {*checkpoints.list_steps(folder)}
        seen &= steps  # a run that is started over makes the same steps anew
        if steps - seen:
            step = min(steps - seen)
            seen.add(step)
            yield step
            since = clock()
        elif model_train_dir.last_step(folder) in seen or clock() - since >= limit:
            return
        else:
            sleep(interval)


def _evaluate(settings: EvalSettings, path: str, step: int) -> bool:
    """Scores one checkpoint; False when it cannot be read (any more)."""
    try:
        result = evaluate_checkpoint(dataclasses.replace(settings, checkpoint_path=path))
    except InputError:
        try:
            checkpoints.read(path)
        except InputError as error:
            print(f"Skipped: {error}", flush=True)
            return False
        raise
    with tf.io.gfile.GFile(f"{settings.eval_dir}/metrics.json") as file:
        json_log.replace_line(settings.eval_dir, train_dir.METRICS, json.load(file))
    print(f"{path}: mAP_VOC07 {result.mean_ap_voc07 or 0.0:.4f}", flush=True)
    return True
