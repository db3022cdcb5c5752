"""How well anchors fit the boxes of a data set, and which shapes would fit it better.

An object whose best anchor overlaps it by less than the threshold has one positive anchor only, the
one that bipartite matching gives it: it is learnt from little.
"""

import numpy as np

_AT_ONCE = 256
_SAMPLE, _CANDIDATES = 2000, 300  # shapes that the beginning of k-means looks at


def best_overlaps(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """The largest IoU of each box with any anchor: f32[N, 4], f32[A, 4] -> f32[N]."""
    parts = [
        _overlaps(boxes[k : k + _AT_ONCE], anchors).max(axis=1)
        for k in range(0, len(boxes), _AT_ONCE)
    ]
    return np.concatenate([np.zeros(0, np.float32), *parts])


def _overlaps(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    ymin, xmin, ymax, xmax = boxes.astype(np.float32).T[..., None]
    anchor_ymin, anchor_xmin, anchor_ymax, anchor_xmax = anchors.astype(np.float32).T
    height = np.minimum(ymax, anchor_ymax) - np.maximum(ymin, anchor_ymin)
    width = np.minimum(xmax, anchor_xmax) - np.maximum(xmin, anchor_xmin)
    shared = np.maximum(height, 0) * np.maximum(width, 0)
    areas = (anchor_ymax - anchor_ymin) * (anchor_xmax - anchor_xmin)
    return shared / np.maximum((ymax - ymin) * (xmax - xmin) + areas - shared, 1e-12)


def unwarped(boxes: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Where boxes would lie if pictures were shrunk to a square instead of being warped to it.

    Args:
      boxes: f32[N, 4] relative.
      sides: f32[N, 2], height and width of each box's picture, pixels.

    Returns:
      f32[N, 4] relative to the square, whose side is the picture's longer one; centred in it.
    """
    share = sides / sides.max(axis=1, keepdims=True)
    return boxes * np.tile(share, 2) + np.tile((1 - share) / 2, 2)


def shape_overlaps(shapes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of boxes about the same centre: [N, 2], [K, 2] of height and width -> [N, K]."""
    shared = np.minimum(shapes[:, None], others[None]).prod(axis=2)
    return shared / (shapes.prod(axis=1)[:, None] + others.prod(axis=1)[None] - shared)


def propose(shapes: np.ndarray, count: int, *, rounds: int = 100) -> np.ndarray:
    """The `count` shapes that fit best: k-means with 1 - IoU as the distance.

    It begins with the shapes that, one after the other, gain most, so the result is a function of
    the data.

    Args:
      shapes: f64[N, 2] heights and widths, above 0.
      count: K; fewer come back where there are fewer different shapes.

    Returns:
      f64[K, 2], by area.
    """
    centres = _first_centres(shapes, count)
    for _ in range(rounds if len(centres) else 0):
        nearest = shape_overlaps(shapes, centres).argmax(axis=1)
        moved = centres.copy()
        for k in np.unique(nearest):
            moved[k] = np.median(shapes[nearest == k], axis=0)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres[np.argsort(centres.prod(axis=1), kind="stable")]


def _first_centres(shapes: np.ndarray, count: int) -> np.ndarray:
    """f64[K, 2]: of a sample, each the one with which the sample fits best."""
    ordered = shapes[np.argsort(shapes.prod(axis=1), kind="stable")]
    sample = ordered[:: len(ordered) // _SAMPLE + 1]
    candidates = np.unique(sample[:: len(sample) // _CANDIDATES + 1], axis=0)
    overlaps = shape_overlaps(sample, candidates)
    chosen: list[int] = []
    best = np.zeros(len(sample))
    for _ in range(min(count, len(candidates))):
        chosen.append(int(np.maximum(overlaps, best[:, None]).sum(axis=0).argmax()))
        best = np.maximum(best, overlaps[:, chosen[-1]])
    return candidates[chosen].reshape(-1, 2)
