"""tf.data pipelines from records to batches, in an order that is a function of (seed, step).

Sample number g of a training is in global batch g // G. Which record it is and every random
draw of its augmentation depend on (seed, g) alone: not on workers, clones, threads or restarts.
Starting at any step costs nothing, because records are read by number and the shuffle is a
function, not a buffer.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from datasets.order import DRAW_STREAM, Pool, make_order, stream_key
from datasets.records import features
from datasets.records.graph_source import GraphRecordSource
from datasets.records.source import RecordSource


class Batch(NamedTuple):
    """Images and what the network should say of them: what a step learns from.

    Attributes:
      images: f32[b, S, S, 3], RGB minus mean.
      targets: what `match` makes of their objects, with b as first dimension; in a training
        `nets.matching.Targets`.
    """

    images: tf.Tensor
    targets: Any


class WorkerSlice(NamedTuple):
    """The rows of every global batch that one worker reads.

    Attributes:
      global_batch_size: G, rows of a global batch over all workers.
      first_row: of this worker; an i64 scalar where only the worker itself knows it.
      rows: of this worker.
    """

    global_batch_size: int
    first_row: int | tf.Tensor
    rows: int


def training_batches(
    source: RecordSource | GraphRecordSource,
    *,
    preprocess: Callable,
    match: Callable,
    batch_size: int,
    share: WorkerSlice,
    seed: int,
    first_step: int | tf.Tensor,
    last_step: int,
    pools: Sequence[Pool] = (),
    shuffle: bool = True,
    use_difficult: bool = True,
    labels_offset: int = 0,
    num_classes: int | None = None,
    num_readers: int = 4,
    num_threads: int | None = None,
) -> tf.data.Dataset:
    """A worker's `Batch`es, in the order of the steps.

    Args:
      source: the records.
      preprocess: (encoded, boxes, labels, *, seed i64[2]) -> (image, boxes, labels).
      match: (boxes f32[N, 4], labels i64[N]) -> the targets of one image.
      batch_size: b, of one clone; divides `share.rows`.
      share: which rows of each global batch.
      seed: of order and augmentation.
      first_step: the global batch to begin with; int or i64 scalar.
      last_step: the global batch to end before.
      pools: of a weighted mixture; () is one pool of all records.
      shuffle: a new permutation every epoch; otherwise the order of the records.
      use_difficult: keep objects marked difficult; crowds never are.
      labels_offset: subtracted from the records' labels.
      num_classes: without the background; a label beyond them is an error.
      num_readers: records read at a time.
      num_threads: images prepared at a time; None lets tf.data decide.
    """
    order = make_order(pools or [Pool(len(source))], seed=seed, shuffle=shuffle)

    @tf.autograph.experimental.do_not_convert
    def read(row: tf.Tensor):
        sample = _sample_number(row, share)
        return source.read(order(sample)), sample

    @tf.autograph.experimental.do_not_convert
    def load(record: tf.Tensor, sample: tf.Tensor):
        example = features.parse_example(
            record, labels_offset=labels_offset, num_classes=num_classes
        )
        boxes, labels = example["boxes"], example["labels"]
        keep = ~example["crowd" if use_difficult else "difficult"]
        boxes, labels = tf.boolean_mask(boxes, keep), tf.boolean_mask(labels, keep)
        key = stream_key(seed, DRAW_STREAM, sample)
        image, boxes, labels = preprocess(example["encoded"], boxes, labels, seed=key)
        return Batch(image, match(boxes, labels))  # of one image; those of b are stacked below

    dataset = tf.data.Dataset.range(first_step * share.rows, last_step * share.rows)
    dataset = dataset.map(read, num_parallel_calls=num_readers)
    dataset = dataset.map(load, num_parallel_calls=num_threads or tf.data.AUTOTUNE)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(2)


def examples_of_step(
    source: RecordSource,
    step: int,
    *,
    global_batch_size: int,
    seed: int,
    shuffle: bool,
    pools: Sequence[Pool] = (),
    labels_offset: int = 0,
) -> list[tuple[int, dict[str, tf.Tensor]]]:
    """The records that `training_batches` makes global batch `step` of, all workers' together.

    Returns:
      Number of the record and what `records.parse_example` reads in it, row by row.
    """
    order = make_order(pools or [Pool(len(source))], seed=seed, shuffle=shuffle)
    first = step * global_batch_size
    samples = tf.range(first, first + global_batch_size, dtype=tf.int64)
    indices = [order(sample) for sample in samples]
    return [
        (int(index), features.parse_example(source.read(index), labels_offset=labels_offset))
        for index in indices
    ]


def evaluation_batches(
    source: RecordSource,
    *,
    decode: Callable,
    preprocess: Callable,
    batch_size: int,
    labels_offset: int = 0,
    num_threads: int | None = None,
) -> tf.data.Dataset:
    """Every record once, in order; the last batch may be smaller.

    Args:
      source: the records.
      decode: encoded -> uint8[H, W, 3].
      preprocess: uint8[H, W, 3] -> f32[S, S, 3].
      batch_size: B.
      labels_offset: subtracted from the records' labels.
      num_threads: images prepared at a time; None lets tf.data decide.

    Returns:
      Dictionaries of image f32[B, S, S, 3], size i32[B, 2] (height, width in pixels), record
      i64[B] (its number), filename string[B], boxes f32[B, N, 4], labels i64[B, N] (0 where
      padded), difficult and crowd bool[B, N]. Bad records are left out.
    """

    threads = num_threads or tf.data.AUTOTUNE

    @tf.autograph.experimental.do_not_convert
    def read(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return index, source.read_or_empty(index)

    @tf.autograph.experimental.do_not_convert
    def load(index: tf.Tensor, data: tf.Tensor) -> dict[str, tf.Tensor]:
        example = features.parse_example(data, labels_offset=labels_offset)
        picture = decode(example.pop("encoded"))
        size = tf.shape(picture)[:2]
        return {"image": preprocess(picture), "size": size, "record": index, **example}

    dataset = tf.data.Dataset.range(len(source)).map(read, num_parallel_calls=threads)
    dataset = dataset.filter(lambda index, data: tf.strings.length(data) > 0)
    dataset = dataset.map(load, num_parallel_calls=threads)
    return dataset.padded_batch(batch_size).prefetch(2)


def _sample_number(row: tf.Tensor, share: WorkerSlice) -> tf.Tensor:
    step, own_row = row // share.rows, row % share.rows
    return step * share.global_batch_size + share.first_row + own_row
