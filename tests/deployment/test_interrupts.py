"""Signals ask for a stop; handlers come back."""

import os
import signal

from deployment.interrupts import Interrupts


def test_signal_is_remembered_and_the_old_handler_returns():
    old = signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        assert interrupts.received is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.received is signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == old
