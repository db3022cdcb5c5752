"""Batches from real records: order, shares of workers, mixtures, evaluation's one epoch."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.input_pipeline import WorkerSlice, evaluation_batches, training_batches
from datasets.order import Pool
from datasets.records.features import encode_example
from datasets.records.index import frame
from datasets.records.source import RecordSource


@pytest.fixture
def source(tmp_path, write_tfrecord, ssd_tensorflow_record) -> RecordSource:
    """Nine records of images with one object, whose class is the record's number from 1."""
    examples = [ssd_tensorflow_record([(k + 1, b"x")]) for k in range(9)]
    shards = (
        write_tfrecord(tmp_path / "a_000.tfrecord", examples[:6]),
        write_tfrecord(tmp_path / "a_001.tfrecord", examples[6:]),
    )
    return RecordSource(shards)


def preprocess(encoded, boxes, labels, *, seed):
    """The image's first numbers are those of its seed."""
    return tf.cast(seed, tf.float32), boxes, labels


def match(boxes, labels):
    return labels, boxes


def batches(source, *, first=0, last=4, share=None, **options):
    """(classes, seeds) of the batches of two rows."""
    share = share or WorkerSlice(global_batch_size=4, first_row=0, rows=4)
    data = training_batches(
        source,
        preprocess=preprocess,
        match=match,
        batch_size=2,
        share=share,
        seed=3,
        first_step=first,
        last_step=last,
        **options,
    )
    rows = [(labels.numpy()[:, 0].tolist(), seeds.numpy().tolist()) for seeds, (labels, _) in data]
    return [row[0] for row in rows], [row[1] for row in rows]


def test_epochs_are_whole(source):
    classes, _ = batches(source, last=9)  # 36 samples: four epochs of nine
    epochs = np.reshape(classes, [4, 9])
    assert (np.sort(epochs) == np.arange(1, 10)).all()
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_beginning_later_gives_the_same_batches_and_draws(source):
    classes, seeds = batches(source, last=5)
    later = batches(source, first=3, last=5)
    assert later == (classes[6:], seeds[6:])
    assert len({tuple(seed) for batch in seeds for seed in batch}) == 20


def test_workers_share_the_rows_of_every_global_batch(source):
    whole = np.reshape(batches(source)[0], [4, 4])
    for worker in (0, 1):
        own = batches(source, share=WorkerSlice(global_batch_size=4, first_row=2 * worker, rows=2))[
            0
        ]
        assert own == whole[:, 2 * worker : 2 * worker + 2].tolist()


def test_weighted_pools_share_every_cycle(source):
    classes = np.ravel(batches(source, pools=[Pool(6, 1), Pool(3, 1)])[0])
    assert (np.reshape(classes > 6, [8, 2]).sum(axis=1) == 1).all()
    times = np.unique(classes[classes > 6], return_counts=True)[1]
    assert sorted(times) == [2, 3, 3]  # eight of three records: two epochs and two more


def test_order_without_shuffle_is_that_of_the_records(source):
    assert batches(source, last=2, shuffle=False)[0] == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_evaluation_reads_every_record_once(source):
    data = evaluation_batches(
        source,
        decode=lambda encoded: tf.io.decode_image(encoded, expand_animations=False),
        preprocess=lambda picture: tf.zeros([2, 2, 3]),
        batch_size=4,
    )
    labels = [batch["labels"].numpy()[:, 0].tolist() for batch in data]
    assert labels == [[1, 2, 3, 4], [5, 6, 7, 8], [9]]


@pytest.mark.parametrize(("use_difficult", "expected"), [(True, [1, 3]), (False, [1])])
def test_crowds_are_never_learnt_from(tmp_path, write_tfrecord, use_difficult, expected):
    example = encode_example(
        encoded=cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes(),
        image_format="JPEG",
        height=1,
        width=1,
        channels=3,
        filename="a",
        boxes=np.array([[0, 0, 1, 1]] * 3),
        labels=[1, 2, 3],
        names=["a", "b", "c"],
        difficult=[0, 0, 1],
        truncated=[0, 0, 0],
        crowd=[0, 1, 0],
    )
    source = RecordSource((write_tfrecord(tmp_path / "a_000.tfrecord", [example] * 2),))
    data = training_batches(
        source,
        preprocess=preprocess,
        match=match,
        batch_size=2,
        share=WorkerSlice(2, 0, 2),
        seed=0,
        first_step=0,
        last_step=1,
        use_difficult=use_difficult,
    )
    assert next(iter(data)).targets[0].numpy().tolist() == [expected, expected]


def test_beginning_in_the_middle_of_100000_records_reads_a_few(tmp_path, ssd_tensorflow_record):
    """What is read at a resume does not depend on how much lies before it."""
    framed = frame(ssd_tensorflow_record([(1, b"x")]))
    (tmp_path / "a_000.tfrecord").write_bytes(framed * 100_000)
    source = RecordSource((str(tmp_path / "a_000.tfrecord"),))
    assert len(source) == 100_000
    batches(source, first=12_345, last=12_346)
    assert 4 <= len(source._recent) < 50
