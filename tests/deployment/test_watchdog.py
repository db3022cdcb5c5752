"""The watchdog barks when nothing moves, and not when something does."""

import pathlib
import subprocess
import sys
import time

from deployment.watchdog import Watchdog

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
        "import time\nfrom deployment.watchdog import Watchdog\n"
        "with Watchdog(0.2): print('begun'); time.sleep(50)"
    )
    assert (done.returncode, done.stdout) == (75, "begun\n")
    assert "after the start" in done.stderr
