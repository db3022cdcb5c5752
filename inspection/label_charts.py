"""Where objects are and how large: widths over heights, and centres, by set of records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from inspection.collect import Inspection
from visualization import charts

_CELLS = 20  # of the map of centres, in each direction
_MOST = 20_000  # objects drawn; of more every k-th


def draw(found: Inspection) -> bytes:
    """Two panels: width over height of every object, and how many centres lie where."""
    figure = charts.new_figure(8.6, 4.0)
    sizes, centres = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    of_objects = np.array([found.groups[k] for k in found.pictures], object)
    _draw_sizes(sizes, found.boxes, of_objects)
    middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    counts, _, _ = np.histogram2d(middle[:, 0], middle[:, 1], _CELLS, [(0, 1), (0, 1)])
    image = centres.imshow(counts, cmap="Blues", extent=(0, 100, 100, 0), vmin=0)
    figure.colorbar(image, ax=centres, shrink=0.8, label="objects")
    centres.set(title="centres", xlabel="x, % of the width", ylabel="y, % of the height")
    return charts.to_png(figure)


def _draw_sizes(axes: Axes, boxes: np.ndarray, groups: np.ndarray) -> None:
    sizes = 100 * (boxes[:, 2:] - boxes[:, :2])
    step = max(1, len(sizes) // _MOST)
    names = [*dict.fromkeys(groups.tolist())]
    for number, name in enumerate(names):
        height, width = sizes[groups == name][::step].T
        colour = charts.line_style(number)["color"]
        axes.scatter(width, height, 5, color=colour, alpha=0.4, label=charts.plain(name))
    if len(names) > 1:
        axes.legend(fontsize=8, frameon=False)
    axes.set(title="sizes", xlabel="width, % of the image's", ylabel="height, % of the image's")
    axes.set(xlim=(0, 102), ylim=(0, 102), aspect="equal")


def statistics(found: Inspection) -> dict[str, dict[str, Any]]:
    """For each set of records, or "all": images, objects, and medians of width, height and number.

    Widths and heights are relative to the image.
    """
    of_pictures = np.array(found.groups, object)
    of_objects = of_pictures[found.pictures] if len(of_pictures) else of_pictures
    sizes = found.boxes[:, 2:] - found.boxes[:, :2]
    rows = {}
    for name in dict.fromkeys(found.groups):
        pictures, objects = of_pictures == name, of_objects == name
        numbers = np.bincount(found.pictures, minlength=len(of_pictures))[pictures]
        height, width = np.median(sizes[objects], axis=0) if objects.any() else (None, None)
        rows[name or "all"] = {
            "pictures": int(pictures.sum()),
            "objects": int(objects.sum()),
            "median_objects": float(np.median(numbers)),
            "median_width": width and float(width),
            "median_height": height and float(height),
        }
    return rows


def table_rows(statistics: Mapping[str, Mapping[str, Any]]) -> Sequence[tuple[object, ...]]:
    """Name, images, objects, medians of objects an image, width and height in per cent."""

    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    return [
        (
            *(name, row["pictures"], row["objects"], f"{row['median_objects']:g}"),
            *(percent(row["median_width"]), percent(row["median_height"])),
        )
        for name, row in statistics.items()
    ]
