"""Connections that tell the processes of an asynchronous training of each other's ends.

Every worker and parameter server calls the chief's port when its own TensorFlow server listens, and
keeps the connection. The kernel closes it when either process ends, however it ends, so the other
knows at once. A host that vanished is known after `connections.GONE_SECS`: on the chief by the
heartbeats that no kernel acknowledges, on the others by keep-alive. A chief that is there and does
nothing (stopped, or its host frozen) is known by the heartbeats that fail to come.

Surprising: TensorFlow's own errors are not enough. A server of TensorFlow outlives everybody, and a
worker that lost a parameter server retries.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Collection
from multiprocessing.connection import wait

from deployment import connections
from deployment.connections import Callers, why

_DONE, _STOP = b"!", b"stop"
_ALIVE, _ALIVE_SECS = b".", 1.0  # sent so often, and shorter than any sensible stall_timeout_secs
_RETRY_SECS, _POLL_SECS = 0.2, 0.5


class PeerMonitor:
    """The chief's ends of the connections, watched by a thread.

    Attributes:
      asked_to_stop: whether a server passed on a signal.
    """

    def __init__(
        self,
        port: int,
        names: Collection[str],
        *,
        on_lost: Callable[[str, bool], None],
        on_life: Callable[[], None],
    ):
        """Begins to listen.

        Args:
          port: of the chief, on every interface.
          names: of the processes that are expected, such as "worker 0".
          on_lost: called with the name of a process whose connection ended, and whether its host
            vanished, from the thread.
          on_life: called whenever a heartbeat was sent to the others, from the thread.

        Raises:
          InputError: the port cannot be used.
        """
        self.asked_to_stop = False
        self._names, self._on_lost, self._on_life = frozenset(names), on_lost, on_life
        self._lines: dict[str, socket.socket] = {}
        self._callers = Callers(port)
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="peers", daemon=True)
        self._thread.start()

    def missing(self) -> list[str]:
        """Names of those that are not connected."""
        return sorted(self._names - self._lines.keys())

    def end(self) -> None:
        """Tells everybody that the training is done; they go when the chief goes."""
        for line in list(self._lines.values()):
            with contextlib.suppress(OSError):
                line.sendall(_DONE)

    def close(self) -> None:
        """Ends all connections; a process that ends has no need of it."""
        self._closed = True
        self._thread.join()
        self._callers.close()
        for each in self._lines.values():
            each.close()

    def _watch(self) -> None:
        due = 0.0
        while not self._closed:
            if time.monotonic() >= due:
                due = time.monotonic() + _ALIVE_SECS
                self._show_life()
            new, ready = self._callers.poll(self._lines.values(), _POLL_SECS)
            for line in ready:
                self._receive(line)
            for line, said in new:
                self._admit(line, said)

    def _show_life(self) -> None:
        self._on_life()
        for name, line in list(self._lines.items()):
            with contextlib.suppress(OSError):  # such as the full buffer of one who does not read
                line.send(_ALIVE, socket.MSG_DONTWAIT)
            if connections.secs_without_answer(line) > connections.GONE_SECS:
                self._lose(name)

    def _admit(self, line: socket.socket, said: bytes) -> None:
        name, _, more = said.decode(errors="replace").partition("\n")
        if name not in self._names:
            line.close()
            return
        if name in self._lines:
            self._lines[name].close()
        self._lines[name] = line
        self.asked_to_stop |= bool(more)

    def _receive(self, line: socket.socket) -> None:
        name = next(name for name, each in self._lines.items() if each is line)
        if connections.receive(line):
            self.asked_to_stop = True
        else:
            self._lose(name)

    def _lose(self, name: str) -> None:
        with self._lines.pop(name) as line:  # the kernel may have ended it a moment earlier
            vanished = connections.secs_without_answer(line) > connections.GONE_SECS / 2
        self._on_lost(name, vanished)


class Heartbeat:
    """A server's end of the connection."""

    def __init__(
        self,
        address: str,
        name: str,
        *,
        on_life: Callable[[], None],
        on_wait: Callable[[str], None],
    ):
        """Calls the chief until it answers; waits forever.

        Args:
          address: `host:port` of the chief.
          name: of this process.
          on_life: called by `ended` for every heartbeat of the chief.
          on_wait: told why the chief does not answer, as a clause, time and again.
        """
        self._on_life = on_life
        self._done = False
        while True:
            try:
                self._socket = connections.call(address)
                break
            except OSError as error:
                on_wait(f"the chief ({address}) cannot be reached: {why(error)}")
                time.sleep(_RETRY_SECS)
        self._socket.sendall(f"{name}\n".encode())

    def close(self) -> None:
        """Ends the connection; a process that ends has no need of it."""
        self._socket.close()

    def ask_to_stop(self) -> None:
        """Passes a signal on to the chief."""
        with contextlib.suppress(OSError):
            self._socket.sendall(_STOP)

    def ended(self) -> bool | None:
        """Waits a moment; None while the chief is there, then whether the training was done."""
        if not wait([self._socket], _POLL_SECS):
            return None
        said = connections.receive(self._socket)
        if not said:
            return self._done
        self._done |= _DONE in said
        self._on_life()
        return None
