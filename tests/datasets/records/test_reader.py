"""Random access to records, and damage that must be noticed."""

import concurrent.futures
import os
import struct

import numpy as np
import pytest
import tensorflow as tf

from datasets.records.index import encode_index, index_path, load_index, masked_crc
from datasets.records.reader import RecordError, RecordReader, build_index
from runtime.errors import InputError


def record(number):
    return b"%04d" % number + bytes([number % 256]) * (number * 7 % 50)


@pytest.fixture
def shards(tmp_path, write_tfrecord):
    """Three shards of 10, 0 and 15 records."""
    parts = [range(10), range(0), range(10, 25)]
    return [
        write_tfrecord(tmp_path / f"x_{k:03d}.tfrecord", [record(i) for i in part])
        for k, part in enumerate(parts)
    ]


def damage(path, position):
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 0x10]))


def test_records_are_numbered_through_all_shards(shards):
    with RecordReader(shards) as reader:
        assert len(reader) == 25
        assert [reader.read(i) for i in range(25)] == [record(i) for i in range(25)]


def test_reading_agrees_with_tensorflows_reader(shards):
    expected = list(tf.data.TFRecordDataset(shards).as_numpy_iterator())
    with RecordReader(shards) as reader:
        assert [reader.read(i) for i in range(len(reader))] == expected


@pytest.mark.parametrize("index", [-1, 25, 10**12])
def test_number_out_of_range_is_an_index_error(shards, index):
    with RecordReader(shards) as reader, pytest.raises(IndexError):
        reader.read(index)


def test_place_of_a_record_is_told(shards):
    with RecordReader(shards) as reader:
        assert reader.locate(0) == (shards[0], 0)
        assert reader.locate(11) == (shards[2], int(build_index(shards[2])[1]))


def test_threads_read_at_the_same_time(shards):
    order = np.random.default_rng(0).integers(0, 25, 2000).tolist()
    with RecordReader(shards) as reader, concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reader.read, order)) == [record(i) for i in order]


def test_remote_files_are_read_through_tensorflows_filesystem(shards):
    with RecordReader([f"file://{path}" for path in shards]) as reader:
        order = [24, 0, 10, 9, 3] * 20
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert list(pool.map(reader.read, order)) == [record(i) for i in order]


def test_flipped_byte_names_file_and_offset(shards):
    offset = int(build_index(shards[2])[3])
    damage(shards[2], offset + 14)
    with RecordReader(shards) as reader:
        with pytest.raises(RecordError, match=rf"x_002\.tfrecord, byte {offset}: .*CRC") as caught:
            reader.read(13)
        assert (caught.value.path, caught.value.offset) == (shards[2], offset)
        assert isinstance(caught.value, InputError)
        assert reader.read(12) == record(12)
        assert reader.read(14) == record(14)


def test_flipped_length_is_noticed_though_the_index_is_good(shards):
    offset = int(build_index(shards[0])[3])
    with RecordReader(shards):  # keeps the index
        pass
    damage(shards[0], offset)
    with (
        RecordReader(shards) as reader,
        pytest.raises(RecordError, match=f"byte {offset}: .*length"),
    ):
        reader.read(3)


def test_shard_cut_off_while_it_is_open_is_noticed(shards):
    with RecordReader(shards) as reader:
        os.truncate(shards[0], os.path.getsize(shards[0]) - 3)
        with pytest.raises(RecordError, match="cut off"):
            reader.read(9)


def test_index_of_another_shard_of_the_same_size_is_noticed(shards):
    offsets = build_index(shards[0])
    offsets[2] += 1
    with open(index_path(shards[0]), "wb") as file:
        file.write(encode_index(offsets, size=os.path.getsize(shards[0])))
    with RecordReader(shards) as reader:
        assert [reader.read(i) for i in range(10)] == [record(i) for i in range(10)]
    assert load_index(shards[0]).tolist() == build_index(shards[0]).tolist()


def test_index_without_a_middle_record_is_built_anew(shards):
    offsets = np.delete(build_index(shards[0]), 4)
    with open(index_path(shards[0]), "wb") as file:
        file.write(encode_index(offsets, size=os.path.getsize(shards[0])))
    with (
        RecordReader(shards) as reader,
        pytest.raises(RecordError, match="of 9 records, and there are 10"),
    ):
        reader.read(3)  # the fourth record would be a part of it
    with RecordReader(shards) as reader:
        assert [reader.read(i) for i in range(25)] == [record(i) for i in range(25)]


def test_missing_shard_is_bad_input(shards):
    with pytest.raises(RecordError, match="cannot be read"):
        RecordReader([*shards, "/nowhere/x_003.tfrecord"])


def test_reader_goes_on_when_the_files_are_replaced(shards):
    with RecordReader(shards) as reader:
        for path in shards:
            os.remove(path)
        assert reader.read(20) == record(20)


def test_forgotten_reader_closes_its_files(shards):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        RecordReader(shards).read(0)
    assert len(os.listdir("/proc/self/fd")) < before + 10


def test_reader_may_be_closed_twice(shards):
    reader = RecordReader(shards)
    reader.close()
    reader.close()


@pytest.mark.parametrize("length", [2**62, 2**40])
def test_giant_length_is_refused_before_memory_is_taken(tmp_path, length):
    path = tmp_path / "x.tfrecord"
    head = struct.pack("<Q", length)
    path.write_bytes(head + struct.pack("<I", masked_crc(head)) + bytes(100))
    with pytest.raises(RecordError, match="runs past the end"):
        RecordReader([str(path)])
    index = encode_index(np.array([0]), size=path.stat().st_size)
    (tmp_path / "x.tfrecord.index").write_bytes(index)  # an index that believes it
    with RecordReader([str(path)]) as reader, pytest.raises(RecordError, match="runs past the end"):
        reader.read(0)
