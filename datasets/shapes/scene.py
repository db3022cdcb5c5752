"""One drawn image: which shapes stand where, what hides what, and the pixels.

A box spans the whole drawn outline, cut off at the image's edge, also where another shape lies on
top. A shape is `difficult` when less than `CLEARLY_VISIBLE` of its area can be seen or when it is
painted faintly; both happen on purpose, at known rates. Everything follows from the generator
handed in.
"""

from typing import NamedTuple

import numpy as np

from datasets.shapes import backgrounds, drawing
from datasets.shapes.backgrounds import Size
from datasets.shapes.drawing import Contours

SMALLEST, LARGEST = 0.08, 0.60  # longer side of a shape, as a part of the image's shorter side
CLEARLY_VISIBLE = 0.50
_BARELY_VISIBLE = 0.15  # less than that would not be worth a box
_COUNTS = {0: 0.02, 1: 0.08, 2: 0.16, 3: 0.22, 4: 0.2, 5: 0.15, 6: 0.1, 7: 0.07}
_KINDS = {"plain": 0.76, "faint": 0.04, "cut off": 0.1, "covering": 0.1}
_TRIALS = 30

Box = tuple[float, float, float, float]  # ymin, xmin, ymax, xmax in pixels, within the image


class Shape(NamedTuple):
    """A shape in its place; later ones of an image are painted over earlier ones.

    Attributes:
      pixels: rows and columns of the image around it.
      mask: which of these it takes, bool.
      area: its own, pixels, which may reach beyond the edge.
    """

    name: str
    contours: Contours
    faint: bool
    pixels: tuple[slice, slice]
    mask: np.ndarray
    area: int
    box: Box
    truncated: bool


class Labelled(NamedTuple):
    """What the annotation says of a shape; `visible` is the part of its area that can be seen."""

    name: str
    box: Box
    visible: float
    difficult: bool
    truncated: bool


class Picture(NamedTuple):
    """u8[H, W, 3] RGB and what is on it."""

    image: np.ndarray
    objects: tuple[Labelled, ...]


class _Board:
    """Which shape is on top at each pixel, so that a new one can be tried before it is placed."""

    def __init__(self, size: Size):
        self.size = size
        self.shapes: list[Shape] = []
        self.visible = np.zeros(0)  # part of each shape's area that can be seen
        self._top = np.zeros(size, np.uint8)  # 0 the ground, k the k-th shape

    def visible_under(self, new: Shape) -> np.ndarray:
        """Visible part of every shape if `new` lay on top, f64[N]."""
        hidden = self._top[new.pixels][new.mask]
        counts = np.bincount(hidden, minlength=len(self.shapes) + 1)[1:]
        return self.visible - counts / [shape.area for shape in self.shapes]

    def spoilt_by(self, new: Shape) -> np.ndarray:
        """Which shapes `new` would hide so far that they become difficult, or nearly: bool[N]."""
        after = self.visible_under(new)
        return (after < self.visible) & (after < CLEARLY_VISIBLE + 0.15)

    def place(self, new: Shape) -> None:
        self.visible = np.append(self.visible_under(new), new.mask.sum() / new.area)
        self.shapes.append(new)
        self._top[new.pixels][new.mask] = len(self.shapes)


def _shape(name: str, contours: Contours, size: Size, *, faint: bool = False) -> Shape:
    height, width = size
    low, high = contours[0].min(axis=0), contours[0].max(axis=0)
    xmin, ymin, xmax, ymax = np.ravel([low, high]).tolist()
    window = drawing.window_around(contours)
    mask = drawing.coverage(contours, window) > 127
    pixels, inside = window.within(size)
    box = (max(0.0, ymin), max(0.0, xmin), min(float(height), ymax), min(float(width), xmax))
    truncated = min(xmin, ymin, height - ymax, width - xmax) < -1.0
    return Shape(name, contours, faint, pixels, mask[inside], int(mask.sum()), box, truncated)


def _overlaps(box: Box, shapes: list[Shape]) -> np.ndarray:
    """Intersection over union of a box with those of shapes, f64[N]."""
    one, others = np.array(box), np.array([shape.box for shape in shapes]).reshape(-1, 4)
    sides = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    shared = np.maximum(sides, 0.0).prod(axis=1)
    area, areas = np.prod(one[2:] - one[:2]), np.prod(others[:, 2:] - others[:, :2], axis=1)
    return shared / (area + areas - shared)


