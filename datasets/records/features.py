"""The one place that knows the feature keys of a record (`tf.train.Example`).

Written are the keys of SSD-Tensorflow's converter plus `image/filename`, and from COCO
`image/source_id` and `image/object/is_crowd`. Read are those and the TF Object Detection API's
names for labels and `difficult`; a record has one set or the other. What a record lacks is empty:
no difficult key means that nothing is difficult. Crowds count as difficult.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from runtime import limits
from runtime.errors import spelt_out

_ENCODED = "image/encoded"
_FORMAT = "image/format"
_FILENAME = "image/filename"
_SIDES = tuple(f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax"))
_LABEL = ("image/object/bbox/label", "image/object/class/label")
_TEXT = ("image/object/bbox/label_text", "image/object/class/text")
_DIFFICULT = ("image/object/bbox/difficult", "image/object/difficult")
_TRUNCATED = ("image/object/bbox/truncated", "image/object/truncated")
_CROWD = "image/object/is_crowd"
_SOURCE_ID = "image/source_id"


class Contents(NamedTuple):
    """What a record says, unclipped: `boxes` f32[N, 4] relative, the rest of its objects [N].

    `names` is empty where the record does not name its classes, `labels` where it has no ids.
    """

    filename: str
    boxes: np.ndarray
    labels: tuple[int, ...]
    names: tuple[str, ...]
    difficult: tuple[bool, ...]
    truncated: tuple[bool, ...]
    crowd: tuple[bool, ...]
    encoded: bytes
    source_id: str


def encode_example(
    *,
    encoded: bytes,
    image_format: str,
    height: int,
    width: int,
    channels: int,
    filename: str,
    boxes: np.ndarray,
    labels,
    names,
    difficult,
    truncated,
    crowd=(),
    source_id: str = "",
) -> bytes:
    """Serialises one image with its N objects.

    Args:
      encoded: the image file's bytes, JPEG or PNG.
      image_format: "JPEG" or "PNG".
      height: in pixels, as are width; channels 1, 3 or 4 as the file has them.
      filename: the image's file name without folder.
      boxes: f32[N, 4] relative [ymin, xmin, ymax, xmax]; N may be 0.
      labels: N class ids from 1.
      names: N class names.
      difficult: N booleans, as truncated and crowd; the key of crowd is left out where none is.
      source_id: the image's id in the data set it comes from; left out when ''.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    values: dict[str, tuple[str, list]] = {
        _ENCODED: ("bytes_list", [encoded]),
        _FORMAT: ("bytes_list", [image_format.encode()]),
        _FILENAME: ("bytes_list", [filename.encode()]),
        "image/height": ("int64_list", [height]),
        "image/width": ("int64_list", [width]),
        "image/channels": ("int64_list", [channels]),
        "image/shape": ("int64_list", [height, width, channels]),
        _LABEL[0]: ("int64_list", [*map(int, labels)]),
        _TEXT[0]: ("bytes_list", [name.encode() for name in names]),
        _DIFFICULT[0]: ("int64_list", [*map(int, difficult)]),
        _TRUNCATED[0]: ("int64_list", [*map(int, truncated)]),
        **{
            key: ("float_list", column.tolist())
            for key, column in zip(_SIDES, boxes.T, strict=True)
        },
    }
    if any(crowd):
        values[_CROWD] = ("int64_list", [*map(int, crowd)])
    if source_id:
        values[_SOURCE_ID] = ("bytes_list", [source_id.encode()])
    return _serialise(values)


def _serialise(values: dict[str, tuple[str, list]]) -> bytes:
    """Features built in place: to put messages into each other copies the image each time."""
    example = tf.train.Example()
    for key, (kind, items) in values.items():
        filled = getattr(example.features.feature[key], kind)
        filled.SetInParent()  # also where there are none
        filled.value.extend(items)
    return example.SerializeToString(deterministic=True)


def parse_example(
    serialized: tf.Tensor, *, labels_offset: int = 0, num_classes: int | None = None
) -> dict[str, tf.Tensor]:
    """Parses one record inside a graph.

    Boxes are clipped to the image; those left without area are dropped with their labels.

    Args:
      serialized: string scalar, a serialized `tf.train.Example`.
      labels_offset: subtracted from every label, as slim does.
      num_classes: without the background, where nothing else checks the labels.

    Returns:
      encoded: string scalar, the image file's bytes.
      filename: string scalar, '' where the record has none.
      boxes: f32[N, 4] relative [ymin, xmin, ymax, xmax].
      labels: i64[N].
      difficult: bool[N], crowds among them.
      crowd: bool[N].

    Raises:
      tf.errors.InvalidArgumentError: the record has no image, its lists differ in length, a
        coordinate is no finite number, or a label is no class's.
    """
    features = tf.io.parse_single_example(serialized, _FEATURES)
    sides = tf.stack([features[key] for key in _SIDES], axis=-1)
    boxes = tf.clip_by_value(sides, 0.0, 1.0)
    labels = _first_filled(features, _LABEL) - labels_offset
    count = tf.shape(boxes)[0]
    crowd = _or_zeros(features[_CROWD], count)
    difficult = _or_zeros(_first_filled(features, _DIFFICULT), count)
    flags = ("difficult flags", difficult), ("crowd flags", crowd)
    checks = [
        tf.debugging.assert_equal(
            tf.size(values), count, message=f"The record's {what} and boxes differ in number"
        )
        for what, values in (("labels", labels), *flags)
    ]
    finite = tf.reduce_all(tf.math.is_finite(sides))
    checks.append(tf.debugging.Assert(finite, ["The record has a box that is no number"]))
    if num_classes is not None:
        known = tf.reduce_all((labels >= 1) & (labels <= num_classes))
        checks.append(tf.debugging.Assert(known, ["The record has an object of no class"]))
    with tf.control_dependencies(checks):
        labels, crowd = tf.identity(labels), tf.identity(crowd)
        difficult = difficult + crowd
    keep = tf.logical_and(boxes[:, 2] > boxes[:, 0], boxes[:, 3] > boxes[:, 1])
    return {
        "encoded": features[_ENCODED],
        "filename": features[_FILENAME],
        "boxes": tf.boolean_mask(boxes, keep),
        "labels": tf.boolean_mask(labels, keep),
        "difficult": tf.boolean_mask(difficult, keep) != 0,
        "crowd": tf.boolean_mask(crowd, keep) != 0,
    }


