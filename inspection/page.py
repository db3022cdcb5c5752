"""The page of an inspection: tables, charts and the images that have something wrong."""

import html
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from inspection import label_charts
from inspection.collect import Inspection
from inspection.defects import KINDS, Checked, Severity, kind_title
from runtime.errors import InputError
from visualization import charts, page, pictures

_MAX_ROWS = 500
_RECALLS = {
    "warped": "anchor recall",
    "unwarped": "without warping",
    "proposed": "as proposed",
}
_STATISTICS = (
    *("", "images", "objects", "objects an image, median"),
    *("width, median", "height, median"),
)
_THUMBNAIL = 360  # pixels of the longer side
_MARGIN = 40  # around it, in which boxes outside the image are seen
_FAULTY = (213, 94, 0)


def make(found: Inspection, facts: Mapping[str, Any]) -> str:
    """The HTML page.

    Args:
      found: the data set as it was seen.
      facts: of `inspection.summarise`.
    """
    pngs = {
        "classes.png": _bars({name: row["objects"] for name, row in facts["classes"].items()}),
        "sizes.png": _bars(facts["object_sizes"]),
        "labels.png": label_charts.draw(found),
    }
    side = facts["input_side"]
    area = f"All objects by the square root of their area at {side} x {side}."
    sections = [
        f"<p><b>{found.verdict}</b></p>",
        _summary(facts),
        "<h2>Classes</h2>",
        _classes(facts),
        page.figure(pngs, "classes.png", "Objects of each class, without difficult ones."),
        "<h2>Boxes</h2>",
        page.table(_STATISTICS, label_charts.table_rows(facts["label_statistics"])),
        page.figure(pngs, "labels.png", "All objects, relative to their images."),
        "<h2>Sizes and anchors</h2>",
        _sizes(facts),
        page.figure(pngs, "sizes.png", area),
        _proposal(facts),
        "<h2>What is wrong</h2>",
        _defects(facts),
        _thumbnails(found),
    ]
    return page.document(f"Data set {facts['title']}", sections)


def _summary(facts: Mapping[str, Any]) -> str:
    rows = [
        ("images", facts["num_pictures"]),
        ("objects", facts["num_objects"]),
        ("difficult objects", facts["num_difficult"]),
        ("estimated records", f"{facts['record_bytes'] / 1e6:.1f} MB"),
        *((f"images of {size}", count) for size, count in facts["picture_sizes"].items()),
    ]
    return page.table(("", ""), rows)


def _classes(facts: Mapping[str, Any]) -> str:
    rows = [
        (name, row["pictures"], row["objects"], row["difficult"], *_recalls(facts, name))
        for name, row in facts["classes"].items()
    ]
    return page.table(("class", "images", "objects", "difficult", *_RECALLS.values()), rows)


def _recalls(facts: Mapping[str, Any], group: str) -> list[str]:
    return [page.number(facts["anchor_recall"][kind][group]) for kind in _RECALLS]


def _sizes(facts: Mapping[str, Any]) -> str:
    counts = facts["object_sizes"]
    rows = [
        (name, count, *_recalls(facts, name))
        for name, count in {**counts, "all": sum(counts.values())}.items()
    ]
    text = (
        "Recall: the share of objects that have an IoU of 0.5 or more with an anchor of "
        f"--anchors={facts['anchors']}. Without warping: if images were shrunk to the square and "
        "kept their shape. As proposed: with the anchors proposed below."
    )
    return page.table(("size", "objects, also difficult", *_RECALLS.values()), rows) + page.note(
        text
    )


def _proposal(facts: Mapping[str, Any]) -> str:
    rows = [
        (f"{shape['width']:g} x {shape['height']:g}", f"{shape['share']:.1%}")
        for shape in facts["proposed_shapes"]
    ]
    if not rows:
        return ""
    text = "Box shapes that fit this data best, by k-means with 1 - IoU; in the network's pixels."
    table = page.table(("width x height", "objects"), rows) + page.note(text)
    if not facts["proposed_anchors"]:
        return table + page.note("Squares of these sizes would fit no better.")
    flag = f"<pre>--anchors={html.escape(facts['proposed_anchors'])}</pre>"
    return f"{table}<p>Anchors of these sizes, which fit better:</p>{flag}"


