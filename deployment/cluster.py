"""What workers tell each other besides gradients: where to begin, with which weights.

The chief decides and everybody else is told, through the strategy's own collectives. So only the
chief needs train_dir, and no two workers can begin at different steps. With one worker these
functions return what they are given.

Surprising: a broadcast is a sum to which all but the chief add zeros, as that is the collective
that strategies offer. It is made over words of 32 bits, so that every bit of a float arrives, and
these as int64, since TensorFlow does not sum int32 on GPUs.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from deployment.model_deploy import DeploymentConfig
from runtime import watchdog
from runtime.errors import InputError, is_outage, one_line

PEER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


_FLUSH_SECS = 0.5  # until what a worker sent last has reached its peers


class Cluster:
    """The workers of a training, seen from one of them.

    Attributes:
      is_chief: whether this worker decides and writes.
      num_replicas: workers that train synchronously.
    """

    def __init__(self, deployment: DeploymentConfig, strategy: tf.distribute.Strategy):
        self.is_chief = deployment.is_chief
        self.num_replicas = deployment.num_in_step
        self._strategy = strategy

    def decide(self, decision: "Mapping[str, Any] | InputError | None") -> Any:
        """The chief's decision, on every worker.

        Args:
          decision: JSON-like; or the error that keeps the chief from one. None on the others.

        Raises:
          InputError: the chief passed one; every worker raises it.
        """
        if self.num_replicas > 1:
            refusal = str(decision) if isinstance(decision, InputError) else None
            told = self._tell(json.dumps([refusal, None if refusal else decision]))
            refusal, shared = json.loads(told)
            if refusal and not self.is_chief:
                raise InputError(f"The chief refuses: {refusal}")
            decision = decision if self.is_chief else shared
        if isinstance(decision, InputError):
            raise decision
        return decision

    def share(
        self, values: Mapping[str, np.ndarray], like: Mapping[str, tf.Variable]
    ) -> dict[str, np.ndarray]:
        """The chief's tensors, on every worker.

        Args:
          values: at least the names of `like`; ignored on other workers than the chief.
          like: name -> variable of 4 or 8 bytes an element, the same on every worker.
        """
        shapes = {name: (v.dtype.as_numpy_dtype, tuple(v.shape)) for name, v in like.items()}
        own = {
            name: np.array(values[name], dtype)
            if self.is_chief and values
            else np.zeros(shape, dtype)
            for name, (dtype, shape) in shapes.items()
        }
        if self.num_replicas == 1:
            return own
        words = self._sum([value.reshape(-1).view(np.int32) for value in own.values()])
        return {
            name: each.astype(np.int32).view(dtype).reshape(shape)
            for (name, (dtype, shape)), each in zip(shapes.items(), words, strict=True)
        }

    def wait(self) -> None:
        """Returns when every worker has called it; the process may end afterwards."""
        if self.num_replicas > 1:
            self._sum([np.zeros(1, np.int32)])
            _mute_tensorflow()
            time.sleep(_FLUSH_SECS)

    def _tell(self, text: str) -> str:
        data = np.frombuffer(text.encode(), np.uint8) if self.is_chief else np.zeros(0, np.uint8)
        length = int(self._sum([np.array([data.size], np.int32)])[0][0])
        own = np.zeros(length, np.int32)
        own[: data.size] = data
        return self._sum([own])[0].astype(np.uint8).tobytes().decode()

    def _sum(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """int64 sums of whole numbers over the workers; a worker's first clone speaks for it."""

        def of_replica(values):
            context = tf.distribute.get_replica_context()
            clones = context.num_replicas_in_sync // self.num_replicas
            speaks = tf.equal(context.replica_id_in_sync_group % clones, 0)
            own = [tf.where(speaks, value, tf.zeros_like(value)) for value in values]
            return context.all_reduce(tf.distribute.ReduceOp.SUM, own)

        def of_all(values):
            return self._strategy.run(of_replica, args=(values,))

        values = [tf.constant(array, tf.int64) for array in arrays]
        # A concrete function: each sum has shapes of its own, of which retracing would warn.
        sums = tf.function(of_all, autograph=False).get_concrete_function(values)(values)
        return [self._strategy.experimental_local_results(each)[0].numpy() for each in sums]


def _mute_tensorflow() -> None:
    """Sends descriptor 2 nowhere: TensorFlow calls it a crash there that other workers end, too."""
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


@contextlib.contextmanager
def exit_when_a_peer_dies(deployment: DeploymentConfig) -> Iterator[None]:
    """Turns the errors that a peer's loss causes into exit code 75, at once.

    At once, because the usual end of a process waits for the peers.
    """
    try:
        yield
    except PEER_ERRORS as error:
        if not deployment.has_peers or is_outage(error):
            raise
        what = f"Another worker is gone ({type(error).__name__})"
        if isinstance(error, tf.errors.InternalError):  # which CUDA's failures are, too
            what = f"Another worker is gone, or a device failed here ({one_line(error)})"
        watchdog.exit_for_restart(
            f"{what}. Run the same command again on every worker; it resumes from the last "
            "checkpoint."
        )
