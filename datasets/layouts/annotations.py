"""Annotated images as every layout of files gives them."""

from collections.abc import Sequence
from typing import NamedTuple

from datasets.records.features import Contents


class Object(NamedTuple):
    """One annotated object; `box` is (ymin, xmin, ymax, xmax) in pixels as the XML has it.

    A crowd (COCO's word for a box around many objects) is difficult too, and never trained on.
    """

    name: str
    box: tuple[float, float, float, float]
    difficult: bool
    truncated: bool
    crowd: bool = False


class Annotation(NamedTuple):
    """One annotated image; the sizes are what the XML claims (0 where a tool left them out)."""

    filename: str
    width: int
    height: int
    depth: int
    objects: tuple[Object, ...]


def annotation_of(
    contents: Contents, labels: Sequence[str], *, labels_offset: int = 0
) -> Annotation:
    """A record's objects, with relative boxes; an id beyond the labels is called by its number."""
    ids = [k - labels_offset for k in contents.labels]
    names = [labels[k - 1] if 1 <= k <= len(labels) else f"class {k}" for k in ids]
    boxes = map(tuple, contents.boxes.astype(float).tolist())
    flags = contents.difficult, contents.truncated, contents.crowd
    objects = tuple(map(Object, names, boxes, *flags))
    return Annotation(contents.filename, 0, 0, 3, objects)
