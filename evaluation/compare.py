"""Several trainings side by side: `compare_runs.py` as a call.

The time is that of the steps alone, from the speed in metrics.jsonl: evaluations, saves and pauses
between resumed parts are not in it. Runs whose data have equal checksums saw the same records.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from evaluation import run_curves
from evaluation.run_curves import Course
from evaluation.settings import CompareSettings
from model import checkpoints, train_dir
from runtime import files
from runtime.errors import InputError
from runtime.progress import format_seconds
from visualization import page

_OF_PLACE = ("train_dir", "overwrite")  # flags that differ in any two runs, and say nothing
_HEADINGS = (
    *("run", "step", "time", "loss", "best mAP_VOC07", "at step", "mAP50_95", "F1"),
    *("images", "data"),
)


class Run(NamedTuple):
    """One training.

    Attributes:
      name: as it was given.
      flags: of flags.txt, by name.
      course: metrics and scores by step.
      data: number of images and checksum of the records, of its newest checkpoint.
    """

    name: str
    flags: dict[str, str]
    course: Course
    data: tuple[int | None, str]


def run(folders: Sequence[str], settings: CompareSettings) -> None:
    """Prints the comparison, and writes it where an output_dir is given.

    Raises:
      InputError: fewer than two of the folders are trainings, or something cannot be written.
    """
    runs = read_all(folders)
    print(to_text(runs))
    if not settings.output_dir:
        return
    files.make_folder(settings.output_dir, given=f"--output_dir={settings.output_dir}")
    with files.explain_write_errors(settings.output_dir):
        for name, data in make_files(runs).items():
            files.write(tf.io.gfile.join(settings.output_dir, name), data)
    print(f"Written to {settings.output_dir}: index.html, runs.csv, curves.png")


def read_all(folders: Sequence[str]) -> list[Run]:
    """The trainings among the folders; others are named and skipped.

    Raises:
      InputError: there are fewer than two.
    """
    runs = []
    for given in folders:
        folder = train_dir.find(given)
        course, flags = run_curves.read(folder), train_dir.read_flags(folder)
        if flags or course.metrics:
            runs.append(Run(given.rstrip("/"), flags, course, _data(folder)))
        else:
            print(f"Skipped: {given} has no {train_dir.METRICS} of a training.")
    if len(runs) < 2:
        raise InputError(
            f"{len(runs)} of the {len(folders)} folders given are trainings: give two or more, "
            "such as compare_runs.py runs/*."
        )
    return runs


def differing_flags(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Flags that are not alike in all runs -> their values, "" where a run has none."""
    names = dict.fromkeys(name for each in runs for name in each.flags if name not in _OF_PLACE)
    values = {name: [each.flags.get(name, "") for each in runs] for name in names}
    return {name: of_all for name, of_all in values.items() if len({*of_all}) > 1}


def row_of(one: Run) -> tuple[str, ...]:
    """What `_HEADINGS` names, as text."""
    metrics, scores = one.course
    last = metrics[-1] if metrics else {}
    best = train_dir.best_of(scores) if scores else {}
    numbers = (best.get(name) for name in (train_dir.METRIC, "step", "mAP50_95", "F1"))
    score, step, *others = numbers
    images, checksum = one.data
    return (
        one.name,
        _shown(last.get("step")),
        format_seconds(seconds_of(one)),
        "-" if last.get("loss") is None else f"{last['loss']:.3f}",
        *(page.number(score), _shown(step), *map(page.number, others)),
        *(_shown(images), checksum or "-"),
    )


def seconds_of(one: Run) -> float:
    """Seconds that the steps took, by the images per second of each line."""
    names = ("batch_size", "accumulate_steps", "num_clones", "num_replicas")
    images = 1
    for name in names:
        images *= int(one.flags.get(name, "1"))
    seconds, before = 0.0, 0
    for line in one.course.metrics:
        if line.get("images_per_second"):
            seconds += (line["step"] - before) * images / line["images_per_second"]
        before = line["step"]
    return seconds


def to_text(runs: Sequence[Run]) -> str:
    """Two tables for a terminal: a line a run, and a line a flag that differs."""
    text = _aligned([_HEADINGS, *map(row_of, runs)])
    flags = differing_flags(runs)
    if not flags:
        return f"{text}\n\nAll flags are alike."
    rows = [(f"--{name}", *(value or "-" for value in values)) for name, values in flags.items()]
    return f"{text}\n\n{_aligned([('flags that differ', *(one.name for one in runs)), *rows])}"


def make_files(runs: Sequence[Run]) -> dict[str, bytes]:
    """index.html, runs.csv and, where a run has any curve, curves.png."""
    flags = differing_flags(runs)
    png = run_curves.draw({one.name: one.course for one in runs})
    pngs = {"curves.png": png} if png else {}
    names = [one.name for one in runs]
    rows = [(f"--{name}", *values) for name, values in flags.items()]
    sections = [
        page.table(_HEADINGS, [row_of(one) for one in runs]),
        page.note("Time is that of the steps alone. Equal data are equal records."),
        page.figure(pngs, "curves.png", "Losses are moving means.") if png else "",
        "<h2>Flags that differ</h2>",
        page.table(("", *names), rows, of_text=True) if rows else page.note("All are alike."),
    ]
    document = page.document("Trainings compared", sections)
    return {"index.html": document.encode(), "runs.csv": _csv(runs, flags).encode(), **pngs}


def _csv(runs: Sequence[Run], flags: dict[str, list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_HEADINGS, *(f"--{name}" for name in flags)))
    columns = zip(*flags.values(), strict=True) if flags else [()] * len(runs)
    writer.writerows((*row_of(one), *values) for one, values in zip(runs, columns, strict=True))
    return text.getvalue()


def _data(folder: str) -> tuple[int | None, str]:
    steps = checkpoints.list_steps(folder)
    if not steps:
        return None, ""
    path = tf.io.gfile.join(folder, f"ckpt-{steps[-1]}")
    with checkpoints.explain_read_errors(path):
        reader = tf.train.load_checkpoint(path)
        if "training" not in reader.get_variable_to_shape_map():
            return None, ""
        facts: dict[str, Any] = json.loads(reader.get_tensor("training"))
    return facts.get("num_samples"), facts.get("fingerprint", "")


def _shown(value: int | None) -> str:
    return "-" if value is None else f"{value}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *cells in rows:
        right = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append("  ".join([name.ljust(widths[0]), *right]))
    return "\n".join(lines)
