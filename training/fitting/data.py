"""A fit's data: what is in the folder, whether it would harm, and its records for each split.

The splits that a data set has by itself are taken: `train` to learn from, `val` (or `valid`) to
choose the best checkpoint by, `test`, where there is one too, for the score. Otherwise a share is
held out, for both.
"""

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from datasets import holdout
from datasets.class_selection import read_selection, select
from datasets.conversion import convert_source, open_source
from datasets.holdout import usual_pair
from datasets.layouts import registry
from datasets.layouts.annotations import Annotation
from datasets.layouts.source import Source
from datasets.layouts.voc import VOC_LABELS
from datasets.settings import Conversion
from inspection import collect, inspect
from inspection import page as inspection_page
from inspection.collect import Inspection
from inspection.defects import KINDS, Severity, kind_title
from inspection.settings import InspectSettings
from nets import nets_factory
from runtime import files
from runtime.errors import InputError
from runtime.words import counted
from training.fitting.settings import FitSettings

NAME = "data"  # of the records
USUAL_HOLDOUT = 0.2
_MAX_SHOWN = 24
# What a conversion skips, or drops and counts; the other kinds spoil what is learnt.
_SKIPPED = {
    *("bad_annotation", "missing_picture", "bad_picture", "wrong_size"),
    *("inverted_box", "box_outside", "box_without_area"),
}
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


class FitData(NamedTuple):
    """Records of a fit.

    Attributes:
      train: split to learn from, of the data set `NAME`.
      val: split to choose the best checkpoint by.
      test: split for the score; may be `val`.
      num_images: of each split.
      shown: paths of some images of `test`, to draw detections on.
    """

    train: str
    val: str
    test: str
    num_images: dict[str, int]
    shown: tuple[str, ...]


def open_parts(
    settings: FitSettings, *, report: Callable[[str], None]
) -> tuple[Source, dict[str, Source]]:
    """The whole data set, and the splits that it has by itself, if they are to be used.

    Raises:
      InputError: there is nothing that can be read.
    """
    annotations = _annotation_files(settings.input)
    chosen = read_selection(settings.classes)
    if len(annotations) > 1:  # a file for each split
        parts = {
            split: _open(_conversion(settings, path), chosen, report=report)
            for split, path in annotations.items()
        }
        return _joined(parts), parts if settings.holdout is None else {}
    conversion = _conversion(settings, next(iter(annotations.values()), ""))
    whole = _open(conversion, chosen, report=report)
    report(f"{counted(len(whole.images), 'annotated image')} in a {_title(conversion)}")
    pair = usual_pair(whole.splits) if settings.holdout is None else None
    if not pair:
        return whole, {}
    names = {"train": pair[0], "val": pair[1]}
    if "test" in whole.splits and pair[1] != "test":
        names["test"] = "test"
    parts = {}
    for key, split in names.items():
        of_split = dataclasses.replace(conversion, split=split)
        parts[key] = _open(of_split, chosen)
    filled = {key: part for key, part in parts.items() if part.images}
    return whole, filled if {"train", "val"} <= filled.keys() else {}


def _title(conversion: Conversion) -> str:
    layout = registry.LAYOUTS[conversion.layout]
    return f"{layout.kind} {conversion.annotation_file or conversion.dataset_dir}"


def _open(
    conversion: Conversion,
    chosen: Mapping[str, str],
    *,
    report: Callable[[str], None] = lambda line: None,
) -> Source:
    """What is there; what is said of the layout and of a missing --split is told by the fit."""

    def filtered(line: str) -> None:
        if not line.startswith(("Layout: ", "No --split: ")):
            report(line)

    source = open_source(conversion, report=filtered)
    return select(source, dict(chosen)) if chosen else source


def _joined(parts: Mapping[str, Source]) -> Source:
    """One source of several, whose ids it keeps apart by their split."""
    images = {
        f"{split}/{image_id}": image
        for split, part in parts.items()
        for image_id, image in part.images.items()
    }
    labels = dict.fromkeys(label for part in parts.values() for label in _labels(part))
    left_out = {place: why for part in parts.values() for place, why in part.left_out.items()}
    return Source(images, tuple(labels), left_out=left_out, splits=tuple(parts))


