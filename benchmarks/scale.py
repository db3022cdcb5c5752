"""How a training step's cost grows with batch, image size, classes and objects, and with records.

    python -m benchmarks.scale [--rounds=5] [--precision=bfloat16] [--tables=batch,size,...]

Each table changes one thing of a step of SSD-300 VGG on 8 images with 4 objects of 20 classes;
its rows take turns as `benchmarks/_contenders.py` says, and are compared with that step. The last
table opens data sets of small images, starts in the middle of an epoch as a resume does, and
reads, augments and matches on.
"""

import argparse
import functools
import pathlib
import statistics
import tempfile
from collections.abc import Sequence

import cv2
import numpy as np

from benchmarks import _contenders
from benchmarks._contenders import Contender
from benchmarks._scenes import make_pictures, make_scenes
from benchmarks.training import ours

_BASE = {"batch": 8, "size": 300, "classes": 21, "objects": 4}
_VALUES = {
    "batch": (1, 2, 4, 8, 16, 32),
    "size": (300, 512),
    "classes": (2, 21, 81),
    "objects": (1, 20, 100),
}
_RECORDS = (1_000, 100_000)


def step(precision: str, *, batch: int, size: int, classes: int, objects: int) -> Contender:
    """The bare step under one setting."""
    scenes = make_scenes(batch, classes=classes, objects=objects, side=size)
    return ours(scenes, classes, precision)


def compare(table: str, precision: str, rounds: int) -> None:
    """Measures one table's settings in turn and prints them."""
    settings = [{**_BASE, table: value} for value in _VALUES[table]]
    if _BASE not in settings:
        settings.insert(0, _BASE)
    running = {
        one[table]: _contenders.Process(functools.partial(step, precision, **one))
        for one in settings
    }
    seconds = _contenders.in_turn(running, "step", rounds=rounds, warm=2)
    print(f"\n{running[_BASE[table]].note}")
    print(f"{table:>8}{'s/image':>11}{'ratio':>7}{'peak GiB':>10}")
    base = [value / _BASE["batch"] for value in seconds[_BASE[table]]]
    for one in settings:
        value, process = one[table], running[one[table]]
        own = [taken / one["batch"] for taken in seconds[value]]
        print(
            f"{value:>8}{statistics.median(own):>11.4f}{_contenders.ratio(own, base):>7.2f}"
            f"{process.peak_memory() / 2**30:>10.1f}",
            flush=True,
        )
        process.close()


def write_records(folder: str, count: int) -> None:
    """A data set of `count` records that hold the same small image with one object."""
    from datasets.records import features, shards

    side = 96
    picture = make_pictures(1, side=side)[0].astype(np.uint8)
    example = features.encode_example(
        encoded=cv2.imencode(".jpg", picture)[1].tobytes(),
        image_format="JPEG", height=side, width=side, channels=3, filename="picture.jpg",
        boxes=np.float32([[0.2, 0.2, 0.8, 0.8]]), labels=[1], names=["thing"],
        difficult=[False], truncated=[False],
    )  # fmt: skip
    shards.write_shards(
        (example for _ in range(count)),
        output_dir=folder,
        name="many_train",
        labels=["thing"],
        num_shards=shards.choose_num_shards(num_examples=count, num_bytes=count * len(example)),
        num_examples=count,
        describe=lambda: ({"thing": {"pictures": count, "objects": count, "difficult": 0}}, {}),
    )


def reading(folder: str, batch: int) -> Contender:
    """Opening a data set in the middle of an epoch, and batches of it without a network."""
    from datasets import input_pipeline
    from datasets.dataset_factory import get_dataset
    from datasets.records.source import RecordSource
    from nets import anchors, matching, nets_factory
    from preprocessing import preprocessing_factory

    name = "ssd_300_vgg"
    parameters = nets_factory.get_network(name).parameters
    recipe = preprocessing_factory.get_preprocessing(name, parameters.image_size)
    default_boxes = anchors.make(parameters, parameters.sizes_of("voc"))

    def resume():
        dataset = get_dataset("many", "train", folder)
        batches = input_pipeline.training_batches(
            RecordSource(dataset.shards),
            preprocess=recipe.for_train,
            match=lambda boxes, labels: matching.match(boxes, labels, default_boxes),
            batch_size=batch,
            share=input_pipeline.WorkerSlice(batch, 0, batch),
            seed=1,
            first_step=dataset.num_samples // batch // 2,
            last_step=2**40,
        )
        opened.append(iter(batches))
        next(opened[-1])

    def read(count: int) -> None:
        for _ in range(count):
            next(opened[-1])

    opened: list = []
    return Contender({"resume": resume, "read": read})


def compare_records(rounds: int, batches: int = 100) -> None:
    """Data sets of different lengths, in turn."""
    batch = _BASE["batch"]
    with tempfile.TemporaryDirectory() as name:
        running = {}
        for count in _RECORDS:
            folder = str(pathlib.Path(name) / str(count))
            write_records(folder, count)
            running[count] = _contenders.Process(functools.partial(reading, folder, batch))
        opened = _contenders.in_turn(running, "resume", rounds=rounds)
        read = _contenders.in_turn(running, "read", batches, rounds=rounds)
        print(f"\n{'records':>8}{'s to the first batch':>22}{'images/s':>12}{'peak GiB':>10}")
        for count, process in running.items():
            speed = batches * batch / statistics.median(read[count])
            print(
                f"{count:>8}{statistics.median(opened[count]):>22.2f}{speed:>12.0f}"
                f"{process.peak_memory() / 2**30:>10.1f}",
                flush=True,
            )
            process.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the tables that are asked for."""
    tables = (*_VALUES, "records")
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float32"))
    options.add_argument(
        "--tables", default=",".join(tables), help="comma list of the tables to print"
    )
    given = options.parse_args(argv)
    print(f"{_contenders.machine()}; {given.rounds} rounds, {given.precision}", flush=True)
    for table in given.tables.split(","):
        if table == "records":
            compare_records(given.rounds)
        else:
            compare(table, given.precision, given.rounds)


if __name__ == "__main__":
    main()
