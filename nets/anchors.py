"""Anchors (default boxes) of all layers in one array. They may reach over the image's border."""

import numpy as np

from nets.parameters import AnchorSizes, FeatureLayer, SSDParameters


def make(parameters: SSDParameters, sizes: AnchorSizes) -> np.ndarray:
    """All anchors of a network, in the order layer, row, column, anchor.

    Args:
      parameters: the network's geometry.
      sizes: each layer's two squares, as `SSDParameters.sizes_of` reads them from --anchors.

    Returns:
      f32[A, 4] relative [ymin, xmin, ymax, xmax], not clipped.
    """
    layers = [
        _layer_anchors(parameters, layer, small, large)
        for layer, (small, large) in zip(parameters.layers, sizes, strict=True)
    ]
    return np.concatenate(layers).astype(np.float32)


def _layer_anchors(
    parameters: SSDParameters, layer: FeatureLayer, small: float, large: float
) -> np.ndarray:
    centres = (np.arange(layer.size) + parameters.anchor_offset) * layer.step
    heights, widths = shapes(layer, small, large)
    y, x = (axis[..., None] for axis in np.meshgrid(centres, centres, indexing="ij"))
    corners = [y - heights / 2, x - widths / 2, y + heights / 2, x + widths / 2]
    pixels = np.stack(np.broadcast_arrays(*corners), axis=-1).reshape(-1, 4)
    return pixels / np.tile(parameters.image_size, 2)


def shapes(layer: FeatureLayer, small: float, large: float) -> tuple[np.ndarray, np.ndarray]:
    """Heights and widths in pixels of a cell's anchors: a side over and times a ratio's root."""
    sides = np.array([(small, large)[which] for which, _ in layer.shapes])
    roots = np.sqrt([ratio for _, ratio in layer.shapes])
    return sides / roots, sides * roots
