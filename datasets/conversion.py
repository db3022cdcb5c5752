"""Converts annotated images of any layout to a data set of TFRecords.

Images go in byte for byte; those that are neither JPEG nor PNG are encoded anew, and counted. Each
is decoded once to see that it is whole, and its size has to be the annotation's. One that EXIF
turns is stored as it is: where its boxes were drawn on the turned image, they are turned back. A
layout's `Source` tells what there is, and judges nothing: what no training could use is refused
here.
"""

import concurrent.futures
import copy
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

import tensorflow as tf

from datasets import holdout
from datasets.class_selection import read_selection, select
from datasets.conversion_stats import ConversionStats, RelativeBoxes, relative_boxes
from datasets.layouts import registry
from datasets.layouts.annotations import Annotation
from datasets.layouts.image_file import Header, check_picture, read_image_bytes
from datasets.layouts.labels import BACKGROUND, check_labels, read_labels
from datasets.layouts.orientation import DrawnOn, drawn_on, orientation, turned_back
from datasets.layouts.other_formats import as_png, format_of
from datasets.layouts.source import AnnotatedImage, Options, Source
from datasets.records.features import encode_example
from datasets.records.output_folder import check_output
from datasets.records.shards import RecordSet, choose_num_shards, write_sets
from datasets.settings import Conversion
from runtime import files, limits
from runtime.errors import InputError
from runtime.words import counted

_AT_ONCE = 64


class _Converted(NamedTuple):
    filename: str
    annotation: Annotation
    boxes: RelativeBoxes
    turn: int
    drawn_on: DrawnOn
    was: str
    example: bytes


def convert(
    conversion: Conversion,
    *,
    report: Callable[[str], None] = print,
    progress: Callable[[Sequence[str]], Iterator[str]] = iter,
) -> ConversionStats:
    """Converts, or with `dry_run` only counts.

    Args:
      conversion: what to convert, how, and where to.
      report: takes one line of text at a time.
      progress: wraps the list of image ids to show how far the work is.

    Returns:
      The counts; `ConversionStats.table()` prints them. With `holdout` those of both parts, which
      its `parts` has by the names of their records.

    Raises:
      InputError: a rule is broken by the input, an image or the output folder.
    """
    source = open_source(conversion, report=report)
    if chosen := read_selection(conversion.classes):
        source = select(source, chosen)
    return convert_source(source, conversion, report=report, progress=progress)


def open_source(conversion: Conversion, *, report: Callable[[str], None] = print) -> Source:
    """What `convert` would convert, before `--classes`; its `splits` are those that are there.

    Raises:
      InputError: there is nothing that can be read.
    """
    folder, with_images = conversion.dataset_dir, not conversion.dry_run
    is_file = registry.LAYOUTS[conversion.layout].is_file
    if is_file and with_images and not tf.io.gfile.isdir(folder):
        raise InputError(f"--dataset_dir={folder} is not a folder: pass the images' one.")
    options = Options(
        folder,
        annotations=conversion.annotation_file,
        split=conversion.split,
        labels=read_labels(conversion.labels_file) if conversion.labels_file else None,
        with_images=with_images,
        report=report,
    )
    if conversion.layout != conversion.dataset_name:
        report(f"Layout: {conversion.layout}.")
    source = registry.open_source(conversion.layout, options)
    return _with_unannotated(source, options) if is_file and with_images else source


def _with_unannotated(source: Source, options: Options) -> Source:
    """Counts the images beside those of an annotation file: often they are those of other files."""
    count = sum(finding.kind == "no_annotation" for finding in source.findings())
    noun = "image that has" if count == 1 else "images that have"
    place = f"{options.folder}: {count} {noun} no annotation"
    reason = f"not in {options.annotations}; inspect_dataset.py lists them"
    return source._replace(left_out={**source.left_out, place: reason}) if count else source


