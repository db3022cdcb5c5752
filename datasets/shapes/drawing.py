"""Outlines of the drawn data set's shapes, and how they are painted.

Every shape is a list of contours under the even-odd rule, so a ring is two circles. Its rim is
painted inside the outline and its shadow does not belong to it: the bounding box of the contours
is the bounding box of what is seen. A class has two usual colours, as things have, and
takes another where these would not stand out: colour helps to tell the class, form is sure.
"""

from collections.abc import Callable

import cv2
import numpy as np

from datasets.shapes.backgrounds import along

Contours = list[np.ndarray]  # each f64[P, 2], (x, y)

_SHIFT = 4  # cv2.fillPoly takes fixed-point coordinates with this many fractional bits
_ZOOM = 4
_STANDS_OUT = 30.0  # distance of two colours in CIE Lab
_VIVID = (
    (226, 61, 68),
    (240, 128, 44),
    (250, 199, 62),
    (74, 150, 58),
    (34, 153, 110),
    (42, 178, 199),
    (46, 117, 204),
    (96, 84, 190),
    (176, 76, 178),
    (231, 92, 148),
    (247, 243, 232),
    (196, 226, 52),
)


def _regular(points: int, *, radius: float = 1.0, start: float = -90.0) -> np.ndarray:
    angles = np.deg2rad(start + np.arange(points) * 360.0 / points)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star() -> np.ndarray:
    star = np.empty((10, 2))
    star[0::2] = _regular(5)
    star[1::2] = _regular(5, radius=0.45, start=-54.0)
    return star


def _cross(arm: float = 0.34) -> np.ndarray:
    corner = np.array([[arm, -1.0], [arm, -arm], [1.0, -arm]])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    return np.concatenate([corner @ np.linalg.matrix_power(turn, k) for k in range(4)])


_OUTLINES: dict[str, Callable[[], Contours]] = {
    "circle": lambda: [_regular(72)],
    "cross": lambda: [_cross()],
    "ring": lambda: [_regular(72), _regular(72, radius=0.52)],
    "square": lambda: [_regular(4, start=-45.0)],
    "star": lambda: [_star()],
    "triangle": lambda: [_regular(3)],
}
NAMES = tuple(sorted(_OUTLINES))
_STRETCHED = ("cross", "star", "triangle")  # a stretched circle or square would not be one


def outline(name: str, *, size: float, angle: float, stretch: float = 1.0) -> Contours:
    """Contours of a shape whose bounding box is centred on (0, 0).

    Args:
      name: one of `NAMES`.
      size: longer side of the bounding box after rotation, pixels.
      angle: rotation in degrees.
      stretch: width over height before the rotation; circle, ring and square ignore it.
    """
    across = np.sqrt(stretch) if name in _STRETCHED else 1.0
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    contours = [(part * (across, 1.0 / across)) @ rotation for part in _OUTLINES[name]()]
    low, high = contours[0].min(axis=0), contours[0].max(axis=0)
    scale = size / (high - low).max()
    return [(part - (low + high) / 2.0) * scale for part in contours]


def _fixed_point(contours: Contours, left: int, top: int, zoom: int = 1) -> list[np.ndarray]:
    # OpenCV's whole numbers are pixel centres: a pixel's left edge lies half a pixel before.
    scale = 1 << _SHIFT
    return [
        np.round(((part - (left, top)) * zoom - 0.5) * scale).astype(np.int32) for part in contours
    ]


def coverage(contours: Contours, *, left: int, top: int, width: int, height: int) -> np.ndarray:
    """How much of each pixel the shape covers, u8[height, width], in a window at (left, top)."""
    # OpenCV's own antialiasing makes a polygon half a pixel larger all around: draw large instead.
    large = np.zeros((height * _ZOOM, width * _ZOOM), np.uint8)
    cv2.fillPoly(large, _fixed_point(contours, left, top, _ZOOM), 255, shift=_SHIFT)
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)


def _stroke(
    contours: Contours, left: int, top: int, height: int, width: int, *, thickness: int
) -> np.ndarray:
    """The outline as a line, f32[height, width] in 0-1."""
    line = np.zeros((height, width), np.uint8)
    fixed = _fixed_point(contours, left, top)
    cv2.polylines(line, fixed, True, 255, thickness, lineType=cv2.LINE_AA, shift=_SHIFT)
    return line.astype(np.float32) / np.float32(255.0)


