"""tf.data pipelines from records to batches, in an order that is a function of (seed, step).

Sample number g of a training stands in global batch g // G. Which record it is and every random
draw of its augmentation depend on (seed, g) alone: not on workers, clones, threads or restarts.
Starting at any step costs nothing, because records are read by number and the shuffle is a
function, not a buffer.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from datasets import records
from datasets.record_reader import RecordReader
from errors import InputError

_ORDER_STREAM, _DRAW_STREAM = 1, 2
_READ_AHEAD_BYTES = 16384


class Share(NamedTuple):
    """The rows of every global batch that one worker reads.

    Attributes:
      global_batch_size: G, rows of a global batch over all workers.
      first_row: of this worker; an i64 scalar where only the worker itself knows it.
      rows: of this worker.
    """

    global_batch_size: int
    first_row: int | tf.Tensor
    rows: int


class RecordSource:
    """Records by number as a tf.data operation that remembers what went wrong.

    Attributes:
      error: the first error in reading, for a message better than tf.data's.
    """

    def __init__(self, shards: tuple[str, ...]):
        self._reader = RecordReader(shards)
        self.error: InputError | None = None

    def __len__(self) -> int:
        return len(self._reader)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """i64 scalar -> string scalar, the serialized example."""
        data = tf.numpy_function(self._read, [index], tf.string, stateful=False)
        data.set_shape([])
        return data

    def _read(self, index: np.ndarray) -> bytes:
        try:
            return self._reader.read(int(index))
        except InputError as error:
            self.error = self.error or error
            raise


class PortableSource:
    """Records by number in TensorFlow's own operations, for a pipeline that runs elsewhere.

    A `RecordSource` calls Python, which another process does not know. Here each read opens the
    shard, at the path it has on this machine: about 3,000 records a second and thread, a third of
    `RecordSource`.

    Attributes:
      error: None; what went wrong is known where the pipeline runs.
    """

    error: InputError | None = None

    def __init__(self, shards: tuple[str, ...]):
        with RecordReader(shards) as reader:
            places = [reader.locate(index) for index in range(len(reader))]
        self._shards = shards
        self._shard = np.array([shards.index(path) for path, _ in places], np.int32)
        self._offset = np.array([offset for _, offset in places], np.int64)

    def __len__(self) -> int:
        return len(self._offset)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """i64 scalar -> string scalar, the serialized example; both CRCs are checked."""
        records_from_there = tf.raw_ops.TFRecordDatasetV2(
            filenames=[tf.gather(tf.constant(self._shards), tf.gather(self._shard, index))],
            compression_type="",
            buffer_size=_READ_AHEAD_BYTES,
            byte_offsets=[tf.gather(self._offset, index)],
        )
        spec = tf.TensorSpec([], tf.string)
        dataset = tf.data.experimental.from_variant(records_from_there, spec)
        return dataset.take(1).get_single_element()


def training_batches(
    source: RecordSource | PortableSource,
    *,
    preprocess: Callable,
    match: Callable,
    batch_size: int,
    share: Share,
    seed: int,
    first_step: int | tf.Tensor,
    last_step: int,
    shuffle: bool = True,
    use_difficult: bool = True,
    labels_offset: int = 0,
    num_threads: int | None = None,
) -> tf.data.Dataset:
    """Batches of (images f32[b, S, S, 3], classes i32[b, A], offsets f32[b, A, 4]).

    Args:
      source: the records.
      preprocess: (encoded, boxes, labels, *, seed i64[2]) -> (image, boxes, labels).
      match: (boxes f32[N, 4], labels i64[N]) -> (classes i32[A], offsets f32[A, 4]).
      batch_size: b, of one clone; divides `share.rows`.
      share: which rows of each global batch.
      seed: of order and augmentation.
      first_step: the global batch to begin with; int or i64 scalar.
      last_step: the global batch to end before.
      shuffle: a new permutation every epoch; otherwise the order of the records.
      use_difficult: keep objects marked difficult.
      labels_offset: subtracted from the records' labels.
      num_threads: pictures prepared at a time; None lets tf.data decide.
    """
    order = _order(len(source), seed=seed, shuffle=shuffle)

    @tf.autograph.experimental.do_not_convert
    def load(sample: tf.Tensor):
        example = records.parse_example(source.read(order(sample)), labels_offset=labels_offset)
        boxes, labels = example["boxes"], example["labels"]
        if not use_difficult:
            keep = ~example["difficult"]
            boxes, labels = tf.boolean_mask(boxes, keep), tf.boolean_mask(labels, keep)
        draw = tf.stack([tf.constant(seed * 4 + _DRAW_STREAM, tf.int64), sample])
        image, boxes, labels = preprocess(example["encoded"], boxes, labels, seed=draw)
        return image, *match(boxes, labels)

    dataset = tf.data.Dataset.range(first_step * share.rows, last_step * share.rows)
    dataset = dataset.map(lambda row: _sample_number(row, share))
    dataset = dataset.map(load, num_parallel_calls=num_threads or tf.data.AUTOTUNE)
    return dataset.batch(batch_size, drop_remainder=True).prefetch(2)


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
      num_threads: pictures prepared at a time; None lets tf.data decide.

    Returns:
      Dictionaries of image f32[B, S, S, 3], size i32[B, 2] (height, width in pixels), filename
      string[B], boxes f32[B, N, 4], labels i64[B, N] (0 where padded), difficult bool[B, N].
    """

    @tf.autograph.experimental.do_not_convert
    def load(index: tf.Tensor) -> dict[str, tf.Tensor]:
        example = records.parse_example(source.read(index), labels_offset=labels_offset)
        picture = decode(example.pop("encoded"))
        return {"image": preprocess(picture), "size": tf.shape(picture)[:2], **example}

    dataset = tf.data.Dataset.range(len(source))
    dataset = dataset.map(load, num_parallel_calls=num_threads or tf.data.AUTOTUNE)
    return dataset.padded_batch(batch_size).prefetch(2)


def _sample_number(row: tf.Tensor, share: Share) -> tf.Tensor:
    step, own_row = row // share.rows, row % share.rows
    return step * share.global_batch_size + share.first_row + own_row


def _order(num_samples: int, *, seed: int, shuffle: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    """Sample number -> record number: a permutation for each epoch, in O(1) memory."""

    def order(sample: tf.Tensor) -> tf.Tensor:
        epoch, position = sample // num_samples, sample % num_samples
        if not shuffle or num_samples == 1:
            return position
        key = tf.stack([tf.constant(seed * 4 + _ORDER_STREAM, tf.int64), epoch])
        return tf.random.experimental.index_shuffle(position, key, num_samples - 1)

    return order
