"""Figures without a display, as PNG."""

import io
import warnings

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind people tell apart; without their yellow, which is
# too light for lines on white.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#000000")
RIGHT, WRONG, QUIET = PALETTE[0], PALETTE[3], "#9aa0a6"
STYLES = ("-", "--", ":", "-.")


def line_style(number: int) -> dict[str, str]:
    """Colour and dashes of the line with this number: no two of 28 are alike."""
    style = STYLES[number // len(PALETTE) % len(STYLES)]
    return {"color": PALETTE[number % len(PALETTE)], "linestyle": style}


def plain(name: str, longest: int = 22) -> str:
    """A name as matplotlib has to get it: no TeX, no line breaks, not too long."""
    name = " ".join(name.split())
    short = name if len(name) <= longest else f"{name[: longest - 1]}…"
    return short.replace("$", r"\$")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; inches."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file, in the plain style of all charts."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.title.set_size(9)
    file = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box: no reason to stop.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()
