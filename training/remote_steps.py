"""Steps that workers of an asynchronous training take, whoever is free."""

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures

import numpy as np
import tensorflow as tf

from datasets import input_pipeline
from deployment.peers import PeerMonitor
from model import checkpoints
from runtime import hardware, watchdog
from runtime.errors import InputError
from training.settings import TrainSettings
from training.state import TrainState

_STEPS_AHEAD = 2  # handed out for each worker: one to take and one to resume from
_POLL_SECS = 0.5
_STOPPING_SECS = 10.0  # from a request to stop to the save, with steps still under way
_NEED_STEP = (  # flags of what the chief makes of a batch, or between two steps
    *("eval_split", "skip_bad", "summarize_gradients", "save_summaries_images", "profile_dir"),
)
_NOT_READ = (
    *(tf.errors.NotFoundError, tf.errors.DataLossError, tf.errors.OutOfRangeError),
    tf.errors.InvalidArgumentError,  # from a pipeline, such as of an image that does not decode
)
_PIPELINE = "IteratorGetNext"  # in what TensorFlow says of such an error


def check(settings: TrainSettings) -> None:
    """Refuses what asynchronous training does not have.

    Raises:
      InputError: names the flag.
    """
    for name in _NEED_STEP:
        if value := getattr(settings, name):
            raise InputError(
                f"--{name}={value} does not go with parameter servers: the chief sees no batch, "
                "and no moment at which the weights stand still; remove the flag. "
                "eval_ssd_network.py --wait_for_checkpoints scores such a training."
            )
    if settings.epochs is not None:
        raise InputError(
            f"--epochs={settings.epochs} does not go with parameter servers, where every worker "
            "takes steps of its own: give --max_number_of_steps."
        )
    if settings.jit:
        raise InputError(
            "--jit=True does not go with parameter servers: XLA compiles for variables of the same "
            "device; remove the flag."
        )
    if settings.data_service:
        raise InputError(
            f"--data_service={','.join(settings.data_service)} does not go with parameter servers, "
            "whose workers make their own batches: remove the flag."
        )


def is_over(settings: TrainSettings) -> bool:
    """Whether train_dir, where it is seen from here, holds the last step: nobody is needed then.

    A worker that is started after the end would wait for a chief that will not come.
    """
    steps = [] if settings.overwrite else checkpoints.list_steps(settings.train_dir)
    if not steps or steps[-1] < settings.last_step:
        return False
    path = tf.io.gfile.join(settings.train_dir, f"ckpt-{steps[-1]}")
    try:
        checkpoints.read(path)
    except InputError:
        return False
    print(f"The training is over: {path} is its last step.", flush=True)
    return True


