"""Inspects a data set: what is wrong with it, what is in it, and how the anchors fit it."""

import functools
import itertools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from datasets import extraction
from datasets.dataset_factory import Dataset
from datasets.layouts import registry
from datasets.layouts.labels import read_labels
from datasets.layouts.source import Options
from datasets.mixture import get_mixture
from inspection import anchor_fit, collect, label_charts, view
from inspection import page as inspection_page
from inspection.collect import Inspection
from inspection.defects import KINDS, Defect, Item, kind_title
from inspection.settings import InspectSettings
from nets import anchors, nets_factory
from nets.parameters import write_anchor_sizes
from runtime import files
from runtime.errors import InputError
from runtime.words import counted
from visualization import page

MAX_LINES = 20  # of one kind in the text
SIZES = (0, 16, 32, 64, 128)  # square root of the area in the network's pixels


class Input(NamedTuple):
    """A data set to look at.

    Attributes:
      items: gives its images, as often as it is called.
      labels: that there may be; None for any.
      extra: defects known before.
      dataset: of records.
    """

    items: Callable[[], Iterable[Item]]
    labels: Sequence[str] | None = None
    extra: Sequence[Defect] = ()
    dataset: Dataset | None = None


def run(settings: InspectSettings) -> None:
    """Inspects, prints and writes what the settings ask for.

    Raises:
      InputError: there is no such data set, or, at the end, it would harm a training.
    """
    if settings.output_dir:
        files.make_folder(settings.output_dir, given=f"--output_dir={settings.output_dir}")
    if settings.extract:
        extraction.refuse_used(settings.extract)
    opened = open_input(settings)
    found = read(opened, settings)
    facts = summarise(found, settings)
    with files.explain_write_errors(settings.output_dir or "the output"):
        _write(found, facts, opened, settings)
    if settings.extract and opened.dataset:
        with files.explain_write_errors(settings.extract):
            count = extraction.extract(
                opened.dataset.shards,
                opened.dataset.labels,
                settings.extract,
                split=settings.split or "all",
                labels_offset=settings.labels_offset,
            )
        print(f"extracted: {counted(count, 'image')} to {settings.extract}")
    if settings.output_dir:
        print(f"Written to {settings.output_dir}.")
    if found.harm:
        raise InputError(f"{found.verdict} Correct what the report names, or leave it out.")


