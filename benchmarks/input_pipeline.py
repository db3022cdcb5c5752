"""Times the input pipeline on one core beside torchvision and albumentations, and conversion.

    python -m benchmarks.input_pipeline [--voc_dir=FOLDER] [--count=128] [--rounds=7]

Images are augmented from memory, each contender pinned to one core in a process of its own. It is
processor time that counts there. Conversion is timed by the clock, with all cores as it ships,
beside copying the same images and annotations: once with every copy synced on its own, as
every file of a conversion is, once with one sync of the whole file system in the end. Both begin
with the files in memory and an idle disk. Without a folder textured images of VOC's size are made
up. torch, torchvision and albumentations are no dependencies of this project; what is missing says
so in its row.
"""

import argparse
import functools
import importlib
import io
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from benchmarks import _contenders
from benchmarks._contenders import Contender, Process, Turn

_NAME, _SIDE, _BATCH = "ssd_300_vgg", 300, 8
_MEANS = (123, 117, 104)
_PORTIONS = 10  # of the samples over which memory is watched
_RECIPE, _TORCHVISION = "whole recipe", "torchvision, `ssd` preset"

Pictures = Sequence[tuple[bytes, np.ndarray]]  # a file and its boxes f32[N, 4], relative


def make_voc(folder: str, count: int) -> str:
    """A VOC folder of textured images of 375 x 500 pixels with three objects each."""
    draw = np.random.default_rng(0)
    for name in ("Annotations", "JPEGImages"):
        os.makedirs(os.path.join(folder, name))
    for number in range(count):
        size = draw.uniform(0.1, 0.7, [3, 2])
        low = draw.uniform(size=size.shape) * (1 - size)
        boxes = np.concatenate([low, low + size], 1) * (375, 500, 375, 500)
        stem = f"{number:06d}"
        pathlib.Path(folder, "Annotations", f"{stem}.xml").write_text(_annotation(boxes))
        cv2.imwrite(os.path.join(folder, "JPEGImages", f"{stem}.jpg"), _texture(draw))
    return folder


