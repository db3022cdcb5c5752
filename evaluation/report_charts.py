"""The charts of the report: numbers in, PNG bytes out, by matplotlib without its global state.

Names come from users: they are drawn as they stand, never as TeX.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from metrics.voc import ClassResult
from visualization.charts import new_figure, plain, to_png

_RIGHT, _WRONG, _LINE = "#2a9d43", "#d1495b", "#0060a8"
_KINDS = {
    "right": _RIGHT,
    "localisation": "#edae49",
    "class": "#7b4fb5",
    "both": "#b49bd6",
    "duplicate": "#4aa3c7",
    "background": _WRONG,
    "missed": "#555b66",
}


def precision_recall(classes: Sequence[ClassResult]) -> bytes:
    """A panel for each class that has objects: precision over recall, and the AP."""
    shown = [row for row in classes if row.num_objects]
    columns = min(4, max(1, len(shown)))
    lines = max(1, -(-len(shown) // columns))
    figure = new_figure(2.6 * columns + 0.4, 2.3 * lines + 0.3)
    if not shown:
        figure.add_subplot(title="no class has objects").set_axis_off()
    for k, row in enumerate(shown):
        axes = figure.add_subplot(lines, columns, k + 1)
        recall = np.concatenate([0.0 * row.recall[:1], row.recall])
        precision = np.concatenate([row.precision[:1], row.precision])
        axes.fill_between(recall, precision, color=_LINE, alpha=0.12, linewidth=0)
        axes.plot(recall, precision, color=_LINE, linewidth=1.4)
        axes.set(xlim=(0, 1.01), ylim=(0, 1.03), title=f"{plain(row.label)}  {row.ap_voc12:.3f}")
        if k >= len(shown) - columns:
            axes.set_xlabel("recall")
        if k % columns == 0:
            axes.set_ylabel("precision")
    return to_png(figure)


def score_histogram(right: np.ndarray, wrong: np.ndarray) -> bytes:
    """How many right and wrong detections have which score; counts on a log axis."""
    figure = new_figure(6.4, 3.0)
    axes = figure.add_subplot()
    bins = np.linspace(0, 1, 41)
    for scores, colour, name in ((wrong, _WRONG, "wrong"), (right, _RIGHT, "right")):
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
    axes.hist(sides, bins, stacked=True, color=[_RIGHT, _WRONG], label=labels)
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
