"""VOC folders and records made by the tests themselves."""

import pathlib
import struct
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
import tensorflow as tf

OBJECT = (
    "<object><name>{name}</name>{flags}<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>"
    "<xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
)


def annotation_xml(*, width: int, height: int, objects: Sequence[tuple]) -> str:
    """XML of an image whose objects are (name, (ymin, xmin, ymax, xmax), flags XML)."""
    written = [
        OBJECT.format(name=name, ymin=b[0], xmin=b[1], ymax=b[2], xmax=b[3], flags="".join(flags))
        for name, b, *flags in objects
    ]
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>x</filename>{size}{''.join(written)}</annotation>"


def picture_bytes(*, width: int = 40, height: int = 20, extension: str = ".jpg") -> bytes:
    """An encoded image of noise."""
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(extension, pixels)[1].tobytes()


def with_exif(data: bytes, turn: int, *, order: str = "<", count: int = 1) -> bytes:
    """A JPEG with an EXIF segment that holds the orientation alone."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, turn, 0)
    body = b"Exif\0\0" + mark + struct.pack(f"{order}IH", 8, count) + entry
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


class VocFolder:
    """A VOC folder of 40 x 20 images that grows by `add`."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (path / name).mkdir(parents=True)

    def add(self, image_id: str, *objects: tuple, width: int = 40, height: int = 20) -> None:
        self.add_xml(image_id, annotation_xml(width=width, height=height, objects=objects))
        (self.path / "JPEGImages" / f"{image_id}.jpg").write_bytes(picture_bytes())

    def add_xml(self, image_id: str, text: str) -> None:
        (self.path / "Annotations" / f"{image_id}.xml").write_text(text)

    def add_split(self, name: str, text: str) -> None:
        (self.path / "ImageSets" / "Main" / f"{name}.txt").write_text(text)

    def add_many(self, count: int) -> None:
        for number in range(count):
            self.add(f"p{number:03d}", ("cat", (2, 4, 12, 24)), ("own", (0, 0, 10, 10)))

    def __str__(self) -> str:
        return str(self.path)


@pytest.fixture
def voc(tmp_path) -> VocFolder:
    return VocFolder(tmp_path / "VOC")


@pytest.fixture
def write_tfrecord() -> Callable[[pathlib.Path, Sequence[bytes]], str]:
    """Writes a shard with TensorFlow's own writer; returns its path as text."""

    def write(path: pathlib.Path, records: Sequence[bytes]) -> str:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
        return str(path)

    return write


def _feature(values: Sequence) -> tf.train.Feature:
    if values and isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if values and isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


@pytest.fixture
def make_example() -> Callable[[dict], bytes]:
    """Serialises a tf.train.Example from {key: list of bytes, floats or ints}."""

    def make(features: dict) -> bytes:
        table = {key: _feature(values) for key, values in features.items()}
        return tf.train.Example(features=tf.train.Features(feature=table)).SerializeToString()

    return make


@pytest.fixture
def ssd_tensorflow_record(make_example) -> Callable[..., bytes]:
    """A record with the keys of SSD-Tensorflow's converter: no filename."""

    def make(objects: Sequence[tuple[int, bytes]], *, boxes=None) -> bytes:
        boxes = boxes or [(0.1, 0.2, 0.5, 0.6)] * len(objects)
        sides = dict(zip(("ymin", "xmin", "ymax", "xmax"), zip(*boxes, strict=True), strict=False))
        return make_example(
            {
                "image/height": [20],
                "image/width": [40],
                "image/channels": [3],
                "image/shape": [20, 40, 3],
                **{f"image/object/bbox/{side}": list(column) for side, column in sides.items()},
                "image/object/bbox/label": [label for label, _ in objects],
                "image/object/bbox/label_text": [name for _, name in objects],
                "image/object/bbox/difficult": [0] * len(objects),
                "image/object/bbox/truncated": [0] * len(objects),
                "image/format": [b"JPEG"],
                "image/encoded": [picture_bytes()],
            }
        )

    return make