def _labels(source: Source) -> tuple[str, ...]:
    """The classes; of VOC's twenty, which a folder of cats has by default, those that occur."""
    labels = source.labels if isinstance(source.labels, tuple) else source.labels()
    if labels != VOC_LABELS:
        return labels
    read = (i.annotation for i in source.images.values() if isinstance(i.annotation, Annotation))
    there = {item.name for annotation in read for item in annotation.objects}
    return tuple(label for label in labels if label in there) or labels


def _annotation_files(path: str) -> dict[str, str]:
    """Files of annotations by their split: the input itself, or those in a folder of no layout.

    Raises:
      InputError: a folder has several, and their names do not tell which is of which split.
    """
    if os.path.isfile(path):
        return {"": path}
    if not os.path.isdir(path):
        raise InputError(
            f"--input={path} is neither a file nor a folder: give the folder of the annotated "
            "images, or the file of their annotations."
        )
    if registry.is_recognised(path):
        return {}
    found = [file for file in _files_near(path) if registry.is_recognised(file)]
    if not found:
        raise InputError(_nothing_in(path))
    if len(found) == 1:
        return {"": found[0]}
    by_split: dict[str, list[str]] = {}
    for file in found:
        words = re.findall(r"[a-z]+", os.path.basename(file).lower())
        split = next((_SPLITS[word] for word in words if word in _SPLITS), "")
        by_split.setdefault(split, []).append(file)
    if {"train", "val"} <= by_split.keys() and all(len(names) == 1 for names in by_split.values()):
        return {split: names[0] for split, names in by_split.items() if split}
    listed = ", ".join(os.path.relpath(file, path) for file in found[:5])
    raise InputError(
        f"--input={path} has several files of annotations ({listed}): give one of them as --input, "
        "or name them by their split, as in train.json and val.json."
    )


def _nothing_in(folder: str) -> str:
    if any(".tfrecord" in os.path.basename(file) for file in _files_near(folder)):
        return (
            f"--input={folder} has TFRecords, which are converted already: pass the folder to "
            "train_ssd_network.py as --dataset_dir."
        )
    kinds = registry.listed(registry.LAYOUTS.values())
    return (
        f"--input={folder} has no annotations that are understood: it must be, or hold, "
        f"{kinds}; docs/data.md shows each."
    )


def _files_near(folder: str) -> Iterator[str]:
    """Files in a folder and in the folders right inside it."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name[0] != ".":
            inside = sorted(os.scandir(entry.path), key=lambda each: each.name)
            yield from (each.path for each in inside if each.is_file())
        elif entry.is_file():
            yield entry.path


def _conversion(settings: FitSettings, annotations: str) -> Conversion:
    layout, folder = "auto", annotations or settings.input
    recognised = registry.recognise(annotations) if annotations else layout
    if annotations and registry.LAYOUTS[recognised].is_file:
        layout = recognised
        folder = settings.images_dir or _images_near(annotations)
    elif settings.images_dir:
        raise InputError(
            f"--images_dir={settings.images_dir} is for files of annotations, and --input="
            f"{settings.input} is a folder with its images: remove the flag."
        )
    return Conversion(
        dataset_name=layout,
        annotations=annotations if layout != "auto" else "",
        dataset_dir=folder,
        output_dir=os.path.join(settings.output_dir, "records"),
        output_name=NAME,
        skip_bad=settings.skip_bad,
    )


def _images_near(annotations: str) -> str:
    """The folder that a file's images are in or below: its own, or else the one around it."""
    folder = os.path.dirname(annotations) or "."
    around = os.path.dirname(os.path.abspath(folder))
    is_apart = os.path.basename(os.path.abspath(folder)).lower().startswith("annot")
    return around if is_apart else folder


