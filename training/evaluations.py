"""Evaluates a training on a split while it runs, keeps the best checkpoint, and may end the run.

The chief saves a checkpoint and scores it with the code of `eval_ssd_network.py`, so a score here
is the score there; nothing that training reads is touched, and its course stays the same. The
other workers wait, and are told every now and then that the chief is alive, so that their watchdogs
do not end them.

train_dir gets `evaluations.jsonl` (a line each: step and `train_dir.SCORES`), `evaluations/` (the
newest metrics.json, and TensorBoard's events) and `best/` (the checkpoint of the highest mAP_VOC07,
the first of equals, with its metrics.json and, in its description, the score thresholds). A
resumed run resumes from these lines: an evaluation that was cut short is made again, and nothing
is evaluated twice.
"""

import dataclasses
import enum
import json
import math
import time
from typing import Any

import numpy as np
import tensorflow as tf

from deployment.cluster import Cluster
from evaluation.evaluate import evaluate_checkpoint, get_dataset
from evaluation.settings import EvalSettings
from metrics import thresholds
from model import checkpoints, train_dir
from model.description import Description
from model.train_dir import METRIC, SCORES, Line, best_of, has_converged
from runtime import files, json_log
from runtime.errors import InputError
from runtime.signals import StopRequest
from runtime.watchdog import Watchdog
from training.settings import TrainSettings
from training.writer import NullWriter

_SHARE_OF_STALL = 4  # heartbeats of the chief to waiting workers before their watchdogs expire
_LONGEST_SILENCE_SECS = 60.0


class EvaluationOutcome(enum.StrEnum):
    """What an evaluation means for the run."""

    GO_ON = "go on"
    STOPPED = "stopped"  # by a signal, before the evaluation was done
    CONVERGED = "converged"  # too many evaluations without a better one


class _Stopped(Exception):
    """A signal came while the chief evaluated."""


class Evaluations:
    """Makes the evaluations of a run that are due; asked after every step, on every worker."""

    def __init__(
        self,
        settings: TrainSettings,
        *,
        start: int,
        num_samples: int,
        cluster: Cluster,
        writer: NullWriter,
        interrupts: StopRequest,
        watchdog: Watchdog,
    ):
        """Reads what an earlier part of the run found.

        Args:
          settings: of the run.
          start: steps made before.
          num_samples: images of an epoch.
          cluster: the workers.
          writer: saves checkpoints and shows messages.
          interrupts: a signal ends an evaluation too.
          watchdog: told of every batch.
        """
        self._settings, self._num_samples = settings, num_samples
        self._cluster, self._writer = cluster, writer
        self._interrupts, self._watchdog = interrupts, watchdog
        self._log: Any = None  # of the chief alone
        self._history: list[Line] = []
        if settings.eval_split and cluster.is_chief:
            self._log = json_log.MetricsLog(
                settings.train_dir, step=start, name=train_dir.EVALUATIONS
            )
            self._history = self._log.earlier
        self._ended = self._told = time.monotonic()

    def after_step(self, step: int) -> EvaluationOutcome:
        """Evaluates if it is due; also asked once before the first step of a run.

        Raises:
          InputError: the split cannot be read, or the best checkpoint not be kept.
        """
        if not self._is_due(step):
            return EvaluationOutcome.GO_ON
        if not self._cluster.is_chief:
            return self._follow()
        verdict = EvaluationOutcome.GO_ON
        try:
            if step not in self._steps():
                self._evaluate(step)
            if has_converged(self._history, self._settings.early_stopping_evals):
                verdict = EvaluationOutcome.CONVERGED
                self._say_why()
        except _Stopped:
            verdict = EvaluationOutcome.STOPPED
        except InputError as error:
            self._cluster.decide(error)
        self._cluster.decide({"verdict": verdict})
        return verdict

    def _is_due(self, step: int) -> bool:
        settings = self._settings
        if not settings.eval_split or not step:
            return False
        if is_due_by_step(settings, step, self._num_samples):
            return True
        if self._cluster.num_replicas > 1:
            return False  # the others would not know
        every = settings.eval_every_secs or math.inf
        return step in self._steps()[-1:] or time.monotonic() - self._ended >= every

    def _steps(self) -> list[int]:
        return [line["step"] for line in self._history]

    def _evaluate(self, step: int) -> None:
        self._writer.save(step)
        path = tf.io.gfile.join(self._settings.train_dir, f"ckpt-{step}")
        with self._writer.paused():
            result = evaluate_checkpoint(
                eval_settings(self._settings, path), on_batch=self._after_batch
            )
        line: Line = {"step": step, **self._scores()}
        is_best = best_of([*self._history, line]) is line
        if is_best:
            self._keep(path, thresholds.suggested(result))
        self._history.append(line)
        with files.explain_write_errors(
            tf.io.gfile.join(self._settings.train_dir, train_dir.EVALUATIONS)
        ):
            self._log.write(line)
            self._log.flush()
        self._writer.scores(step, {name: line[name] for name in SCORES})
        best = ", the best so far" if is_best else ""
        split = self._settings.eval_split
        self._writer.message(f"Step {step}: {METRIC} {_shown(line)} on {split}{best}.")
        self._ended = time.monotonic()

    def _scores(self) -> Line:
        """The numbers of the evaluation that was just made which `evaluations.jsonl` keeps."""
        path = tf.io.gfile.join(self._settings.train_dir, "evaluations", "metrics.json")
        with tf.io.gfile.GFile(path) as file:
            metrics = json.load(file)
        point = metrics["operating_point"] or {"F1": None}
        return {name: metrics[name] for name in SCORES if name in metrics} | {"F1": point["F1"]}

    def _keep(self, path: str, score_thresholds: tuple[float, ...] | None) -> None:
        tensors = checkpoints.read(path)
        if score_thresholds:
            description = dataclasses.replace(
                Description.from_json(tensors["description"].item().decode()),
                thresholds=score_thresholds,
                thresholds_from=f"{self._settings.eval_split} at step {checkpoints.step_of(path)}",
            )
            tensors["description"] = np.array(description.to_json(), object)
        folder, scores = (
            tf.io.gfile.join(self._settings.train_dir, name)
            for name in (train_dir.BEST, "evaluations")
        )
        with files.explain_write_errors(folder):
            tf.io.gfile.makedirs(folder)
            with files.replacing(tf.io.gfile.join(folder, "metrics.json")) as temporary:
                # In this order a full disk leaves the earlier best as it was.
                source = tf.io.gfile.join(scores, "metrics.json")
                tf.io.gfile.copy(source, temporary, overwrite=True)
                checkpoints.replace_best(folder, checkpoints.step_of(path), tensors)

    def _after_batch(self) -> None:
        self._watchdog.beat("a batch of the evaluation")
        if self._interrupts.received:
            raise _Stopped
        stall = self._settings.stall_timeout_secs or math.inf
        if time.monotonic() - self._told >= min(stall / _SHARE_OF_STALL, _LONGEST_SILENCE_SECS):
            self._cluster.decide({"verdict": None})
            self._told = time.monotonic()

    def _follow(self) -> EvaluationOutcome:
        """Waits for the chief's verdict, and for heartbeats until it comes."""
        while (verdict := self._cluster.decide(None)["verdict"]) is None:
            self._watchdog.beat("the chief's heartbeat")
        return EvaluationOutcome(verdict)

    def _say_why(self) -> None:
        best = best_of(self._history)
        self._writer.message(
            f"Ended by --early_stopping_evals={self._settings.early_stopping_evals}: "
            f"{METRIC} was best at step {best['step']}, {_shown(best)}."
        )


