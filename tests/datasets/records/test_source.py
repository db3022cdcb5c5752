"""Bad records of every kind: named with file, byte and image, counted, skipped up to a limit."""

import struct

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.input_pipeline import WorkerSlice, evaluation_batches, training_batches
from datasets.records.features import encode_example
from datasets.records.index import build_index, encode_index, index_path, load_index
from datasets.records.reader import RecordReader
from datasets.records.source import RecordSource
from runtime.errors import InputError


def example(k: int, *, encoded: bytes | None = None) -> bytes:
    """A record called k.jpg whose one object is of class k."""
    picture = cv2.imencode(".jpg", np.full((8, 16, 3), 20 * k, np.uint8))[1].tobytes()
    return encode_example(
        encoded=picture if encoded is None else encoded,
        image_format="JPEG",
        height=8,
        width=16,
        channels=3,
        filename=f"{k}.jpg",
        boxes=np.array([[0, 0, 1, 1]]),
        labels=[k],
        names=["x"],
        difficult=[0],
        truncated=[0],
    )


def huge_jpeg() -> bytes:
    """A JPEG whose header claims 65,500 x 65,500 pixels."""
    data = cv2.imencode(".jpg", np.zeros((8, 16, 3), np.uint8))[1].tobytes()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 65500, 65500) + data[at + 4 :]


BAD = {
    "no example": b"\xff\xff\xff",
    "no image": example(4, encoded=b"text"),
    "torn image": example(4, encoded=cv2.imencode(".jpg", np.eye(64) * 255)[1].tobytes()[:-200]),
    "huge header": example(4, encoded=huge_jpeg()),
    "empty": b"",
}


@pytest.fixture
def open_source(tmp_path, write_tfrecord):
    """A source of nine records; `bad` replaces some of them, by number."""

    def open_source(bad: dict[int, bytes], **options) -> tuple[RecordSource, list[str]]:
        lines: list[str] = []
        made = [bad.get(k, example(k + 1)) for k in range(9)]
        shard = write_tfrecord(tmp_path / "a_000.tfrecord", made)
        return RecordSource((shard,), report=lines.append, **options), lines

    return open_source


def train(source: RecordSource, *, first: int = 0) -> list[int]:
    """Classes in the order of the samples of four steps of three."""
    data = training_batches(
        source,
        preprocess=lambda encoded, boxes, labels, *, seed: (decode(encoded)[:1, :1], boxes, labels),
        match=lambda boxes, labels: (labels, boxes),
        batch_size=3,
        share=WorkerSlice(3, 0, 3),
        seed=1,
        first_step=first,
        last_step=4,
    )
    try:
        return [int(k) for _, (labels, _) in data for k in labels.numpy()[:, 0]]
    except tf.errors.OpError as error:
        raise source.explain() or error from error


def decode(encoded: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def evaluate(source: RecordSource) -> tuple[list[int], list[int]]:
    data = evaluation_batches(
        source, decode=decode, preprocess=lambda picture: tf.zeros([2, 2, 3]), batch_size=4
    )
    rows = [(batch["record"].numpy(), batch["labels"].numpy()[:, 0]) for batch in data]
    records, labels = (np.concatenate(column).tolist() for column in zip(*rows, strict=True))
    return records, labels


@pytest.mark.parametrize("kind", BAD)
def test_bad_record_stops_training_and_is_named(open_source, kind):
    source, _ = open_source({3: BAD[kind]})
    with pytest.raises(InputError, match=r"a_000\.tfrecord, byte \d+: (this|the)") as caught:
        train(source)
    if kind in ("no image", "torn image", "huge header"):
        assert "4.jpg" in str(caught.value)


def test_image_of_more_objects_than_allowed_is_a_bad_record(open_source):
    with pytest.raises(
        InputError, match=r"byte \d+: the image \d\.jpg has 1 objects, .* can learn 0"
    ):
        train(open_source({}, max_objects=0)[0])
    assert train(open_source({}, max_objects=1)[0])


@pytest.mark.parametrize("kind", BAD)
def test_next_good_record_takes_the_place_of_a_bad_one(open_source, kind):
    clean = train(open_source({})[0])
    source, lines = open_source({3: BAD[kind], 4: BAD["no image"]}, skip_bad=2)
    assert train(source) == [6 if k in (4, 5) else k for k in clean]
    assert len(lines) == len(source.bad) == 2
    assert "skipped, 1 of at most 2: " in lines[0]


def test_samples_after_a_restart_are_the_same(open_source):
    bad = {3: BAD["no image"], 8: BAD["torn image"]}
    whole = train(open_source(bad, skip_bad=2)[0])
    assert train(open_source(bad, skip_bad=2)[0], first=2) == whole[6:]


def test_last_record_is_replaced_by_the_first(open_source):
    source, _ = open_source({8: BAD["no image"]}, skip_bad=1)
    assert set(train(source)) == set(range(1, 9))


def test_one_bad_record_more_than_allowed_stops(open_source):
    source, lines = open_source({3: BAD["no image"], 5: BAD["no image"]}, skip_bad=1)
    with pytest.raises(InputError, match=r"\(bad record number 2, --skip_bad=1\)\.$"):
        train(source)
    assert len(lines) == 1


def test_no_good_record_at_all_stops(open_source):
    source, _ = open_source(dict.fromkeys(range(9), BAD["empty"]), skip_bad=99)
    with pytest.raises(InputError, match="No record of this data set can be read"):
        train(source)


def test_evaluation_leaves_bad_records_out(open_source):
    bad = {0: BAD["empty"], 3: BAD["torn image"], 8: BAD["huge header"]}
    source, lines = open_source(bad, skip_bad=3)
    records = [1, 2, 4, 5, 6, 7]
    assert evaluate(source) == (records, [k + 1 for k in records])
    assert len(lines) == 3


def test_wrong_crc_is_skipped_too(open_source, tmp_path):
    source, lines = open_source({}, skip_bad=1)
    offset = int(build_index(str(tmp_path / "a_000.tfrecord"))[2])
    data = bytearray((tmp_path / "a_000.tfrecord").read_bytes())
    data[offset + 30] ^= 1
    (tmp_path / "a_000.tfrecord").write_bytes(data)
    assert evaluate(source)[0] == [0, 1, 3, 4, 5, 6, 7, 8]
    assert f"byte {offset}: the record's data do not match" in lines[0]


def test_record_of_gigabytes_is_refused_without_reading_it(tmp_path):
    """A sparse file, so that the claim is true and nothing but the limit refuses it."""
    path = tmp_path / "a_000.tfrecord"
    length = 3_000_000_000
    with path.open("wb") as file:
        file.truncate(length + 16)
    index = encode_index(np.array([0], np.uint64), size=length + 16)
    (tmp_path / "a_000.tfrecord.index").write_bytes(index)
    with RecordReader([str(path)]) as reader, pytest.raises(InputError, match="of 3000000016 byt"):
        reader.read(0)


@pytest.mark.parametrize("offsets", [[0, 50, 20], [0, 0], [0, 10**12]])
def test_index_out_of_order_is_not_used(tmp_path, write_tfrecord, offsets):
    shard = write_tfrecord(tmp_path / "a_000.tfrecord", [b"x" * 100])
    size = (tmp_path / "a_000.tfrecord").stat().st_size
    data = encode_index(np.array(offsets, np.uint64), size=size)
    with open(index_path(shard), "wb") as file:
        file.write(data)
    assert load_index(shard) is None