def _write(
    found: Inspection, facts: dict[str, Any], opened: Input, settings: InspectSettings
) -> None:
    """Prints the report and writes the files of output_dir."""
    if "text" in settings.format:
        print(to_text(found, facts))
    if "json" in settings.format:
        text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        if settings.output_dir:
            files.write(tf.io.gfile.join(settings.output_dir, "inspection.json"), text.encode())
        else:
            print(text, end="")
    if "html" in settings.format:
        document = inspection_page.make(found, facts)
        files.write(tf.io.gfile.join(settings.output_dir, "index.html"), document.encode())
    if settings.view:
        step = max(1, found.num_pictures // settings.view)
        chosen = itertools.islice(opened.items(), 0, step * settings.view, step)
        view.draw(chosen, found.labels, settings)


def open_input(settings: InspectSettings) -> Input:
    """What the settings name; of a layout, all annotations are read here, once.

    Raises:
      InputError: there is no such data set.
    """
    labels = read_labels(settings.labels_file) if settings.labels_file else None
    if settings.dataset_name:
        dataset = _dataset(settings)
        items = functools.partial(
            collect.record_items,
            dataset.shards,
            dataset.labels,
            labels_offset=settings.labels_offset,
        )
        return Input(items, labels or dataset.labels, dataset=dataset)
    options = Options(settings.input, split=settings.split, labels=labels, folder_flag="--input")
    if registry.LAYOUTS[settings.layout].is_file:
        folder = settings.dataset_dir or os.path.dirname(settings.input)
        options = options._replace(
            folder=folder, annotations=settings.input, folder_flag="--dataset_dir"
        )
    source = registry.open_source(settings.layout, options)
    pictures = collect.source_items(source)
    return Input(
        lambda: pictures,
        source.labels if isinstance(source.labels, tuple) else None,
        extra=collect.source_defects(source),
    )


def read(opened: Input, settings: InspectSettings) -> Inspection:
    """Goes through a data set."""
    title = settings.input or settings.dataset_name
    return collect.inspect(
        opened.items(),
        title=f"{title}, {settings.split}" if settings.split else title,
        input_side=_side(settings),
        labels=opened.labels,
        extra=opened.extra,
    )


def _side(settings: InspectSettings) -> int:
    """Pixels of the network's input, in each direction."""
    return nets_factory.get_network(settings.model_name).parameters.image_size[0]


def _dataset(settings: InspectSettings) -> Dataset:
    return get_mixture(
        settings.dataset_name,
        settings.split,
        settings.dataset_dir,
        labels_file=settings.labels_file,
        labels_offset=settings.labels_offset,
        split_flag="--split",
    )


def summarise(found: Inspection, settings: InspectSettings) -> dict[str, Any]:
    """Everything that is reported, as JSON-like values."""
    names = np.array(found.names, object)
    classes = {label: names == label for label in found.labels}
    side = _side(settings)
    areas = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)
    sizes = _by_size(side * np.sqrt(areas), side)
    return {
        "title": found.title,
        "input_side": side,
        "harm": found.harm,
        "num_pictures": found.num_pictures,
        "num_objects": int((~found.difficult).sum()),
        "num_difficult": int(found.difficult.sum()),
        "record_bytes": found.record_bytes,
        "counts": found.counts(),
        "classes": {
            label: {
                "pictures": len(np.unique(found.pictures[there & ~found.difficult])),
                "objects": int((there & ~found.difficult).sum()),
                "difficult": int((there & found.difficult).sum()),
            }
            for label, there in classes.items()
        },
        "object_sizes": {name: int(there.sum()) for name, there in sizes.items()},
        "picture_sizes": _picture_sizes(found),
        "label_statistics": label_charts.statistics(found),
        **_anchor_facts(found, classes | sizes, settings),
        "defects": [
            {
                "kind": d.kind,
                "severity": d.severity.name.lower(),
                "file": d.file,
                "object": d.number,
            }
            | {"what": d.what}
            for d in found.defects
        ],
    }


def _by_size(sides: np.ndarray, largest: int) -> dict[str, np.ndarray]:
    """bool[N] for each range of sizes; the last one has its end."""
    edges, ends = [*SIZES, largest], [*SIZES[1:], np.inf]
    return {
        f"{low}-{high} px": (sides >= low) & (sides < end)
        for low, high, end in zip(SIZES, edges[1:], ends, strict=True)
    }


def _picture_sizes(found: Inspection) -> dict[str, int]:
    """The most frequent sizes, as "width x height"."""
    ordered = sorted(found.picture_sizes.items(), key=lambda pair: -pair[1])
    return {f"{width} x {height}": count for (height, width), count in ordered[:10]}


def _anchor_facts(
    found: Inspection, groups: dict[str, np.ndarray], settings: InspectSettings
) -> dict[str, Any]:
    """How the anchors fit each group's objects (bool[N]), and which would fit them better."""
    parameters = nets_factory.get_network(settings.model_name).parameters
    sizes = (found.boxes[:, 2:] - found.boxes[:, :2]) * np.float64(parameters.image_size)
    shapes = anchor_fit.propose(sizes, settings.propose_anchors)
    proposal = anchor_fit.propose_sides(found.boxes, parameters, settings.anchor_sizes, shapes)
    cases = {
        "warped": (found.boxes, settings.anchor_sizes),
        "unwarped": (anchor_fit.unwarped(found.boxes, found.sides), settings.anchor_sizes),
        "proposed": (found.boxes, proposal or settings.anchor_sizes),
    }
    groups = {"all": np.ones(len(found.boxes), bool)} | groups
    overlaps = {
        name: anchor_fit.best_overlaps(boxes, anchors.make(parameters, these))
        for name, (boxes, these) in cases.items()
    }
    return {
        "anchors": settings.anchors,
        "anchor_recall": {name: _recall(values, groups) for name, values in overlaps.items()},
        "mean_overlap": {name: _mean(values) for name, values in overlaps.items()},
        "proposed_shapes": _shapes(sizes, shapes),
        "proposed_anchors": write_anchor_sizes(proposal) if proposal else None,
    }


