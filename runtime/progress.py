"""Shows how far a long job has come: a bar on a terminal, plain lines everywhere else.

Both go to stderr, so that results on stdout stay clean. The time left is reckoned from the steps of
this run after its first: neither the steps before a resume nor the first step, in which TensorFlow
traces and compiles, say how fast the rest will go.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TextIO

from rich import progress as rich_progress
from rich.console import Console
from rich.table import Column

_SHORT = {"learning_rate": "rate"}
_FORMATS: dict[str, Callable[[float], str]] = {
    "learning_rate": lambda value: f"{value:.2e}",
    "images_per_second": lambda value: f"{value:.1f} images/s",
}


class Progress:
    """A context manager that is told of every step and draws or prints what is due.

        with Progress(900, "training", start=300, log_every=10) as progress:
            for step in range(301, 901):
                ...
                progress.update(step, loss=loss, learning_rate=rate, images_per_second=speed)

    On a terminal every update moves the bar. Elsewhere a line is printed at the first step, at each
    multiple of `log_every` steps, when `log_seconds` have passed since the last line, and at the
    last step.
    """

    def __init__(
        self,
        total: int | None,
        description: str,
        *,
        unit: str = "steps",
        start: int = 0,
        log_every: int | None = None,
        log_seconds: float | None = 30.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Prepares; nothing is shown before `__enter__`.

        Args:
          total: last step's number, or None where it is not known (a camera).
          description: one or two words before the bar.
          unit: what is counted, in the plural.
          start: number of the step already done when this run begins.
          log_every: steps between plain lines, None for lines by time only.
          log_seconds: longest silence between plain lines, None for lines by steps only.
          stream: stderr unless given.
          clock: seconds, monotonic; a test passes its own.
        """
        self._total, self._description, self._unit = total, description, unit
        self._start, self._step = start, start
        self._log_every, self._log_seconds = log_every, log_seconds
        self._stream = stream if stream is not None else sys.stderr
        self._clock = clock
        self._values: dict[str, float | str] = {}
        self._last_line: tuple[float, int] | None = None  # time and step of the last plain line
        self._first: tuple[float, int] | None = None  # time and step of the first update
        console = Console(file=self._stream, force_terminal=self._stream.isatty(), highlight=False)
        on_terminal = console.is_terminal and not console.is_dumb_terminal
        self._bar = _bar(console, total, unit) if on_terminal else None

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(
                self._description, total=self._total, completed=self._start, text=""
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._last_line is not None and self._last_line[1] != self._step:
            self._print_line()

    def update(self, step: int, **values: float | str) -> None:
        """Says that `step` (counted from 1) is done.

        Args:
          step: number of the step, not an increment.
          **values: what to show with it; a value not given keeps its last one. `learning_rate` and
            `images_per_second` have forms of their own.
        """
        self._step = step
        self._values.update(values)
        if self._first is None:
            self._first = self._clock(), step
        if self._bar is not None:
            self._bar.update(self._task, completed=step, text=self._status())
        elif self._line_is_due():
            self._print_line()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes the bar away while something else is shown."""
        if self._bar is not None:
            self._bar.stop()
        yield
        if self._bar is not None:
            self._bar.start()

    def message(self, text: str) -> None:
        """Prints a line above the bar, or among the plain lines."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def seconds_left(self) -> float | None:
        """Estimate from this run's steps; None before the second update."""
        if self._total is None or self._first is None or self._step <= self._first[1]:
            return None
        pace = (self._clock() - self._first[0]) / (self._step - self._first[1])
        return pace * max(0, self._total - self._step)

    def _line_is_due(self) -> bool:
        if self._last_line is None or self._step == self._total:
            return True
        if self._log_every is not None and self._step % self._log_every == 0:
            return True
        if self._log_seconds is None:
            return False
        return self._clock() - self._last_line[0] >= self._log_seconds

    def _print_line(self) -> None:
        self._last_line = self._clock(), self._step
        count = f"{self._step}" if self._total is None else f"{self._step}/{self._total}"
        parts = [f"{self._description} {count} {self._unit}", self._status()]
        print("  ".join(part for part in parts if part), file=self._stream, flush=True)

    def _status(self) -> str:
        parts = [_shown(name, value) for name, value in self._values.items()]
        left = self.seconds_left()
        if left is not None and self._step != self._total:
            parts.append(f"{format_seconds(left)} left")
        return "  ".join(parts)


def _bar(console: Console, total: int | None, unit: str) -> rich_progress.Progress:
    count = "{task.completed:.0f} " if total is None else "{task.completed:.0f}/{task.total:.0f} "
    one_line = Column(no_wrap=True, overflow="ellipsis")
    return rich_progress.Progress(
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
        rich_progress.TextColumn(count + unit, markup=False),
        rich_progress.TextColumn("{task.fields[text]}", markup=False, table_column=one_line),
        console=console,
        expand=True,
        refresh_per_second=4,
        redirect_stdout=False,  # what is printed to stdout must arrive there
    )


def _shown(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return f"{name} {value}"
    text = _FORMATS.get(name, lambda number: f"{number:.4g}")(float(value))
    return text if name == "images_per_second" else f"{_SHORT.get(name, name)} {text}"


def format_seconds(seconds: float) -> str:
    """A duration as people say it: `42 s`, `3 min 5 s`, `2 h 7 min`, `1 d 4 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"
