"""Expansion, crop, resize and flip as arithmetic on one sampling window.

A window is a rectangle relative to the image and may reach beyond it (expansion) or be mirrored
(a negative width). Augmenting means composing windows, and only then is the image resampled,
once. Before that the window is snapped to whole pixels of the image and of the output, so that a
slice and an ordinary resize realise it exactly; boxes go through the snapped window, so they fit
the pixels exactly. Caffe cuts its crops to whole pixels too, but projects boxes unrounded.

Points and sizes are in the order y, x throughout.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

MAX_EXPANSION = 4.0
NUM_EXPANSION_DRAWS = 3


class Window(NamedTuple):
    """A rectangle relative to an image: `start` f32[2] and `size` f32[2]."""

    start: tf.Tensor
    size: tf.Tensor


class Placement(NamedTuple):
    """A window snapped to whole pixels.

    Fields:
      source_start, source_size: i32[2], pixels: the part of the image that the window sees.
      target_start, target_size: i32[2], pixels: where that part lies in the output.
      window: what these four realise exactly, within a pixel of the window that was asked for.
    """

    source_start: tf.Tensor
    source_size: tf.Tensor
    target_start: tf.Tensor
    target_size: tf.Tensor
    window: Window


def draw_expansion(uniform: tf.Tensor) -> Window:
    """The canvas of Caffe's `ExpandImage`, relative to the image that lies in it.

    Args:
      uniform: f32[3] in [0, 1). Below 0.5 the first one expands (and is the ratio of 1 to 4); the
        others say where on the canvas the image lies.
    """
    ratio = tf.where(uniform[0] < 0.5, 1.0 + (MAX_EXPANSION - 1.0) * 2.0 * uniform[0], 1.0)
    return Window(start=(1.0 - ratio) * uniform[1:], size=tf.fill([2], ratio))


def compose(outer: Window, inner: Window) -> Window:
    """`inner`, which is relative to `outer`, relative to what `outer` is relative to."""
    return Window(outer.start + inner.start * outer.size, inner.size * outer.size)


def mirror(window: Window, flipped: tf.Tensor) -> Window:
    """The same rectangle seen left to right where `flipped` (bool[]): its width is negative."""
    along_x = tf.cast(flipped, tf.float32) * np.float32([0, 1])
    return Window(window.start + along_x * window.size, window.size * (1.0 - 2.0 * along_x))


def place(window: Window, picture_size: tf.Tensor, output_size: tuple[int, int]) -> Placement:
    """Snaps a window to whole pixels.

    Args:
      window: of positive size, sharing an area with the image.
      picture_size: i32[2], pixels.
      output_size: pixels; the window as a whole is resized to it.
    """
    sizes = tf.stack([tf.cast(picture_size, tf.float32), np.float32(output_size)])
    seen = tf.clip_by_value(tf.stack([window.start, window.start + window.size]), 0.0, 1.0)
    ends = tf.round(tf.stack([seen, (seen - window.start) / window.size], 1) * sizes)
    start = tf.minimum(ends[0], sizes - 1.0)
    size = tf.maximum(ends[1] - start, 1.0)
    return _placement(start, size, sizes)


def centre(
    picture_size: tf.Tensor, output_size: tf.Tensor, *, source: tf.Tensor, target: tf.Tensor
) -> Placement:
    """The middle of the image, of size `source`, as the middle of the output, of size `target`.

    All are i32[..., 2], pixels, of one shape; where no true middle is, it is the one at the start.
    """
    sizes, size = tf.stack([picture_size, output_size]), tf.stack([source, target])
    numbers = ((sizes - size) // 2, size, sizes)
    return _placement(*(tf.cast(each, tf.float32) for each in numbers))


def _placement(start: tf.Tensor, size: tf.Tensor, sizes: tf.Tensor) -> Placement:
    """Start and size of a part, and of the whole: of the image [0] and of the output [1]."""
    step = size[0] / size[1]  # image pixels per output pixel
    exact = Window((start[0] - start[1] * step) / sizes[0], sizes[1] * step / sizes[0])
    source_start, target_start = tf.unstack(tf.cast(start, tf.int32))
    source_size, target_size = tf.unstack(tf.cast(size, tf.int32))
    return Placement(source_start, source_size, target_start, target_size, window=exact)


def take(image: tf.Tensor, placement: Placement) -> tf.Tensor:
    """The part of u8[H, W, 3] that the window sees, at its size in the output: f32[h, w, 3]."""
    start, size = placement.source_start, placement.source_size
    part = tf.slice(image, tf.concat([start, [0]], 0), tf.concat([size, [3]], 0))
    return resize(part, placement.target_size)


def put(part: tf.Tensor, placement: Placement, output_size: tuple[int, int]) -> tf.Tensor:
    """f32[h, w, 3] at its place in an image of zeros f32[height, width, 3]."""
    after = tf.constant(output_size) - placement.target_start - placement.target_size
    around = tf.stack([placement.target_start, after], 1) * np.int32([[1], [3]])
    height, width = tf.unstack(placement.target_size)
    rows = tf.reshape(part, [height, width * 3])  # padding a matrix is six times as fast
    return tf.reshape(tf.pad(rows, around), [*output_size, 3])


def resize(
    image: tf.Tensor, size: tf.Tensor | tuple[int, int], *, half_pixel_centers: bool = True
) -> tf.Tensor:
    """Bilinear, no antialiasing: [H, W, 3] -> f32[h, w, 3].

    Without `half_pixel_centers` output pixel k is read at k times the scale, as the default of
    TensorFlow 1 was. As `tf.image.resize`, but in float32 from the start: the kernel takes bytes
    at half the speed.
    """
    batch = tf.cast(image, tf.float32)[None]
    return tf.raw_ops.ResizeBilinear(
        images=batch, size=size, half_pixel_centers=half_pixel_centers
    )[0]


def project(boxes: tf.Tensor, window: Window) -> tf.Tensor:
    """Boxes f32[N, 4] relative to the image -> relative to the window, not clipped."""
    corners = (tf.reshape(boxes, [-1, 2, 2]) - window.start) / window.size
    return tf.concat([tf.reduce_min(corners, 1), tf.reduce_max(corners, 1)], 1)


def clip(boxes: tf.Tensor) -> tf.Tensor:
    """Boxes f32[N, 4] cut to [0, 1]; those outside lose their area."""
    return tf.clip_by_value(boxes, 0.0, 1.0)


def centres_inside(boxes: tf.Tensor, window: Window) -> tf.Tensor:
    """bool[N]: whose centre lies in the window (of positive size), its edges included."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2.0
    inside = (centres >= window.start) & (centres <= window.start + window.size)
    return tf.reduce_all(inside, 1)


def have_area(boxes: tf.Tensor) -> tf.Tensor:
    """bool[N]: whose height and width are positive."""
    return tf.reduce_all(boxes[:, 2:] > boxes[:, :2], 1)