def _recall(overlaps: np.ndarray, groups: dict[str, np.ndarray]) -> dict[str, float | None]:
    """The share of each group's objects that some anchor fits."""
    return {name: _mean(overlaps[there] >= anchor_fit.RECALL_AT) for name, there in groups.items()}


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _shapes(sizes: np.ndarray, centres: np.ndarray) -> list[dict[str, float]]:
    """Proposed shapes with the share of objects that each is nearest to."""
    if not len(centres):
        return []
    overlaps = anchor_fit.shape_overlaps(sizes, centres)
    nearest = np.bincount(overlaps.argmax(axis=1), minlength=len(centres)) / len(sizes)
    return [
        {
            "width": round(float(width), 1),
            "height": round(float(height), 1),
            "share": round(float(share), 4),
        }
        for (height, width), share in zip(centres, nearest, strict=True)
    ]


def to_text(found: Inspection, facts: dict[str, Any]) -> str:
    """The report for a terminal."""
    return "\n".join([*_overview(facts), "", *_defect_lines(found), found.verdict])


def _overview(facts: dict[str, Any]) -> list[str]:
    width = max(len(name) for name in ("class", *facts["classes"]))
    recall = facts["anchor_recall"]
    lines = [
        f"{facts['title']}: {counted(facts['num_pictures'], 'image')}, "
        f"{counted(facts['num_objects'], 'object')} and "
        f"{facts['num_difficult']} difficult ones; about {facts['record_bytes'] / 1e6:.1f} MB of "
        "records",
        "",
        f"{'class':<{width}}  images  objects  difficult  recall",
    ]
    for name, row in facts["classes"].items():
        numbers = f"{row['pictures']:>6}  {row['objects']:>7}  {row['difficult']:>9}"
        lines.append(f"{name:<{width}}  {numbers}  {page.number(recall['warped'][name]):>6}")
    side = facts["input_side"]
    lines += ["", f"size at {side} x {side}  objects  recall  (difficult ones too)"]
    for name, count in facts["object_sizes"].items():
        lines.append(f"{name:<17}  {count:>7}  {page.number(recall['warped'][name]):>6}")
    lines += [
        "",
        f"recall is the share of objects that have an IoU of {anchor_fit.RECALL_AT} or more with "
        f"one of the {facts['anchors']} anchors: {page.number(recall['warped']['all'])}; "
        f"{page.number(recall['unwarped']['all'])} if images kept their shape",
        f"image sizes: {_listed(facts['picture_sizes'])}",
    ]
    return [*lines, *_proposal_lines(facts)]


def _proposal_lines(facts: dict[str, Any]) -> list[str]:
    """What k-means makes of the boxes, and the flag that follows from it."""
    if not facts["proposed_shapes"]:
        return []
    shapes = [f"{p['width']:g} x {p['height']:g}" for p in facts["proposed_shapes"]]
    lines = [f"box shapes by k-means, width x height in the network's pixels: {', '.join(shapes)}"]
    if not facts["proposed_anchors"]:
        return [*lines, f"squares of these sizes would fit no better than {facts['anchors']}"]
    kinds = ("proposed", "warped")
    recall = " instead of ".join(page.number(facts["anchor_recall"][kind]["all"]) for kind in kinds)
    overlap = " instead of ".join(page.number(facts["mean_overlap"][kind]) for kind in kinds)
    return [
        *lines,
        f"anchors of these sizes would have a recall of {recall}, a mean IoU of {overlap}:",
        f"--anchors={facts['proposed_anchors']}",
    ]


def _defect_lines(found: Inspection) -> list[str]:
    lines = []
    for kind, count in found.counts().items():
        lines.append(f"{KINDS[kind].name.lower()}: {kind_title(kind)}: {count}")
        of_kind = [defect for defect in found.defects if defect.kind == kind]
        for defect in of_kind[:MAX_LINES]:
            number = f", object {defect.number}" if defect.number else ""
            lines.append(f"  {defect.file}{number}: {defect.what}")
        if count > MAX_LINES:
            lines.append(f"  ... and {count - MAX_LINES} more; --format=json lists all")
    return lines


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items()) or "none"
