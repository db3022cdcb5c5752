"""Sockets between the processes of a training: calling an address, answering at a port.

Surprising: whoever calls may be a stranger who says nothing, so nobody is waited for alone. And a
host that vanishes closes no connection: the kernel does, after about `GONE_SECS` without an answer
to its questions (keep-alive) or to what was sent (TCP_USER_TIMEOUT).
"""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from multiprocessing.connection import wait
from typing import Any

from runtime.errors import InputError

GONE_SECS = 60
_CALL_SECS = 5.0  # for an answer, and for what a caller says first
_RETRY_SECS = 0.2
_BUSY_SECS = 60.0  # for the port of a run that is just ending
_LAST_ANSWER, _AT = struct.Struct("I"), 56  # tcpi_last_ack_recv in Linux's tcp_info, milliseconds
_MOST_SILENT = 64  # callers who have not spoken yet
_MOST_NAMED = 3  # in a sentence about who is missing


def call(address: str) -> socket.socket:
    """A connection to `host:port`, watched by the kernel.

    Raises:
      OSError: nobody answers in a few seconds.
    """
    host, _, port = address.rpartition(":")
    line = socket.create_connection((host.strip("[]"), int(port)), _CALL_SECS)
    line.settimeout(None)
    _watch(line)
    return line


def why(error: OSError) -> str:
    """What a failed call says, without its number: "Connection refused"."""
    return error.strerror or str(error)


def listen(port: int) -> socket.socket:
    """Listens on every interface of this host, with IPv6 and IPv4.

    Raises:
      InputError: the port cannot be used, also after a while.
    """
    deadline = time.monotonic() + _BUSY_SECS
    while True:
        try:
            if socket.has_dualstack_ipv6():
                return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
            return socket.create_server(("", port))
        except OSError as error:
            if time.monotonic() > deadline:
                raise InputError(
                    f"This process's port {port} cannot be used ({os.strerror(error.errno or 0)}): "
                    "choose another in --worker_hosts or TF_CONFIG."
                ) from error
        time.sleep(_RETRY_SECS)


class Callers:
    """Those who call a port; they are heard at the same time, and forgotten when they are silent.

    A context manager that closes the port, and no connection that was handed out.
    """

    def __init__(self, port: int):
        """Begins to listen.

        Raises:
          InputError: the port cannot be used.
        """
        self._server = listen(port)
        self._silent: dict[socket.socket, float] = {}  # with the time of the call

    def __enter__(self) -> "Callers":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def poll(
        self, others: Iterable[socket.socket], secs: float
    ) -> tuple[list[tuple[socket.socket, bytes]], list[socket.socket]]:
        """Waits a moment for something to happen.

        Args:
          others: connections to look at as well.
          secs: to wait at most.

        Returns:
          New connections with what was said first, and those of `others` that can be read.
        """
        new: list[tuple[socket.socket, bytes]] = []
        ready: list[socket.socket] = []
        each: Any
        for each in wait([self._server, *self._silent, *others], secs):
            if each is self._server:
                self._admit()
            elif self._silent.pop(each, None) is None:
                ready.append(each)
            elif said := receive(each):
                new.append((each, said))
            else:
                each.close()
        late = time.monotonic() - _CALL_SECS
        for each in [line for line, since in self._silent.items() if since < late]:
            self._forget(each)
        return new, ready

    def close(self) -> None:
        """Frees the port."""
        for each in (self._server, *self._silent):
            each.close()

    def _admit(self) -> None:
        with contextlib.suppress(OSError):  # the caller is gone already
            line, _ = self._server.accept()
            _watch(line)
            self._silent[line] = time.monotonic()
        if len(self._silent) > _MOST_SILENT:
            self._forget(next(iter(self._silent)))

    def _forget(self, line: socket.socket) -> None:
        del self._silent[line]
        line.close()


def receive(line: socket.socket) -> bytes:
    """What can be read of a connection, up to 64 bytes; nothing where it has ended."""
    try:
        return line.recv(64)
    except OSError:
        return b""


class Reach:
    """Calls addresses, all at the same time, until each has answered once.

    TensorFlow would wait for them in silence, without a word of whom and why.
    """

    def __init__(self, addresses: Mapping[str, str]):
        """Begins to call.

        Args:
          addresses: name -> `host:port`.
        """
        self._addresses = dict(addresses)
        self._failures = dict.fromkeys(addresses, "no answer yet")
        for name in addresses:
            threading.Thread(target=self._call, args=(name,), daemon=True).start()

    def missing(self, absent: Collection[str], port: int) -> str:
        """Who is missing and why, as a clause; empty where all have answered and called.

        Args:
          absent: names of those who have not called.
          port: that they are to call.
        """
        clauses = [
            f"{name} ({address}) cannot be reached: {self._failures[name]}"
            if name in self._failures
            else f"{name} ({address}) can be reached, but has not called port {port} of this host"
            for name, address in self._addresses.items()
            if name in self._failures or name in absent
        ]
        more = [f"{len(clauses) - _MOST_NAMED} more"] if len(clauses) > _MOST_NAMED else []
        return "; ".join([*clauses[:_MOST_NAMED], *more])

    def _call(self, name: str) -> None:
        while True:
            try:
                call(self._addresses[name]).close()
            except OSError as error:
                self._failures[name] = why(error)
                time.sleep(_RETRY_SECS)
            else:
                self._failures = {n: w for n, w in self._failures.items() if n != name}
                return


def secs_without_answer(line: socket.socket) -> float:
    """How long ago the other end's kernel acknowledged something; ask where something is sent.

    TCP_USER_TIMEOUT alone is late: the kernel looks at it when it sends again, which it does more
    and more rarely.
    """
    info = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ANSWER.size + _AT)
    return _LAST_ANSWER.unpack_from(info, _AT)[0] / 1000


def _watch(line: socket.socket) -> None:
    """Has the kernel end a connection whose other end does not answer for `GONE_SECS`."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", GONE_SECS // 2),
        ("TCP_KEEPINTVL", GONE_SECS // 6),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", GONE_SECS * 1000),
    ):
        line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
