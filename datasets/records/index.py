"""The offset index of a TFRecord shard: `SHARD.tfrecord.index`, for random access.

Format, all little-endian: 8 bytes `SSDINDX1`; u64 byte size of the shard; u64 number of records N;
u64 CRC32C of the offsets; N x u64 offsets of the records' first bytes. An index is stale when the
shard's size is another one than it says: modification times are not looked at, because copies and
archives change them.
"""

import struct
from typing import IO

import google_crc32c
import numpy as np
import tensorflow as tf

from runtime import files, limits
from runtime.errors import InputError
from runtime.files import keep_beside

_MAGIC = b"SSDINDX1"
_HEADER = struct.Struct("<8sQQQ")
_LENGTH = struct.Struct("<QI")
FRAME_BYTES = 16  # u64 length, u32 its CRC; after the data u32 its CRC


class RecordError(InputError):
    """A shard is damaged or cannot be read; `path` and `offset` (bytes) say where."""

    def __init__(self, path: str, offset: int, what: str):
        super().__init__(f"{path}, byte {offset}: {what}.")
        self.path = path
        self.offset = offset
        self.what = what


def masked_crc(data: bytes) -> int:
    """TFRecord's masked CRC32C of `data`."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """`data` as it is in a TFRecord file: length, CRC, data, CRC."""
    length = struct.pack("<Q", len(data))
    crcs = struct.pack("<I", masked_crc(length)), struct.pack("<I", masked_crc(data))
    return b"".join((length, crcs[0], data, crcs[1]))


def read_length(head: bytes, *, path: str, offset: int, limit: int) -> int:
    """The data length from a record's first 12 bytes.

    Args:
      head: what could be read at `offset`, 12 bytes or fewer.
      limit: bytes from `offset` to the end of the shard.

    Raises:
      RecordError: too short, a wrong CRC, or a record that runs past the end of the shard.
    """
    if len(head) < _LENGTH.size:
        raise RecordError(
            path, offset, "the shard ends inside a record: it was cut off; copy it anew"
        )
    length, crc = _LENGTH.unpack(head)
    if masked_crc(head[:8]) != crc:
        raise RecordError(path, offset, "the record's length does not match its CRC: copy it anew")
    if length + FRAME_BYTES > limit:
        raise RecordError(
            path,
            offset,
            f"a record of {length} bytes runs past the end: it was cut off; copy it anew",
        )
    return length


def build_index(path: str) -> np.ndarray:
    """Scans a shard for the offsets of its records, u64[N]; checks length CRCs, reads no data.

    Raises:
      RecordError: the shard is truncated or no TFRecord file.
    """
    size = shard_size(path)
    with files.opened(path, buffering=0) as file:
        return scan(file, path=path, size=size)


def scan(file: IO[bytes], *, path: str, size: int) -> np.ndarray:
    """As `build_index`, of an open file of `size` bytes; the path is for messages."""
    offsets = []
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(_LENGTH.size)
        length = read_length(head, path=path, offset=position, limit=size - position)
        offsets.append(position)
        position += length + FRAME_BYTES
    return np.array(offsets, np.uint64)


def is_gzipped(path: str) -> bool:
    """Whether a shard is compressed as a whole, as TFRecordOptions("GZIP") does.

    Raises:
      RecordError: it cannot be read.
    """
    try:
        return files.read_start(path, 2) == b"\x1f\x8b"
    except InputError as error:
        raise RecordError(path, 0, f"the shard cannot be read ({error})") from error


def encode_index(offsets: np.ndarray, *, size: int) -> bytes:
    """An index file's bytes; `size` is the shard's in bytes."""
    body = np.asarray(offsets, "<u8").tobytes()
    return _HEADER.pack(_MAGIC, size, len(offsets), google_crc32c.value(body)) + body


def load_index(path: str) -> np.ndarray | None:
    """The stored offsets u64[N] of shard `path`; None when no index there fits the shard.

    That the records between the offsets are as long as it says is seen when they are read.
    """
    try:
        data = files.read(index_path(path), most=_HEADER.size + 8 * limits.MAX_RECORDS)
    except InputError:
        return None
    head, body = data[: _HEADER.size], data[_HEADER.size :]
    expected = (_MAGIC, shard_size(path), len(body) // 8, google_crc32c.value(body))
    if len(head) < _HEADER.size or _HEADER.unpack(head) != expected or len(body) % 8:
        return None
    offsets = np.frombuffer(body, "<u8").astype(np.uint64)
    bounds = np.append(offsets, np.uint64(shard_size(path)))
    fits = (offsets < bounds[-1]).all() and (bounds[1:] >= bounds[:-1] + FRAME_BYTES).all()
    return offsets if fits and bounds[0] == 0 else None


def load_or_build(path: str, *, records: int | None = None) -> np.ndarray:
    """The offsets u64[N] of shard `path`; an index that had to be built is kept beside it.

    A folder that cannot be written to costs a scan at every start, nothing else.

    Args:
      path: of the shard.
      records: how many there are, where that is known: an index of another number is not believed.

    Raises:
      RecordError: the shard is damaged, or has another number of records.
    """
    offsets = load_index(path)
    if offsets is None or records not in (None, len(offsets)):
        offsets = rebuild(path)
    if records not in (None, len(offsets)):
        raise RecordError(
            path,
            0,
            f"the shard has {len(offsets)} records, and {records} are expected: convert or copy "
            "the data set again",
        )
    return offsets


def rebuild(path: str) -> np.ndarray:
    """Builds the index of a shard and keeps it beside it. Raises RecordError as `build_index`."""
    offsets = build_index(path)
    keep_beside(index_path(path), encode_index(offsets, size=shard_size(path)))
    return offsets


def index_path(path: str) -> str:
    """Where the index of shard `path` stands."""
    return path + ".index"


def shard_size(path: str) -> int:
    """The shard's size in bytes. Raises RecordError when it is not there."""
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.OpError as error:
        raise RecordError(path, 0, f"the shard cannot be read ({error.message})") from error