class RemoteSteps:
    """Steps that workers take, whoever is free."""

    def __init__(
        self,
        state: TrainState,
        strategy: tf.distribute.ParameterServerStrategy,
        peers: PeerMonitor,
        *,
        pipeline: Callable[..., tf.data.Dataset],
        workers: int,
        rows: int,
        first_step: int,
        last_step: int,
        stall_timeout_secs: float,
    ):
        """Traces the step and makes the workers' pipelines.

        Args:
          state: of the run, on the parameter servers.
          strategy: that it was made under.
          peers: to the workers and servers.
          pipeline: (WorkerSlice, first step) -> batches.
          workers: how many take steps.
          rows: images of a step.
          first_step: steps taken before.
          last_step: after which none is handed out.
          stall_timeout_secs: longest time from a step's handing out to its end; 0 is forever.
        """
        self._state, self._peers = state, peers
        self._taken, self._handed_out, self._last_step = first_step, first_step, last_step
        self._ahead, self._stop_at = _STEPS_AHEAD * workers, math.inf
        self._longest = stall_timeout_secs or math.inf
        self._pending: dict[futures.Future, float] = {}  # with the time of handing out
        self._fetchers = futures.ThreadPoolExecutor(self._ahead)
        self._names: list[str] = []
        self._step = tf.function(self._take_one, autograph=False)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)

        def on_worker():
            index = tf.distribute.coordinator.experimental_get_current_worker_index()
            share = input_pipeline.WorkerSlice(
                workers * rows, tf.cast(index, tf.int64) * rows, rows
            )
            first = state.step.step // workers  # a worker that comes back resumes from here
            return strategy.distribute_datasets_from_function(lambda _: pipeline(share, first))

        self._batches = iter(self._coordinator.create_per_worker_dataset(on_worker))

    @property
    def idle(self) -> bool:
        """Whether no step is under way, so that the weights stand still."""
        return not self._pending

    def take(
        self, *, stop: Callable[[], bool], drain: bool
    ) -> tuple[None, dict[str, float]] | None:
        """Waits for a step under way to end, whichever is first.

        Args:
          stop: whether to hand out no more steps; asked time and again.
          drain: hand out no more until all have ended.

        Returns:
          None for the batch, which the chief does not see, and the numbers that `TrainStep`
          returns; None alone after a request to stop, when all have ended or there is no more
          time for them.

        Raises:
          InputError: a worker cannot read its records, or has no memory for a step.
        """
        with hardware.explaining_out_of_memory(), _refusing_bad_records():
            values = self._wait_for_one(stop=stop, drain=drain)
        if values is None:
            return None
        self._taken += 1
        if self.idle:
            self._count()
        return None, dict(zip(self._names, map(float, values), strict=True))

    def finish(self) -> None:
        """Tells workers and servers that the last step was taken."""
        self._peers.end()

    def _wait_for_one(self, *, stop: Callable[[], bool], drain: bool) -> np.ndarray | None:
        """The results of a step; an error of another may come out of handing out as well."""
        ended: set[futures.Future] = set()
        while not ended:
            asked = stop() or self._peers.asked_to_stop
            if asked and self._is_over():
                return None
            if not asked and (self.idle or not drain):
                self._hand_out()
            ended, _ = futures.wait(self._pending, _POLL_SECS, futures.FIRST_COMPLETED)
            self._leave_when_stuck()
        self._pending.pop(first := ended.pop())
        return first.result()

    def _is_over(self) -> bool:
        """After a request to stop: whether all have ended, or there is no more time for them."""
        self._stop_at = min(self._stop_at, time.monotonic() + _STOPPING_SECS)
        if not self.idle and time.monotonic() < self._stop_at:
            return False
        self._count()
        return True

    def _leave_when_stuck(self) -> None:
        """Ends the process when a step stays out for too long: every save would wait for it."""
        if longest_out(self._pending) > self._longest:
            watchdog.exit_for_restart(
                f"A step has not ended in the {self._longest:g} seconds since it was handed out "
                "(--stall_timeout_secs): a worker or its data is stuck. Run the same command again "
                "everywhere; it resumes from the last checkpoint."
            )

    def _count(self) -> None:
        """A step that was taken twice, because its worker was lost, counts once."""
        self._state.step.step.assign(self._taken)

    def _hand_out(self) -> None:
        while len(self._pending) < self._ahead and self._handed_out < self._last_step:
            remote = self._coordinator.schedule(self._step, args=(self._batches,))
            self._pending[self._fetchers.submit(remote.fetch)] = time.monotonic()
            self._handed_out += 1

    def _take_one(self, batches) -> tf.Tensor:
        """All results in one tensor: fetching costs a call each."""
        result = self._state.step(next(batches))
        self._names = list(result)
        return tf.stack(list(result.values()))


def longest_out(pending: Mapping[futures.Future, float]) -> float:
    """Seconds that the oldest of the steps which have not ended is under way; 0 without any.

    Args:
      pending: when each was handed out, by `time.monotonic`.
    """
    began = [began for step, began in pending.items() if not step.done()]
    return time.monotonic() - min(began) if began else 0.0


@contextlib.contextmanager
def _refusing_bad_records() -> Iterator[None]:
    """Around what fetches steps.

    Raises:
      InputError: a worker cannot read its records.
    """
    try:
        yield
    except _NOT_READ as error:
        if isinstance(error, tf.errors.InvalidArgumentError) and _PIPELINE not in str(error):
            raise  # the step's own: a defect of ours
        raise InputError(
            f"A worker cannot read its records ({_said(error)}): each needs them, whole, at the "
            "chief's path; inspect_dataset.py names what is wrong with them."
        ) from error


def _said(error: Exception) -> str:
    """What an operation says, for a sentence, without where in graph and pipeline it stands.

    Where several workers say something, it is what the first says.
    """
    said = str(error).rpartition("<stack traces unavailable>")[2].partition("[[")[0]
    said = re.sub(r"^\s*\d+ root error\(s\) found\.\s*(\(0\)\s+\w+:)?", "", said)
    return " ".join(re.sub(r".* with iterator: \S+ ", "", said).split()).rstrip(".")[:300]
