"""Times decoding and augmentation on one core, beside torchvision and albumentations if present.

    python -m benchmarks.input_pipeline [--pictures=FOLDER] [--count=128] [--rounds=7]

Every step runs over the same JPEGs in memory, in turn with the others, pinned to one core. It is
processor time that counts, and ratios are medians over rounds of the ratio within a round, since
speeds drift on shared machines. Without a folder textured pictures of VOC's size are made up.
"""

import argparse
import importlib.util
import io
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import tensorflow as tf

from nets import anchors, matching, nets_factory
from preprocessing import preprocessing_factory

_NAME, _SIDE, _BATCH = "ssd_300_vgg", 300, 8
_MEANS = (123, 117, 104)


def made_up_pictures(count: int, *, seed: int = 0) -> list[bytes]:
    """JPEGs of 375 x 500 pixels and about 75 kB, near VOC's: noise at every scale."""
    rng = np.random.default_rng(seed)
    return [cv2.imencode(".jpg", _texture(rng))[1].tobytes() for _ in range(count)]


def _texture(rng: np.random.Generator) -> np.ndarray:
    picture = np.full([375, 500, 3], 128.0)
    for scale in (4, 16, 64, 256):
        noise = rng.normal(size=[375 // scale + 2, 500 // scale + 2, 3])
        picture += 13 * scale**0.35 * cv2.resize(noise, (500, 375), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def pictures_of(folder: str, count: int) -> list[bytes]:
    """The first `count` JPEGs below a folder."""
    paths = sorted(pathlib.Path(folder).rglob("*.jpg"))[:count]
    return [path.read_bytes() for path in paths]


def made_up_boxes(count: int, *, seed: int = 1) -> np.ndarray:
    """f32[count, 3, 4]: three objects a picture, relative."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.1, 0.7, [count, 3, 2])
    low = rng.uniform(size=size.shape) * (1 - size)
    return np.concatenate([low, low + size], 2).astype(np.float32)


def our_steps() -> dict[str, Callable]:
    """Functions of (encoded, boxes, number) for tf.data, from the barest to the whole."""
    ours = preprocessing_factory.get_preprocessing(_NAME)
    network = nets_factory.get_network(_NAME).parameters
    targets = tf.constant(anchors.make(network, "voc"), tf.float32)
    labels = tf.constant([1, 2, 3], tf.int64)

    def recipe(encoded, boxes, number):
        return ours.for_train(encoded, boxes, labels, seed=tf.stack([number, number]))

    def matched(encoded, boxes, number):
        image, boxes, names = recipe(encoded, boxes, number)
        return image, *matching.match(boxes, names, targets)

    return {
        "decode": lambda encoded, boxes, number: tf.image.decode_jpeg(encoded, channels=3),
        "decode, resize": lambda encoded, boxes, number: ours.without_augmentation(
            encoded, boxes, labels
        ),
        "whole recipe": recipe,
        "recipe, match, batch": matched,
        "matching alone": lambda encoded, boxes, number: matching.match(boxes, labels, targets),
    }


def tensorflow_runner(step: Callable, encoded: list[bytes], *, batch: int = 0) -> Callable:
    """A function that runs a step over all pictures, on one thread."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False  # they work ahead
    options.threading.private_threadpool_size = options.threading.max_intra_op_parallelism = 1
    count = len(encoded)
    data = tf.data.Dataset.from_tensor_slices((encoded, made_up_boxes(count), np.arange(count)))
    data = data.cache().repeat().map(step)
    if batch:
        data, count = data.batch(batch, drop_remainder=True), count // batch
    results = iter(data.map(_touch).batch(count).with_options(options))
    return lambda: next(results)


def _touch(*results: tf.Tensor) -> tf.Tensor:
    """A number that depends on every result, so that none is pruned, at next to no cost."""
    firsts = [tf.reshape(result, [-1])[:1] for result in results]
    return tf.add_n([tf.reduce_sum(tf.cast(first, tf.float32)) for first in firsts])


def torchvision_runner(encoded: list[bytes]) -> Callable:
    """Its detection reference's `ssd` preset on PIL, the faster way, and its model's resize."""
    torch, v2, tv_tensors, pil = map(
        importlib.import_module,
        ("torch", "torchvision.transforms.v2", "torchvision.tv_tensors", "PIL.Image"),
    )
    torch.set_num_threads(1)
    augment = v2.Compose(
        [
            v2.RandomPhotometricDistort(),
            v2.RandomZoomOut(fill=list(_MEANS)),
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(),
            v2.SanitizeBoundingBoxes(),
            v2.Resize((_SIDE, _SIDE)),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.ToPureTensor(),
        ]
    )

    def run():
        for jpeg, boxes in zip(encoded, made_up_boxes(len(encoded)), strict=True):
            picture = pil.open(io.BytesIO(jpeg)).convert("RGB")
            pixels = torch.tensor(_pixels(boxes, picture.size))
            size = picture.size[::-1]
            boxes = tv_tensors.BoundingBoxes(pixels, format="XYXY", canvas_size=size)
            augment({"image": picture, "boxes": boxes, "labels": torch.arange(3)})

    return run


def albumentations_runner(encoded: list[bytes]) -> Callable:
    """The nearest that albumentations has: its crop keeps a box instead of asking for an IoU."""
    a = importlib.import_module("albumentations")
    augment = a.Compose(
        [
            a.ColorJitter((0.87, 1.13), (0.5, 1.5), (0.5, 1.5), (-0.1, 0.1), p=0.94),
            a.Affine(scale=(0.25, 1), translate_percent=(-0.3, 0.3), fill=_MEANS, p=0.5),
            a.RandomSizedBBoxSafeCrop(_SIDE, _SIDE),
            a.HorizontalFlip(),
            a.Normalize(_MEANS, (1, 1, 1), max_pixel_value=1.0),
        ],
        bbox_params=a.BboxParams(format="pascal_voc", label_fields=["labels"]),
    )

    def run():
        for jpeg, boxes in zip(encoded, made_up_boxes(len(encoded)), strict=True):
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
            pixels = _pixels(boxes, picture.shape[1::-1])
            augment(image=picture, bboxes=pixels, labels=np.arange(3))

    return run


def _pixels(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Relative y, x, y, x -> pixels x, y, x, y of a picture of (width, height)."""
    return boxes[:, [1, 0, 3, 2]] * np.tile(size, 2).astype(np.float32)


def runners(encoded: list[bytes]) -> dict[str, Callable]:
    """All that can run here, by name."""
    found = {
        name: tensorflow_runner(step, encoded, batch=_BATCH if "batch" in name else 0)
        for name, step in our_steps().items()
    }
    others = {"torchvision": torchvision_runner, "albumentations": albumentations_runner}
    for name, make in others.items():
        if importlib.util.find_spec(name):
            found[name] = make(encoded)
    return found


def timed(run: Callable) -> float:
    """Processor seconds that a call takes, so that other processes count little."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main(argv: Sequence[str] | None = None) -> None:
    """Prints pictures/s of every step and its ratio to bare decoding."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--pictures", help="a folder of JPEGs; made-up pictures without")
    options.add_argument("--count", type=int, default=128)
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args(argv)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    if given.pictures:
        encoded = pictures_of(given.pictures, given.count)
    else:
        encoded = made_up_pictures(given.count)
    if len(encoded) < _BATCH:
        options.error(f"{len(encoded)} pictures are too few: give a batch of {_BATCH} or more")
    steps = runners(encoded)
    for run in steps.values():
        run()
    rounds = [{name: timed(run) for name, run in steps.items()} for _ in range(given.rounds)]
    kilobytes = statistics.mean(map(len, encoded)) / 1000
    print(f"{len(encoded)} pictures of {kilobytes:.0f} kB, {given.rounds} rounds, one core")
    for name in steps:
        speed = len(encoded) / statistics.median(seconds[name] for seconds in rounds)
        decode, recipe = (
            statistics.median(seconds[other] / seconds[name] for seconds in rounds)
            for other in ("decode", "whole recipe")
        )
        print(f"{name:22}{speed:6.0f} pictures/s {decode:6.0%} of decode {recipe:6.2f} of recipe")


if __name__ == "__main__":
    main()