def inspect_source(source: Source, settings: FitSettings, *, model_name: str) -> Inspection:
    """Looks at every image, writes the page of what was found, and says what is wrong.

    Args:
      source: all of it.
      settings: of the fit.
      model_name: the network whose anchors are compared with the boxes.

    Raises:
      InputError: a training would be harmed.
    """
    report = os.path.join(settings.output_dir, "report")
    labels = source.labels if isinstance(source.labels, tuple) else None
    looked_at = InspectSettings(input=settings.input, model_name=model_name)
    found = collect.inspect(
        collect.source_items(source),
        title=settings.input,
        input_side=nets_factory.get_network(model_name).parameters.image_size[0],
        labels=labels,
        extra=collect.source_defects(source),
    )
    facts = inspect.summarise(found, looked_at)
    files.make_folder(report, given=f"--output_dir={settings.output_dir}")
    page = os.path.join(report, "data.html")
    with files.explain_write_errors(report):
        files.write(page, inspection_page.make(found, facts).encode())
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        files.write(os.path.join(report, "data.json"), text.encode())
    _say_defects(found, page)
    _refuse_harm(found, settings.skip_bad)
    return found


def _say_defects(found: Inspection, page: str) -> None:
    for kind, count in found.counts().items():
        if KINDS[kind] == Severity.NOTE:
            continue
        first = next(defect for defect in found.defects if defect.kind == kind)
        number = f", object {first.number}" if first.number else ""
        more = f" (and {count - 1} more)" if count > 1 else ""
        print(f"  {kind_title(kind)}: {first.file}{number}: {first.what}{more}")
    print(f"  all of it, with images: {page}")


def _refuse_harm(found: Inspection, skip_bad: int) -> None:
    counts = found.counts()
    skipped = {kind for kind in found.harm if kind in _SKIPPED}
    number = sum(counts[kind] for kind in skipped)
    if not found.harm or ({*found.harm} == skipped and number <= skip_bad):
        return
    remedy = "Correct it and run again"
    if {*found.harm} == skipped:
        remedy += f", or skip what is wrong by --skip_bad={number}"
    raise InputError(f"{found.verdict} {remedy}.")


def write_records(
    whole: Source,
    parts: Mapping[str, Source],
    settings: FitSettings,
    *,
    report: Callable[[str], None],
    progress: Callable[[Sequence[str]], Iterator[str]],
) -> FitData:
    """Converts each split.

    Args:
      whole: the data set, of which a share is held out if there are no `parts`.
      parts: its own splits.
      settings: of the fit.
      report: takes a line of text.
      progress: wraps the ids of the images.

    Raises:
      InputError: an image cannot be converted, or nothing is left to learn from or to score on.
    """
    settled = Conversion(
        dataset_name="pascalvoc",  # of no meaning for a source that is open
        dataset_dir=settings.input,
        output_dir=os.path.join(settings.output_dir, "records"),
        output_name=NAME,
        skip_bad=settings.skip_bad,
    )
    if not parts:
        share = USUAL_HOLDOUT if settings.holdout is None else settings.holdout
        divided = dataclasses.replace(settled, holdout=share, split_seed=settings.split_seed)
        whole = whole._replace(labels=_labels(whole))
        stats = convert_source(whole, divided, report=report, progress=progress)
        counts = {name.removeprefix(f"{NAME}_"): p.num_images for name, p in stats.parts.items()}
        held_out = holdout.divide(whole.images, share=share, seed=settings.split_seed).sides["val"]
        return FitData("train", "val", "val", counts, _paths(whole, held_out))
    labels, counts = _labels(whole), {}
    for split, part in parts.items():
        named = dataclasses.replace(settled, output_name=f"{NAME}_{split}")
        labelled = part._replace(labels=labels)
        stats = convert_source(labelled, named, report=report, progress=progress)
        counts[split] = stats.num_images
    unused = len(whole.images) - sum(len(part.images) for part in parts.values())
    if unused > 0:
        report(f"{unused} images are in none of the splits {', '.join(parts)}: left out.")
    test = "test" if "test" in parts else "val"
    return FitData("train", "val", test, counts, _paths(parts[test], parts[test].images))


def _paths(source: Source, ids: Iterable[str]) -> tuple[str, ...]:
    """The first of these images, by their paths."""
    paths = [source.images[image_id].path for image_id in ids]
    there = [os.path.abspath(path) for path in paths if isinstance(path, str)]
    return tuple(there[:_MAX_SHOWN])