def _shown(line: Line) -> str:
    return "none" if line[METRIC] is None else f"{line[METRIC]:.4f}"


def eval_settings(settings: TrainSettings, checkpoint_path: str) -> EvalSettings:
    """The flags of `eval_ssd_network.py` that score a checkpoint of this training."""
    return EvalSettings(
        checkpoint_path=checkpoint_path,
        eval_dir=tf.io.gfile.join(settings.train_dir, "evaluations"),
        dataset_name=settings.dataset_name,
        dataset_split_name=settings.eval_split,
        dataset_dir=settings.dataset_dir,
        labels_file=settings.labels_file,
        labels_offset=settings.labels_offset,
        num_preprocessing_threads=settings.num_preprocessing_threads,
        precision=settings.precision,
        skip_bad=settings.skip_bad,
    )


def check_split(settings: TrainSettings, labels: tuple[str, ...]) -> None:
    """Looks at --eval_split before the first step instead of after the first epoch.

    Raises:
      InputError: it is not there, or has other labels than the training's.
    """
    if not settings.eval_split:
        return
    dataset = get_dataset(eval_settings(settings, settings.train_dir), split_flag="--eval_split")
    if dataset.labels != labels:
        raise InputError(
            f"--eval_split={settings.eval_split} has the classes {', '.join(dataset.labels)} and "
            f"the training {', '.join(labels)}: convert both splits alike."
        )


def is_due_by_step(settings: TrainSettings, step: int, num_samples: int) -> bool:
    """Whether an evaluation follows this step by the flags alone, the same on every worker."""
    if step == settings.last_step:
        return True
    if settings.eval_every_n_steps and step % settings.eval_every_n_steps == 0:
        return True
    if not settings.eval_every_n_epochs:
        return False
    pictures = settings.eval_every_n_epochs * num_samples
    now, before = (n * settings.global_batch_size // pictures for n in (step, step - 1))
    return now > before
