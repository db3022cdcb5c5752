"""Ends a process in which nothing moves: TensorFlow waits for a stuck peer for ever.

Surprising: it ends with `os._exit`, because the main thread sits in a collective that no exception
reaches, and without saving, because only a finished step leaves the weights whole. Time in which
the whole process was stopped (SIGSTOP, a suspended laptop) does not count.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable

from errors import EXIT_STOPPED_EARLY

_POLL_SECS = 1.0


def leave(sentence: str) -> None:
    """Prints a sentence on stderr and ends the process with exit code 75, from any thread."""
    with contextlib.suppress(OSError):  # of a terminal that was closed
        sys.stdout.flush()
        print(sentence, file=sys.stderr, flush=True)
    os._exit(EXIT_STOPPED_EARLY)


class Watchdog:
    """A context manager that ends the process when `beat` was not called for too long."""

    def __init__(self, seconds: float, *, on_stall: Callable[[str], None] = leave):
        """Prepares; the clock starts at `__enter__`.

        Args:
          seconds: longest time between two beats; 0 watches nothing.
          on_stall: called once with a sentence, from the watching thread.
        """
        self._seconds, self._on_stall = seconds, on_stall
        self._idle, self._what = 0.0, "the start"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        if self._seconds:
            self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def beat(self, what: str) -> None:
        """Says that something was finished: `what`, such as "step 12"."""
        self._idle, self._what = 0.0, what

    def _watch(self) -> None:
        poll = min(_POLL_SECS, self._seconds / 4)
        seen = time.monotonic()
        while not self._end.wait(poll):
            now = time.monotonic()
            self._idle += min(now - seen, 2 * poll)
            seen = now
            if self._idle >= self._seconds:
                self._on_stall(
                    f"No step was finished in the {self._seconds:g} seconds after {self._what} "
                    "(--stall_timeout_secs): a peer or the data is stuck. Run the same command "
                    "again; it goes on from the last checkpoint."
                )
                return
