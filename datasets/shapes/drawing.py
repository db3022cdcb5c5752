"""Outlines of the drawn data set's shapes, and how they are painted.

Every shape is a list of contours under the even-odd rule, so a ring is two circles. Its rim is
painted inside the outline and its shadow does not belong to it: the bounding box of the contours
is the bounding box of what is seen. A class has two usual colours, as things have, and
takes another where these would not stand out: colour helps to tell the class, form is sure.
"""

from typing import NamedTuple

import cv2
import numpy as np

from datasets.shapes.backgrounds import Size, along

Contours = list[np.ndarray]  # each f64[P, 2], (x, y) in pixels

_SHIFT = 4  # cv2.fillPoly takes fixed-point coordinates with this many fractional bits
_ZOOM = 4
_STANDS_OUT = 30.0  # distance of two colours in CIE Lab
_HEX = "e23d44 f0802c fac73e 4a963a 22996e 2ab2c7 2e75cc 6054be b04cb2 e75c94 f7f3e8 c4e234"
_VIVID = np.float32([list(bytes.fromhex(colour)) for colour in _HEX.split()])


def _regular(points: int, *, radius: float = 1.0, start: float = -90.0) -> np.ndarray:
    angles = np.deg2rad(start + np.arange(points) * 360.0 / points)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


_TIPS, _NOTCHES = _regular(5), _regular(5, radius=0.45, start=-54.0)
_CORNER = np.array([[0.34, -1.0], [0.34, -0.34], [1.0, -0.34]])
_QUARTER_TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])
_OUTLINES: dict[str, Contours] = {
    "circle": [_regular(72)],
    "cross": [
        np.concatenate([_CORNER @ np.linalg.matrix_power(_QUARTER_TURN, k) for k in range(4)])
    ],
    "ring": [_regular(72), _regular(72, radius=0.52)],
    "square": [_regular(4, start=-45.0)],
    "star": [np.stack([_TIPS, _NOTCHES], axis=1).reshape(-1, 2)],
    "triangle": [_regular(3)],
}
NAMES = tuple(sorted(_OUTLINES))
_STRETCHED = ("cross", "star", "triangle")  # a stretched circle or square would not be one


class Window(NamedTuple):
    """The whole pixels around a shape; it may reach beyond the image."""

    left: int
    top: int
    width: int
    height: int

    def within(self, size: Size) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """What of it lies in an image of that size: rows and columns there, and its own."""
        ends = ((self.top, self.height, size[0]), (self.left, self.width, size[1]))
        there = [(max(0, low), max(0, min(most, low + long))) for low, long, most in ends]
        rows, columns = (slice(*span) for span in there)
        own = slice(rows.start - self.top, rows.stop - self.top)
        return (rows, columns), (own, slice(columns.start - self.left, columns.stop - self.left))


def window_around(contours: Contours, margin: int = 0) -> Window:
    """The smallest window of the contours with so many pixels more on every side."""
    low = np.floor(contours[0].min(axis=0)).astype(int) - margin
    high = np.ceil(contours[0].max(axis=0)).astype(int) + margin
    return Window(*low.tolist(), *(high - low).tolist())


def outline(name: str, *, size: float, angle: float, stretch: float = 1.0) -> Contours:
    """Contours of a shape whose bounding box is centred on (0, 0), its longer side `size` pixels.

    It is turned by `angle` degrees, and before that `stretch` times as wide as high; circle, ring
    and square ignore the latter.
    """
    across = np.sqrt(stretch) if name in _STRETCHED else 1.0
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    contours = [(part * (across, 1.0 / across)) @ rotation for part in _OUTLINES[name]]
    low, high = contours[0].min(axis=0), contours[0].max(axis=0)
    scale = size / (high - low).max()
    return [(part - (low + high) / 2.0) * scale for part in contours]


def _fixed_point(contours: Contours, window: Window, zoom: int = 1) -> list[np.ndarray]:
    # OpenCV's whole numbers are pixel centres: a pixel's left edge lies half a pixel before.
    large = [(part - window[:2]) * zoom - 0.5 for part in contours]
    return [np.round(part * (1 << _SHIFT)).astype(np.int32) for part in large]