def _lab(colour: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.float32([[colour]]) / 255.0, cv2.COLOR_RGB2LAB)[0, 0]


def choose_colour(rng: np.random.Generator, avoid: list[np.ndarray], *, name: str) -> np.ndarray:
    """A vivid colour, f32[3] RGB in 0-255, that stands out (CIE Lab) from those in `avoid`.

    The usual two of the shape `name` come first. Where no colour of the palette is that far, the
    farthest is taken.
    """
    jitter = rng.uniform(-10.0, 10.0, (len(_VIVID), 3))
    palette = np.clip(np.float32(_VIVID) + jitter, 0.0, 255.0).astype(np.float32)
    keep_off = np.stack([_lab(colour) for colour in avoid])
    first = 2 * sorted(_OUTLINES).index(name)
    order = sorted(rng.permutation(len(palette)), key=lambda k: k not in (first, first + 1))
    for k in order:
        if np.linalg.norm(keep_off - _lab(palette[k]), axis=1).min() >= _STANDS_OUT:
            return palette[k]
    gaps = [np.linalg.norm(keep_off - _lab(palette[k]), axis=1).min() for k in order]
    return palette[order[int(np.argmax(gaps))]]


def _fill(rng: np.random.Generator, colour: np.ndarray, height: int, width: int) -> np.ndarray:
    """The inside of a shape, f32[height, width, 3]: lit from the upper left, at times patterned."""
    rows = np.linspace(1.0, -1.0, height, dtype=np.float32)[:, None]
    columns = np.linspace(1.0, -1.0, width, dtype=np.float32)[None, :]
    light = 1.0 + 0.09 * (rows + columns)
    if rng.random() < 0.3:
        pitch = max(7.0, min(height, width) * rng.uniform(0.12, 0.2))
        wave = np.sin(along(rng, height, width) * np.float32(2 * np.pi / pitch))
        light = light + 0.1 * np.clip(3.0 * wave, -1.0, 1.0)
    return colour * light[..., None]


def _blend(canvas: np.ndarray, layer: np.ndarray, alpha: np.ndarray, left: int, top: int) -> None:
    """Puts `layer` over `canvas` in place at (left, top), leaving out what falls outside."""
    rows = slice(max(0, top), min(canvas.shape[0], top + alpha.shape[0]))
    columns = slice(max(0, left), min(canvas.shape[1], left + alpha.shape[1]))
    inner = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    weight = alpha[inner][..., None]
    source = layer[inner] if layer.ndim == 3 else layer
    canvas[rows, columns] += (source - canvas[rows, columns]) * weight


def paint(
    canvas: np.ndarray,
    contours: Contours,
    *,
    colour: np.ndarray,
    rng: np.random.Generator,
    opacity: float = 1.0,
) -> None:
    """Paints one shape over `canvas`, f32[H, W, 3] RGB, in place: shadow, fill, rim.

    Args:
      canvas: what stands there already; the shape may lie partly outside.
      contours: pixel coordinates of the image.
      colour: f32[3] RGB in 0-255.
      rng: draws the pattern of the fill.
      opacity: 1 hides what is below; a faint shape has less, and no shadow.
    """
    low, high = contours[0].min(axis=0), contours[0].max(axis=0)
    extent = (high - low).max()
    margin = int(np.ceil(0.08 * extent)) + 2
    left, top = (np.floor(low).astype(int) - margin).tolist()
    width, height = (np.ceil(high).astype(int) + margin - (left, top)).tolist()
    mask = coverage(contours, left=left, top=top, width=width, height=height)
    alpha = mask.astype(np.float32) * np.float32(opacity / 255.0)
    if opacity == 1.0:
        drop = max(1, round(0.025 * extent))
        shadow = cv2.GaussianBlur(alpha, (0, 0), max(0.8, 0.022 * extent)) * np.float32(0.42)
        _blend(canvas, colour * np.float32(0.15), shadow, left + drop, top + drop)
    fill = _fill(rng, colour, height, width)
    rim = _stroke(contours, left, top, height, width, thickness=max(2, round(0.07 * extent)))
    fill += (colour * np.float32(0.62) - fill) * rim[..., None]
    _blend(canvas, fill, alpha, left, top)
