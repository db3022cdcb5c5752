"""What the chief writes into train_dir while it trains, and what the other workers do not."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from datasets.input_pipeline import Batch
from model import checkpoints, train_dir
from runtime import files, json_log
from runtime.errors import InputError
from runtime.progress import Progress
from training.numerics import require_finite
from training.settings import ResolvedSettings
from training.step import GRADIENT
from training.summaries import TrainSummaries

_NOT_WRITTEN = ("finite", "stop")
_FLUSH_MILLIS = 10_000  # until TensorBoard sees a scalar; closing shows it at once


class NullWriter:
    """The writer of a worker that is not the chief: writes nothing."""

    def __enter__(self) -> "NullWriter":
        return self

    def __exit__(self, *_) -> None:
        pass

    def message(self, text: str) -> None:
        """Says something to the user."""

    def scores(self, step: int, values: Mapping[str, float | None]) -> None:
        """Shows the scores of an evaluation in TensorBoard, as `eval/NAME`."""

    def save_is_due(self) -> bool:
        """Whether a checkpoint is to be saved as soon as the weights stand still."""
        return False

    def after_step(
        self, step: int, result: Mapping[str, Any], batch: Batch | None, *, idle: bool
    ) -> None:
        """Writes what is due; a checkpoint only when `idle`: the weights stand still."""

    def save(self, step: int) -> None:
        """Saves a checkpoint unless that of this step is saved already."""

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Around what is shown or takes time between two steps."""
        yield


class RunWriter(NullWriter):
    """Metrics, TensorBoard events, progress and checkpoints; asks after each step what is due.

    Scalars are written with every line of metrics.jsonl, as `train/NAME`.
    """

    def __init__(
        self,
        settings: ResolvedSettings,
        *,
        start: int,
        tensors: Callable[[], dict],
        summaries: TrainSummaries | None = None,
    ):
        """Opens the files.

        Args:
          settings: of the run.
          start: steps made before.
          tensors: gives what a checkpoint holds.
          summaries: writes more than scalars where it is given.
        """
        self._settings, self._tensors, self._summaries = settings, tensors, summaries
        with _written(settings.train_dir):
            self._log = json_log.MetricsLog(
                settings.train_dir,
                step=start,
                name=train_dir.METRICS,
                every=settings.log_every_n_steps,
            )
            self._events = tf.summary.create_file_writer(
                settings.train_dir, flush_millis=_FLUSH_MILLIS
            )
        self._progress = Progress(
            settings.max_number_of_steps,
            "training",
            start=start,
            log_every=settings.log_every_n_steps,
        )
        self._saved = self._summarised = self._logged = time.monotonic()
        self._saved_step = self._logged_step = start
        self._folder = files.identity(settings.train_dir)

    def __enter__(self) -> "RunWriter":
        self._progress.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._progress.__exit__(*error)
        # What ended the run is to be told, not that the files could not be closed either.
        passed_over = (InputError,) if error[0] else ()
        with contextlib.suppress(*passed_over), _written(self._settings.train_dir):
            self._log.close()
            self._events.close()

    def message(self, text: str) -> None:
        """Prints a line above the bar."""
        self._progress.message(text)

    def scores(self, step: int, values: Mapping[str, float | None]) -> None:
        """Shows the scores of an evaluation in TensorBoard, as `eval/NAME`."""
        known = {f"eval/{name}": value for name, value in values.items() if value is not None}
        with _written(self._settings.train_dir):
            self._write_scalars(step, known)

    def save_is_due(self) -> bool:
        """Whether the last checkpoint, or the start, is save_interval_secs ago."""
        return time.monotonic() - self._saved >= self._settings.save_interval_secs

    def after_step(
        self, step: int, result: Mapping[str, Any], batch: Batch | None, *, idle: bool
    ) -> None:
        """Writes the metrics, the summaries and the checkpoint that are due."""
        last = step == self._settings.last_step
        if last or step % self._settings.log_every_n_steps == 0:
            with _written(self._settings.train_dir):
                values = self._write_metrics(step, result)
                self._write_scalars(step, {f"train/{name}": v for name, v in values.items()})
            if last or time.monotonic() - self._summarised >= self._settings.save_summaries_secs:
                self._write_summaries(step, result, batch)
        if idle and self.save_is_due():
            self.save(step)

    def save(self, step: int) -> None:
        """Saves a checkpoint unless that of this step is saved already."""
        if step == self._saved_step:
            return
        # Read before anything is written: what fails here, such as a parameter server, is no disk.
        tensors = {name: np.asarray(tf.convert_to_tensor(t)) for name, t in self._tensors().items()}
        if self._settings.check_numerics:
            require_finite(tensors, step)
        if files.identity(self._settings.train_dir) != self._folder:
            raise InputError(
                f"--train_dir={self._settings.train_dir} is no longer the folder in which this run "
                "began: it was moved or removed; move it back and run again."
            )
        train_dir.check_holder(self._settings.train_dir)
        with _written(self._settings.train_dir):
            self._log.flush()
        checkpoints.save(self._settings.train_dir, step, tensors)
        with _written(self._settings.train_dir):
            checkpoints.keep_newest(
                self._settings.train_dir,
                self._settings.max_to_keep,
                every_n_hours=self._settings.keep_checkpoint_every_n_hours,
            )
        self._saved, self._saved_step = time.monotonic(), step

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes the bar away; the time until the end does not slow images_per_second down."""
        begun = time.monotonic()
        with self._progress.paused():
            yield
        self._logged += time.monotonic() - begun

    def _write_metrics(self, step: int, result: Mapping[str, Any]) -> dict[str, float]:
        values = {
            name: float(value)
            for name, value in result.items()
            if name not in _NOT_WRITTEN and not name.endswith(GRADIENT)
        }
        now = time.monotonic()
        pictures = (step - self._logged_step) * self._settings.global_batch_size
        values["images_per_second"] = pictures / (now - self._logged)
        self._logged, self._logged_step = now, step
        self._log.write({"step": step, **values})
        self._progress.update(
            step,
            loss=values["loss"],
            learning_rate=values["learning_rate"],
            images_per_second=values["images_per_second"],
        )
        return values

    def _write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        with self._events.as_default(step=step):
            for tag, value in values.items():
                tf.summary.scalar(tag, value)

    def _write_summaries(self, step: int, result: Mapping[str, Any], batch: Batch | None) -> None:
        summaries = self._summaries.of_step(batch, result) if self._summaries and batch else []
        with _written(self._settings.train_dir), self._events.as_default(step=step):
            for summary in summaries:
                summary.write(summary.tag, summary.value)
            self._events.flush()
        self._summarised = time.monotonic()


def _written(folder: str) -> contextlib.AbstractContextManager[None]:
    return files.explain_write_errors(folder, hope="; it resumes from the last checkpoint")