def convert_source(
    source: Source,
    conversion: Conversion,
    *,
    report: Callable[[str], None] = print,
    progress: Callable[[Sequence[str]], Iterator[str]] = iter,
) -> ConversionStats:
    """As `convert`, of images that are opened already, in whatever layout."""
    labels = _settle_labels(source, report=report)
    source = _settle_crowds(source, learn=conversion.learn_crowds, report=report)
    sources = _divide(source, conversion, report=report)
    tallies = {name: ConversionStats(labels, report=report) for name in sources}
    first, *others = tallies.values()
    for left_out in source.left_out.items():
        first.leave_out(*left_out)
    for other in others:
        other.notes = copy.deepcopy(first.notes)
    if conversion.dry_run:
        for name, part in sources.items():
            _count(part, tallies, name, skip_bad=conversion.skip_bad)
    else:
        _write(sources, tallies, conversion, progress=progress)
    return ConversionStats(labels, report=report, parts=tallies) if others else first


def _divide(
    source: Source, conversion: Conversion, *, report: Callable[[str], None]
) -> dict[str, Source]:
    """By the name of their records, the data set, or with `holdout` its two parts."""
    name = conversion.output_name
    if not conversion.holdout:
        return {name: source}
    found = holdout.divide(source.images, share=conversion.holdout, seed=conversion.split_seed)
    sides = found.sides.items()
    counts = ", ".join(f"{counted(len(ids), 'image')} in {name}_{side}" for side, ids in sides)
    report(f"--holdout={conversion.holdout:g}: {counts}.")
    if source.splits and not conversion.split:
        report("The data set's own splits are not used: leave --holdout out and give --split.")
    if found.together:
        report(f"Versions of another image, which stay on its side: {found.together}.")
    if found.moved:
        report(f"Images that changed sides for a class that lacked there: {len(found.moved)}.")
    if found.lacking:
        report(f"WARNING: classes on one side only: {', '.join(found.lacking)}.")
    share = {"share": conversion.holdout, "split_seed": conversion.split_seed}
    notes = {**source.notes, "holdout": {**share, "moved": found.moved}}
    return {
        f"{name}_{side}": source._replace(images={i: source.images[i] for i in ids}, notes=notes)
        for side, ids in found.sides.items()
    }


def _write(
    sources: Mapping[str, Source],
    tallies: Mapping[str, ConversionStats],
    conversion: Conversion,
    *,
    progress: Callable[[Sequence[str]], Iterator[str]],
) -> None:
    for name in sources:
        check_output(output_dir=conversion.output_dir, name=name)
    sets = []
    for name, source in sources.items():
        paths = [image.path for image in source.images.values() if isinstance(image.path, str)]
        num_shards = choose_num_shards(
            num_examples=len(source.images),
            num_bytes=sum(map(files.size, paths)),
            requested=conversion.num_shards,
        )
        examples = _examples(progress, source, tallies, name, skip_bad=conversion.skip_bad)
        describe = functools.partial(_described, tallies[name], source)
        sets.append(RecordSet(name, examples, num_shards, len(source.images), describe))
    labels = next(iter(tallies.values())).labels
    write_sets(sets, output_dir=conversion.output_dir, labels=labels)


def _described(tally: ConversionStats, source: Source) -> tuple[dict, dict]:
    """What the manifest tells of the records, when all are written."""
    return tally.classes, tally.notes | dict(source.notes)


def _settle_labels(source: Source, *, report: Callable[[str], None]) -> tuple[str, ...]:
    """The labels, which every object's class is among; the background only if it has objects."""
    labels = source.labels if isinstance(source.labels, tuple) else source.labels()
    annotations = (image.annotation for image in source.images.values())
    read = (item for item in annotations if isinstance(item, Annotation))
    used = {thing.name for item in read for thing in item.objects}
    idle = [name for name in labels if name.lower() == BACKGROUND and name not in used]
    for name in idle:
        report(f"Class {name} is left out: it is class 0 of every detector, and has no objects.")
    labels = check_labels([name for name in labels if name not in idle], where="The data set")
    some = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
    known = {*labels}
    for image in source.images.values():
        objects = () if isinstance(image.annotation, InputError) else image.annotation.objects
        for number, item in enumerate(objects, start=1):
            if item.name not in known:
                raise InputError(
                    f"{image.place}, object {number}: class {item.name!r} is not among the "
                    f"{len(labels)} labels ({some}): add it to the labels file, leave "
                    "--labels_file out to take the annotations' classes, or pick some by --classes."
                )
    return labels


