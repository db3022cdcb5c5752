"""Records read by TensorFlow's operations alone are those that the reader gives."""

import pathlib

import pytest
import tensorflow as tf

from datasets.records.graph_source import GraphRecordSource
from datasets.records.index import frame
from datasets.records.reader import RecordReader

RECORDS = ([b"a", b"", b"c" * 50000], [b"d", b"e" * 7])


@pytest.fixture
def shards(tmp_path):
    """Two shards with three and two records, one of them empty, one longer than the read-ahead."""
    paths = [tmp_path / f"records_{number:03d}.tfrecord" for number in range(len(RECORDS))]
    for path, records in zip(paths, RECORDS, strict=True):
        path.write_bytes(b"".join(map(frame, records)))
    return tuple(map(str, paths))


def test_every_record_of_every_shard_is_the_reader_s(shards):
    source = GraphRecordSource(shards)
    assert len(source) == 5
    read = [source.read(tf.constant(i, tf.int64)).numpy() for i in range(5)]
    assert read == [record for records in RECORDS for record in records]
    with RecordReader(shards) as reader:
        assert read == [reader.read(i) for i in range(5)]


def test_pipeline_of_it_runs_where_python_is_not(shards):
    source = GraphRecordSource(shards)
    graph = tf.function(source.read).get_concrete_function(tf.TensorSpec([], tf.int64)).graph
    assert not [each for each in graph.get_operations() if "PyFunc" in each.type]
    dataset = tf.data.Dataset.range(5).map(source.read)
    assert list(dataset.as_numpy_iterator())[3] == b"d"


@pytest.mark.parametrize("where", [3, 40], ids=["length", "data"])
def test_damaged_record_is_an_error(shards, where):
    source = GraphRecordSource(shards)
    shard = pathlib.Path(shards[0])
    data = bytearray(shard.read_bytes())
    data[len(frame(b"a") + frame(b"")) + where] ^= 1
    shard.write_bytes(data)
    assert source.read(tf.constant(0, tf.int64)).numpy() == b"a"
    with pytest.raises(tf.errors.DataLossError):
        source.read(tf.constant(2, tf.int64))
