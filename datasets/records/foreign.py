"""Records that came without a manifest: counted once, the counts kept beside them.

Such are the records of SSD-Tensorflow's converter and of the TF Object Detection API. The counts
are in `NAME.counts.json` and hold as long as the shards keep their names and sizes. A record that
cannot be read is counted as an image without objects: whether to skip it is for its
reader to say. When no record can be read, these are not images at all, and that is said here.
"""

import collections
import dataclasses
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence, Sized

import numpy as np
import tensorflow as tf

from datasets.records.features import Contents, read_contents
from datasets.records.index import RecordError, load_or_build, shard_size
from datasets.records.manifest import whole_number
from datasets.records.reader import RecordReader
from runtime import files, limits
from runtime.errors import InputError
from runtime.files import keep_beside

_FORMAT = "ssd-counts-1"
# As the Object Detection API, TFDS, slim and Roboflow call them, also compressed.
_ENDING = r"\.(?:tf)?rec(?:ord)?s?"
_PART = r"[-_](?P<number>\d{5})-of-(?P<count>\d{5})"
_NAMES = [
    re.compile(rf"(?P<name>.+?){form}(?:\.gz|\.gzip)?", re.IGNORECASE)
    for form in (f"{_ENDING}{_PART}", f"{_PART}{_ENDING}", _PART, _ENDING)
]
_SILENCE_SECS = 10.0


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a data set holds, by class id as the records have it.

    Attributes:
      num_images: records.
      objects: objects that are not difficult and have an area, by class id; every id that occurs
        is a key, be its count 0.
      names: class names, for the ids that the records name.
    """

    num_images: int
    objects: dict[int, int]
    names: dict[int, str]


def find_files(folder: str) -> dict[str, list[str]]:
    """File names of record sets as other tools call them, sorted, by the name of the set.

    Such are NAME.record, NAME.tfrecord and NAME.record-00000-of-00002.
    """
    found = collections.defaultdict(list)
    for file in sorted(tf.io.gfile.listdir(folder)):
        if match := next(filter(None, (form.fullmatch(file) for form in _NAMES)), None):
            found[match["name"].rstrip("_")].append(file)
    return dict(found)


def check_whole(folder: str, name: str, files: Sequence[str]) -> None:
    """Raises InputError where files that are numbered `-00000-of-00002` are not all there."""
    parts = [match for file in files if (match := re.search(_PART, file))]
    counts = {int(match["count"]) for match in parts}
    if parts and (len(counts) > 1 or len(files) != max(counts)):
        raise InputError(
            f"The record set {name} in {folder} should have {max(counts)} files by their names, "
            f"and {len(files)} are there ({', '.join(files[:3])}): copy them anew."
        )


def count_records(folder: str, name: str, names: Sequence[str]) -> Counts:
    """Counts the data set `name`, whose shards are `names` in `folder`, or recalls the counts.

    Raises:
      InputError: a shard cannot be indexed, or a record is no annotated image.
    """
    paths = [os.path.join(folder, file) for file in names]
    sizes = {file: shard_size(path) for file, path in zip(names, paths, strict=True)}
    cache = os.path.join(folder, name + ".counts.json")
    counts = _recall(cache, sizes)
    if counts is None or counts.num_images != sum(len(load_or_build(path)) for path in paths):
        counts = _count(name, paths)
        fields = {"format": _FORMAT, "shards": sizes} | dataclasses.asdict(counts)
        keep_beside(cache, json.dumps(fields, indent=1).encode())
    return counts


def _recall(path: str, sizes: dict[str, int]) -> Counts | None:
    if not tf.io.gfile.exists(path):
        return None
    try:
        fields = json.loads(files.read(path))
        if (fields["format"], fields["shards"]) != (_FORMAT, sizes):
            return None
        objects = {int(k): whole_number(v, what=k) for k, v in fields["objects"].items()}
        names = {int(k): str(v) for k, v in fields["names"].items()}
        return Counts(whole_number(fields["num_images"], what="num_images"), objects, names)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None


def _count(name: str, paths: Sequence[str]) -> Counts:
    objects = collections.Counter()
    names: dict[int, str] = {}
    error = None
    with RecordReader(paths) as reader:
        bad = 0
        for index in _numbers_told(len(reader), name=name):
            where = "{}, byte {}".format(*reader.locate(index))
            try:
                contents = read_contents(reader.read(index))
            except (RecordError, ValueError) as problem:
                bad, error = bad + 1, error or InputError(_why(problem, where))
                continue
            _check_ids(contents, where=where)
            counted = _has_area(contents.boxes) & ~np.array(contents.difficult, bool)
            for label, one in zip(contents.labels, counted, strict=True):
                objects[label] += int(one)
            _check_number(objects, where=where)
            _add_names(names, contents, where=where)
        if error and bad == len(reader):
            raise error
        return Counts(len(reader), dict(sorted(objects.items())), dict(sorted(names.items())))


def _numbers_told(count: int, *, name: str) -> Iterator[int]:
    """0 to count - 1, with a line on stderr at the first and whenever there was none for long."""
    told = -math.inf
    for index in range(count):
        if time.monotonic() - told >= _SILENCE_SECS:
            line = f"Counting {name}, which has no manifest: record {index} of {count}."
            print(line, file=sys.stderr, flush=True)
            told = time.monotonic()
        yield index


def _why(problem: ValueError, where: str) -> str:
    if isinstance(problem, RecordError):
        return str(problem)
    return f"{where}: this record is no annotated image: {problem}."


def _check_ids(contents: Contents, *, where: str) -> None:
    if contents.names and not contents.labels:
        raise InputError(
            f"{where}: objects have names ({contents.names[0]}) but no class ids: write the ids "
            "under image/object/class/label."
        )


def _check_number(objects: Sized, *, where: str) -> None:
    if len(objects) > limits.MAX_CLASSES:
        raise InputError(
            f"{where}: up to here there are objects of {len(objects)} classes, more than "
            f"{limits.MAX_CLASSES}: correct the class ids."
        )


def _has_area(boxes: np.ndarray) -> np.ndarray:
    ymin, xmin, ymax, xmax = np.clip(boxes, 0, 1).T
    return (ymax > ymin) & (xmax > xmin)


def _add_names(names: dict[int, str], contents: Contents, *, where: str) -> None:
    for label, name in zip(contents.labels, contents.names, strict=bool(contents.names)):
        if names.setdefault(label, name) != name:
            raise InputError(f"{where}: class {label} is called {name!r} and {names[label]!r}.")
