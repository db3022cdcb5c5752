"""A trace of a few steps, for TensorBoard's profiler (`pip install tensorboard-plugin-profile`).

The first steps compile and fill caches, so they are left to pass before.
"""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from runtime.errors import InputError

STEPS_BEFORE, STEPS = 10, 3


class StepProfiler:
    """Traces steps `STEPS_BEFORE + 1` to `STEPS_BEFORE + STEPS` of this start of a run.

    Args:
      profile_dir: where the trace goes; "" for none.
      start: steps that the run made before.

    Raises:
      InputError: the folder cannot be made.
    """

    def __init__(self, profile_dir: str, *, start: int):
        self._folder, self._tracing = profile_dir, False
        self._first, self._end = start + STEPS_BEFORE, start + STEPS_BEFORE + STEPS
        if not profile_dir:
            return
        try:
            tf.io.gfile.makedirs(profile_dir)
        except tf.errors.OpError as error:
            raise InputError(
                f"--profile_dir={profile_dir} cannot be made ({error.message}): choose another."
            ) from error

    def __enter__(self) -> "StepProfiler":
        return self

    def __exit__(self, *_) -> None:
        if self._tracing:
            self._stop()

    @contextlib.contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Holds one step, the one after `number` steps."""
        if not self._folder or not self._first <= number < self._end:
            yield
            return
        if not self._tracing:
            tf.profiler.experimental.start(self._folder)
            self._tracing = True
        with tf.profiler.experimental.Trace("train", step_num=number, _r=1):
            yield
        if number + 1 == self._end:
            self._stop()

    def _stop(self) -> None:
        self._tracing = False
        tf.profiler.experimental.stop()
