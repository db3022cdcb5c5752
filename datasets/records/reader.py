"""Random access to the records of TFRecord shards, by number, from any thread.

Records are numbered through all shards in the order given. Every read checks both CRCs: a flipped
byte in a JPEG's scan decodes without an error, so only the CRC notices it.
"""

import bisect
import gzip
import itertools
import os
import shutil
import tempfile
import threading
import weakref
import zlib
from collections.abc import Sequence

import tensorflow as tf

from datasets.records.index import (
    FRAME_BYTES,
    RecordError,
    build_index,
    is_gzipped,
    load_or_build,
    masked_crc,
    read_length,
    rebuild,
    scan,
    shard_size,
)
from runtime import files, limits

__all__ = ["RecordError", "RecordReader", "build_index"]


class RecordReader:
    """Reads record i of a list of shards; thread-safe.

    Local shards are read by `os.pread`, which needs no lock; others through `tf.io.gfile`, one read
    at a time. Files stay open until the reader is closed or collected, so a reader keeps the
    old records when a data set is replaced under it.

    Raises:
      RecordError: a shard is missing or cannot be indexed.
    """

    def __init__(self, shard_paths: Sequence[str]):
        self._shards = [_Shard(path) for path in shard_paths]
        self._starts = [0, *itertools.accumulate(len(shard.offsets) for shard in self._shards)]

    def __len__(self) -> int:
        return self._starts[-1]

    def read(self, index: int) -> bytes:
        """The data of record `index`, 0 <= index < len(self).

        Raises:
          IndexError: there is no such record.
          RecordError: the record is damaged; names file and offset.
        """
        shard, number = self._find(index)
        return shard.read(number)

    def locate(self, index: int) -> tuple[str, int]:
        """The shard and the byte offset of record `index`, for messages."""
        shard, number = self._find(index)
        return shard.path, int(shard.offsets[number])

    def close(self) -> None:
        """Closes the files; reading is over."""
        for shard in self._shards:
            shard.close()

    def __enter__(self) -> "RecordReader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _find(self, index: int) -> tuple["_Shard", int]:
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        shard = bisect.bisect_right(self._starts, index) - 1
        return self._shards[shard], index - self._starts[shard]


class _Shard:
    """One shard: its offsets u64[N] and its open file.

    An index that does not fit the records is built anew, once.
    """

    def __init__(self, path: str):
        self.path = path
        self._file: _LocalFile | _RemoteFile | _UnzippedFile
        if is_gzipped(path):
            self._file = _UnzippedFile(path)
            self.offsets, self._size = self._file.offsets, self._file.size
        else:
            self.offsets, self._size = load_or_build(path), shard_size(path)
            self._file = _LocalFile(path) if files.is_local(path) else _RemoteFile(path)
        self.close = self._file.close
        self._lock, self._is_rebuilt = threading.Lock(), False

    def read(self, number: int) -> bytes:
        try:
            return self._read(number)
        except _MisfitError as error:
            with self._lock:
                self._rebuild_once(error)
            return self._read(number)

    def _rebuild_once(self, error: RecordError) -> None:
        if self._is_rebuilt:
            return
        self._is_rebuilt = True
        offsets = rebuild(self.path)
        if len(offsets) != len(self.offsets):
            raise RecordError(
                self.path,
                0,
                f"its index was of {len(self.offsets)} records, and there are {len(offsets)}: it "
                "was built anew; run again",
            ) from error
        self.offsets = offsets

    def _read(self, number: int) -> bytes:
        offset = int(self.offsets[number])
        last = number + 1 == len(self.offsets)
        end = self._size if last else int(self.offsets[number + 1])
        if end - offset > limits.MAX_RECORD_BYTES:
            raise RecordError(
                self.path, offset, f"a record of {end - offset} bytes is no image: remove it"
            )
        raw = self._read_at(offset, end - offset)
        try:
            length = read_length(raw[:12], path=self.path, offset=offset, limit=len(raw))
        except RecordError as error:
            raise _MisfitError(self.path, offset, error.what) from error
        if length + FRAME_BYTES != end - offset:
            raise _MisfitError(self.path, offset, "the record ends before the next one begins")
        data = raw[12:-4]
        if masked_crc(data) != int.from_bytes(raw[-4:], "little"):
            raise RecordError(self.path, offset, "the record's data do not match their CRC")
        return data

    def _read_at(self, offset: int, length: int) -> bytes:
        try:
            return self._file.read_at(offset, length)
        except (OSError, tf.errors.OpError) as error:
            raise RecordError(self.path, offset, f"reading failed ({error})") from error


class _MisfitError(RecordError):
    """The record or the index is wrong."""


class _LocalFile:
    def __init__(self, path: str):
        try:
            self._descriptor = files.open_regular(path)
        except OSError as error:
            raise RecordError(path, 0, f"the shard cannot be opened ({error.strerror})") from error
        self.close = weakref.finalize(self, os.close, self._descriptor)

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)


class _UnzippedFile:
    """A compressed shard, uncompressed to a file without a name, which goes when it is closed."""

    def __init__(self, path: str):
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as this is)
        self.close = self._file.close
        try:
            with files.opened(path) as packed, gzip.GzipFile(fileobj=packed) as unpacked:
                shutil.copyfileobj(unpacked, self._file)
        except (OSError, EOFError, zlib.error, tf.errors.OpError) as error:
            self.close()
            raise RecordError(path, 0, f"it cannot be uncompressed ({error})") from error
        self.size = self._file.tell()
        self.offsets = scan(self._file, path=path, size=self.size)

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._file.fileno(), length, offset)


class _RemoteFile:
    def __init__(self, path: str):
        self._lock = threading.Lock()
        self._file = tf.io.gfile.GFile(path, "rb")
        self.close = self._file.close

    def read_at(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(length)
