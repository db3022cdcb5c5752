"""Asynchronous training: workers take steps as they come, parameter servers hold the weights.

The chief's process traces the step once, hands it out, and writes what comes back; workers and
parameter servers run TensorFlow's server and follow the chief. A step reads the weights, finds a
gradient of its own batch and applies it, whatever other workers have applied meanwhile.

Surprising: which weights a step sees depends on the workers' speed, so that a run cannot be
repeated bit for bit. A worker that dies leaves its step half applied; another takes it again.
"""

import contextlib
import math
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from datasets import input_pipeline
from deployment import checkpoints, hardware, watchdog
from deployment.cluster_environment import PS, WORKER
from deployment.interrupts import Interrupts
from deployment.lifelines import Lifeline, Lifelines
from deployment.model_deploy import DeploymentConfig
from deployment.train_settings import TrainSettings
from deployment.train_state import TrainState
from errors import InputError

_STEPS_AHEAD = 2  # handed out for each worker: one to take and one to go on with
_POLL_SECS = 0.5
_STOPPING_SECS = 10.0  # from a request to stop to the save, with steps still under way
_LEAVING_SECS = 20.0  # from SIGTERM to a worker's end: it may have come to the chief as well
_NEED_STEP = (  # flags of what the chief makes of a batch, or between two steps
    *("eval_split", "skip_bad", "summarize_gradients", "save_summaries_images", "profile_dir"),
)
_NOT_READ = (
    *(tf.errors.NotFoundError, tf.errors.DataLossError, tf.errors.OutOfRangeError),
    tf.errors.InvalidArgumentError,  # from a pipeline, such as of a picture that does not decode
)
_PIPELINE = "IteratorGetNext"  # in what TensorFlow says of such an error


def serve(
    deployment: DeploymentConfig, *, stall_timeout_secs: float, gpu_memory_fraction: float | None
) -> bool:
    """What a worker or a parameter server does, until the chief is gone.

    A chief that shows no life for `stall_timeout_secs` ends the process with exit code 75.
    SIGTERM to a parameter server asks the chief to save and stop; to a worker it means that it has
    to go, which the others survive.

    Args:
      deployment: with this process's place.
      stall_timeout_secs: 0 waits for ever.
      gpu_memory_fraction: share of each GPU's memory that a worker takes; None lets it grow.

    Returns:
      Whether the chief had the last step taken.

    Raises:
      InputError: the port cannot be used.
    """
    job = PS if deployment.is_ps else WORKER
    task = deployment.replica_id - (job == WORKER)
    try:
        server = tf.distribute.Server(
            tf.train.ClusterSpec(deployment.servers),
            job_name=job,
            task_index=task,
            protocol="grpc",
            config=devices(deployment, gpu_memory_fraction=gpu_memory_fraction),
        )
    except tf.errors.UnknownError as error:
        raise InputError(
            f"The address {deployment.servers[job][task]} of {job} {task} cannot be used "
            f"({error.message}): choose another in --worker_hosts, --ps_hosts or TF_CONFIG."
        ) from error
    with watchdog.Watchdog(stall_timeout_secs) as watch:
        line = Lifeline(
            deployment.worker_hosts[0],
            f"{job} {task}",
            on_life=lambda: watch.beat("the chief's last sign of life"),
        )
        print(f"{job} {task} serves at {server.target}.", flush=True)
        with Interrupts() as interrupts:
            done = _follow(line, interrupts, job=job)
    if not done:
        why = "This process was asked to go" if interrupts.received else "The chief has ended"
        print(f"{why}: run the same command again.", flush=True)
    return done


def _follow(line: Lifeline, interrupts: Interrupts, *, job: str) -> bool:
    asked, leave_at = False, math.inf
    while (done := line.ended()) is None and time.monotonic() < leave_at:
        if interrupts.received and not asked:
            asked = True
            if job == PS:
                line.ask_to_stop()
            else:
                leave_at = time.monotonic() + _LEAVING_SECS
    return bool(done)


