"""A plain reading of the recipe, one step and one object at a time, to hold the fast one against.

Follows Caffe's SSD: `ApplyDistort`, `ExpandImage`, `GenerateBatchSamples`, `ProjectBBox`,
`MeetEmitConstraint`. The only deviation is ours too: a crop that loses every object is not made.
Boxes are relative y, x, y, x; windows are (y, x, height, width) relative to what they are cut from.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

MIN_OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9, "any")
WHOLE = (0.0, 0.0, 1.0, 1.0)
COLOUR_RANGES = {
    "brightness": (-32, 32),
    "contrast": (0.5, 1.5),
    "saturation": (0.5, 1.5),
    "hue": (-18, 18),
}


class Geometry(NamedTuple):
    """What one draw does to an image's geometry."""

    ratio: float  # of the canvas to the image
    canvas: tuple[float, float, float, float]  # relative to the image
    crop: tuple[float, float, float, float]  # relative to the canvas
    flipped: bool
    boxes: np.ndarray  # f64[M, 4]
    kept: list[int]  # which objects


def draw_geometry(rng: np.random.Generator, boxes: np.ndarray) -> Geometry:
    """Expansion, crop sampler, resize (nothing happens to relative boxes) and flip."""
    ratio, canvas = draw_canvas(rng)
    boxes = [project(box, canvas) for box in boxes]
    crop = draw_crop(rng, boxes)
    if not surviving(boxes, crop):
        crop = WHOLE
    kept = surviving(boxes, crop)
    boxes = [clip(project(boxes[k], crop)) for k in kept]
    flipped = rng.uniform() < 0.5
    if flipped:
        boxes = [(y0, 1 - x1, y1, 1 - x0) for y0, x0, y1, x1 in boxes]
    return Geometry(ratio, canvas, crop, flipped, np.reshape(boxes, [-1, 4]), kept)


def draw_canvas(rng: np.random.Generator) -> tuple[float, tuple]:
    if rng.uniform() >= 0.5:
        return 1.0, WHOLE
    ratio = rng.uniform(1, 4)
    above, left = rng.uniform(0, ratio - 1), rng.uniform(0, ratio - 1)
    return ratio, (-above, -left, ratio, ratio)


def iou(window: tuple, box: tuple) -> float:
    y, x, height, width = window
    y0, x0, y1, x1 = box
    tall, wide = min(y + height, y1) - max(y, y0), min(x + width, x1) - max(x, x0)
    if tall <= 0 or wide <= 0:
        return 0.0
    return tall * wide / (height * width + (y1 - y0) * (x1 - x0) - tall * wide)


def draw_crop(rng: np.random.Generator, boxes: list, *, overlap: Callable = iou) -> tuple:
    """A window from one of the samplers that succeeded."""
    found = []
    for rule in MIN_OVERLAPS:
        for _ in range(1 if rule is None else 50):
            window = WHOLE if rule is None else draw_window(rng)
            if satisfies(window, rule, boxes, overlap):
                found.append(window)
                break
    return found[rng.integers(len(found))]


def draw_window(rng: np.random.Generator) -> tuple:
    scale = rng.uniform(0.3, 1)
    aspect = rng.uniform(max(0.5, scale**2), min(2, 1 / scale**2))
    width, height = scale * aspect**0.5, scale / aspect**0.5
    return rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width


def satisfies(window: tuple, rule, boxes: list, overlap: Callable) -> bool:
    if rule is None:
        return True
    if rule == "any":  # Caffe's max_jaccard_overlap of 1: any object will do, but one must be there
        return len(boxes) > 0
    return any(overlap(window, box) >= rule for box in boxes)


def surviving(boxes: list, window: tuple) -> list[int]:
    """Indices of the objects whose centre is in the window."""
    y, x, height, width = window
    return [
        k
        for k, (y0, x0, y1, x1) in enumerate(boxes)
        if y <= (y0 + y1) / 2 <= y + height and x <= (x0 + x1) / 2 <= x + width
    ]


def project(box: tuple, window: tuple) -> tuple:
    y, x, height, width = window
    y0, x0, y1, x1 = box
    return (y0 - y) / height, (x0 - x) / width, (y1 - y) / height, (x1 - x) / width


def clip(box: tuple) -> tuple:
    return tuple(min(max(edge, 0.0), 1.0) for edge in box)


class Colour(NamedTuple):
    """A colour draw; None where a part is off. Hue in OpenCV's steps of 2 degrees."""

    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None
    contrast_first: bool = True


def draw_colour(rng: np.random.Generator) -> Colour:
    parts = {
        name: rng.uniform(low, high) if rng.uniform() < 0.5 else None
        for name, (low, high) in COLOUR_RANGES.items()
    }
    return Colour(**parts, contrast_first=rng.uniform() < 0.5)


def distort(image: np.ndarray, colour: Colour) -> np.ndarray:
    """u8[H, W, 3] RGB through OpenCV's bytes and HSV."""
    if colour.brightness is not None:
        image = _bytes(image.astype(np.float32) + colour.brightness)
    if colour.contrast_first:
        image = _contrast(image, colour.contrast)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    if colour.saturation is not None:
        hsv[..., 1] = _bytes(hsv[..., 1] * np.float32(colour.saturation))
        hsv = cv2.cvtColor(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), cv2.COLOR_RGB2HSV)
    if colour.hue is not None:
        hsv[..., 0] = _bytes(hsv[..., 0] + np.float32(colour.hue))
    if colour.saturation is not None or colour.hue is not None:
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return image if colour.contrast_first else _contrast(image, colour.contrast)


def _contrast(image: np.ndarray, factor: float | None) -> np.ndarray:
    return image if factor is None else _bytes(image.astype(np.float32) * factor)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def turn_from_red(pixel: np.ndarray) -> float:
    """Degrees about the grey axis from red, which is at 0, to [3] RGB; green is at 120."""
    red, green, blue = pixel
    return np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue))


def largest_gap(one: np.ndarray, other: np.ndarray) -> float:
    """Kolmogorov and Smirnov's distance of two samples, times sqrt(n m / (n + m)).

    Above 1.95 one time in a thousand where both are of one distribution. Rounded, since an atom
    such as an untouched box must not fall apart by float32.
    """
    one, other = (np.sort(np.round(np.asarray(sample, np.float64), 4)) for sample in (one, other))
    both = np.concatenate([one, other])
    gap = np.searchsorted(one, both, "right") / len(one) - np.searchsorted(
        other, both, "right"
    ) / len(other)
    return float(np.abs(gap).max() * np.sqrt(len(one) * len(other) / (len(one) + len(other))))
