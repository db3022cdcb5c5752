"""Made-up images with boxes, alike for every contender."""

from typing import NamedTuple

import cv2
import numpy as np


class Scenes(NamedTuple):
    """A batch as annotated.

    Attributes:
      images: f32[B, S, S, 3], RGB from 0 to 255.
      boxes: f32[N, 4] of each image, relative ymin, xmin, ymax, xmax.
      labels: i64[N] of each image, from 1.
    """

    images: np.ndarray
    boxes: list[np.ndarray]
    labels: list[np.ndarray]


def make_pictures(count: int, side: int = 300) -> np.ndarray:
    """f32[count, side, side, 3], RGB from 0 to 255: smooth noise."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (count, 12, 12, 3), np.uint8)
    smooth = [cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in coarse]
    return np.stack(smooth).astype(np.float32)


def make_scenes(count: int, *, classes: int, objects: int, side: int = 300) -> Scenes:
    """Images with boxes a tenth to a half of a side long, of all classes but the background."""
    draw = np.random.default_rng(1)
    sizes = draw.uniform(0.1, 0.5, (count, objects, 2))
    corners = draw.uniform(0.0, 1.0 - sizes)
    boxes = np.concatenate([corners, corners + sizes], 2).astype(np.float32)
    labels = draw.integers(1, classes, (count, objects), np.int64)
    return Scenes(make_pictures(count, side), list(boxes), list(labels))
