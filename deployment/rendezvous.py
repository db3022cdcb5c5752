"""Lets the workers meet before TensorFlow makes them wait for each other.

Every worker listens on its own port. The chief waits until every other worker has called and has
been reached at its address, then sends all of them on, and the ports are free for TensorFlow.

Surprising that it exists: TensorFlow waits as well, but in C++ with Python's lock held, where no
watchdog thread and no signal handler runs. A worker that was lost while starting, or whose address
is wrong, would leave the others hanging there for an hour, and nobody would know why.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Sequence

from deployment import connections
from deployment.connections import Callers, Reach, why

_GO = b"go"
_RETRY_SECS, _POLL_SECS = 0.2, 0.2


def meet(hosts: Sequence[str], task: int, *, on_wait: Callable[[str], None]) -> None:
    """Returns when all workers are here; waits forever, so let a watchdog run.

    Args:
      hosts: `host:port` of every worker, chief first.
      task: number of this worker.
      on_wait: told who is missing and why, as a clause, time and again.

    Raises:
      InputError: the port of this worker cannot be used.
    """
    port = int(hosts[task].rpartition(":")[2])
    if task == 0:
        _gather(hosts, port, on_wait)
    else:
        with connections.listen(port):
            _report(hosts[0], task, on_wait)


def _gather(hosts: Sequence[str], port: int, on_wait: Callable[[str], None]) -> None:
    addresses = {f"worker {task}": host for task, host in enumerate(hosts) if task}
    expected = [f"{name} ({host})" for name, host in addresses.items()]
    here: dict[str, socket.socket] = {}
    with Callers(port) as callers, contextlib.ExitStack() as closing:
        print(f"Waiting at port {port} for {', '.join(expected)}.", flush=True)
        reach = Reach(addresses)
        while missing := reach.missing(addresses.keys() - here.keys(), port):
            on_wait(missing)
            new, lost = callers.poll(here.values(), _POLL_SECS)
            # A worker says nothing while it waits: what can be read of it is its end.
            here = {name: line for name, line in here.items() if line not in lost}
            for line, said in new:
                closing.enter_context(line)
                if (name := f"worker {said.decode(errors='replace')}") in addresses:
                    here[name] = line
        for line in here.values():
            with contextlib.suppress(OSError):  # it was lost just now; TensorFlow's wait will tell
                line.sendall(_GO)
        for line in here.values():
            connections.receive(line)  # its end: who closes first keeps the port busy for a minute


def _report(chief: str, task: int, on_wait: Callable[[str], None]) -> None:
    print(f"Calling the chief ({chief}).", flush=True)
    while True:
        try:
            with connections.call(chief) as line:
                on_wait(f"the chief ({chief}) waits for other workers")
                line.sendall(str(task).encode())
                if line.recv(len(_GO)) == _GO:
                    return
        except OSError as error:
            on_wait(f"the chief ({chief}) cannot be reached: {why(error)}")
        time.sleep(_RETRY_SECS)
