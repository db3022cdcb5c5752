"""One drawn image: which shapes stand where, what hides what, and the pixels.

A box spans the whole drawn outline, cut off at the image's edge, also where another shape lies on
top. A shape is `difficult` when less than `CLEARLY_VISIBLE` of its area can be seen or when it is
painted faintly; both happen on purpose, at known rates. Everything follows from the generator
handed in.
"""

from typing import NamedTuple

import numpy as np

from datasets.shapes import backgrounds, drawing
from datasets.shapes.drawing import Contours

SMALLEST, LARGEST = 0.08, 0.60  # longer side of a shape, as a part of the image's shorter side
CLEARLY_VISIBLE = 0.50
_BARELY_VISIBLE = 0.15  # less than that would not be worth a box
_COUNTS = {0: 0.02, 1: 0.08, 2: 0.16, 3: 0.22, 4: 0.2, 5: 0.15, 6: 0.1, 7: 0.07}
_KINDS = {"plain": 0.76, "faint": 0.04, "cut off": 0.1, "covering": 0.1}
_TRIALS = 30


class Shape(NamedTuple):
    """A shape in its place; later ones of an image are painted over earlier ones."""

    name: str
    contours: Contours
    faint: bool


class Labelled(NamedTuple):
    """What the annotation says of a shape.

    `box` is (ymin, xmin, ymax, xmax) in pixels, real numbers within the image; `visible` is the
    part of the shape's area that can be seen.
    """

    name: str
    box: tuple[float, float, float, float]
    visible: float
    difficult: bool
    truncated: bool


class Picture(NamedTuple):
    """u8[H, W, 3] RGB and what is on it."""

    image: np.ndarray
    objects: tuple[Labelled, ...]


class _Window(NamedTuple):
    """The pixels that a shape takes, its box and its own area, which may reach beyond the edge."""

    rows: slice
    columns: slice
    mask: np.ndarray
    area: int
    box: tuple[float, float, float, float]
    truncated: bool


class _Board:
    """Which shape is on top at each pixel, so that a new one can be tried before it is placed."""

    def __init__(self, height: int, width: int):
        self.shape = height, width
        self.windows: list[_Window] = []
        self.visible = np.zeros(0)  # part of each shape's area that can be seen
        self._top = np.zeros((height, width), np.uint8)  # 0 the ground, k the k-th shape

    def visible_under(self, new: _Window) -> np.ndarray:
        """Visible part of every shape if `new` lay on top, f64[N]."""
        hidden = self._top[new.rows, new.columns][new.mask]
        counts = np.bincount(hidden, minlength=len(self.windows) + 1)[1:]
        return self.visible - counts / [window.area for window in self.windows]

    def spoilt_by(self, new: _Window) -> np.ndarray:
        """Which shapes `new` would hide so far that they become difficult, or nearly: bool[N]."""
        after = self.visible_under(new)
        return (after < self.visible) & (after < CLEARLY_VISIBLE + 0.15)

    def place(self, new: _Window) -> None:
        self.visible = np.append(self.visible_under(new), new.mask.sum() / new.area)
        self.windows.append(new)
        self._top[new.rows, new.columns][new.mask] = len(self.windows)


def _window(contours: Contours, height: int, width: int) -> _Window:
    low, high = contours[0].min(axis=0), contours[0].max(axis=0)
    (xmin, ymin), (xmax, ymax) = low.tolist(), high.tolist()
    left, top = np.floor(low).astype(int).tolist()
    right, bottom = np.ceil(high).astype(int).tolist()
    size = {"width": right - left, "height": bottom - top}
    mask = drawing.coverage(contours, left=left, top=top, **size) > 127
    rows = slice(max(0, top), min(height, bottom))
    columns = slice(max(0, left), min(width, right))
    inside = mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    box = (max(0.0, ymin), max(0.0, xmin), min(float(height), ymax), min(float(width), xmax))
    truncated = min(xmin, ymin, height - ymax, width - xmax) < -1.0
    return _Window(rows, columns, inside, int(mask.sum()), box, truncated)


def _overlap(box: tuple, others: list[_Window]) -> float:
    """Largest intersection over union of `box` with the others'."""
    best = 0.0
    for other in (window.box for window in others):
        height = min(box[2], other[2]) - max(box[0], other[0])
        width = min(box[3], other[3]) - max(box[1], other[1])
        shared = max(0.0, height) * max(0.0, width)
        areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (box, other)]
        best = max(best, shared / (sum(areas) - shared))
    return best


def _draw_outline(rng: np.random.Generator, shorter: int, least: float) -> tuple[str, Contours]:
    size = least * (LARGEST / least) ** (rng.random() ** 0.85) * shorter
    name = drawing.NAMES[rng.integers(len(drawing.NAMES))]
    upright = rng.random() < 0.4
    angle = rng.uniform(-8.0, 8.0) if upright else rng.uniform(0.0, 360.0)
    stretch = rng.uniform(0.8, 1.25)
    return name, drawing.outline(name, size=size, angle=angle, stretch=stretch)


