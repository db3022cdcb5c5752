"""The charts of the report: numbers in, PNG bytes out, by matplotlib without its global state.

Names come from users: they are drawn as they stand, never as TeX.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metrics import thresholds
from metrics.voc import ClassResult, Result
from visualization.charts import QUIET, RIGHT, WRONG, line_style, new_figure, plain, to_png

_KINDS = {
    "right": RIGHT,
    "localisation": "#e69f00",
    "class": "#cc79a7",
    "both": "#f0e442",
    "duplicate": "#56b4e9",
    "background": WRONG,
    "missed": "#555b66",
}
_RECALLS = np.linspace(0.0, 1.0, 101)
_NAMED = 8  # classes up to which each has its colour


def precision_recall(classes: Sequence[ClassResult]) -> bytes:
    """All classes in one plot, and their mean; the legend has the AP (VOC12)."""
    shown = [row for row in classes if row.num_objects]
    lines = [
        (f"{plain(row.label)} {row.ap_voc12:.3f}", envelope_at(row.recall, row.precision))
        for row in shown
    ]
    mean = np.mean([values for _, values in lines], axis=0) if lines else None
    figure, axes = _square()
    ap = np.mean([row.ap_voc12 for row in shown]) if shown else 0.0
    _class_lines(axes, _RECALLS, lines, mean, f"mean {ap:.3f}")
    axes.set(xlabel="recall", ylabel="precision", title="precision over recall")
    return to_png(figure)


def f1_over_threshold(result: Result) -> bytes:
    """F1 of all classes over the score threshold, and their mean with its best threshold."""
    lines = []
    for row in result.classes:
        if row.num_objects:
            point = thresholds.best_point(row)
            at = f" {point.F1:.2f} at {point.threshold:.2f}" if point else ""
            lines.append((f"{plain(row.label)}{at}", thresholds.curves(row).F1))
    mean, best = thresholds.mean_curves(result), thresholds.mean_point(result)
    figure, axes = _square()
    name = f"mean {best.F1:.2f} at {best.threshold:.2f}" if best else "mean"
    _class_lines(axes, thresholds.GRID, lines, mean and mean.F1, name)
    if best:
        axes.plot([best.threshold], [best.F1], "o", color="black")
    axes.set(xlabel="score threshold", ylabel="F1", title="F1 over the score threshold")
    return to_png(figure)


def envelope_at(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """The best precision at recall 0, 0.01, ... 1 or more, f64[101]; 0 where none is reached."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return np.append(best, 0.0)[np.searchsorted(recall, _RECALLS - 1e-9)]


def _square() -> tuple[Figure, Axes]:
    figure = new_figure(5.6, 4.2)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.25)
    return figure, axes


def _class_lines(
    axes: Axes,
    places: np.ndarray,
    lines: Sequence[tuple[str, np.ndarray]],
    mean: np.ndarray | None,
    mean_name: str,
) -> None:
    """Each class in its colour, or all in grey where they are many, below a thick mean."""
    named = len(lines) <= _NAMED
    for number, (name, values) in enumerate(lines):
        style = line_style(number) if named else {"color": QUIET}
        label = name if named else None
        axes.plot(places, values, linewidth=1.3 if named else 0.6, label=label, **style)
    if mean is None:
        axes.text(0.5, 0.5, "no class has objects", ha="center")
        return
    axes.plot(places, mean, color="black", linewidth=2.4, label=mean_name)
    axes.legend(fontsize=7, frameon=False, loc="best")


def score_histogram(right: np.ndarray, wrong: np.ndarray) -> bytes:
    """How many right and wrong detections have which score; counts on a log axis."""
    figure = new_figure(6.4, 3.0)
    axes = figure.add_subplot()
    bins = np.linspace(0, 1, 41)
    for scores, colour, name in ((wrong, WRONG, "wrong"), (right, RIGHT, "right")):
        axes.hist(scores, bins, color=colour, alpha=0.6, label=f"{name} ({len(scores)})")
    axes.set(xlabel="score", ylabel="detections", xlim=(0, 1))
    axes.set_yscale("symlog", linthresh=1)
    _legend_above(axes, columns=2)
    return to_png(figure)


def size_histogram(found: np.ndarray, unfound: np.ndarray, limits: Sequence[float]) -> bytes:
    """Objects found and not found by size.

    Args:
      found: f64[K], shares of the image's area.
      unfound: f64[L], likewise.
      limits: shares that part small from medium and medium from large.
    """
    figure = new_figure(6.4, 3.0)
    axes = figure.add_subplot()
    sides = [100 * np.sqrt(np.clip(values, 0, 1)) for values in (found, unfound)]
    labels = [f"found ({len(found)})", f"not found ({len(unfound)})"]
    bins = np.linspace(0, 100, 41)
    axes.hist(sides, bins, stacked=True, color=[RIGHT, WRONG], label=labels)
    for limit in limits:
        axes.axvline(100 * limit**0.5, color="#555b66", linewidth=0.8, linestyle="--")
    axes.set(xlabel="square root of the area, % of the image's", ylabel="objects", xlim=(0, 100))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_above(axes, columns=2)
    return to_png(figure)


def confusion_matrix(matrix: np.ndarray, labels: Sequence[str]) -> bytes:
    """Counts, coloured by their share of the row: i64[C, C] as of `errors_by_kind.confusion`."""
    names = [plain(name, 16) for name in labels]
    side = max(3.2, 0.42 * len(matrix) + 1.6)
    figure = new_figure(side + 0.6, side)
    axes = figure.add_subplot()
    order = [*range(1, len(matrix)), 0]
    shown = matrix[np.ix_(order, order)]
    shares = shown / np.maximum(1, shown.sum(axis=1, keepdims=True))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(shown):
        if count:
            ink = "white" if shares[row, column] > 0.55 else "#202124"
            axes.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=7)
    ticks = np.arange(len(matrix))
    axes.set_xticks(ticks, [*names, "missed"], rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, [*names, "background"])
    axes.set(xlabel="predicted as", ylabel="true class")
    return to_png(figure)


def kinds_by_class(shares: Mapping[str, np.ndarray], labels: Sequence[str]) -> bytes:
    """One bar a class: what its N best detections are, N its objects; kind -> f64[C - 1]."""
    figure = new_figure(7.2, 0.3 * len(labels) + 1.3)
    axes: Axes = figure.add_subplot()
    left = np.zeros(len(labels))
    places = np.arange(len(labels))
    for name, values in shares.items():
        axes.barh(places, values, left=left, color=_KINDS[name], label=name, height=0.7)
        left += values
    axes.set_yticks(places, [plain(name) for name in labels])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of the class's N best detections, N = its objects")
    _legend_above(axes, columns=len(shares))
    return to_png(figure)


def cost_bars(costs: Mapping[str, float]) -> bytes:
    """One bar a kind: the mean AP lost to it."""
    figure = new_figure(6.4, 0.34 * len(costs) + 0.9)
    axes = figure.add_subplot()
    names = list(costs)
    bars = axes.barh(names, [costs[name] for name in names], color=[_KINDS[n] for n in names])
    axes.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.set_xlabel("mean AP lost to this kind of error")
    return to_png(figure)


def _legend_above(axes: Axes, *, columns: int) -> None:
    axes.legend(frameon=False, ncols=columns, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
