"""Connections that tell the processes of an asynchronous training of each other's ends.

Every worker and parameter server calls the chief's port when its own TensorFlow server listens, and
keeps the connection. The kernel closes it when either process ends, however it ends, so the other
knows at once; keep-alive packets find a host that vanished within a minute. A chief that is there
and does nothing (stopped, or its host frozen) is known by the heartbeats that fail to come.

Surprising: TensorFlow's own errors are not enough. A server of TensorFlow outlives everybody, and a
worker that lost a parameter server retries.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Collection

from deployment import rendezvous

_DONE, _STOP = b"!", b"stop"
_ALIVE, _ALIVE_SECS = b".", 1.0  # sent so often, and shorter than any sensible stall_timeout_secs
_RETRY_SECS, _POLL_SECS = 0.2, 0.5
_HELLO_SECS = 5.0


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
        on_lost: Callable[[str], None],
        on_life: Callable[[], None],
    ):
        """Begins to listen.

        Args:
          port: of the chief, on every interface.
          names: of the processes that are expected, such as "worker 0".
          on_lost: called with the name of a process whose connection ended, from the thread.
          on_life: called whenever a heartbeat was sent to the others, from the thread.

        Raises:
          InputError: the port cannot be used.
        """
        self.asked_to_stop = False
        self._names, self._on_lost, self._on_life = frozenset(names), on_lost, on_life
        self._lines: dict[str, socket.socket] = {}
        self._complete = threading.Event()
        self._server = rendezvous.listen(port)
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="peers", daemon=True)
        self._thread.start()

    def missing(self) -> list[str]:
        """Names of those that are not connected."""
        return sorted(self._names - self._lines.keys())

    def wait_for_all(self) -> None:
        """Returns when all have been here at the same time; waits forever."""
        self._complete.wait()

    def end(self) -> None:
        """Tells everybody that the training is done; they go when the chief goes."""
        for line in list(self._lines.values()):
            with contextlib.suppress(OSError):
                line.sendall(_DONE)

    def close(self) -> None:
        """Ends all connections; a process that ends has no need of it."""
        self._closed = True
        self._thread.join()
        for each in (self._server, *self._lines.values()):
            each.close()

    def _watch(self) -> None:
        due = 0.0
        while not self._closed:
            if time.monotonic() >= due:
                due = time.monotonic() + _ALIVE_SECS
                self._show_life()
            sockets = [self._server, *self._lines.values()]
            for ready in select.select(sockets, [], [], _POLL_SECS)[0]:
                if ready is self._server:
                    self._admit(self._server.accept()[0])
                else:
                    self._receive(ready)
            if not self.missing():
                self._complete.set()

    def _show_life(self) -> None:
        self._on_life()
        for line in self._lines.values():
            with contextlib.suppress(OSError):  # such as the full buffer of one who does not read
                line.send(_ALIVE, socket.MSG_DONTWAIT)

    def _admit(self, line: socket.socket) -> None:
        line.settimeout(_HELLO_SECS)
        try:
            name, _, said = line.recv(64).decode().partition("\n")
        except (OSError, UnicodeDecodeError):
            name = said = ""
        if name not in self._names:
            line.close()
            return
        line.settimeout(None)
        _keep_alive(line)
        if name in self._lines:
            self._lines[name].close()
        self._lines[name] = line
        self.asked_to_stop |= bool(said)

    def _receive(self, line: socket.socket) -> None:
        name = next((name for name, each in self._lines.items() if each is line), None)
        if name is None:  # another of its name has come just now
            return
        try:
            said = line.recv(64)
        except OSError:
            said = b""
        if said:
            self.asked_to_stop = True
        else:
            line.close()
            del self._lines[name]
            self._on_lost(name)


class Heartbeat:
    """A server's end of the connection."""

    def __init__(self, address: str, name: str, *, on_life: Callable[[], None]):
        """Calls the chief until it answers; waits forever.

        Args:
          address: `host:port` of the chief.
          name: of this process.
          on_life: called by `ended` for every heartbeat of the chief.
        """
        self._on_life = on_life
        host, _, port = address.rpartition(":")
        self._done = False
        while True:
            try:
                self._socket = socket.create_connection((host.strip("[]"), int(port)), _HELLO_SECS)
                break
            except OSError:
                time.sleep(_RETRY_SECS)
        self._socket.settimeout(None)
        _keep_alive(self._socket)
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
        if not select.select([self._socket], [], [], _POLL_SECS)[0]:
            return None
        try:
            said = self._socket.recv(64)
        except OSError:
            said = b""
        if not said:
            return self._done
        self._done |= _DONE in said
        self._on_life()
        return None


def _keep_alive(line: socket.socket) -> None:
    """Has the kernel ask after half a minute of silence, and give up after another half."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
