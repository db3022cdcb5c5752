"""How well anchors fit the boxes of a data set, and which shapes and sides would fit it better.

An object whose best anchor has an IoU below the threshold has one positive anchor only, the
one that bipartite matching gives it: it is trained on little.
"""

import functools
from collections.abc import Sequence

import numpy as np

from nets import anchors
from nets.parameters import AnchorSizes, FeatureLayer, SSDParameters

RECALL_AT = 0.5
_AT_ONCE = 256
_LEAST_GAIN = 1e-3  # of recall and mean IoU together, for which a square is changed
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
    """Where boxes would lie if images were shrunk to a square instead of being warped to it.

    Args:
      boxes: f32[N, 4] relative.
      sides: f32[N, 2], height and width of each box's image, pixels.

    Returns:
      f32[N, 4] relative to the square, whose side is the image's longer one; centred in it.
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


def propose_sides(
    boxes: np.ndarray, parameters: SSDParameters, squares: AnchorSizes, shapes: np.ndarray
) -> AnchorSizes | None:
    """Squares that fit boxes better, made of the sizes of `propose`'s shapes.

    Args:
      boxes: f32[N, 4] relative.
      parameters: the network's geometry.
      squares: what to begin with.
      shapes: f64[K, 2] heights and widths, pixels of the network's input.

    Returns:
      To a tenth of a pixel, as --anchors is written; None where nothing better was found.
    """
    sides = np.unique(np.sqrt(shapes.prod(axis=1)).round().clip(1)).tolist()
    after = fit_squares(boxes, parameters, squares, sides)
    if after == squares:
        return None
    return tuple((round(small, 1), round(large, 1)) for small, large in after)


def fit_squares(
    boxes: np.ndarray,
    parameters: SSDParameters,
    squares: AnchorSizes,
    sides: Sequence[float],
) -> AnchorSizes:
    """Squares for each layer that fit a data set's boxes better.

    One square after the other takes, of the `sides` between its neighbours, the one with which most
    is gained, until none gains. What counts is recall plus mean IoU; so a layer for which there
    are no objects keeps its squares.

    Args:
      boxes: f32[N, 4] relative.
      parameters: the network's geometry.
      squares: what to begin with, as `SSDParameters.sizes_of` gives it.
      sides: pixels of the network's input.

    Returns:
      A pair small, large for each layer, pixels.
    """
    sample = boxes[:: len(boxes) // _SAMPLE + 1].astype(np.float64)

    @functools.cache
    def overlaps(place: int, side: float) -> np.ndarray:
        layer = parameters.layers[place // 2]
        heights, widths = anchors.shapes(layer, side, side)
        those = [which == place % 2 for which, _ in layer.shapes]
        shapes = np.stack([heights, widths], 1)[those]
        return np.max([on_grid(sample, parameters, layer, shape) for shape in shapes], axis=0)

    chosen = [side for pair in squares for side in pair]
    changed = bool(len(sample))
    while changed:
        changed = False
        for place in range(len(chosen)):
            rest = [overlaps(k, side) for k, side in enumerate(chosen) if k != place]
            below, above = [0, *chosen, np.inf][place : place + 3 : 2]
            options = [chosen[place], *(side for side in sides if below < side < above)]
            scores = [_score([*rest, overlaps(place, side)]) for side in options]
            if max(scores) > scores[0] + _LEAST_GAIN:
                chosen[place], changed = options[int(np.argmax(scores))], True
    return tuple(zip(chosen[::2], chosen[1::2], strict=True))


def _score(overlaps) -> float:
    best = functools.reduce(np.maximum, overlaps)
    return float((best >= RECALL_AT).mean() + best.mean())


def on_grid(
    boxes: np.ndarray, parameters: SSDParameters, layer: FeatureLayer, shape: np.ndarray
) -> np.ndarray:
    """IoU of boxes f64[N, 4] with the nearest of a layer's anchors of one shape (pixels): f64[N].

    The nearest overlaps most, along each axis.
    """
    size = np.array(parameters.image_size)
    low, high = boxes[:, :2] * size, boxes[:, 2:] * size
    cell = np.round((low + high) / 2 / layer.step - parameters.anchor_offset)
    centre = (np.clip(cell, 0, layer.size - 1) + parameters.anchor_offset) * layer.step
    along = np.minimum(high, centre + shape / 2) - np.maximum(low, centre - shape / 2)
    shared = np.maximum(along, 0).prod(axis=1)
    return shared / ((high - low).prod(axis=1) + shape.prod() - shared)
