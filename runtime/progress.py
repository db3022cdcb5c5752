"""Shows how far a long job has come: a bar on a terminal, plain lines everywhere else.

Both go to stderr, so that results on stdout stay clean. The time left is rich's, from the last
thousand steps of this run after its first: neither the steps before a resume nor the first step, in
which TensorFlow traces and compiles, say how fast the rest will go.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from rich import progress as rich_progress
from rich.console import Console
from rich.table import Column

_BAR = 3  # columns of the shortest bar
_SHORT = {"learning_rate": "rate"}
_FORMATS: dict[str, Callable[[float], str]] = {
    "learning_rate": lambda value: f"{value:.2e}",
    "images_per_second": lambda value: f"{value:.1f} images/s",
}

_PLAIN_LINE_EVERY = 1000


def shown(image_ids: Sequence[str]) -> Iterator[str]:
    """The ids of images that are converted: with a bar on a terminal, else a line now and then."""
    if sys.stderr.isatty():
        console = Console(stderr=True)
        yield from rich_progress.track(image_ids, "converting", console=console, transient=True)
        return
    for number, image_id in enumerate(image_ids):
        if number and number % _PLAIN_LINE_EVERY == 0:
            line = f"converting image {number} of {len(image_ids)}"
            print(line, file=sys.stderr, flush=True)
        yield image_id


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
        self._unit, self._clock = unit, clock
        self._log_every, self._log_seconds = log_every, log_seconds
        self._stream = stream if stream is not None else sys.stderr
        self._values: dict[str, float | str] = {}
        self._last_line: tuple[float, float] | None = None  # time and step of the last plain line
        console = Console(file=self._stream, force_terminal=self._stream.isatty(), highlight=False)
        self._draws = console.is_terminal and not console.is_dumb_terminal
        count = "{task.completed:.0f}" if total is None else "{task.completed:.0f}/{task.total:.0f}"
        self._bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=_BAR)),
            rich_progress.TextColumn(f"{count} {unit}", markup=False, table_column=_column()),
            rich_progress.TimeRemainingColumn(table_column=_column()),
            rich_progress.TextColumn("{task.fields[short]}", markup=False, table_column=_column()),
            console=console,
            expand=True,
            refresh_per_second=4,
            speed_estimate_period=float("inf"),  # a step may take minutes
            get_time=clock,
            redirect_stdout=False,  # what is printed to stdout must arrive there
            disable=not self._draws,
        )
        self._bar.add_task(description, total=total, completed=start, text="", short="")
        (self._task,) = self._bar.tasks

    def __enter__(self) -> "Progress":
        if self._draws:
            self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self._draws:
            self._bar.stop()
        elif self._last_line is not None and self._last_line[1] != self._task.completed:
            self._print_line()

    def update(self, step: int, **values: float | str) -> None:
        """Says that `step` (counted from 1) is done.

        A terminal that is too narrow for all values shows the first ones.

        Args:
          step: number of the step, not an increment.
          **values: what to show with it; a value not given keeps its last one. `learning_rate` and
            `images_per_second` have forms of their own.
        """
        self._values.update(values)
        parts = [_shown(name, value) for name, value in self._values.items()]
        self._bar.update(self._task.id, completed=step, text="  ".join(parts))
        if self._draws:
            while parts and len("  ".join(parts)) > self._room():
                parts.pop()
            self._bar.update(self._task.id, short="  ".join(parts))
        if not self._draws and self._line_is_due():
            self._print_line()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes the bar away while something else is shown."""
        if self._draws:
            self._bar.stop()
        yield
        if self._draws:
            self._bar.start()

    def message(self, text: str) -> None:
        """Prints a line above the bar, or among the plain lines."""
        if self._draws:
            self._bar.console.print(text, markup=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def _room(self) -> int:
        """Columns for the values beside the shortest bar, so that none is cut: the last ones go."""
        task = self._task
        count = f"{task.completed:.0f} {self._unit}"
        if task.total is not None:
            count = f"{task.completed:.0f}/{task.total:.0f} {self._unit}"
        hours = int((task.time_remaining or 0) // 3600)
        clock = f"{hours}:00:00"
        taken = [task.description, " " * _BAR, count, clock]
        return self._bar.console.width - len(" ".join(taken)) - 1

    def _line_is_due(self) -> bool:
        step = self._task.completed
        if self._last_line is None or step == self._task.total:
            return True
        if self._log_every is not None and step % self._log_every == 0:
            return True
        if self._log_seconds is None:
            return False
        return self._clock() - self._last_line[0] >= self._log_seconds

    def _print_line(self) -> None:
        task = self._task
        self._last_line = self._clock(), task.completed
        count = f"{task.completed}" if task.total is None else f"{task.completed}/{task.total}"
        parts = [f"{task.description} {count} {self._unit}", task.fields["text"]]
        if task.time_remaining is not None and not task.finished:
            parts.append(f"{format_seconds(task.time_remaining)} left")
        print("  ".join(filter(None, parts)), file=self._stream, flush=True)


def _column() -> Column:
    return Column(no_wrap=True, overflow="ellipsis")


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
