"""The four ways in which evaluation brings an image to the network's size, and the way back.

They are SSD-Tensorflow's, by its numbers. Only the warp fills the network's input with the whole
of any image. A crop leaves out what lies beyond it: objects there count as missed, because
scores are those of whole images. Padding never enlarges a small image; the border is the mean.
"""

import enum

import tensorflow as tf

from preprocessing import geometry


class EvalResize(enum.IntEnum):
    """Values of `--eval_resize`."""

    NONE = 1  # as CENTRAL_CROP, for callers that take images of the network's size only
    CENTRAL_CROP = 2
    PAD_AND_RESIZE = 3
    WARP = 4


def place(
    picture_size: tf.Tensor, image_size: tuple[int, int], resize: EvalResize
) -> geometry.Placement:
    """Where an image comes to lie in the network's input: in its middle, in every mode.

    Args:
      picture_size: i32[..., 2], height and width in pixels; a batch of sizes gives a batch.
      image_size: of the network's input.
      resize: one of the four.
    """
    output = tf.broadcast_to(tf.constant(image_size), tf.shape(picture_size))
    if resize == EvalResize.WARP:
        return geometry.centre(picture_size, output, source=picture_size, target=output)
    if resize == EvalResize.PAD_AND_RESIZE:
        target = _shrunk(picture_size, output)
        return geometry.centre(picture_size, output, source=picture_size, target=target)
    common = tf.minimum(picture_size, output)
    return geometry.centre(picture_size, output, source=common, target=common)


def to_picture(
    boxes: tf.Tensor, picture_sizes: tf.Tensor, image_size: tuple[int, int], resize: EvalResize
) -> tf.Tensor:
    """Boxes f32[B, K, 4] relative to the network's input -> relative to the images, clipped.

    Args:
      boxes: of B images.
      picture_sizes: i32[B, 2], pixels.
      image_size: of the network's input.
      resize: how the images were brought to it.

    Returns:
      f32[B, K, 4] in [0, 1]. A box beside the image, on the border that pads it, has no area.
    """
    if resize == EvalResize.WARP:
        return boxes
    window = place(picture_sizes, image_size, resize).window
    size, start = (tf.tile(part, [1, 2])[:, None] for part in (window.size, window.start))
    return geometry.clip(boxes * size + start)


def _shrunk(picture_size: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
    """The largest size of the image's shape, rounded down, within the output and itself."""
    fitted = picture_size[..., :, None] * output[..., None, :] // picture_size[..., None, :]
    return tf.maximum(1, tf.minimum(picture_size, tf.reduce_min(fitted, -1)))
