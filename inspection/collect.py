"""Goes through a data set of any layout and collects what is wrong with it and what is in it.

Images are looked at one after the other and forgotten; what stays is a row of numbers for each
object. Defects that only the whole shows (a class written in two ways, coordinates counted from 0
in a folder that counts from 1, an image in two splits) are added in the end.
"""

import collections
import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from datasets.conversion import in_threads
from datasets.layouts.annotations import annotation_of
from datasets.layouts.image_file import read_image_bytes
from datasets.layouts.source import AnnotatedImage, Source
from datasets.records.features import read_contents
from datasets.records.index import RecordError
from datasets.records.reader import RecordReader
from inspection.defects import Checked, Defect, Item, Severity, check, kind_title
from runtime.errors import InputError

MAX_SHARE_WITHOUT_AREA = 0.01
_OVERHEAD = 500  # bytes of a record beside the image, and for each object
_OBJECT_BYTES = 60
_MAX_SUSPECTS = 24  # images with defects that are kept to be shown


class Inspection(NamedTuple):
    """A data set seen as a whole; N objects that have an area inside their image.

    Attributes:
      title: what was looked at.
      num_pictures: annotated ones.
      labels: class names; those that occur, where nothing else names them.
      defects: the worst first.
      names: class of each object.
      boxes: f32[N, 4] relative.
      sides: f32[N, 2], height and width of each object's image, pixels.
      images: i64[N], number of each object's image.
      difficult: bool[N].
      picture_sizes: (height, width) -> images, for those that tell it.
      record_bytes: estimated size of the records.
      groups: for each image the set of records that it is from; "" for other layouts.
      suspects: of the first images with defects that are more than notes, and that can be shown.
    """

    title: str
    num_pictures: int
    labels: tuple[str, ...]
    defects: list[Defect]
    names: list[str]
    boxes: np.ndarray
    sides: np.ndarray
    pictures: np.ndarray
    difficult: np.ndarray
    picture_sizes: dict[tuple[int, int], int]
    record_bytes: int
    groups: list[str]
    suspects: list[Checked]

    def counts(self) -> dict[str, int]:
        """Defects of each kind, the worst kinds first."""
        return dict(collections.Counter(defect.kind for defect in self.defects))

    @property
    def harm(self) -> list[str]:
        """Kinds that a training would suffer from; empty where it would not."""
        kinds = {d.kind for d in self.defects if d.severity == Severity.HARM}
        empty = self.counts().get("box_without_area", 0)
        if empty > MAX_SHARE_WITHOUT_AREA * (len(self.names) + empty):
            kinds.add("box_without_area")
        if not len(self.names):
            kinds.add("no_objects")
        return sorted(kinds)

    @property
    def verdict(self) -> str:
        """Whether a training would suffer, and from what, in a sentence."""
        if not self.harm:
            return "Nothing here would harm a training."
        return f"A training would be harmed: {', '.join(map(kind_title, self.harm))}."


def inspect(
    items: Iterable[Item],
    *,
    title: str,
    input_side: int,
    labels: Sequence[str] | None = None,
    extra: Iterable[Defect] = (),
) -> Inspection:
    """Looks at every item.

    Args:
      items: of `source_items` or `record_items`.
      title: what they are.
      input_side: pixels that the network sees of each, in each direction.
      labels: the classes that there may be; None allows all.
      extra: defects known before.
    """
    collected = _Collector()
    look = functools.partial(check, labels=labels, input_side=input_side)
    for _, checked in in_threads(look, iter(items)):
        collected.add(checked)
    defects = [*extra, *collected.defects, *collected.zero_based()]
    if collected.names and collected.num_crowds == len(collected.names):
        what = f"all {collected.num_crowds} objects are crowds (iscrowd 1), never trained on"
        defects.append(Defect("all_crowds", title, None, what))
    if labels is None:
        defects += _similar_labels(collected.names)
    columns = collected.columns()
    return Inspection(
        title=title,
        num_pictures=collected.num_pictures,
        labels=tuple(labels or sorted(set(collected.names))),
        defects=sorted(defects, key=lambda defect: -defect.severity),
        names=collected.names,
        **columns,
        picture_sizes=dict(collected.picture_sizes),
        record_bytes=collected.record_bytes,
        groups=collected.groups,
        suspects=collected.suspects,
    )