def _moved(contours: Contours, centre: np.ndarray) -> Contours:
    return [part + centre for part in contours]


def _centre_inside(rng: np.random.Generator, half: np.ndarray, frame: np.ndarray) -> np.ndarray:
    return rng.uniform(half + 1.0, np.maximum(frame - half - 1.0, half + 1.0))


def _centre_cut_off(rng: np.random.Generator, half: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """A centre that leaves a tenth to a third of the shape beyond one edge."""
    centre = _centre_inside(rng, half, frame)
    axis, beyond = rng.integers(2), rng.uniform(0.1, 0.33)
    near = half[axis] * (1.0 - 2.0 * beyond)
    centre[axis] = near if rng.random() < 0.5 else frame[axis] - near
    return centre


def _try_freely(rng: np.random.Generator, board: _Board, kind: str) -> Shape | None:
    """A shape that leaves the others clearly visible, or None where there was no room."""
    height, width = board.shape
    frame = np.array([width, height], float)
    cut_off = kind == "cut off"
    most = 0.0 if kind == "faint" else 0.4  # what a faint shape lies on would show through
    for _ in range(_TRIALS):
        name, contours = _draw_outline(rng, min(height, width), 0.2 if cut_off else SMALLEST)
        half = np.ptp(contours[0], axis=0) / 2.0
        centre = (_centre_cut_off if cut_off else _centre_inside)(rng, half, frame)
        contours = _moved(contours, centre)
        window = _window(contours, height, width)
        if not board.spoilt_by(window).any() and _overlap(window.box, board.windows) <= most:
            board.place(window)
            return Shape(name, contours, faint=kind == "faint")
    return None


def _try_covering(rng: np.random.Generator, board: _Board) -> Shape | None:
    """A shape that hides most of one other shape, or None where that could not be had."""
    height, width = board.shape
    target = int(rng.integers(len(board.windows)))
    box = np.array(board.windows[target].box)
    middle, extent = (box[[1, 0]] + box[[3, 2]]) / 2.0, (box[2:] - box[:2]).max()
    for _ in range(_TRIALS):
        name, contours = _draw_outline(rng, min(height, width), SMALLEST)
        shift = rng.uniform(0.2, 0.5) * extent
        turn = rng.uniform(0.0, 2 * np.pi)
        contours = _moved(contours, middle + shift * np.array([np.cos(turn), np.sin(turn)]))
        window = _window(contours, height, width)
        others = np.delete(board.spoilt_by(window), target)
        hides = _BARELY_VISIBLE < board.visible_under(window)[target] < CLEARLY_VISIBLE
        if hides and not others.any() and not window.truncated:
            board.place(window)
            return Shape(name, contours, faint=False)
    return None


def _arrange(rng: np.random.Generator, board: _Board) -> list[Shape]:
    count = rng.choice(list(_COUNTS), p=list(_COUNTS.values()))
    shapes: list[Shape] = []
    for _ in range(count):
        kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
        covers = kind == "covering" and shapes
        shape = _try_covering(rng, board) if covers else _try_freely(rng, board, kind)
        if shape is not None:
            shapes.append(shape)
    return shapes


def _paint(rng: np.random.Generator, shapes: list[Shape], board: _Board) -> np.ndarray:
    height, width = board.shape
    canvas, tones = backgrounds.ground(rng, height=height, width=width)
    colours: list[np.ndarray] = []
    for k, shape in enumerate(shapes):
        near = [
            colours[j] for j in range(k) if _overlap(board.windows[k].box, [board.windows[j]]) > 0.0
        ]
        colours.append(drawing.choose_colour(rng, [*tones, *near], name=shape.name))
        opacity = rng.uniform(0.12, 0.22) if shape.faint else 1.0
        drawing.paint(canvas, shape.contours, colour=colours[-1], rng=rng, opacity=opacity)
    return np.clip(np.round(canvas), 0.0, 255.0).astype(np.uint8)


def draw(rng: np.random.Generator) -> Picture:
    """Draws one image of about the size of Pascal VOC's.

    Args:
      rng: the image is a function of it alone.
    """
    longer = int(rng.integers(400, 501))
    shorter = int(rng.integers(max(320, int(0.66 * longer)), int(0.9 * longer)))
    height, width = (longer, shorter) if rng.random() < 0.25 else (shorter, longer)
    board = _Board(height, width)
    shapes = _arrange(rng, board)
    image = _paint(rng, shapes, board)
    objects = tuple(
        Labelled(
            name=shape.name,
            box=window.box,
            visible=float(visible),
            difficult=bool(shape.faint or visible < CLEARLY_VISIBLE),
            truncated=window.truncated,
        )
        for shape, window, visible in zip(shapes, board.windows, board.visible, strict=True)
    )
    return Picture(image, objects)
