"""The page of an inspection: tables, charts and the images that have something wrong."""

import html
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from inspection.collect import Inspection
from inspection.defects import KINDS, Checked, Severity, kind_title
from visualization import charts, page, pictures

_MAX_ROWS = 500
_RECALLS = {
    "warped": "anchor recall",
    "unwarped": "without warping",
    "proposed": "as proposed",
}
_THUMBNAIL = 360  # pixels of the longer side


def make(found: Inspection, facts: Mapping[str, Any]) -> str:
    """The HTML page.

    Args:
      found: the data set as it was seen.
      facts: of `inspection.summarise`.
    """
    pngs = {
        "classes.png": _bars({name: row["objects"] for name, row in facts["classes"].items()}),
        "sizes.png": _bars(facts["object_sizes"]),
    }
    side = facts["input_side"]
    area = f"All objects by the square root of their area at {side} x {side}."
    sections = [
        f"<p><b>{found.verdict}</b></p>",
        _summary(facts),
        "<h2>Classes</h2>",
        _classes(facts),
        page.figure(pngs, "classes.png", "Objects of each class, without difficult ones."),
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
    text = ""
    for number, suspect in enumerate(found.suspects):
        # As TensorFlow decodes it: not turned by its EXIF tag.
        how = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(suspect.data, np.uint8), how)
        if image is None:
            continue
        kinds = sorted({d.kind for d in suspect.defects if d.severity > Severity.NOTE})
        caption = f"{suspect.item.place}: {', '.join(map(kind_title, kinds))}"
        name = f"{number}.png"
        text += page.figure({name: _thumbnail(image, suspect)}, name, caption)
    return text


def _thumbnail(image: np.ndarray, suspect: Checked) -> bytes:
    scale = min(1.0, _THUMBNAIL / max(image.shape[:2]))
    size = tuple(max(1, round(scale * side)) for side in image.shape[1::-1])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    boxes = np.array([thing.box for thing in suspect.objects], np.float32).reshape(-1, 4)
    names = [thing.name for thing in suspect.objects]
    return pictures.to_png(pictures.draw_boxes(small, boxes, names))


def _bars(counts: Mapping[str, int]) -> bytes:
    """One bar for each name, in their order from the top."""
    figure = charts.new_figure(6.4, 0.3 * len(counts) + 0.9)
    axes = figure.add_subplot()
    places = np.arange(len(counts))
    bars = axes.barh(places, list(counts.values()), color="#0060a8", height=0.7)
    axes.bar_label(bars, padding=3, fontsize=8)
    axes.set_yticks(places, [charts.plain(name) for name in counts])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("objects")
    return charts.to_png(figure)
