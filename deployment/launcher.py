"""Starts the workers of a training on this host and keeps them going.

  python -m deployment.launcher --workers=2 -- train_ssd_network.py --flagfile=configs/demo.flags

Every worker runs the same command and learns its place from TF_CONFIG. When one dies or exits with
75, all are started again, up to --max_restarts times; the run goes on from its last checkpoint. Any
other exit code means that starting again would not help: the rest is stopped and the code returned.

Surprising: workers are in process groups of their own, so that Ctrl-C reaches them once, through
the launcher, as SIGTERM; a second Ctrl-C kills them. On a terminal the chief writes to it directly,
which keeps its progress bar, and the others' lines go around it.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import IO

from errors import EXIT_STOPPED_EARLY

_POLL_SECS = 0.1


class Launcher:
    """One training's workers on this host."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        workers: int,
        max_restarts: int,
        grace_secs: float,
        environment: Mapping[str, str],
        stream: IO[str],
    ):
        """Prepares; `run` starts.

        Args:
          command: of every worker, program first.
          workers: how many.
          max_restarts: times that all are started again.
          grace_secs: from the first worker's end to the others' being killed.
          environment: of every worker, besides TF_CONFIG.
          stream: where the merged log goes.
        """
        self._command, self._workers = list(command), workers
        self._max_restarts, self._grace_secs = max_restarts, grace_secs
        self._environment, self._stream = dict(environment), stream
        self._processes: list[subprocess.Popen] = []
        self._signals = 0

    def run(self) -> int:
        """Runs to the end; the exit code of the whole."""
        for attempt in range(self._max_restarts + 1):
            codes = self._run_once()
            code = verdict(codes)
            if code != EXIT_STOPPED_EARLY or self._signals:
                return code
            again = attempt < self._max_restarts
            what = f"starting again ({attempt + 1}/{self._max_restarts})" if again else "giving up"
            self._say(f"launcher: the workers ended with {', '.join(map(str, codes))}; {what}.")
        return EXIT_STOPPED_EARLY

    def stop(self, number: int, frame: FrameType | None) -> None:
        """A signal's handler: asks the workers to stop, and kills them the second time."""
        del number, frame
        self._signals += 1
        self._send(signal.SIGTERM if self._signals == 1 else signal.SIGKILL)

    def _run_once(self) -> list[int]:
        if self._signals:
            return [EXIT_STOPPED_EARLY]
        hosts = [f"localhost:{port}" for port in free_ports(self._workers)]
        self._processes = [self._start(hosts, index) for index in range(self._workers)]
        readers = [
            threading.Thread(target=self._copy, args=(index, process.stdout))
            for index, process in enumerate(self._processes)
            if process.stdout
        ]
        for reader in readers:
            reader.start()
        self._wait()
        for reader in readers:
            reader.join()
        return [process.returncode for process in self._processes]

    def _start(self, hosts: Sequence[str], index: int) -> subprocess.Popen:
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        to_terminal = index == 0 and self._stream.isatty()
        return subprocess.Popen(
            self._command,
            env={**self._environment, "TF_CONFIG": json.dumps(config), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=None if to_terminal else subprocess.PIPE,
            stderr=None if to_terminal else subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _wait(self) -> None:
        """Until all have ended; once one did not end well, the rest has only the grace period."""
        deadline = None
        while None in (codes := [process.poll() for process in self._processes]):
            if deadline is None and any(code for code in codes):
                deadline = time.monotonic() + self._grace_secs
                if verdict([code for code in codes if code is not None]) != EXIT_STOPPED_EARLY:
                    self._send(signal.SIGTERM)
            if deadline is not None and time.monotonic() > deadline:
                self._send(signal.SIGKILL)
            time.sleep(_POLL_SECS)

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def _copy(self, index: int, lines: IO[str]) -> None:
        for line in lines:
            self._say(f"[{index}] {line.rstrip()}")

    def _say(self, line: str) -> None:
        clear = "\r\x1b[K" if self._stream.isatty() else ""
        self._stream.write(f"{clear}{line}\n")
        self._stream.flush()


def verdict(codes: Sequence[int]) -> int:
    """One exit code for all workers: 0, 75 (start again), or the first that forbids that.

    A negative code is a signal's death, which says nothing against starting again.
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
    parser.add_argument("--workers", type=_at_least(1), required=True, help="how many")
    parser.add_argument(
        "--max_restarts", type=_at_least(0), default=10, help="of all workers; default %(default)s"
    )
    parser.add_argument(
        "--grace_secs",
        type=_at_least(0),
        default=60,
        help="from one worker's end to the others' being killed; default %(default)s",
    )
    parser.add_argument("command", nargs="+", help="a script with its flags, after --")
    options = parser.parse_args(argv)
    if any(re.fullmatch(r"--?overwrite(=.*)?", each) for each in options.command):
        parser.error("--overwrite would start over at every restart: remove train_dir instead")
    launcher = Launcher(
        [sys.executable, *options.command],
        workers=options.workers,
        max_restarts=options.max_restarts,
        grace_secs=options.grace_secs,
        environment=environment,
        stream=stream,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
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
