"""Ends a process in which nothing moves: TensorFlow waits for a stuck peer forever.

Surprising: it ends with `os._exit`, because the main thread sits in a collective that no exception
reaches, and without saving, because only a finished step leaves the weights whole. Time in which
the whole process was stopped (SIGSTOP, a suspended laptop) does not count for a `Watchdog`.

A `ProcessTimer` needs no Python to end the process: TensorFlow waits for some remote calls (such
as the one that registers a function with a worker) holding the interpreter's lock, and no thread
of Python's runs then.
"""

import contextlib
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable

from runtime.errors import EXIT_STOPPED_EARLY

_POLL_SECS = 1.0
_CLOCK_MONOTONIC, _SIGEV_THREAD = 1, 2  # of Linux's time.h and signal.h
_SOMETHING_IS_STUCK = "a peer or the data is stuck"
_BEFORE_THE_END_SECS = 0.5  # for the sentence to be written


def exit_for_restart(sentence: str) -> None:
    """Prints a sentence on stderr and ends the process with exit code 75, from any thread."""
    with contextlib.suppress(OSError):  # of a terminal that was closed
        sys.stdout.flush()
        print(sentence, file=sys.stderr, flush=True)
    os._exit(EXIT_STOPPED_EARLY)


class Watchdog:
    """A context manager that ends the process when `beat` was not called for too long."""

    def __init__(
        self,
        seconds: float,
        *,
        on_stall: Callable[[str], None] = exit_for_restart,
        on_look: Callable[[], None] | None = None,
    ):
        """Prepares; the clock starts at `__enter__`.

        Args:
          seconds: longest time between two beats; 0 watches nothing.
          on_stall: called once with a sentence, from the watching thread.
          on_look: called time and again from the watching thread, as long as Python runs: the
            `reset` of a `ProcessTimer`.
        """
        self._seconds, self._on_stall, self._on_look = seconds, on_stall, on_look
        self._idle, self._what, self._reason = 0.0, "the start", _SOMETHING_IS_STUCK
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
        self._idle, self._what, self._reason = 0.0, what, _SOMETHING_IS_STUCK

    def waits_for(self, reason: str) -> None:
        """Says why nothing is finished, as a clause for the sentence at the end."""
        self._reason = reason

    def _watch(self) -> None:
        poll = min(_POLL_SECS, self._seconds / 4)
        seen = time.monotonic()
        while not self._end.wait(poll):
            if self._on_look:
                self._on_look()
            now = time.monotonic()
            self._idle += min(now - seen, 2 * poll)
            seen = now
            if self._idle >= self._seconds:
                self._on_stall(
                    f"No step was finished in the {self._seconds:g} seconds after {self._what} "
                    f"(--stall_timeout_secs): {self._reason}. Run the same command again; it "
                    "resumes from the last checkpoint."
                )
                return


class ProcessTimer:
    """Ends the process with exit code 75 when `reset` was not called for too long, come what may.

    Two timers of the C library's: one writes the sentence (by `warnx`), one calls `_exit`. Time in
    which the process was stopped counts. As a context manager it is released at the end.

    `signal.setitimer` cannot do this: SIGALRM's default action ends the process with 142 and no
    sentence, and a handler in Python does not run while the interpreter is frozen.
    """

    def __init__(self, seconds: float, sentence: str):
        """Sets the timers.

        Args:
          seconds: longest time between two calls of `reset`; 0 is forever.
          sentence: printed on stderr at the end, behind the program's name.
        """
        self._seconds, self._timers = seconds, []
        if not seconds:
            return
        self._sentence = ctypes.create_string_buffer(sentence.replace("%", "%%").encode())
        self._libc = ctypes.CDLL("librt.so.1")  # and the C library with it, of any age
        self._timers = [
            (self._timer("warnx", ctypes.addressof(self._sentence)), 0.0),
            (self._timer("_exit", EXIT_STOPPED_EARLY), _BEFORE_THE_END_SECS),
        ]
        self.reset()

    def __enter__(self) -> "ProcessTimer":
        return self

    def __exit__(self, *_) -> None:
        self.cancel()

    def reset(self) -> None:
        """Puts the end off: this process is alive."""
        for timer, after in self._timers:
            self._set(timer, self._seconds + after)

    def cancel(self) -> None:
        """Takes the end off for good."""
        for timer, _ in self._timers:
            self._libc.timer_delete(timer)
        self._timers = []

    def _timer(self, function: str, argument: int) -> ctypes.c_void_p:
        """A timer that calls a function of the C library's with one number, in a new thread."""
        address = ctypes.cast(self._libc[function], ctypes.c_void_p)
        event = _Event(argument, 0, _SIGEV_THREAD, address)
        timer = ctypes.c_void_p()
        if self._libc.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)):
            raise OSError("The C library makes no timer: pass --stall_timeout_secs=0.")
        return timer

    def _set(self, timer: ctypes.c_void_p, seconds: float) -> None:
        whole, rest = divmod(seconds, 1.0)
        spec = (ctypes.c_long * 4)(0, 0, int(whole), int(rest * 1e9))  # itimerspec: no interval
        self._libc.timer_settime(timer, 0, ctypes.byref(spec), None)


class _Event(ctypes.Structure):
    """The C library's `sigevent`, which is 64 bytes long."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("function", ctypes.c_void_p),
        ("rest", ctypes.c_byte * 40),
    )