def _settle_crowds(source: Source, *, learn: bool, report: Callable[[str], None]) -> Source:
    """Says that nothing but crowds is there, or makes objects of them with `learn`."""
    objects = [
        item
        for image in source.images.values()
        if isinstance(image.annotation, Annotation)
        for item in image.annotation.objects
    ]
    if learn:
        return source._replace(images={k: _uncrowded(i) for k, i in source.images.items()})
    if objects and all(item.crowd for item in objects):
        report(
            f"WARNING: all {len(objects)} objects are crowds (iscrowd 1), as some tools mark every "
            "mask, and crowds are not trained on: --learn_crowds takes them for objects."
        )
    return source


def _uncrowded(image: AnnotatedImage) -> AnnotatedImage:
    if isinstance(image.annotation, InputError):
        return image
    objects = tuple(
        item._replace(crowd=False, difficult=False) if item.crowd else item
        for item in image.annotation.objects
    )
    return image._replace(annotation=image.annotation._replace(objects=objects))


def _count(
    source: Source, tallies: Mapping[str, ConversionStats], name: str, *, skip_bad: int
) -> None:
    """Counts by the sizes that annotations claim; where one is 0, unknown, no box is clipped."""
    for image_id, image in source.images.items():
        annotation = image.annotation
        if isinstance(annotation, InputError):
            _skip(image_id, annotation, tallies, name, skip_bad=skip_bad)
            continue
        height, width = annotation.height or 10**6, annotation.width or 10**6
        boxes = relative_boxes(annotation, height=height, width=width)
        tallies[name].add(image_id, annotation, boxes)


def _skip(
    image_id: str,
    error: InputError,
    tallies: Mapping[str, ConversionStats],
    name: str,
    *,
    skip_bad: int,
) -> None:
    """Leaves an image of one part out; the limit is that of all parts together."""
    earlier = sum(len(tally.notes["skipped"]) for k, tally in tallies.items() if k != name)
    tallies[name].skip(image_id, error, limit=skip_bad, earlier=earlier)


def _examples(
    progress: Callable[[Sequence[str]], Iterator[str]],
    source: Source,
    tallies: Mapping[str, ConversionStats],
    name: str,
    *,
    skip_bad: int,
) -> Iterator[bytes]:
    """Serialized examples in the order of the images, made by a few threads some images ahead."""
    tally = tallies[name]
    classes = {label: k for k, label in enumerate(tally.labels, start=1)}
    ids = progress(list(source.images))
    for image_id, made in in_threads(lambda i: _try_make(source.images[i], classes), ids):
        if isinstance(made, InputError):
            _skip(image_id, made, tallies, name, skip_bad=skip_bad)
            continue
        tally.add(made.filename, made.annotation, made.boxes)
        tally.add_turn(made.filename, made.turn, made.drawn_on)
        tally.add_format(made.filename, made.was)
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


def _try_make(image: AnnotatedImage, classes: Mapping[str, int]) -> _Converted | InputError:
    for part in (image.annotation, image.path):
        if isinstance(part, InputError):
            return part
    try:
        return _make(image, classes)
    except InputError as error:
        return error


def _make(image: AnnotatedImage, classes: Mapping[str, int]) -> _Converted:
    path, annotation = cast(str, image.path), cast(Annotation, image.annotation)
    if len(annotation.objects) > limits.MAX_OBJECTS:
        raise InputError(
            f"{image.place}: {len(annotation.objects)} objects are more than {limits.MAX_OBJECTS}: "
            "remove some, or the image."
        )
    encoded, header, was = _read_picture(path)
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
        labels=[classes[item.name] for item in kept],
        names=[item.name for item in kept],
        difficult=[item.difficult for item in kept],
        truncated=[item.truncated for item in kept],
        crowd=[item.crowd for item in kept],
        source_id=image.source_id,
    )
    return _Converted(os.path.basename(path), annotation, boxes, turn, view, was, example)


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


def _read_picture(path: str) -> tuple[bytes, Header, str]:
    """An image as records hold it, and the format that it was in before; "" where it stays."""
    encoded = read_image_bytes(path)
    try:
        was = format_of(encoded)
        encoded = as_png(encoded) if was else encoded
        return encoded, check_picture(encoded), was
    except ValueError as error:
        raise InputError(f"{path} {error}.") from error
