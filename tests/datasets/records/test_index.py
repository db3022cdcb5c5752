"""TFRecord framing and the offset index, against the writer and reader of TensorFlow."""

import os
import pathlib
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.records.index import (
    RecordError,
    build_index,
    encode_index,
    frame,
    index_path,
    load_index,
    load_or_build,
    masked_crc,
    read_length,
)
from runtime.files import keep_beside

RECORDS = [b"", b"a", b"twelve bytes", bytes(1000)]
OFFSETS = [0, 16, 33, 61]  # each record takes 16 bytes more than its data


@pytest.fixture
def shard(tmp_path, write_tfrecord):
    return write_tfrecord(tmp_path / "x_000.tfrecord", RECORDS)


def keep(shard, offsets=OFFSETS, *, size=61 + 1016):
    path = pathlib.Path(index_path(shard))
    path.write_bytes(encode_index(np.array(offsets), size=size))
    return path


def test_masked_crc_is_that_of_a_known_record():
    # TFRecord of the 8-byte length 0, as TensorFlow writes it
    assert struct.pack("<I", masked_crc(bytes(8))) == bytes.fromhex("29039807")


@settings(deadline=None, max_examples=25)  # the time of a busy machine proves nothing
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_framed_records_are_those_of_tensorflow(tmp_path_factory, records):
    path = str(tmp_path_factory.mktemp("frames") / "x.tfrecord")
    with open(path, "wb") as file:
        file.write(b"".join(map(frame, records)))
    assert list(tf.data.TFRecordDataset(path).as_numpy_iterator()) == records
    assert len(build_index(path)) == len(records)


def test_index_is_built_by_scanning(shard):
    offsets = build_index(shard)
    assert offsets.dtype == np.uint64
    assert offsets.tolist() == OFFSETS


def test_empty_shard_has_an_empty_index(tmp_path):
    (tmp_path / "x.tfrecord").write_bytes(b"")
    assert build_index(str(tmp_path / "x.tfrecord")).tolist() == []


def test_stored_index_is_loaded(shard):
    keep(shard)
    assert load_index(shard).tolist() == OFFSETS


def test_index_has_the_documented_form(shard):
    data = encode_index(np.array(OFFSETS), size=1077)
    magic, size, count, _ = struct.unpack("<8sQQQ", data[:32])
    assert (magic, size, count) == (b"SSDINDX1", 1077, 4)
    assert list(struct.unpack("<4Q", data[32:])) == OFFSETS


def test_index_of_another_shard_size_is_stale(shard):
    keep(shard)
    with open(shard, "ab") as file:
        file.write(frame(b"one more"))
    assert load_index(shard) is None
    assert len(load_or_build(shard)) == 5
    assert load_index(shard).tolist() == [*OFFSETS, 1077]


@pytest.mark.parametrize("missing", [0, 1, 2, 3, [0, 1, 2, 3]])
def test_index_that_leaves_records_out_is_not_believed(shard, missing):
    keep(shard, np.delete(OFFSETS, missing))
    assert load_or_build(shard, records=4).tolist() == OFFSETS
    assert load_index(shard).tolist() == OFFSETS


@pytest.mark.parametrize("offsets", [[], [16, 33, 61], [0, 10, 61], [0, 1065], [0, 2**64 - 8]])
def test_index_with_room_for_more_or_less_than_records_is_not_believed(shard, offsets):
    keep(shard, np.array(offsets, np.uint64))
    assert load_or_build(shard).tolist() == OFFSETS


def test_shard_of_another_number_of_records_is_refused(shard):
    with pytest.raises(RecordError, match="has 4 records, and 5 are expected"):
        load_or_build(shard, records=5)


def test_pipe_in_place_of_an_index_is_ignored(shard):
    os.mkfifo(index_path(shard))
    assert load_or_build(shard).tolist() == OFFSETS


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:20], lambda d: b"", lambda d: d + d]
)
def test_damaged_index_is_ignored(shard, damage):
    path = keep(shard)
    path.write_bytes(damage(path.read_bytes()))
    assert load_index(shard) is None
    assert load_or_build(shard).tolist() == OFFSETS


def test_flipped_offset_is_noticed(shard):
    path = keep(shard)
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert load_index(shard) is None


def test_built_index_is_kept_beside_the_shard(shard, tmp_path):
    load_or_build(shard)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x_000.tfrecord", "x_000.tfrecord.index"]


def test_index_that_cannot_be_kept_is_used_from_memory(shard, tmp_path):
    (tmp_path / "x_000.tfrecord.index").mkdir()  # nothing can be written under that name
    assert load_or_build(shard).tolist() == OFFSETS
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x_000.tfrecord", "x_000.tfrecord.index"]


def test_cache_in_a_missing_folder_is_refused_quietly(tmp_path):
    assert keep_beside(str(tmp_path / "nowhere" / "x"), b"") is False


@pytest.mark.parametrize(
    "length, message", [(5, "ends inside a record"), (60, "runs past the end"), (1076, "runs past")]
)
def test_truncated_shard_is_found(shard, length, message):
    with open(shard, "r+b") as file:
        file.truncate(length)
    with pytest.raises(RecordError, match=message) as caught:
        build_index(shard)
    assert caught.value.path == shard
    assert caught.value.offset == max(o for o in OFFSETS if o < length)


def test_flipped_length_is_found(shard):
    with open(shard, "r+b") as file:
        file.seek(16)
        file.write(b"\x02")
    with pytest.raises(RecordError, match=r"byte 16: the record's length does not match its CRC"):
        build_index(shard)


def test_file_that_is_no_tfrecord_is_found(tmp_path):
    path = tmp_path / "x.tfrecord"
    path.write_bytes(b"\xff\xd8\xff\xe0 some image or other")
    with pytest.raises(RecordError, match=r"x\.tfrecord, byte 0"):
        build_index(str(path))


def test_length_beyond_the_file_is_refused_before_anything_is_read():
    length = struct.pack("<Q", 2**62)
    head = length + struct.pack("<I", masked_crc(length))
    with pytest.raises(RecordError, match="runs past the end"):
        read_length(head, path="x", offset=0, limit=100)


def test_missing_shard_is_bad_input(tmp_path):
    with pytest.raises(RecordError, match="cannot be read"):
        load_or_build(str(tmp_path / "nothing.tfrecord"))
