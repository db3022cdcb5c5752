"""The course of trainings: their metrics and scores by step, as a table and as one picture."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes

from model import train_dir
from runtime import files, json_log
from visualization.charts import line_style, new_figure, plain, to_png

# What is drawn, and how it is called there; a panel without any value is left out.
PANELS = {
    "loss": "loss",
    "loss_classification": "classification loss",
    "loss_localisation": "localisation loss",
    "learning_rate": "learning rate",
    "mAP_VOC07": "mAP_VOC07 on the evaluated split",
    "mAP50_95": "mAP50_95 on the evaluated split",
}
_COLUMNS = 3
_SMOOTHED = 60  # points from which a mean is drawn over them
_WINDOW = 15  # points that such a mean is over


class Course(NamedTuple):
    """Lines of metrics.jsonl and of evaluations.jsonl, by rising step."""

    metrics: list[dict[str, Any]]
    scores: list[dict[str, Any]]

    def values(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values, f64[K] each, of the lines that have a number of this name."""
        lines = [line for line in (*self.metrics, *self.scores) if line.get(name) is not None]
        steps, values = ([line[key] for line in lines] for key in ("step", name))
        return np.array(steps, float), np.array(values, float)


def read(folder: str) -> Course:
    """Of a train_dir; empty where it has no such files."""
    names = (train_dir.METRICS, train_dir.EVALUATIONS)
    return Course(*(json_log.read_lines(folder, name) for name in names))


def write(folder: str) -> None:
    """Writes metrics.csv and results.png beside the logs of a train_dir.

    Raises:
      InputError: they could not be written.
    """
    course = read(folder)
    if not course.metrics:
        return
    with files.explain_write_errors(folder):
        csv_path = tf.io.gfile.join(folder, train_dir.METRICS_CSV)
        files.write(csv_path, to_csv(course).encode())
        if png := draw({folder: course}):
            files.write(tf.io.gfile.join(folder, train_dir.RESULTS), png)


def to_csv(course: Course) -> str:
    """One row a step, metrics and scores together; what a step does not have is empty."""
    rows: dict[int, dict[str, Any]] = {}
    for line in (*course.metrics, *course.scores):
        rows.setdefault(line["step"], {}).update(line)
    columns = dict.fromkeys(name for line in rows.values() for name in line)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*columns], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows[step] for step in sorted(rows))
    return text.getvalue()


def draw(courses: Mapping[str, Course]) -> bytes | None:
    """A panel for each of `PANELS`, a line for each training; None where there is nothing."""
    names = [n for n in PANELS if any(len(each.values(n)[0]) for each in courses.values())]
    if not names:
        return None
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(3.5 * columns, 2.5 * rows + 0.3)
    panels = [figure.add_subplot(rows, columns, k + 1) for k in range(len(names))]
    for axes, name in zip(panels, names, strict=True):
        for number, course in enumerate(courses.values()):
            _draw_line(axes, *course.values(name), number, smooth=name.startswith("loss"))
        axes.set(title=PANELS[name], xlabel="step")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
    if len(courses) > 1:
        _name_lines(panels[0], [*courses])
    return to_png(figure)


def _draw_line(
    axes: Axes, steps: np.ndarray, values: np.ndarray, number: int, *, smooth: bool
) -> None:
    """The values; many noisy ones faintly, with their moving mean."""
    style = line_style(number)
    if smooth and len(values) >= _SMOOTHED:
        axes.plot(steps, values, color=style["color"], linewidth=0.6, alpha=0.3)
        values = moving_mean(values)
    axes.plot(steps, values, marker="." if len(values) < 12 else "", linewidth=1.4, **style)


def moving_mean(values: np.ndarray) -> np.ndarray:
    """Mean of up to 15 values around each, f64[K]; at the ends of those that there are."""
    kernel = np.ones(_WINDOW)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones_like(values), kernel, "same")


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    """A legend above all panels; the first panel may lack a line that another one has."""
    handles = [axes.plot([], [], **line_style(k))[0] for k in range(len(names))]
    axes.figure.legend(
        handles,
        [plain(name, 40) for name in names],
        loc="outside upper left",
        ncols=min(4, len(names)),
        frameon=False,
        fontsize=8,
    )
