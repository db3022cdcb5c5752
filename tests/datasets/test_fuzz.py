"""Mutated files of every kind that is read: a result or one of our errors, and nothing lost.

A few hundred of each in every run; `--fuzz_count=10000` for a long one.
"""

import collections
import json
import random
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.layouts.annotations import Annotation
from datasets.layouts.coco import Coco, read_coco
from datasets.layouts.image_file import Header, check_picture
from datasets.layouts.orientation import orientation
from datasets.layouts.voc_xml import read_annotation
from datasets.records.features import Contents, encode_example, read_contents
from datasets.records.reader import RecordReader
from inspection.defects import find_oddities
from runtime.errors import InputError

TOKENS = (
    *(b"<object>", b"</object>", b"<bndbox>", b"nan", b"-1e999", b"<!DOCTYPE a [", b"&x;"),
    *(b"<![CDATA[", b"\xff\xd8", b"\xff\xd9", b"\xff\xff", b"\0" * 8, b"\xff" * 8, b"IEND"),
    *(b"null", b"[", b"]", b"{", b"1e400", b'"', b"\\ud800", b",", b"9" * 5000),
)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One change or a few: bits, bytes, ends, pieces moved, doubled or taken from elsewhere."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(made) + 1)
        end = min(len(made), at + rng.choice((1, 4, 40)))
        change = rng.randrange(9)
        if change == 0 and at < len(made):
            made[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            made[at:end] = rng.randbytes(end - at)
        elif change == 2:
            del made[at:]
        elif change == 3:
            del made[at:end]
        elif change == 4:
            made[at:at] = made[at:end] * rng.randint(1, 3)
        elif change == 5:
            made[at:at] = rng.choice(TOKENS)
        elif change == 6:
            made[at:end] = rng.choice(TOKENS)
        elif at < len(made):  # a letter or digit for another keeps a text well-formed
            made[at] = rng.choice(b"0123456789-.eE az") if chr(made[at]).isalnum() else made[at]
    return bytes(made)


def jpeg() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def png() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def xml() -> bytes:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>15</ymax></bndbox>"
    thing = f"<object><name>cat</name><difficult>0</difficult>{box}</object>"
    size = "<size><width>40</width><height>20</height><depth>3</depth></size>"
    return f"<annotation><filename>a.jpg</filename>{size}{thing * 2}</annotation>".encode()


def coco() -> bytes:
    row = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    image = {"id": 1, "file_name": "a.jpg", "width": 40, "height": 20}
    categories = [{"id": 3, "name": "cat"}]
    tables = {"images": [image], "annotations": [row, row], "categories": categories}
    return json.dumps(tables).encode()


def record() -> bytes:
    return encode_example(
        encoded=jpeg(),
        image_format="JPEG",
        height=20,
        width=40,
        channels=3,
        filename="a.jpg",
        boxes=np.array([[0, 0, 1, 1], [0.1, 0.1, 0.5, 0.5]]),
        labels=[1, 2],
        names=["cat", "dog"],
        difficult=[0, 1],
        truncated=[0, 0],
    )


def look_at_picture(data: bytes) -> Header:
    """What passes the check of a conversion is what training decodes."""
    header = check_picture(data)
    assert all(len(pair) == 2 for pair in find_oddities(data, header, filename="a.jpg"))
    assert 1 <= orientation(data) <= 8
    pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
    assert pixels.shape == (header.height, header.width, 3)
    return header


@pytest.fixture
def attack(request, tmp_path, capsys):
    """Reads mutations of `data`; counts results and errors, whose sum is the number of files."""

    def attack(name: str, data: bytes, read: Callable, *, kind: type, errors: type) -> None:
        count = request.config.getoption("fuzz_count")
        outcomes: collections.Counter[str] = collections.Counter()
        for seed in range(count):
            made = mutate(data, random.Random(f"{name} {seed}"))
            try:
                outcomes["read"] += isinstance(read(made), kind)
            except errors as error:
                outcomes["refused" if str(error) else "without a word"] += 1
        with capsys.disabled():
            print(f"\n{name}: {dict(outcomes)}", end=" ")
        assert outcomes.total() == count
        assert outcomes["refused"] > 0
        assert not outcomes["without a word"]

    return attack


def in_file(tmp_path, read: Callable) -> Callable[[bytes], object]:
    def read_bytes(data: bytes):
        (tmp_path / "file").write_bytes(data)
        return read(str(tmp_path / "file"))

    return read_bytes


def test_mutated_annotations_are_read_or_refused(attack, tmp_path):
    read = in_file(tmp_path, read_annotation)
    attack("xml", xml(), read, kind=Annotation, errors=InputError)


def test_mutated_coco_files_are_read_or_refused(attack, tmp_path):
    attack("coco", coco(), in_file(tmp_path, read_coco), kind=Coco, errors=InputError)


@pytest.mark.parametrize("make", [jpeg, png])
def test_mutated_pictures_are_read_or_refused(attack, make):
    attack(make.__name__, make(), look_at_picture, kind=Header, errors=ValueError)


def test_mutated_examples_are_read_or_refused(attack):
    attack("example", record(), read_contents, kind=Contents, errors=ValueError)


def test_records_of_mutated_shards_come_whole_or_are_named(request, tmp_path, capsys):
    """What is read was written, byte for byte; every other record is an error that is located."""
    written = [record()[:k] for k in (40, 900, 200, 1, 60)]
    path = str(tmp_path / "a_000.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for data in written:
            writer.write(data)
    with tf.io.gfile.GFile(path, "rb") as file:
        whole = file.read()
    outcomes: collections.Counter[str] = collections.Counter()
    for seed in range(request.config.getoption("fuzz_count")):
        with open(path, "wb") as file:
            file.write(mutate(whole, random.Random(f"shard {seed}")))
        outcomes.update(read_shard(path, written))
        tf.io.gfile.remove(path + ".index") if tf.io.gfile.exists(path + ".index") else None
    with capsys.disabled():
        print(f"\nshards: {dict(outcomes)}", end=" ")
    assert outcomes["records"] > 0
    assert outcomes["damaged"] > 0
    assert not outcomes["unlocated"]


def read_shard(path: str, written: list[bytes]) -> list[str]:
    try:
        reader = RecordReader([path])
    except InputError as error:
        return ["refused shards" if path in str(error) else "unlocated"]
    outcomes = []
    with reader:
        for index in range(len(reader)):
            try:
                assert reader.read(index) in written
                outcomes.append("records")
            except InputError as error:
                outcomes.append("damaged" if "byte" in str(error) else "unlocated")
    return outcomes
