"""Which object a detection overlaps most, for many images at once.

Boxes are in pixels, ymin, xmin, ymax, xmax, and include their last pixel: a width is
xmax - xmin + 1. Keys say what may be compared at all (in VOC: the same image and class), so
that P pairs of equal keys cost O(P) after a sort, not the product of both tables.
"""

import numpy as np


def best_overlaps(
    keys: np.ndarray,
    boxes: np.ndarray,
    object_keys: np.ndarray,
    object_boxes: np.ndarray,
    *,
    threshold: float,
) -> np.ndarray:
    """Row of the object of equal key that each box overlaps most, or -1.

    Of equal overlaps the first object wins.

    Args:
      keys: i64[D].
      boxes: f64[D, 4], pixels.
      object_keys: i64[M], in any order.
      object_boxes: f64[M, 4], pixels.
      threshold: an IoU must be above it; 0 or more.

    Returns:
      i64[D].
    """
    matches = np.full(len(keys), -1, np.int64)
    rows, objects, starts = _pairs(keys, object_keys)
    overlaps = paired_iou(boxes[rows], object_boxes[objects])
    best = np.maximum.reduceat(overlaps, starts)
    sizes = np.diff(starts, append=len(overlaps))
    winners = np.flatnonzero((overlaps == np.repeat(best, sizes)) & (overlaps > threshold))
    matched, first = np.unique(rows[winners], return_index=True)
    matches[matched] = objects[winners[first]]
    return matches


def paired_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of row i with row i.

    Args:
      first: f32[P, 4] or f64[P, 4], pixels.
      second: f32[P, 4] or f64[P, 4], pixels.

    Returns:
      f64[P], computed in float64: an IoU of exactly the threshold must come out as that. A box
      that ends before it begins shares nothing with any other.
    """
    ymin, xmin, ymax, xmax = first.astype(np.float64).T
    other_ymin, other_xmin, other_ymax, other_xmax = second.astype(np.float64).T
    height = np.minimum(ymax, other_ymax) - np.maximum(ymin, other_ymin) + 1.0
    width = np.minimum(xmax, other_xmax) - np.maximum(xmin, other_xmin) + 1.0
    shared = np.maximum(height, 0.0) * np.maximum(width, 0.0)
    area = (xmax - xmin + 1.0) * (ymax - ymin + 1.0)
    other_area = (other_xmax - other_xmin + 1.0) * (other_ymax - other_ymin + 1.0)
    union = area + other_area - shared
    return shared / np.maximum(union, np.finfo(np.float64).tiny)


def _pairs(keys: np.ndarray, object_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every (box, object) of equal keys, grouped by box.

    Returns:
      row of the box i64[P], rising; row of the object i64[P], rising within a box; where each
      box's group begins in those two, i64[G].
    """
    by_key = np.argsort(object_keys, kind="stable")
    groups, group_starts, group_sizes = np.unique(
        object_keys[by_key], return_index=True, return_counts=True
    )
    slots = np.searchsorted(groups, keys)
    rows = np.flatnonzero(np.append(groups, -1)[slots] == keys)
    slots = slots[rows]
    sizes = group_sizes[slots]
    starts = np.cumsum(sizes) - sizes
    first_objects = np.repeat(group_starts[slots] - starts, sizes)
    return np.repeat(rows, sizes), by_key[np.arange(sizes.sum()) + first_objects], starts
