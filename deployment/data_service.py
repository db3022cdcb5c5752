"""Batches that other processes read, decode and augment, by tf.data service.

A service is a process of `scripts/data_service.py`. Of n services the k-th makes the batches k,
k + n, k + 2n and so on, so that batches and their order stay what they are without: a function of
(seed, step).

Surprising: one dispatcher with many workers, the usual way, would give up that order. And every
batch carries a name and its number, because a service that was started again may take the next
client for the last one.
"""

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf

from datasets.input_pipeline import WorkerSlice
from runtime import watchdog
from runtime.errors import InputError

_WAIT_SECS = 60.0  # for services that are starting just now
_ANSWER_SECS, _RETRY_SECS = 5.0, 0.5
_LOST = "not the batch that was asked for"
_service = tf.data.experimental.service


def batches(
    pipeline: Callable[[WorkerSlice, int], tf.data.Dataset],
    share: WorkerSlice,
    first_step: int,
    *,
    services: Sequence[str],
    clones: int,
) -> tf.data.Dataset:
    """What `pipeline(share, first_step)` gives, made by services.

    Args:
      pipeline: (WorkerSlice, first step) -> batches, in TensorFlow's own operations.
      share: the rows of this worker.
      first_step: to begin with.
      services: `grpc://host:port` of each.
      clones: batches of a step; a service makes all of its steps.

    Raises:
      InputError: nobody answers at an address.
    """
    count, size = len(services), share.global_batch_size
    parts = []
    for number, service in enumerate(services):
        _wait_for(service)
        # To the pipeline, a step of its own is a row of `count` steps, of which it reads its rows.
        first_row = (first_step + number) * size + share.first_row
        parts.append(
            _made_by(service, pipeline(WorkerSlice(size * count, first_row, share.rows), 0))
        )
    turns = tf.data.Dataset.range(count * clones).map(lambda number: number // clones).repeat()
    return tf.data.Dataset.choose_from_datasets(parts, turns)


@contextlib.contextmanager
def exit_when_lost() -> Iterator[None]:
    """Around what takes batches: a service that was started again ends the process with 75.

    Raises:
      InputError: a service cannot make a batch.
    """
    try:
        yield
    except (
        tf.errors.NotFoundError,
        tf.errors.InvalidArgumentError,
        tf.errors.DataLossError,
    ) as error:
        reason = " ".join(error.message.split())[:300]
        if _LOST in reason or "Unknown iteration client" in reason:
            watchdog.exit_for_restart(
                "A data service was started again (--data_service). Run the same command again; it "
                "resumes from the last checkpoint."
            )
        raise InputError(
            f"A data service cannot make a batch ({reason}): it needs the records, whole, at the "
            "path that --dataset_dir says here."
        ) from error


def _made_by(service: str, part: tf.data.Dataset) -> tf.data.Dataset:
    """A data set that a service goes through once, from its beginning."""
    name = secrets.randbits(62)
    named = part.enumerate().map(lambda number, batch: (name, number, batch))
    made = named.apply(_service.distribute(_service.ShardingPolicy.OFF, service, compression=None))

    @tf.autograph.experimental.do_not_convert
    def check(expected, named):
        is_it = (named[0] == name) & (named[1] == expected)
        with tf.control_dependencies([tf.debugging.Assert(is_it, [_LOST])]):
            return tf.nest.map_structure(tf.identity, named[2])

    return made.enumerate().map(check).prefetch(2)


def _wait_for(service: str) -> None:
    host, _, port = service.removeprefix("grpc://").rpartition(":")
    deadline = time.monotonic() + _WAIT_SECS
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECS).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise InputError(
                    f"--data_service={service} does not answer ({error}): start it there with "
                    "scripts/data_service.py, or remove the flag."
                ) from error
        time.sleep(_RETRY_SECS)
