"""Lets the workers meet before TensorFlow makes them wait for each other.

The chief listens on its own port until every worker has called, then sends all of them on and frees
the port for TensorFlow's server.

Surprising that it exists: TensorFlow waits as well, but in C++ with Python's lock held, where no
watchdog thread and no signal handler runs. A worker that was lost while starting would leave the
others hanging there for an hour.
"""

import contextlib
import select
import socket
import time
from collections.abc import Sequence

from runtime.errors import InputError

_GO = b"go"
_RETRY_SECS = 0.2
_BUSY_SECS = 60.0  # for the port of a run that is just ending


def meet(hosts: Sequence[str], task: int) -> None:
    """Returns when all workers are here; waits forever, so let a watchdog run.

    Args:
      hosts: `host:port` of every worker, chief first.
      task: number of this worker.

    Raises:
      InputError: the chief's port cannot be used.
    """
    host, _, port = hosts[0].rpartition(":")
    if task == 0:
        _gather(int(port), len(hosts))
    else:
        _report(host.strip("[]"), int(port), task)


def _gather(port: int, workers: int) -> None:
    present: dict[int, socket.socket] = {}
    with listen(port) as server, contextlib.ExitStack() as closing:
        while len(present) < workers - 1:
            for ready in select.select([server, *present.values()], [], [])[0]:
                if ready is server:
                    connection = closing.enter_context(server.accept()[0])
                    number = _number(connection)
                    if number is not None and 1 <= number < workers:
                        present[number] = connection
                else:  # a worker says nothing while it waits: it is gone
                    present = {n: c for n, c in present.items() if c is not ready}
        for connection in present.values():
            with contextlib.suppress(OSError):  # it was lost just now; TensorFlow's wait will tell
                connection.sendall(_GO)
        for connection in present.values():
            with contextlib.suppress(OSError):
                connection.recv(1)  # its end: who closes first keeps the port busy for a minute


def listen(port: int) -> socket.socket:
    """Listens on the chief's port, on every interface.

    Raises:
      InputError: the port cannot be used, also after a while.
    """
    deadline = time.monotonic() + _BUSY_SECS
    while True:
        try:
            return socket.create_server(("", port))
        except OSError as error:
            if time.monotonic() > deadline:
                raise InputError(
                    f"The chief's port {port} cannot be used ({error.strerror}): choose another "
                    "in --worker_hosts or TF_CONFIG."
                ) from error
        time.sleep(_RETRY_SECS)


def _number(connection: socket.socket) -> int | None:
    connection.settimeout(5.0)
    try:
        return int(connection.recv(16))
    except (OSError, ValueError):
        return None


def _report(host: str, port: int, task: int) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection((host, port), 5.0) as chief:
            chief.sendall(str(task).encode())
            chief.settimeout(None)
            if chief.recv(len(_GO)) == _GO:
                return
        time.sleep(_RETRY_SECS)
