"""Runs asynchronous trainings as real processes: a chief, workers and a parameter server."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from deployment import launcher
from tests.faults import clusters
from tests.faults.clusters import ROOT

CHIEF, WORKER_0, WORKER_1, PS = ("chief", 0), ("worker", 0), ("worker", 1), ("ps", 0)
PLACES = (CHIEF, WORKER_0, WORKER_1, PS)
# From a parameter server's or the chief's death to the end of all others: they are told at once,
# the rest is room for a busy machine.
END_SECS = 30


class Run:
    """The processes of one training, by place, their output in files."""

    def __init__(self, arguments: Sequence[str], folder: pathlib.Path):
        self._arguments, self._folder = [*map(str, arguments)], folder
        folder.mkdir(exist_ok=True)
        ports = [f"localhost:{port}" for port in launcher.free_ports(len(PLACES))]
        self._cluster = {"chief": ports[:1], "worker": ports[1:3], "ps": ports[3:]}
        self.processes = {place: self._start(place) for place in PLACES}

    def restart(self, place: tuple[str, int]) -> None:
        """Starts a process that was killed again, at its old address."""
        self.processes[place].wait()
        self.processes[place] = self._start(place)

    def _start(self, place: tuple[str, int]) -> subprocess.Popen:
        config = {"cluster": self._cluster, "task": {"type": place[0], "index": place[1]}}
        place_of_it = {"TF_CONFIG": json.dumps(config), "TF_CPP_MIN_LOG_LEVEL": "2"}
        with self._log(place).open("a") as output:
            return subprocess.Popen(
                [sys.executable, str(ROOT / "train_ssd_network.py"), *self._arguments],
                env={**os.environ, "PYTHONPATH": str(ROOT), **place_of_it},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def signal(self, place: tuple[str, int], number: signal.Signals) -> None:
        self.processes[place].send_signal(number)

    def codes(self, *, within: float, of: Sequence[tuple[str, int]] = PLACES) -> list[int | None]:
        """Exit codes once all of these have ended, or so many seconds have passed."""
        ended = [self.processes[place] for place in of]
        wait_until(lambda: all(process.poll() is not None for process in ended), within)
        return [process.poll() for process in ended]

    def said(self, place: tuple[str, int] = CHIEF) -> str:
        return self._log(place).read_text()

    def _log(self, place: tuple[str, int]) -> pathlib.Path:
        return self._folder / f"{place[0]}-{place[1]}.log"


@contextlib.contextmanager
def running(arguments: Sequence[str], folder: pathlib.Path) -> Iterator[Run]:
    """A training; whatever is left of it is killed at the end."""
    run = Run(arguments, folder)
    try:
        yield run
    finally:
        for process in run.processes.values():
            process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_for_step(run: Run, train_dir: pathlib.Path, step: int) -> None:
    reached = wait_until(lambda: clusters.last_step(train_dir) >= step, clusters.LIMIT_SECS)
    assert reached, run.said()
