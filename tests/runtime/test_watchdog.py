"""Watchdog and process timer act when nothing moves, and not when something does."""

import pathlib
import subprocess
import sys
import time

import pytest

from runtime.watchdog import Watchdog

ROOT = pathlib.Path(__file__).resolve().parents[2]


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_silence_is_reported_once_with_what_was_last_done():
    said = []
    with Watchdog(0.2, on_stall=said.append) as watchdog:
        watchdog.beat("step 7")
        time.sleep(1.0)
    assert len(said) == 1
    assert "0.2 seconds after step 7 (--stall_timeout_secs)" in said[0]


def test_beats_keep_it_quiet():
    said = []
    with Watchdog(2.0, on_stall=said.append) as watchdog:
        for step in range(30):
            time.sleep(0.1)
            watchdog.beat(f"step {step}")
    assert said == []


def test_zero_watches_nothing():
    said = []
    with Watchdog(0, on_stall=said.append):
        time.sleep(0.1)
    assert said == []


def test_stuck_process_exits_75_with_a_sentence():
    done = python(
        "import time\nfrom runtime.watchdog import Watchdog\n"
        "with Watchdog(0.2): print('begun'); time.sleep(50)"
    )
    assert (done.returncode, done.stdout) == (75, "begun\n")
    assert "after the start" in done.stderr


_SWITCH = """
import ctypes, time
from runtime.watchdog import ProcessTimer
switch = ProcessTimer({seconds}, "Stuck at 100% of nothing.")
for _ in range(8):
    time.sleep(0.25)
    switch.reset()
print("held", flush=True)
{then}
"""
_HOLD_THE_INTERPRETER = "ctypes.PyDLL(None).sleep({seconds})"  # as no thread of Python's survives


_HELD_BY_A_WATCHDOG = """
import ctypes, time
from runtime.watchdog import ProcessTimer, Watchdog
with ProcessTimer(2.0, "Python stands still.") as switch:
    with Watchdog(60, on_look=switch.reset):
        time.sleep(5)
        print("held", flush=True)
        {then}
{afterwards}
"""


def test_switch_that_a_watchdog_holds_ends_a_process_once_python_cannot_run():
    then = _HOLD_THE_INTERPRETER.format(seconds=40)
    done = python(_HELD_BY_A_WATCHDOG.format(then=then, afterwards=""))
    assert (done.returncode, done.stdout) == (75, "held\n")
    assert "Python stands still." in done.stderr


def test_switch_is_released_at_the_end_of_its_context():
    then = _HOLD_THE_INTERPRETER.format(seconds=4)
    done = python(_HELD_BY_A_WATCHDOG.format(then="", afterwards=then))
    assert (done.returncode, done.stdout, done.stderr) == (0, "held\n", "")


def test_switch_ends_a_process_in_which_python_cannot_run():
    done = python(_SWITCH.format(seconds=1.0, then=_HOLD_THE_INTERPRETER.format(seconds=40)))
    assert (done.returncode, done.stdout) == (75, "held\n")
    assert "Stuck at 100% of nothing." in done.stderr


@pytest.mark.parametrize(("seconds", "release"), [(1.0, "switch.cancel()\n"), (0, "")])
def test_switch_that_is_released_or_never_set_ends_nothing(seconds, release):
    then = release + _HOLD_THE_INTERPRETER.format(seconds=3)
    done = python(_SWITCH.format(seconds=seconds, then=then))
    assert (done.returncode, done.stdout, done.stderr) == (0, "held\n", "")
