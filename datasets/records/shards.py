"""Writes a data set: shards, their indexes, `labels.txt` and, last, the manifest.

All or nothing: `datasets/records/output_folder.py` says how.
"""

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from datasets.layouts.labels import check_labels
from datasets.records.index import encode_index, frame, index_path
from datasets.records.manifest import Manifest, Shard, shard_name
from datasets.records.output_folder import check_output, move_in, partial_folder
from runtime import files
from runtime.errors import InputError

SHARD_BYTES = 100_000_000
SHARD_RECORDS = 1000


def choose_num_shards(*, num_examples: int, num_bytes: int, requested: int = 0) -> int:
    """How many shards to write: `requested`, or about 100 MB and at most 1000 records in each.

    Raises:
      InputError: `requested` is negative or more than there are examples.
    """
    if requested < 0 or requested > num_examples:
        raise InputError(
            f"--num_shards={requested} for {num_examples} images: pass 1 to {num_examples}, or 0 "
            "to have it chosen."
        )
    by_size = math.ceil(num_bytes / SHARD_BYTES)
    return requested or max(1, by_size, math.ceil(num_examples / SHARD_RECORDS))


class RecordSet(NamedTuple):
    """A data set to be written.

    Attributes:
      name: of its files; other data sets in the folder are left alone.
      examples: serialized records, in their order; drawn while writing.
      num_shards: how many files.
      num_examples: how many examples there will be at most; they are spread evenly.
      describe: called after the last example; returns the manifest's (classes, notes).
    """

    name: str
    examples: Iterable[bytes]
    num_shards: int
    num_examples: int
    describe: Callable[[], tuple[dict, dict]]


def write_shards(
    examples: Iterable[bytes],
    *,
    output_dir: str,
    name: str,
    labels: Sequence[str],
    num_shards: int,
    num_examples: int,
    describe: Callable[[], tuple[dict, dict]],
) -> Manifest:
    """Writes one data set, as `write_sets` does."""
    records = RecordSet(name, examples, num_shards, num_examples, describe)
    (written,) = write_sets([records], output_dir=output_dir, labels=labels)
    return written


def write_sets(
    sets: Sequence[RecordSet], *, output_dir: str, labels: Sequence[str]
) -> list[Manifest]:
    """Writes `NAME_NNN.tfrecord`, their `.index`, `labels.txt` and `NAME.json`, all or nothing.

    Args:
      sets: what belongs together: none is moved into its place before all are complete.
      output_dir: made if it is not there; other data sets in it are left alone.
      labels: class names; other data sets in `output_dir` may have others.

    Raises:
      InputError: a bad name, another conversion of this name is running, no examples, or writing
        failed. A data set that was there before stays, unless moving the new one into its place
        failed: then neither is readable.
    """
    names = " and ".join(each.name for each in sets)
    labels = check_labels(labels, where=f"The data set {names}")
    for each in sets:
        check_output(output_dir=output_dir, name=each.name)
    try:
        with contextlib.ExitStack() as stack:
            made = []
            for each in sets:
                folder = stack.enter_context(partial_folder(output_dir, each.name))
                made.append((folder, _write_set(each, folder, labels)))
            for folder, written in made:
                move_in(written, folder=folder, output_dir=output_dir)
    except (OSError, tf.errors.OpError) as error:
        raise InputError(f"Writing {names} to {output_dir} failed: {error}.") from error
    return [written for _, written in made]


def _write_set(records: RecordSet, folder: str, labels: tuple[str, ...]) -> Manifest:
    shards = _write_all(
        records.examples, folder, records.name, records.num_shards, records.num_examples
    )
    classes, notes = records.describe()
    return Manifest(records.name, labels, classes, shards, notes)


def _write_all(
    examples: Iterable[bytes], folder: str, name: str, num_shards: int, num_examples: int
) -> tuple[Shard, ...]:
    with contextlib.ExitStack() as stack:
        writers = []
        for number, example in enumerate(examples):
            if number * num_shards // num_examples == len(writers):
                stack.close()
                path = os.path.join(folder, shard_name(name, len(writers)))
                writers.append(stack.enter_context(_ShardWriter(path)))
            writers[-1].write(example)
    if not writers:
        raise InputError(f"The data set {name} has no image that could be written.")
    return tuple(writer.finish() for writer in writers)


class _ShardWriter:
    """Writes one shard, noting offsets and checksum; `finish` writes the index."""

    def __init__(self, path: str):
        self._path = path
        self._offsets = []
        self._size = 0
        self._sha256 = hashlib.sha256()
        self._file = tf.io.gfile.GFile(path, "wb")

    def __enter__(self) -> "_ShardWriter":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        framed = frame(data)
        self._offsets.append(self._size)
        self._file.write(framed)
        self._sha256.update(framed)
        self._size += len(framed)

    def finish(self) -> Shard:
        files.sync(self._path)
        index = encode_index(np.array(self._offsets, np.uint64), size=self._size)
        files.write(index_path(self._path), index)
        return Shard(
            name=os.path.basename(self._path),
            size=self._size,
            records=len(self._offsets),
            sha256=self._sha256.hexdigest(),
        )
