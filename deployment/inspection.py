"""Inspects a data set: what is wrong with it, what is in it, and how the anchors fit it."""

import itertools
import json
import os
from typing import Any

import numpy as np

from datasets import inspection, voc
from datasets.defects import INPUT_SIDE, KINDS
from datasets.extraction import extract
from datasets.inspection import Inspection
from datasets.labels import read_labels
from datasets.mixture import get_mixture
from deployment import disk, inspection_page, inspection_view
from deployment.inspect_settings import InspectSettings
from metrics import page
from nets import anchor_fit, anchors, nets_factory

MAX_LINES = 20  # of one kind in the text
SIZES = (0, 16, 32, 64, 128, INPUT_SIDE)  # square root of the area in the network's pixels


def run(settings: InspectSettings) -> bool:
    """Inspects, prints and writes what the settings ask for; whether a training would be harmed.

    Raises:
      InputError: there is no such data set.
    """
    if settings.output_dir:
        disk.make_folder(settings.output_dir, given=f"--output_dir={settings.output_dir}")
    found = read(settings)
    facts = summarise(found, settings)
    with disk.explained(settings.output_dir or "the output"):
        _write(found, facts, settings)
    if settings.extract:
        dataset = _dataset(settings)
        with disk.explained(settings.extract):
            count = extract(
                dataset.shards,
                dataset.labels,
                settings.extract,
                split=settings.split or "all",
                labels_offset=settings.labels_offset,
            )
        print(f"extracted: {count} pictures to {settings.extract}")
    return bool(found.harm)


def _write(found: Inspection, facts: dict[str, Any], settings: InspectSettings) -> None:
    """Prints the report and writes the files of output_dir."""
    if "text" in settings.format:
        print(to_text(found, facts))
    if "json" in settings.format:
        text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        if settings.output_dir:
            page.write_file(settings.output_dir, "inspection.json", text.encode())
        else:
            print(text, end="")
    if "html" in settings.format:
        document = inspection_page.make(found, facts)
        page.write_file(settings.output_dir, "index.html", document.encode())
    if settings.view:
        step = max(1, found.num_pictures // settings.view)
        chosen = itertools.islice(_items(settings)[0], 0, step * settings.view, step)
        inspection_view.draw(chosen, found.labels, settings)


def read(settings: InspectSettings) -> Inspection:
    """Goes through the data set that the settings name."""
    items, labels, extra = _items(settings)
    if settings.labels_file:
        labels = read_labels(settings.labels_file)
    title = settings.input or settings.dataset_name
    title = f"{title}, {settings.split}" if settings.split else title
    return inspection.inspect(items, title=title, labels=labels, extra=extra)


def _items(settings: InspectSettings):
    """Items, the labels that there may be (None for any), and defects known before."""
    if settings.dataset_name:
        dataset = _dataset(settings)
        items = inspection.record_items(
            dataset.shards, dataset.labels, labels_offset=settings.labels_offset
        )
        return items, dataset.labels, []
    if settings.is_coco:
        folder = settings.dataset_dir or os.path.dirname(settings.input)
        return *inspection.coco_items(settings.input, folder), []
    folder = voc.find_voc_dir(settings.input, flag="--input")
    split = settings.split
    return inspection.voc_items(folder, split), None, inspection.voc_extras(folder, split)


def _dataset(settings: InspectSettings):
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
    sizes = _by_size(INPUT_SIDE * np.sqrt((found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=1)))
    return {
        "title": found.title,
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


def _by_size(sides: np.ndarray) -> dict[str, np.ndarray]:
    """bool[N] for each range of sizes; the last one has its end."""
    ends = [*SIZES[1:-1], np.inf]
    return {
        f"{low}-{high} px": (sides >= low) & (sides < end)
        for low, high, end in zip(SIZES, SIZES[1:], ends, strict=False)
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
    proposal = anchor_fit.propose_sides(found.boxes, parameters, settings.anchors, shapes)
    cases = {
        "warped": (found.boxes, settings.anchors),
        "unwarped": (anchor_fit.unwarped(found.boxes, found.sides), settings.anchors),
        "proposed": (found.boxes, proposal or settings.anchors),
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
        "proposed_anchors": proposal,
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
    return "\n".join([*_overview(facts), "", *_defect_lines(found), _verdict(facts)])


def _overview(facts: dict[str, Any]) -> list[str]:
    width = max(len(name) for name in ("class", *facts["classes"]))
    recall = facts["anchor_recall"]
    lines = [
        f"{facts['title']}: {facts['num_pictures']} pictures, {facts['num_objects']} objects and "
        f"{facts['num_difficult']} difficult ones; about {facts['record_bytes'] / 1e6:.1f} MB of "
        "records",
        "",
        f"{'class':<{width}}  pictures  objects  difficult  recall",
    ]
    for name, row in facts["classes"].items():
        numbers = f"{row['pictures']:>8}  {row['objects']:>7}  {row['difficult']:>9}"
        lines.append(f"{name:<{width}}  {numbers}  {_number(recall['warped'][name]):>6}")
    lines += ["", "size at 300 x 300  objects  recall  (difficult ones too)"]
    for name, count in facts["object_sizes"].items():
        lines.append(f"{name:<17}  {count:>7}  {_number(recall['warped'][name]):>6}")
    lines += [
        "",
        f"recall is the share of objects that one of the {facts['anchors']} anchors overlaps by "
        f"{anchor_fit.RECALL_AT}: {_number(recall['warped']['all'])}; "
        f"{_number(recall['unwarped']['all'])} if pictures kept their shape",
        f"picture sizes: {_listed(facts['picture_sizes'])}",
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
    recall = " instead of ".join(_number(facts["anchor_recall"][kind]["all"]) for kind in kinds)
    overlap = " instead of ".join(_number(facts["mean_overlap"][kind]) for kind in kinds)
    return [
        *lines,
        f"anchors of these sizes would have a recall of {recall}, a mean overlap of {overlap}:",
        f"--anchors={facts['proposed_anchors']}",
    ]


def _defect_lines(found: Inspection) -> list[str]:
    lines = []
    for kind, count in found.counts().items():
        lines.append(f"{KINDS[kind].name.lower()}: {kind.replace('_', ' ')}: {count}")
        of_kind = [defect for defect in found.defects if defect.kind == kind]
        for defect in of_kind[:MAX_LINES]:
            number = f", object {defect.number}" if defect.number else ""
            lines.append(f"  {defect.file}{number}: {defect.what}")
        if count > MAX_LINES:
            lines.append(f"  ... and {count - MAX_LINES} more; --format=json lists all")
    return lines


def _verdict(facts: dict[str, Any]) -> str:
    if not facts["harm"]:
        return "Nothing here would harm a training."
    kinds = ", ".join(kind.replace("_", " ") for kind in facts["harm"])
    return f"A training would be harmed: {kinds}."


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items()) or "none"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
