"""Starts the workers of a training on this host and keeps them going.

  python -m deployment.launcher --workers=2 -- train_ssd_network.py --flagfile=configs/demo.flags

Every worker runs the same command and learns its task from TF_CONFIG. When one is killed or exits
with 75, all are started again, up to --max_restarts times; the run resumes from its last
checkpoint. Any other exit code means that starting again would not help: the rest is stopped and
the code returned.

With --ps=1 or more, a chief and so many parameter servers are started beside the workers, and the
training is asynchronous: a lost worker is started again alone, and the others do not wait.

Surprising: workers are in process groups of their own, so that Ctrl-C reaches them once, through
the launcher, as SIGTERM, and so does a closing terminal; a second Ctrl-C kills them. On a terminal
the chief writes to it directly, which keeps its progress bar, and the others' lines go around it.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import IO, NamedTuple

from runtime import signals
from runtime.errors import EXIT_STOPPED_EARLY

_POLL_SECS = 0.1
_ALONE_AFTER_SECS = 1.0  # a lost worker may be the first sign of the whole run's end


class TaskId(NamedTuple):
    """A process in the cluster: its job and its number in it."""

    job: str
    task: int


class Launcher:
    """One training's workers on this host."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        workers: int,
        servers: int = 0,
        max_restarts: int,
        grace_secs: float,
        environment: Mapping[str, str],
        stream: IO[str],
    ):
        """Prepares; `run` starts.

        Args:
          command: of every worker, program first.
          workers: how many.
          servers: parameter servers; with any there is a chief beside the workers.
          max_restarts: times that all, or a worker alone, are started again.
          grace_secs: seconds from the first worker's exit to killing the others.
          environment: of every worker, besides TF_CONFIG.
          stream: where the merged log goes.
        """
        self._command, self._alone = list(command), servers > 0
        jobs = {"chief": 1, "worker": workers, "ps": servers} if servers else {"worker": workers}
        self._places = [TaskId(job, task) for job, count in jobs.items() for task in range(count)]
        self._restarts, self._max_restarts, self._grace_secs = 0, max_restarts, grace_secs
        self._environment, self._stream = dict(environment), stream
        self._processes: list[subprocess.Popen] = []
        self._cluster: dict[str, list[str]] = {}
        self._readers: list[threading.Thread] = []
        self._signals = 0

    def run(self) -> int:
        """Runs to the end; the exit code of the whole."""
        while True:
            codes = self._run_once()
            # The chief of an asynchronous training needs nobody once it is done.
            code = 0 if self._alone and codes[0] == 0 else verdict(codes)
            if code != EXIT_STOPPED_EARLY or self._signals:
                return code
            ends = f"launcher: the workers ended with {', '.join(map(str, codes))}"
            if not self._may_restart(ends):
                return EXIT_STOPPED_EARLY

    def stop(self, number: int, frame: FrameType | None) -> None:
        """A signal's handler; `_wait` passes it on, as here workers may be about to be started."""
        del frame
        signals.drop_lost_outputs(number)
        if number != signal.SIGHUP or not self._signals:  # a closing terminal sends more than one
            self._signals += 1

    def _run_once(self) -> list[int]:
        if self._signals:
            return [EXIT_STOPPED_EARLY]
        self._cluster, self._readers = {}, []
        for place, port in zip(self._places, free_ports(len(self._places)), strict=True):
            self._cluster.setdefault(place.job, []).append(f"localhost:{port}")
        self._processes = [self._start(place) for place in self._places]
        self._wait()
        for reader in self._readers:
            reader.join()
        return [process.returncode for process in self._processes]

    def _start(self, place: TaskId) -> subprocess.Popen:
        config = {"cluster": self._cluster, "task": {"type": place.job, "index": place.task}}
        to_terminal = place == self._places[0] and self._stream.isatty()
        process = subprocess.Popen(
            self._command,
            env={**self._environment, "TF_CONFIG": json.dumps(config), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=None if to_terminal else subprocess.PIPE,
            stderr=None if to_terminal else subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._say(f"launcher: {place.job} {place.task} is process {process.pid}.")
        if process.stdout:
            label = f"{place.job} {place.task}" if self._alone else str(place.task)
            reader = threading.Thread(target=self._copy, args=(label, process.stdout))
            reader.start()
            self._readers.append(reader)
        return process

    def _wait(self) -> None:
        """Until all have ended; once one did not end well, the rest has only the grace period."""
        deadline, passed_on = None, 0
        lost: dict[TaskId, float] = {}
        while None in (codes := [process.poll() for process in self._processes]):
            if self._signals > passed_on:
                passed_on = self._signals
                self._send(signal.SIGTERM if passed_on == 1 else signal.SIGKILL)
            if self._alone:
                codes = self._start_lost_workers(codes, lost)
            if deadline is None and (any(codes) or (self._alone and codes[0] == 0)):
                deadline = time.monotonic() + self._grace_secs
                if verdict([code for code in codes if code is not None]) != EXIT_STOPPED_EARLY:
                    self._send(signal.SIGTERM)
            if deadline is not None and time.monotonic() > deadline:
                self._send(signal.SIGKILL)
            time.sleep(_POLL_SECS)

    def _start_lost_workers(
        self, codes: Sequence[int | None], lost: dict[TaskId, float]
    ) -> list[int | None]:
        """Starts lost workers again while the rest runs; the codes without theirs.

        Args:
          codes: of all processes, None where one runs.
          lost: when the loss of each worker was first seen; kept up to date.
        """
        ends, now = dict(zip(self._places, codes, strict=True)), time.monotonic()
        rest_runs = all(code is None for place, code in ends.items() if place.job != "worker")
        for number, (place, code) in enumerate(ends.items()):
            if (
                place.job != "worker"
                or code is None
                or verdict([code]) not in (0, EXIT_STOPPED_EARLY)
            ):
                lost.pop(place, None)
                continue
            ends[place] = None
            since = lost.setdefault(place, now)
            if rest_runs and not self._signals and now - since > _ALONE_AFTER_SECS:
                lost[place] = math.inf  # once is enough where no restart is left
                if self._may_restart(f"launcher: worker {place.task} ended with {code}"):
                    self._processes[number] = self._start(place)
        return list(ends.values())

    def _may_restart(self, ends: str) -> bool:
        """Counts a restart and says so; False when there were enough."""
        if self._restarts == self._max_restarts:
            self._say(f"{ends}; giving up.")
            return False
        self._restarts += 1
        self._say(f"{ends}; starting again ({self._restarts}/{self._max_restarts}).")
        return True

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def _copy(self, label: str, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self._say(f"[{label}] {line.rstrip()}")

    def _say(self, line: str) -> None:
        clear = "\r\x1b[K" if self._stream.isatty() else ""
        with contextlib.suppress(OSError):  # its reader may be gone, the training continues
            self._stream.write(f"{clear}{line}\n")
            self._stream.flush()


def verdict(codes: Sequence[int]) -> int:
    """One exit code for all workers: 0, 75 (start again), or the first that forbids that.

    A negative code is the signal that ended a process, which does not forbid starting again.
    """
    final = [code for code in codes if code > 0 and code != EXIT_STOPPED_EARLY]
    if final:
        return final[0]
    return EXIT_STOPPED_EARLY if any(codes) else 0


def free_ports(count: int) -> list[int]:
    """Ports of this host that nobody uses at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def main(argv: Sequence[str], environment: Mapping[str, str], stream: IO[str]) -> int:
    """Command line -> exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deployment.launcher",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workers", type=_at_least(1), required=True, help="number of workers")
    parser.add_argument(
        "--ps",
        type=_at_least(0),
        default=0,
        help="number of parameter servers, for asynchronous training",
    )
    parser.add_argument(
        "--max_restarts",
        type=_at_least(0),
        default=10,
        help="maximum number of restarts in total; default %(default)s",
    )
    parser.add_argument(
        "--grace_secs",
        type=_at_least(0),
        default=60,
        help="seconds from one worker's exit to killing the others; default %(default)s",
    )
    parser.add_argument("command", nargs="+", help="script to run with its flags, after --")
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(
            f"{unknown[0]} is no flag of the launcher: write -- before the command, such as "
            f"--workers={options.workers} -- {' '.join([*options.command, *unknown])}"
        )
    launcher = Launcher(
        [sys.executable, *options.command],
        workers=options.workers,
        servers=options.ps,
        max_restarts=options.max_restarts,
        grace_secs=options.grace_secs,
        environment=environment,
        stream=stream,
    )
    for number in signals.stop_signals():
        signal.signal(number, launcher.stop)
    return launcher.run()


def _at_least(minimum: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} must be {minimum} or more")
        return value

    return integer


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, sys.stderr))