def _texture(draw: np.random.Generator) -> np.ndarray:
    """Noise at every scale, which takes about 75 kB as a JPEG."""
    picture = np.full([375, 500, 3], 128.0)
    for scale in (4, 16, 64, 256):
        noise = draw.normal(size=[375 // scale + 2, 500 // scale + 2, 3])
        picture += 13 * scale**0.35 * cv2.resize(noise, (500, 375), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _annotation(boxes: np.ndarray) -> str:
    objects = (
        f"<object><name>cat</name><bndbox><ymin>{a:.0f}</ymin><xmin>{b:.0f}</xmin>"
        f"<ymax>{c:.0f}</ymax><xmax>{d:.0f}</xmax></bndbox></object>"
        for a, b, c, d in boxes
    )
    size = "<size><width>500</width><height>375</height><depth>3</depth></size>"
    return f"<annotation>{size}{''.join(objects)}</annotation>"


def read_pictures(shards: Sequence[str], count: int) -> list[tuple[bytes, np.ndarray]]:
    """The first `count` images of records, in whole batches."""
    from datasets.records.features import read_contents
    from datasets.records.reader import RecordReader

    with RecordReader(shards) as reader:
        count = min(count, len(reader)) // _BATCH * _BATCH
        contents = [read_contents(reader.read(number)) for number in range(count)]
    return [(each.encoded, each.boxes) for each in contents]


def ours(pictures: Pictures, shards: Sequence[str], samples: int) -> Contender:
    """This project's steps, from the barest to what training does."""
    import tensorflow as tf

    from datasets import input_pipeline
    from nets import anchors, matching, nets_factory
    from preprocessing import preprocessing_factory

    parameters = nets_factory.get_network(_NAME).parameters
    recipe = preprocessing_factory.get_preprocessing(_NAME, parameters.image_size)
    targets = tf.constant(anchors.make(parameters, parameters.sizes_of("voc")))
    match = functools.partial(matching.match, anchors=targets)

    def labels(boxes):
        return tf.ones([tf.shape(boxes)[0]], tf.int64)

    def augment(encoded, boxes, number):
        seed = tf.stack([number, number])
        return recipe.for_train(encoded, boxes, labels(boxes), seed=seed)

    def matched(encoded, boxes, number):
        image, boxes, names = augment(encoded, boxes, number)
        return image, *match(boxes, names)

    steps = {
        "decode": lambda encoded, boxes, number: tf.image.decode_jpeg(encoded, channels=3),
        "decode, resize": lambda encoded, boxes, number: recipe.without_augmentation(
            encoded, boxes, labels(boxes)
        ),
        _RECIPE: augment,
        "matching alone": lambda encoded, boxes, number: tuple(match(boxes, labels(boxes))),
    }
    parts = {name: _over(pictures, step) for name, step in steps.items()}
    parts["recipe, matching, batching"] = _over(pictures, matched, batch=_BATCH)
    batches = _batches(input_pipeline, recipe, match, shards)
    parts["the same from records"] = lambda: _take(batches, len(pictures) // _BATCH)
    parts["memory"] = lambda: _watch_memory(batches, samples)
    return Contender(parts, f"tensorflow {tf.__version__}")


def _over(pictures: Pictures, step: Callable, *, batch: int = 0) -> Callable:
    """A function that takes all images through a step, on one thread."""
    import tensorflow as tf

    encoded, boxes = zip(*pictures, strict=True)
    count = len(pictures)
    given = (list(encoded), tf.ragged.stack(list(boxes)), tf.range(count))
    data = tf.data.Dataset.from_tensor_slices(given)
    data = data.map(lambda encoded, boxes, number: (encoded, boxes.to_tensor(), number))
    data = (
        data.cache()
        .repeat()
        .map(
            lambda encoded, boxes, number: step(encoded, tf.ensure_shape(boxes, [None, 4]), number)
        )
    )
    if batch:
        data, count = data.batch(batch, drop_remainder=True), count // batch
    results = iter(_on_one_thread(data.map(_touch).batch(count)))
    return lambda: next(results)


def _on_one_thread(data):
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False  # they work ahead
    options.threading.private_threadpool_size = options.threading.max_intra_op_parallelism = 1
    return data.with_options(options)


def _touch(*results):
    """A number that depends on every result, so that none is pruned, at next to no cost."""
    import tensorflow as tf

    firsts = [tf.reshape(result, [-1])[:1] for result in results]
    return tf.add_n([tf.reduce_sum(tf.cast(first, tf.float32)) for first in firsts])


def _batches(input_pipeline, recipe, match: Callable, shards: Sequence[str]):
    """What training reads: records by number, CRC checked, augmented, matched, in batches."""
    return iter(
        _on_one_thread(
            input_pipeline.training_batches(
                input_pipeline.RecordSource(tuple(shards)),
                preprocess=recipe.for_train,
                match=match,
                batch_size=_BATCH,
                share=input_pipeline.WorkerSlice(_BATCH, 0, _BATCH),
                seed=1,
                first_step=0,
                last_step=10**9,
                num_readers=1,
                num_threads=1,
            )
        )
    )


def _take(batches, count: int) -> None:
    for _ in range(count):
        next(batches)


def _watch_memory(batches, samples: int) -> tuple[float, ...]:
    """Megabytes in use after each tenth of the samples."""
    seen = []
    for _ in range(_PORTIONS):
        _take(batches, samples // _PORTIONS // _BATCH)
        status = pathlib.Path("/proc/self/statm").read_text()
        seen.append(int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
    return tuple(seen)


def torchvision(pictures: Pictures) -> Contender:
    """Its detection reference's `ssd` preset on PIL, the faster way, and its model's resize."""
    import torch

    library, _ = _contenders.import_torchvision()
    v2, tv_tensors, pil = map(
        importlib.import_module,
        ("torchvision.transforms.v2", "torchvision.tv_tensors", "PIL.Image"),
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
        for encoded, boxes in pictures:
            picture = pil.open(io.BytesIO(encoded)).convert("RGB")
            pixels = torch.tensor(_pixels(boxes, picture.size))
            size = picture.size[::-1]
            placed = tv_tensors.BoundingBoxes(pixels, format="XYXY", canvas_size=size)
            augment({"image": picture, "boxes": placed, "labels": torch.ones(len(boxes))})

    return Contender({_TORCHVISION: run}, f"torchvision {library.__version__}")


def albumentations(pictures: Pictures) -> Contender:
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
        for encoded, boxes in pictures:
            picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
            pixels = _pixels(boxes, picture.shape[1::-1])
            augment(image=picture, bboxes=pixels, labels=np.ones(len(boxes)))

    return Contender({"albumentations, nearest equivalent": run}, f"albumentations {a.__version__}")


def _pixels(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Relative y, x, y, x -> pixels x, y, x, y of an image of (width, height)."""
    return boxes[:, [1, 0, 3, 2]] * np.tile(size, 2).astype(np.float32)


def writers(voc_dir: str, place: str) -> Contender:
    """Conversion, and copying the same files; each part returns the seconds that count."""
    from datasets.conversion import Conversion, convert

    folders = [os.path.join(voc_dir, name) for name in ("JPEGImages", "Annotations")]
    names = [os.path.join(folder, name) for folder in folders for name in os.listdir(folder)]
    parts = {
        "copy, each file synced": lambda folder: _copy(names, folder, each=True),
        "copy, one sync in the end": lambda folder: _copy(names, folder, each=False),
        "conversion": lambda folder: convert(
            Conversion(voc_dir, output_dir=folder, output_name="all"), report=lambda line: None
        ),
    }
    megabytes = sum(map(os.path.getsize, names)) / 1e6
    note = f"{len(names)} images and annotations, {megabytes:.0f} MB"
    timed = {name: functools.partial(_timed, part, place) for name, part in parts.items()}
    return Contender(timed, note)


def _timed(write: Callable[[str], object], place: str) -> float:
    """Seconds that writing to an empty folder takes, the disk being idle before."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        os.sync()
        start = time.perf_counter()
        write(folder)
        return time.perf_counter() - start


def _copy(names: Sequence[str], folder: str, *, each: bool) -> None:
    for name in names:
        copied = os.path.join(folder, os.path.basename(name))
        shutil.copyfile(name, copied)
        if each:
            with open(copied, "rb") as file:
                os.fsync(file.fileno())
    if not each:
        subprocess.run(["sync", "--file-system", folder], check=True)


def convert_all(voc_dir: str, folder: str) -> tuple[str, ...]:
    """Records of a VOC folder; their shards."""
    from datasets.conversion import Conversion, convert
    from datasets.dataset_factory import get_dataset

    convert(Conversion(voc_dir, output_dir=folder, output_name="all"), report=lambda line: None)
    return get_dataset("all", "", folder).shards


def augmentation_table(turns: dict[str, list[Turn]], count: int) -> list[str]:
    """Rows of Markdown: images/s, and how they compare with bare decoding and torchvision."""
    seconds = {name: [turn.processor for turn in taken] for name, taken in turns.items()}
    rows = ["| on one core | images/s | of decode | times torchvision |", "|---|---|---|---|"]
    for name, own in seconds.items():
        decode = f"{_contenders.ratio(seconds['decode'], own):.0%}"
        other = seconds.get(_TORCHVISION)
        times = f"{_contenders.ratio(other, own):.1f}" if other else "-"
        speed = count / statistics.median(own)
        rows.append(f"| {name} | {speed:,.0f} | {decode} | {times} |")
    matching = 1000 * statistics.median(seconds["matching alone"]) / count
    return [*rows, "", f"Matching takes {matching:.3f} ms an image."]


def conversion_table(turns: dict[str, list[Turn]], note: str) -> list[str]:
    """Rows of Markdown: images/s by the clock, and conversion's share of copying's speed."""
    seconds = {name: [turn.result for turn in taken] for name, taken in turns.items()}
    rows = [f"| {note} | seconds | conversion is at |", "|---|---|---|"]
    for name, own in seconds.items():
        share = _contenders.ratio(own, seconds["conversion"])
        rows.append(f"| {name} | {statistics.median(own):.3f} | {share:.0%} |")
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Prints two tables and what memory did."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--voc_dir", help="VOC folder; synthetic images by default")
    options.add_argument("--count", type=int, default=128, help="number of images to augment")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument(
        "--samples",
        type=int,
        default=20_000,
        help="number of samples drawn while memory is measured",
    )
    options.add_argument(
        "--place", help="folder to write to; the system's temporary one by default"
    )
    given = options.parse_args(argv)
    if given.count < _BATCH:
        options.error(f"--count={given.count} is too few: give a batch of {_BATCH} or more")
    with tempfile.TemporaryDirectory(dir=given.place) as place:
        voc_dir = given.voc_dir or make_voc(os.path.join(place, "VOC"), given.count)
        shards = convert_all(voc_dir, os.path.join(place, "records"))
        pictures = read_pictures(shards, given.count)
        print(f"{_contenders.machine()}; {given.rounds} rounds, medians", flush=True)
        _augment(pictures, shards, given)
        _write(voc_dir, place, given.rounds)


def _augment(pictures: Pictures, shards: Sequence[str], given: argparse.Namespace) -> None:
    kilobytes = statistics.mean(len(encoded) for encoded, _ in pictures) / 1000
    print(f"{len(pictures)} images of {kilobytes:.0f} kB on average")
    own = Process(functools.partial(ours, pictures, shards, given.samples), pinned=True)
    others = [
        Process(functools.partial(make, pictures), pinned=True)
        for make in (torchvision, albumentations)
    ]
    for contender in (own, *others):
        print(contender.note, flush=True)
    turns = _contenders.all_in_turn([own, *others], rounds=given.rounds, leave_out="memory")
    print("\n" + "\n".join(augmentation_table(turns, len(pictures))))
    megabytes = own.take_turn("memory").result
    told = ", ".join(f"{each:.0f}" for each in megabytes)
    print(f"Megabytes in use after each tenth of {given.samples:,} samples: {told}.", flush=True)
    for contender in (own, *others):
        contender.close()


def _write(voc_dir: str, place: str, rounds: int) -> None:
    contender = Process(functools.partial(writers, voc_dir, place))
    turns = _contenders.all_in_turn([contender], rounds=rounds)
    print("\n" + "\n".join(conversion_table(turns, contender.note)))
    contender.close()


if __name__ == "__main__":
    main()
