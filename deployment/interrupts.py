"""SIGTERM and SIGINT ask a run to stop at the next step; a second signal stops it at once.

Make it after the strategy: MultiWorkerMirrored swallows handlers that were installed before it.
"""

import signal
from types import FrameType


class Interrupts:
    """A context manager that remembers a request to stop and puts the old handlers back.

    Attributes:
      received: the signal that asked; None while none did.
    """

    def __init__(self, signals: tuple[signal.Signals, ...] = (signal.SIGTERM, signal.SIGINT)):
        self._signals, self._old = signals, {}
        self.received: signal.Signals | None = None

    def __enter__(self) -> "Interrupts":
        self._old = {number: signal.signal(number, self._handle) for number in self._signals}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.received = signal.Signals(number)
        signal.signal(number, signal.SIG_DFL)
