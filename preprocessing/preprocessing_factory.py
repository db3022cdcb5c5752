"""Preprocessing by name: what `--preprocessing_name` (or the net's own name) refers to."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from errors import InputError
from preprocessing import ssd_vgg_preprocessing as ssd_vgg

IMAGE_SIZES = {"ssd_300_vgg": (300, 300), "ssd_512_vgg": (512, 512)}


class Preprocessing(NamedTuple):
    """The functions of `ssd_vgg_preprocessing` with the net's picture size filled in.

    Fields:
      image_size: (height, width) in pixels.
      decode: encoded -> u8[H, W, 3].
      for_train: (encoded, boxes, labels, *, seed) -> (image f32[S, S, 3], boxes, labels).
      without_augmentation: (encoded, boxes, labels) -> the same, undistorted.
      for_eval: (image u8[H, W, 3], *, resize=EvalResize.WARP) -> f32[S, S, 3].
    """

    image_size: tuple[int, int]
    decode: Callable
    for_train: Callable
    without_augmentation: Callable
    for_eval: Callable


def get_preprocessing(name: str) -> Preprocessing:
    """The preprocessing called `name`; raises InputError for a name that is none."""
    if name not in IMAGE_SIZES:
        raise InputError(
            f"Preprocessing {name!r} is unknown: choose one of {', '.join(sorted(IMAGE_SIZES))}."
        )
    sized = functools.partial(functools.partial, image_size=IMAGE_SIZES[name])
    return Preprocessing(
        image_size=IMAGE_SIZES[name],
        decode=ssd_vgg.decode,
        for_train=sized(ssd_vgg.preprocess_for_train),
        without_augmentation=sized(ssd_vgg.preprocess_without_augmentation),
        for_eval=sized(ssd_vgg.preprocess_for_eval),
    )