def check(settings: TrainSettings) -> None:
    """Refuses what asynchronous training does not have.

    Raises:
      InputError: names the flag.
    """
    for name in _NEED_STEP:
        if value := getattr(settings, name):
            raise InputError(
                f"--{name}={value} does not go with parameter servers: the chief sees no batch, "
                "and no moment at which the weights stand still; drop the flag. "
                "eval_ssd_network.py --wait_for_checkpoints scores such a training."
            )
    if settings.jit:
        raise InputError(
            "--jit=True does not go with parameter servers: XLA compiles for variables of the same "
            "device; drop the flag."
        )
    if settings.data_service:
        raise InputError(
            f"--data_service={','.join(settings.data_service)} does not go with parameter servers, "
            "whose workers make their own batches: drop the flag."
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


def gather(deployment: DeploymentConfig, *, stall_timeout_secs: float) -> Lifelines | None:
    """Waits for all workers and parameter servers; None where workers keep step.

    From then on the chief ends when it cannot show them life for `stall_timeout_secs`, as they do.

    Raises:
      InputError: the chief's port cannot be used.
    """
    if not deployment.num_ps_tasks:
        return None
    names = [
        f"{job} {task}" for job, hosts in deployment.servers.items() for task in range(len(hosts))
    ]
    port = int(deployment.worker_hosts[0].rpartition(":")[2])
    print(f"Waiting at port {port} for {', '.join(names)}.", flush=True)
    switch = watchdog.DeadMansSwitch(
        stall_timeout_secs,
        f"The chief could do nothing in the {stall_timeout_secs:g} seconds after its last sign of "
        "life (--stall_timeout_secs): a worker is stuck. Run the same command again everywhere; it "
        "goes on from the last checkpoint.",
    )
    lifelines = Lifelines(port, names, on_lost=_lost, on_life=switch.hold)
    lifelines.wait_for_all()
    return lifelines


class RemoteSteps:
    """Steps that workers take, whoever is free."""

    def __init__(
        self,
        state: TrainState,
        strategy: tf.distribute.ParameterServerStrategy,
        lifelines: Lifelines,
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
          lifelines: to the workers and servers.
          pipeline: (Share, first step) -> batches.
          workers: how many take steps.
          rows: pictures of a step.
          first_step: steps taken before.
          last_step: after which none is handed out.
          stall_timeout_secs: longest time from a step's handing out to its end; 0 is for ever.
        """
        self._state, self._lifelines = state, lifelines
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
            share = input_pipeline.Share(workers * rows, tf.cast(index, tf.int64) * rows, rows)
            first = state.step.step // workers  # a worker that comes back goes on from here
            return strategy.distribute_datasets_from_function(lambda _: pipeline(share, first))

        self._batches = iter(self._coordinator.create_per_worker_dataset(on_worker))

    @property
    def settled(self) -> bool:
        """Whether no step is under way, so that the weights stand still."""
        return not self._pending

    def take(
        self, *, stop: Callable[[], bool], settle: bool
    ) -> tuple[None, dict[str, float]] | None:
        """Waits for a step under way to end, whichever is first.

        Args:
          stop: whether to hand out no more steps; asked time and again.
          settle: hand out no more until all have ended.

        Returns:
          None for the batch, which the chief does not see, and the numbers that `TrainStep`
          returns; None alone after a request to stop, when all have ended or there is no more
          time for them.

        Raises:
          InputError: a worker cannot read its records, or has no memory for a step.
        """
        with hardware.refusing_what_does_not_fit(), _refusing_bad_records():
            values = self._wait_for_one(stop=stop, settle=settle)
        if values is None:
            return None
        self._taken += 1
        if self.settled:
            self._count()
        return None, dict(zip(self._names, map(float, values), strict=True))

    def finish(self) -> None:
        """Tells workers and servers that the last step was taken."""
        self._lifelines.end()

    def _wait_for_one(self, *, stop: Callable[[], bool], settle: bool) -> np.ndarray | None:
        """The results of a step; an error of another may come out of handing out as well."""
        ended: set[futures.Future] = set()
        while not ended:
            asked = stop() or self._lifelines.asked_to_stop
            if asked and self._is_over():
                return None
            if not asked and (self.settled or not settle):
                self._hand_out()
            ended, _ = futures.wait(self._pending, _POLL_SECS, futures.FIRST_COMPLETED)
            self._leave_when_stuck()
        self._pending.pop(first := ended.pop())
        return first.result()

    def _is_over(self) -> bool:
        """After a request to stop: whether all have ended, or there is no more time for them."""
        self._stop_at = min(self._stop_at, time.monotonic() + _STOPPING_SECS)
        if not self.settled and time.monotonic() < self._stop_at:
            return False
        self._count()
        return True

    def _leave_when_stuck(self) -> None:
        """Ends the process when a step stays out for too long: every save would wait for it."""
        if longest_out(self._pending) > self._longest:
            watchdog.leave(
                f"A step has not ended in the {self._longest:g} seconds since it was handed out "
                "(--stall_timeout_secs): a worker or its data is stuck. Run the same command again "
                "everywhere; it goes on from the last checkpoint."
            )

    def _count(self) -> None:
        """A step that was taken twice, because its worker died, counts once."""
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


def _lost(name: str) -> None:
    if name.startswith(PS):
        watchdog.leave(
            f"Parameter server {name} is gone, and its weights with it. Run the same command again "
            "everywhere; it goes on from the last checkpoint."
        )
    print(f"{name} is gone; the others go on without it.", file=sys.stderr, flush=True)


def devices(
    deployment: DeploymentConfig, *, gpu_memory_fraction: float | None
) -> config_pb2.ConfigProto:
    """The GPUs that a server may use: those of its clones, none on a parameter server.

    Args:
      deployment: with the server's place.
      gpu_memory_fraction: share of each GPU's memory that it takes; None lets it grow.
    """
    idle = deployment.clone_on_cpu or deployment.is_ps
    config = config_pb2.ConfigProto(device_count={"GPU": 0 if idle else deployment.num_clones})
    if gpu_memory_fraction is None:
        config.gpu_options.allow_growth = True
    else:
        config.gpu_options.per_process_gpu_memory_fraction = gpu_memory_fraction
    return config