def coverage(contours: Contours, window: Window) -> np.ndarray:
    """How much of each pixel of a window the shape covers, u8[height, width]."""
    # OpenCV's own antialiasing makes a polygon half a pixel larger all around: draw large instead.
    large = np.zeros((window.height * _ZOOM, window.width * _ZOOM), np.uint8)
    cv2.fillPoly(large, _fixed_point(contours, window, _ZOOM), 255, shift=_SHIFT)
    return cv2.resize(large, window[2:], interpolation=cv2.INTER_AREA)


def _lab(colour: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.float32([[colour]]) / 255.0, cv2.COLOR_RGB2LAB)[0, 0]


def choose_colour(rng: np.random.Generator, avoid: list[np.ndarray], *, name: str) -> np.ndarray:
    """A vivid colour, f32[3] RGB in 0-255, that stands out (CIE Lab) from those in `avoid`.

    The usual two of the shape `name` come first. Where no colour of the palette is that far, the
    farthest is taken.
    """
    palette = np.clip(_VIVID + rng.uniform(-10.0, 10.0, _VIVID.shape), 0.0, 255.0)
    palette = palette.astype(np.float32)
    keep_off = np.stack([_lab(colour) for colour in avoid])
    usual = 2 * NAMES.index(name), 2 * NAMES.index(name) + 1
    order = sorted(rng.permutation(len(palette)), key=lambda k: k not in usual)
    gaps = [np.linalg.norm(keep_off - _lab(palette[k]), axis=1).min() for k in order]
    far = [k for k, gap in zip(order, gaps, strict=True) if gap >= _STANDS_OUT]
    return palette[far[0] if far else order[int(np.argmax(gaps))]]


def _fill(rng: np.random.Generator, colour: np.ndarray, size: Size) -> np.ndarray:
    """The inside of a shape, f32[*size, 3]: lit from the upper left, at times patterned."""
    rows, columns = (np.linspace(1.0, -1.0, side, dtype=np.float32) for side in size)
    light = 1.0 + 0.09 * (rows[:, None] + columns)
    if rng.random() < 0.3:
        pitch = max(7.0, min(size) * rng.uniform(0.12, 0.2))
        wave = np.sin(along(rng, size) * np.float32(2 * np.pi / pitch))
        light = light + 0.1 * np.clip(3.0 * wave, -1.0, 1.0)
    return colour * light[..., None]


def _blend(canvas: np.ndarray, layer: np.ndarray, alpha: np.ndarray, window: Window) -> None:
    """Puts `layer` (or one colour) over `canvas` in place, leaving out what falls outside."""
    there, own = window.within(canvas.shape[:2])
    source = layer[own] if layer.ndim == 3 else layer
    canvas[there] += (source - canvas[there]) * alpha[own][..., None]


def paint(
    canvas: np.ndarray,
    contours: Contours,
    *,
    colour: np.ndarray,
    rng: np.random.Generator,
    opacity: float = 1.0,
) -> None:
    """Paints one shape over `canvas`, f32[H, W, 3] RGB, in place: shadow, fill, rim.

    It may lie partly outside. `colour` is f32[3] RGB in 0-255; `opacity` 1 hides what is below, a
    faint shape has less, and no shadow.
    """
    extent = np.ptp(contours[0], axis=0).max()
    window = window_around(contours, margin=int(np.ceil(0.08 * extent)) + 2)
    size = window.height, window.width
    alpha = coverage(contours, window).astype(np.float32) * np.float32(opacity / 255.0)
    if opacity == 1.0:
        drop = max(1, round(0.025 * extent))
        shadow = cv2.GaussianBlur(alpha, (0, 0), max(0.8, 0.022 * extent)) * np.float32(0.42)
        below = window._replace(left=window.left + drop, top=window.top + drop)
        _blend(canvas, colour * np.float32(0.15), shadow, below)
    fill, rim = _fill(rng, colour, size), np.zeros(size, np.uint8)
    lines, thickness = _fixed_point(contours, window), max(2, round(0.07 * extent))
    cv2.polylines(rim, lines, True, 255, thickness, lineType=cv2.LINE_AA, shift=_SHIFT)
    share = rim.astype(np.float32)[..., None] / np.float32(255.0)
    fill += (colour * np.float32(0.62) - fill) * share
    _blend(canvas, fill, alpha, window)