def _draw_outline(rng: np.random.Generator, shorter: int, least: float) -> tuple[str, Contours]:
    size = least * (LARGEST / least) ** (rng.random() ** 0.85) * shorter
    name = drawing.NAMES[rng.integers(len(drawing.NAMES))]
    angle = rng.uniform(-8.0, 8.0) if rng.random() < 0.4 else rng.uniform(0.0, 360.0)
    return name, drawing.outline(name, size=size, angle=angle, stretch=rng.uniform(0.8, 1.25))


def _draw_centre(
    rng: np.random.Generator, kind: str, half: np.ndarray, frame: np.ndarray, covered: Box | None
) -> np.ndarray:
    """(x, y) of a shape `half` as wide and high, in a frame of that width and height."""
    if covered is not None:
        box = np.array(covered)
        shift = rng.uniform(0.2, 0.5) * (box[2:] - box[:2]).max()
        turn = rng.uniform(0.0, 2 * np.pi)
        return (box[[1, 0]] + box[[3, 2]]) / 2.0 + shift * np.array([np.cos(turn), np.sin(turn)])
    centre = rng.uniform(half + 1.0, np.maximum(frame - half - 1.0, half + 1.0))
    if kind == "cut off":  # a tenth to a third of the shape lies beyond one edge
        axis, beyond = rng.integers(2), rng.uniform(0.1, 0.33)
        near = half[axis] * (1.0 - 2.0 * beyond)
        centre[axis] = near if rng.random() < 0.5 else frame[axis] - near
    return centre


def _place(rng: np.random.Generator, board: _Board, kind: str) -> None:
    """Puts a shape of this kind on the board where there is room for one.

    All below it stay clearly visible, but for the one most of which a covering shape hides.
    """
    frame = np.array(board.size[::-1], float)
    target = int(rng.integers(len(board.shapes))) if kind == "covering" else None
    covered = None if target is None else board.shapes[target].box
    most = 0.0 if kind == "faint" else 0.4  # what a faint shape lies on would show through
    for _ in range(_TRIALS):
        least = 0.2 if kind == "cut off" else SMALLEST
        name, outline = _draw_outline(rng, min(board.size), least)
        half = np.ptp(outline[0], axis=0) / 2.0
        centre = _draw_centre(rng, kind, half, frame, covered)
        new = _shape(name, [part + centre for part in outline], board.size, faint=kind == "faint")
        spoilt = board.spoilt_by(new)
        if target is None:
            fits = _overlaps(new.box, board.shapes).max(initial=0.0) <= most
        else:
            spoilt[target] = new.truncated
            fits = _BARELY_VISIBLE < board.visible_under(new)[target] < CLEARLY_VISIBLE
        if fits and not spoilt.any():
            board.place(new)
            return


def _paint(rng: np.random.Generator, board: _Board) -> np.ndarray:
    canvas, tones = backgrounds.ground(rng, board.size)
    colours: list[np.ndarray] = []
    for shape in board.shapes:
        touching = _overlaps(shape.box, board.shapes[: len(colours)]) > 0.0
        near = [colour for colour, touches in zip(colours, touching, strict=True) if touches]
        colours.append(drawing.choose_colour(rng, [*tones, *near], name=shape.name))
        opacity = rng.uniform(0.12, 0.22) if shape.faint else 1.0
        drawing.paint(canvas, shape.contours, colour=colours[-1], rng=rng, opacity=opacity)
    return np.clip(np.round(canvas), 0.0, 255.0).astype(np.uint8)


def draw(rng: np.random.Generator) -> Picture:
    """Draws one image of about the size of Pascal VOC's; it is a function of `rng` alone."""
    longer = int(rng.integers(400, 501))
    shorter = int(rng.integers(max(320, int(0.66 * longer)), int(0.9 * longer)))
    board = _Board((longer, shorter) if rng.random() < 0.25 else (shorter, longer))
    for _ in range(rng.choice(list(_COUNTS), p=list(_COUNTS.values()))):
        kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
        _place(rng, board, kind if kind != "covering" or board.shapes else "plain")
    objects = tuple(
        Labelled(one.name, one.box, seen, one.faint or seen < CLEARLY_VISIBLE, one.truncated)
        for one, seen in zip(board.shapes, board.visible.tolist(), strict=True)
    )
    return Picture(_paint(rng, board), objects)
