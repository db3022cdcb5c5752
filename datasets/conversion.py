"""Converts annotated images of any layout to a data set of TFRecords.

Images go in byte for byte. Each is decoded once to see that it is whole, and its size has to be
the annotation's. One that EXIF turns is stored as it is: where its boxes were drawn on the turned
image, they are turned back. What there is to convert is told by a `Source`.
"""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from datasets.conversion_stats import ConversionStats, RelativeBoxes, relative_boxes
from datasets.layouts.annotations import Annotation
from datasets.layouts.image_file import Header, check_picture
from datasets.layouts.orientation import DrawnOn, drawn_on, orientation, turned_back
from datasets.records.features import encode_example
from datasets.records.output_folder import check_output
from datasets.records.shards import choose_num_shards, write_shards
from runtime import files
from runtime.errors import InputError

_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What to convert, and to where; the fields are the flags of `tf_convert_data.py`.

    Attributes:
      dataset_dir: a VOC folder, or a folder that holds exactly one; the images' folder of COCO.
      split: name of a file in ImageSets/Main; "" takes every annotated image.
      coco_annotations: COCO's JSON file of instances.
      labels_file: class names, one a line; "" takes them from the annotations.
      num_shards: 0 chooses by size.
      skip_bad: so many unreadable images or annotations are left out.
      dry_run: only annotations are read and counted; nothing is written.
    """

    dataset_dir: str
    output_dir: str = "./"
    output_name: str = "pascalvoc"
    split: str = ""
    coco_annotations: str = ""
    labels_file: str = ""
    num_shards: int = 0
    skip_bad: int = 0
    dry_run: bool = False


class Source(NamedTuple):
    """Annotated images, by id.

    Attributes:
      pictures_dir: where the images should lie, for messages.
      ids: of the images to convert, in their order.
      annotations: may hold, instead of an annotation, the error met.
      images: paths; images that are missing are left out.
      labels: class names.
      source_ids: the layout's own image ids where records keep them.
      notes: what the manifest tells besides the tally.
    """

    pictures_dir: str
    ids: Sequence[str]
    annotations: dict[str, Annotation | InputError]
    pictures: dict[str, str]
    labels: tuple[str, ...]
    source_ids: Mapping[str, str] = MappingProxyType({})
    notes: Mapping[str, object] = MappingProxyType({})


class _Converted(NamedTuple):
    filename: str
    annotation: Annotation
    boxes: RelativeBoxes
    turn: int
    drawn_on: DrawnOn
    example: bytes


def convert_source(
    source: Source,
    conversion: Conversion,
    *,
    report: Callable[[str], None] = print,
    progress: Callable[[Sequence[str]], Iterator[str]] = iter,
) -> ConversionStats:
    """Converts, or with `dry_run` only counts.

    Args:
      source: what to convert.
      conversion: how and where to.
      report: takes one line of text at a time.
      progress: wraps the list of image ids to show how far the work is.

    Returns:
      The counts; `ConversionStats.table()` prints them.

    Raises:
      InputError: a rule is broken by an image or the output folder.
    """
    tally = ConversionStats(source.labels, report=report)
    if conversion.dry_run:
        _count(source, tally, skip_bad=conversion.skip_bad)
        return tally
    place = {"output_dir": conversion.output_dir, "name": conversion.output_name}
    check_output(**place)
    num_shards = choose_num_shards(
        num_examples=len(source.ids),
        num_bytes=sum(map(files.size, source.pictures.values())),
        requested=conversion.num_shards,
    )
    write_shards(
        _examples(progress(source.ids), source, tally, skip_bad=conversion.skip_bad),
        labels=source.labels,
        num_shards=num_shards,
        num_examples=len(source.ids),
        describe=lambda: (tally.classes, tally.notes | dict(source.notes)),
        **place,
    )
    return tally


def _count(source: Source, tally: ConversionStats, *, skip_bad: int) -> None:
    """Counts by the sizes that annotations claim; where one is 0, unknown, no box is clipped."""
    for image_id in source.ids:
        annotation = source.annotations[image_id]
        if isinstance(annotation, InputError):
            tally.skip(image_id, annotation, limit=skip_bad)
            continue
        height, width = annotation.height or 10**6, annotation.width or 10**6
        boxes = relative_boxes(annotation, height=height, width=width)
        tally.add(image_id, annotation, boxes)


def _examples(
    ids: Iterator[str], source: Source, tally: ConversionStats, *, skip_bad: int
) -> Iterator[bytes]:
    """Serialized examples in the order of `ids`, made by a few threads some images ahead."""
    for image_id, made in in_threads(lambda i: _try_make(i, source), ids):
        if isinstance(made, InputError):
            tally.skip(image_id, made, limit=skip_bad)
            continue
        tally.add(made.filename, made.annotation, made.boxes)
        tally.add_turn(made.filename, made.turn, made.drawn_on)
        yield made.example


def in_threads(work: Callable, items: Iterator) -> Iterator[tuple]:
    """Pairs (item, work(item)) in order; at most `_AT_ONCE` results are held."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = []
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) == _AT_ONCE:
                first, future = waiting.pop(0)
                yield first, future.result()
        for item, future in waiting:
            yield item, future.result()


def _try_make(image_id: str, source: Source) -> _Converted | InputError:
    annotation = source.annotations[image_id]
    if isinstance(annotation, InputError):
        return annotation
    if image_id not in source.pictures:
        return InputError(f"{source.pictures_dir} has no image of {image_id}: add it.")
    try:
        return _make(
            source.pictures[image_id],
            annotation,
            labels=source.labels,
            source_id=source.source_ids.get(image_id, ""),
        )
    except InputError as error:
        return error


def _make(
    path: str, annotation: Annotation, *, labels: tuple[str, ...], source_id: str
) -> _Converted:
    encoded, header = _read_picture(path)
    turn = orientation(encoded)
    annotation, view = _of_stored(annotation, header, turn, path=path)
    boxes = relative_boxes(annotation, height=header.height, width=header.width)
    kept = [item for item, keep in zip(annotation.objects, boxes.keep, strict=True) if keep]
    example = encode_example(
        encoded=encoded,
        image_format=header.format,
        height=header.height,
        width=header.width,
        channels=header.channels,
        filename=os.path.basename(path),
        boxes=boxes.boxes[boxes.keep],
        labels=[labels.index(item.name) + 1 for item in kept],
        names=[item.name for item in kept],
        difficult=[item.difficult for item in kept],
        truncated=[item.truncated for item in kept],
        crowd=[item.crowd for item in kept],
        source_id=source_id,
    )
    return _Converted(os.path.basename(path), annotation, boxes, turn, view, example)


def _of_stored(
    annotation: Annotation, header: Header, turn: int, *, path: str
) -> tuple[Annotation, DrawnOn]:
    """The annotation in pixels of the image as it is stored, and what it was of before."""
    try:
        view = drawn_on(annotation, header, turn)
    except ValueError as error:
        raise InputError(
            f"{path}: its annotation {error}; correct the annotation, or make its size 0 x 0 if "
            "its boxes are in the image's own pixels."
        ) from error
    return (turned_back(annotation, turn) if view is DrawnOn.TURNED else annotation), view


def _read_picture(path: str) -> tuple[bytes, Header]:
    encoded = files.read(path)
    try:
        return encoded, check_picture(encoded)
    except ValueError as error:
        raise InputError(f"{path} {error}.") from error
