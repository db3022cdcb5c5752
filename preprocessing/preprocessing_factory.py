"""Preprocessing by name: what `--preprocessing_name` (or the net's record) refers to.

To add one: write a module with what `ssd_vgg_preprocessing` has (`RGB_MEANS` and the four functions
of `get_preprocessing`), and give it a name in `MODULES`. Checkpoints and exports remember the name.
The names of the two VGG networks are those that scripts of SSD-Tensorflow give.
"""

import functools
import types
from collections.abc import Callable
from typing import NamedTuple

from preprocessing import ssd_vgg_preprocessing
from runtime.errors import InputError

MODULES: dict[str, types.ModuleType] = {
    "ssd_vgg": ssd_vgg_preprocessing,
    "ssd_300_vgg": ssd_vgg_preprocessing,
    "ssd_512_vgg": ssd_vgg_preprocessing,
}


class Preprocessing(NamedTuple):
    """A module's functions with the net's image size filled in, and its mean.

    Attributes:
      rgb_means: what is subtracted from pixels of 0 to 255.
      decode: encoded -> u8[H, W, 3].
      for_train: (encoded, boxes, labels, *, seed) -> (image f32[S, S, 3], boxes, labels).
      without_augmentation: (encoded, boxes, labels) -> the same, undistorted.
      for_eval: (image u8[H, W, 3], *, resize=EvalResize.WARP) -> f32[S, S, 3].
    """

    rgb_means: tuple[float, float, float]
    decode: Callable
    for_train: Callable
    without_augmentation: Callable
    for_eval: Callable


def get_preprocessing(
    name: str,
    image_size: tuple[int, int],
    *,
    rgb_means: tuple[float, float, float] | None = None,
    half_pixel_centers: bool = True,
) -> Preprocessing:
    """The preprocessing called `name`, to images of the net's `image_size` (height, width).

    `rgb_means` are the net's, where it has others than the preprocessing. `half_pixel_centers` is
    of evaluation's warp: see `geometry.resize`.

    Raises:
      InputError: there is none of that name.
    """
    if name not in MODULES:
        raise InputError(
            f"Preprocessing {name!r} is unknown: choose one of {', '.join(sorted(MODULES))}."
        )
    module, own = MODULES[name], {"rgb_means": rgb_means} if rgb_means else {}
    sized = functools.partial(functools.partial, image_size=image_size, **own)
    warp = {} if half_pixel_centers else {"half_pixel_centers": False}
    return Preprocessing(
        rgb_means=rgb_means or module.RGB_MEANS,
        decode=module.decode,
        for_train=sized(module.preprocess_for_train),
        without_augmentation=sized(module.preprocess_without_augmentation, **warp),
        for_eval=sized(module.preprocess_for_eval, **warp),
    )
