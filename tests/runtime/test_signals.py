"""Signals ask for a stop; handlers come back."""

import os
import pathlib
import pty
import signal
import subprocess
import sys
import time

import pytest

from runtime.signals import StopRequest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Ends well only if it can still write when its terminal has closed. Its input ends when all signals
# were sent.
ON_TERMINAL = """
import pathlib, sys, time
from runtime.signals import StopRequest
with StopRequest() as interrupts:
    print("ready", flush=True)
    while not interrupts.received:
        time.sleep(0.01)
    pathlib.Path(sys.argv[1]).write_text(interrupts.received.name)
    sys.stdin.read()
    print("stopping", flush=True)
"""


def test_signal_is_remembered_and_the_old_handler_returns():
    old = signal.getsignal(signal.SIGTERM)
    with StopRequest() as interrupts:
        assert interrupts.received is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.received is signal.SIGTERM
        os.kill(os.getpid(), signal.SIGTERM)  # as srun passes on what SLURM sends as well
    assert signal.getsignal(signal.SIGTERM) == old


def test_second_interrupt_is_not_held_back():
    with StopRequest() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.received is signal.SIGINT
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL


@pytest.mark.usefixtures("hangup")
def test_closed_terminal_asks_to_stop_however_often_and_takes_what_is_written(tmp_path):
    received = tmp_path / "received"
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, str(received)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=slave,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    os.close(slave)
    assert b"ready" in os.read(master, 100)
    os.close(master)
    process.send_signal(signal.SIGHUP)
    while not received.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert received.read_text() == "SIGHUP"


@pytest.mark.usefixtures("hangup")
def test_ignored_hangup_stays_ignored():
    """As under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as interrupts:
        os.kill(os.getpid(), signal.SIGHUP)
        assert interrupts.received is None