class _Collector:
    def __init__(self) -> None:
        self.num_pictures = self.record_bytes = self.num_crowds = 0
        self.defects: list[Defect] = []
        self.names: list[str] = []
        self.groups: list[str] = []
        self.suspects: list[Checked] = []
        self.picture_sizes: collections.Counter = collections.Counter()
        self._rows: list[tuple] = []
        self._hashes: dict[bytes, str] = {}
        self._first_at: dict[int, list[tuple[str, int, str]]] = {0: [], 1: []}

    def add(self, checked: Checked) -> None:
        self._add_picture(checked)
        for thing in checked.objects:
            self.names.append(thing.name)
            self.num_crowds += thing.crowd
            self._rows.append((*thing.box, *checked.size, self.num_pictures, thing.difficult))
        self.num_pictures += 1
        self.groups.append(_group(checked.item))
        self._add_bases(checked)
        self.defects += checked.defects
        bad = any(defect.severity > Severity.NOTE for defect in checked.defects)
        shown = checked.data and all(defect.kind != "bad_picture" for defect in checked.defects)
        if bad and shown and len(self.suspects) < _MAX_SUSPECTS:
            self.suspects.append(checked)

    def _add_picture(self, checked: Checked) -> None:
        self.record_bytes += _OVERHEAD + len(checked.data) + _OBJECT_BYTES * len(checked.objects)
        if checked.header:
            self.picture_sizes[checked.header.height, checked.header.width] += 1
        if checked.data:
            digest = hashlib.sha256(checked.data).digest()
            other = self._hashes.setdefault(digest, checked.item.place)
            if other != checked.item.place:
                what = f"is the same image as {other}"
                checked.defects.append(Defect("duplicate_picture", checked.item.place, None, what))

    def _add_bases(self, checked: Checked) -> None:
        """Notes which boxes begin at pixel 0 and which at 1."""
        annotation = checked.item.annotation
        if checked.item.relative or isinstance(annotation, InputError):
            return
        for number, thing in enumerate(annotation.objects, start=1):
            first = min(thing.box[:2])
            if first in self._first_at:
                self._first_at[int(first)].append((checked.item.place, number, thing.name))

    def zero_based(self) -> list[Defect]:
        """Boxes that begin at 0 where ten times as many begin at 1, as VOC counts."""
        zeros, ones = self._first_at[0], self._first_at[1]
        if not zeros or len(ones) < 10 * len(zeros):
            return []
        what = "begins at pixel 0, where the others count from 1: is it shifted by one?"
        return [Defect("zero_based", place, n, f"{name} {what}") for place, n, name in zeros]

    def columns(self) -> dict[str, np.ndarray]:
        table = np.array(self._rows, np.float64).reshape(-1, 8)
        return {
            "boxes": table[:, :4].astype(np.float32),
            "sides": table[:, 4:6].astype(np.float32),
            "pictures": table[:, 6].astype(np.int64),
            "difficult": table[:, 7] > 0,
        }


def _group(item: Item) -> str:
    """`shapes_train` of a record in `shapes_train_000.tfrecord`; "" of other images."""
    shard = re.match(r"(?:.*/)?(.+)_\d+\.tfrecord", item.place) if item.relative else None
    return shard.group(1) if shard else ""


def _similar_labels(names: Iterable[str]) -> Iterator[Defect]:
    """Classes that differ by capitals, spaces, '_' or '-' alone."""
    alike: dict[str, set[str]] = {}
    for name in names:
        alike.setdefault("".join(filter(str.isalnum, name.lower())), set()).add(name)
    for found in alike.values():
        if len(found) > 1:
            listed = ", ".join(map(repr, sorted(found)))
            yield Defect("similar_label", "classes", None, f"{listed} look like one class")


def source_items(source: Source) -> list[Item]:
    """The images of a layout."""
    return [_item(image_id, image) for image_id, image in source.images.items()]


def _item(image_id: str, image: AnnotatedImage) -> Item:
    if isinstance(image.path, InputError):
        return Item(image_id, image.place, image.annotation, _refuse(image.path))
    load = functools.partial(read_image_bytes, image.path)
    return Item(os.path.basename(image.path), image.place, image.annotation, load)


def source_defects(source: Source) -> list[Defect]:
    """What a layout tells besides its images; of what it left out, a finding tells more."""
    findings = [Defect(f.kind, f.place, None, f.what) for f in source.findings()]
    told = {defect.file for defect in findings}
    left_out = [(place, why) for place, why in source.left_out.items() if place not in told]
    return [Defect("left_out", place, None, why) for place, why in left_out] + findings


def record_items(
    shards: Sequence[str], labels: Sequence[str], *, labels_offset: int = 0
) -> Iterator[Item]:
    """The records of a data set; their boxes are relative."""
    with RecordReader(shards) as reader:
        for index in range(len(reader)):
            place = "{}, byte {}".format(*reader.locate(index))
            try:
                contents = read_contents(reader.read(index))
            except (RecordError, ValueError) as error:
                problem = InputError(str(error))
                yield Item(place, place, problem, _refuse(problem), relative=True)
                continue
            yield Item(
                name=contents.filename or f"{index:06d}",
                place=f"{place} ({contents.filename})" if contents.filename else place,
                annotation=annotation_of(contents, labels, labels_offset=labels_offset),
                load=_given(contents.encoded),
                relative=True,
            )


def _given(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _refuse(error: InputError) -> Callable[[], bytes]:
    def load() -> bytes:
        raise error

    return load
