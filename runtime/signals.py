"""A signal asks a run to stop at the next step; a second Ctrl-C stops it at once.

Make it after the strategy: MultiWorkerMirrored swallows handlers that were installed before it.

Surprising: one request may come as several signals: SIGHUP of a closing terminal from the shell and
from the kernel, SIGTERM from SLURM to a task and through srun. Only SIGINT means more the second
time. And what is written to a closed terminal is an error that would cost the save.
"""

import contextlib
import os
import signal
import stat
from types import FrameType


class StopRequest:
    """A context manager that remembers a request to stop and puts the old handlers back.

    Attributes:
      received: the signal that asked; None while none did.
    """

    def __init__(self):
        self._old = {}
        self.received: signal.Signals | None = None

    def __enter__(self) -> "StopRequest":
        self._old = {number: signal.signal(number, self._handle) for number in stop_signals()}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = signal.Signals(number)
        drop_lost_outputs(number)
        signal.signal(number, signal.SIG_DFL if number == signal.SIGINT else signal.SIG_IGN)


def end_when_asked_as_first_process() -> None:
    """Has SIGTERM end process 1 of a container, too; call it first of all.

    The kernel keeps from process 1 every signal that it has no handler for.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that ask to stop; without SIGHUP under nohup, which has it ignored."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT, *(() if ignored else (signal.SIGHUP,)))


def drop_lost_outputs(number: int) -> None:
    """Sends stdout and stderr nowhere where nobody can read them any more; call it in a handler.

    These are a terminal that was closed and, with it, a pipe to a program that ran there.
    """
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            mode = os.fstat(descriptor).st_mode
            closed = stat.S_ISCHR(mode) and not os.isatty(descriptor)
            if closed or (number == signal.SIGHUP and stat.S_ISFIFO(mode)):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)