def _defects(facts: Mapping[str, Any]) -> str:
    if not facts["defects"]:
        return page.note("Nothing was found.")
    counts = [
        (kind_title(kind), KINDS[kind].name.lower(), count)
        for kind, count in facts["counts"].items()
    ]
    rows = [
        (d["file"], d["object"] or "", d["severity"], kind_title(d["kind"]), d["what"])
        for d in facts["defects"][:_MAX_ROWS]
    ]
    more = len(facts["defects"]) - len(rows)
    return "".join(
        (
            page.table(("kind", "severity", "times"), counts),
            page.table(("file", "object", "severity", "kind", "what"), rows, of_text=True),
            page.note(f"... and {more} more, which --format=json lists.") if more else "",
        )
    )


def _thumbnails(found: Inspection) -> str:
    shown = []
    for suspect in found.suspects:
        # As TensorFlow decodes it: not turned by its EXIF tag.
        how = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(suspect.data, np.uint8), how)
        if image is None:
            continue
        kinds = sorted({d.kind for d in suspect.defects if d.severity > Severity.NOTE})
        caption = f"{suspect.item.place}: {', '.join(map(kind_title, kinds))}"
        shown.append((_thumbnail(image, suspect), caption))
    if not shown:
        return ""
    note = "Thick orange boxes are faulty ones as they are annotated; the others are as trained on."
    return page.thumbnails(shown) + page.note(note)


def _thumbnail(image: np.ndarray, suspect: Checked) -> bytes:
    scale = min(1.0, _THUMBNAIL / max(image.shape[:2]))
    size = tuple(max(1, round(scale * side)) for side in image.shape[1::-1])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    boxes = np.array([thing.box for thing in suspect.objects], np.float32).reshape(-1, 4)
    names = [thing.name for thing in suspect.objects]
    canvas = pictures.draw_boxes(small, boxes, names)
    faulty = faulty_boxes(suspect)
    if not len(faulty):
        return pictures.to_png(canvas)
    canvas = cv2.copyMakeBorder(canvas, *(_MARGIN,) * 4, cv2.BORDER_CONSTANT, value=(225,) * 3)
    limit = np.array(canvas.shape[:2], float) - 3
    corners = faulty.reshape(-1, 2, 2) * np.array(small.shape[:2]) + _MARGIN
    for (ymin, xmin), (ymax, xmax) in np.clip(corners, 2, limit).astype(int).tolist():
        cv2.rectangle(canvas, (xmin, ymin), (xmax, ymax), _FAULTY, 3)
    return pictures.to_png(canvas)


def faulty_boxes(suspect: Checked) -> np.ndarray:
    """Boxes that a defect names, as annotated but with their ends in order, f64[K, 4] relative.

    None where EXIF turns the image, whose boxes may be of either view, or where it has no size.
    """
    annotation, defects = suspect.item.annotation, suspect.defects
    turned = any(d.kind == "exif_rotated" for d in defects)
    if isinstance(annotation, InputError) or turned or not min(suspect.size):
        return np.zeros((0, 4))
    numbers = sorted({d.number for d in defects if d.number and d.severity > Severity.NOTE})
    raw = np.array([annotation.objects[n - 1].box for n in numbers], float).reshape(-1, 4)
    if not suspect.item.relative:
        raw = raw / np.tile(suspect.size, 2)
    ends = np.nan_to_num(raw, posinf=2.0, neginf=-2.0).reshape(-1, 2, 2)
    return np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)


def _bars(counts: Mapping[str, int]) -> bytes:
    """One bar for each name, in their order from the top."""
    figure = charts.new_figure(6.4, 0.3 * len(counts) + 0.9)
    axes = figure.add_subplot()
    places = np.arange(len(counts))
    bars = axes.barh(places, list(counts.values()), color=charts.PALETTE[0], height=0.7)
    axes.bar_label(bars, padding=3, fontsize=8)
    axes.set_yticks(places, [charts.plain(name) for name in counts])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("objects")
    return charts.to_png(figure)
