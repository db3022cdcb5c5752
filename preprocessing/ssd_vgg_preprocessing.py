"""Images and boxes for SSD: the augmentation of the original Caffe SSD, and evaluation's warp.

The order of the reference is colour, expansion, crop, resize, flip. Here geometry is composed into
one sampling window first (`geometry`), the part of the image that it sees is resampled once, and
colour is applied to the result. What lies outside the image is the mean: exactly 0. Approximated:

- the resampling is always bilinear, where the reference draws one of five; over random windows of
  VOC images the others differ from it by 2.1 (bicubic), 2.6 (area), 2.7 (Lanczos) and 10.6
  (nearest) of 255 on average;
- windows are snapped to whole pixels, and an expanded image's edge does not blend with the mean;
- colour is one linear map (`colour`).

The image is decoded whole: to decode only what the window sees saves 6 % of the time, but lets
damage in the rest of the file pass unnoticed.

Every random draw follows from `seed`, so that an image's augmentation is a function of it alone.
"""

import tensorflow as tf

from preprocessing import colour, crop_sampler, eval_resize, geometry
from preprocessing.eval_resize import EvalResize

Means = tuple[float, float, float]
RGB_MEANS: Means = (123.0, 117.0, 104.0)

_NUM_DRAWS = [
    geometry.NUM_EXPANSION_DRAWS,
    crop_sampler.NUM_DRAWS,
    colour.NUM_DRAWS,
    1,  # flip
]


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """JPEG, PNG, GIF (first frame) or BMP bytes -> u8[H, W, 3] RGB; grey is repeated.

    Raises:
      tf.errors.InvalidArgumentError: not such an image, or a truncated one.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def preprocess_for_eval(
    image: tf.Tensor,
    *,
    image_size: tuple[int, int],
    resize: EvalResize = EvalResize.WARP,
    rgb_means: Means = RGB_MEANS,
    half_pixel_centers: bool = True,
) -> tf.Tensor:
    """u8[H, W, 3] -> f32[S, S, 3]: resized bilinearly, RGB minus the means.

    By default the image is warped, where `half_pixel_centers` can be turned off (see
    `geometry.resize`); `eval_resize` has the other ways, where the border is 0.
    """
    means = tf.constant(rgb_means, tf.float32)
    if resize == EvalResize.WARP:
        warped = geometry.resize(image, image_size, half_pixel_centers=half_pixel_centers)
        fitted = colour.subtract(warped, means)
    else:
        placement = eval_resize.place(tf.shape(image)[:2], image_size, resize)
        part = colour.subtract(geometry.take(image, placement), means)
        fitted = geometry.put(part, placement, image_size)
    return tf.ensure_shape(fitted, [*image_size, 3])


def preprocess_without_augmentation(
    encoded: tf.Tensor,
    boxes: tf.Tensor,
    labels: tf.Tensor,
    *,
    image_size: tuple[int, int],
    rgb_means: Means = RGB_MEANS,
    half_pixel_centers: bool = True,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """As `preprocess_for_train`, but the image as in evaluation and its boxes only clipped."""
    image = preprocess_for_eval(
        decode(encoded),
        image_size=image_size,
        rgb_means=rgb_means,
        half_pixel_centers=half_pixel_centers,
    )
    boxes = geometry.clip(boxes)
    return image, *_select(boxes, labels, geometry.have_area(boxes))


def preprocess_for_train(
    encoded: tf.Tensor,
    boxes: tf.Tensor,
    labels: tf.Tensor,
    *,
    seed: tf.Tensor,
    image_size: tuple[int, int],
    rgb_means: Means = RGB_MEANS,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """One image and its objects, augmented.

    Args:
      encoded: string[], as for `decode`.
      boxes: f32[N, 4] relative; N may be 0.
      labels: integer [N].
      seed: integer [2].
      image_size: (height, width) of the result, pixels.
      rgb_means: what is subtracted.

    Returns:
      image: f32[height, width, 3], RGB minus `rgb_means`.
      boxes: f32[M, 4], M <= N, within [0, 1] and of positive area.
      labels: integer [M], theirs.

    Raises:
      tf.errors.InvalidArgumentError: as `decode`.
    """
    uniform = tf.random.stateless_uniform([sum(_NUM_DRAWS)], seed, alg="philox")
    for_expansion, for_crop, for_colour, for_flip = tf.split(uniform, _NUM_DRAWS)
    picture, flipped = decode(encoded), for_flip[0] < 0.5
    boxes = geometry.clip(boxes)
    canvas = geometry.draw_expansion(for_expansion)
    crop, kept = crop_sampler.draw(for_crop, geometry.project(boxes, canvas))
    placement = geometry.place(geometry.compose(canvas, crop), tf.shape(picture)[:2], image_size)
    boxes = geometry.project(boxes, geometry.mirror(placement.window, flipped))
    boxes = geometry.clip(boxes)
    distortion = colour.draw(for_colour)
    image = _render(picture, placement, flipped, distortion, image_size, rgb_means)
    return image, *_select(boxes, labels, kept & geometry.have_area(boxes))


def _render(
    picture: tf.Tensor,
    placement: geometry.Placement,
    flipped: tf.Tensor,
    distortion: colour.Distortion,
    image_size: tuple[int, int],
    rgb_means: Means,
) -> tf.Tensor:
    part = colour.apply(geometry.take(picture, placement), distortion, means=rgb_means)
    image = geometry.put(part, placement, image_size)
    return tf.raw_ops.Reverse(tensor=image, dims=tf.stack([False, flipped, False]))


def _select(boxes: tf.Tensor, labels: tf.Tensor, kept: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes and labels where `kept`; two gathers cost a third of two boolean masks."""
    index = tf.where(kept)[:, 0]
    return tf.gather(boxes, index), tf.gather(labels, index)