class ObjectRules(NamedTuple):
    """What the objects of a record have to keep to, to be learnt or scored.

    Attributes:
      num_classes: without the background.
      labels_offset: subtracted from the labels, which then are 1 to num_classes.
      max_objects: as many as there are anchors to learn them.
    """

    num_classes: int
    labels_offset: int = 0
    max_objects: int = limits.MAX_OBJECTS

    def check(self, contents: Contents) -> None:
        """Raises ValueError where a record breaks a rule."""
        count = len(contents.boxes) - sum(contents.crowd)  # which are never learnt
        if count > self.max_objects:
            raise ValueError(
                f"it has {count} objects, and the network has anchors for "
                f"{self.max_objects}: remove some, or the image"
            )
        for number, label in enumerate(contents.labels, start=1):
            if not 1 <= label - self.labels_offset <= self.num_classes:
                raise ValueError(
                    f"its object {number} is of class {label - self.labels_offset}, and there are "
                    f"{self.num_classes} classes: convert the data set again"
                )


def read_contents(serialized: bytes) -> Contents:
    """Reads a record's objects without TensorFlow's graph, for counting and for inspection.

    Raises:
      ValueError: not a `tf.train.Example`, no image in it, lists of different lengths, more than
        `limits.MAX_OBJECTS` objects, or a coordinate that is no finite number.
    """
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except Exception as error:  # protobuf's DecodeError has a different home in each release
        raise ValueError(f"it is not a tf.train.Example ({error})") from error
    if not features[_ENCODED].bytes_list.value:
        raise ValueError(f"it has no image under {_ENCODED!r}")
    columns = [features[key].float_list.value for key in _SIDES]
    if max(map(len, columns)) > limits.MAX_OBJECTS:
        raise ValueError(
            f"it has {max(map(len, columns))} objects, more than {limits.MAX_OBJECTS}: remove some"
        )
    labels = _either(features, _LABEL, "int64_list")
    names = tuple(
        name.decode("utf-8", "replace") for name in _either(features, _TEXT, "bytes_list")
    )
    difficult, truncated, crowd = (
        _either(features, keys, "int64_list") or (0,) * len(columns[0])
        for keys in (_DIFFICULT, _TRUNCATED, (_CROWD, _CROWD))
    )
    lengths = {len(column) for column in (*columns, labels or names, difficult, truncated, crowd)}
    if len(lengths) > 1:
        raise ValueError(f"its boxes, labels and difficult flags differ in number ({lengths})")
    boxes = np.array(columns, np.float32).T.reshape(-1, 4)
    if not np.isfinite(boxes).all():
        number = int(np.argmin(np.isfinite(boxes).all(axis=1)))
        raise ValueError(f"the box of its object {number + 1} is {boxes[number].tolist()}")
    return Contents(
        filename=_one_text(features[_FILENAME]),
        boxes=boxes,
        labels=labels,
        names=names,
        difficult=tuple(bool(d or c) for d, c in zip(difficult, crowd, strict=True)),
        truncated=tuple(map(bool, truncated)),
        crowd=tuple(map(bool, crowd)),
        encoded=features[_ENCODED].bytes_list.value[0],
        source_id=_one_text(features[_SOURCE_ID]),
    )


_FEATURES = {
    _ENCODED: tf.io.FixedLenFeature([], tf.string),
    _FILENAME: tf.io.FixedLenFeature([], tf.string, default_value=""),
    **{key: tf.io.RaggedFeature(tf.float32) for key in _SIDES},
    **{key: tf.io.RaggedFeature(tf.int64) for key in (*_LABEL, *_DIFFICULT, _CROWD)},
}


def _first_filled(features: dict[str, tf.Tensor], keys: tuple[str, str]) -> tf.Tensor:
    ours, theirs = (features[key] for key in keys)
    return tf.cond(tf.size(ours) > 0, lambda: ours, lambda: theirs)


def _or_zeros(values: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.size(values) > 0, lambda: values, lambda: tf.zeros([count], tf.int64))


def _one_text(feature: tf.train.Feature) -> str:
    return spelt_out(b"".join(feature.bytes_list.value).decode("utf-8", "replace"))


def _either(features, keys: tuple[str, str], kind: str) -> tuple:
    ours, theirs = (tuple(getattr(features[key], kind).value) for key in keys)
    return ours or theirs
