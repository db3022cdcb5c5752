"""One Pascal VOC annotation: numbers to XML, laid out as the devkit's own files are.

`voc_xml.read_annotation` gives back what was written. VOC has no word for a crowd; it becomes a
`<crowd>` tag, which other readers ignore.
"""

from collections.abc import Mapping
from xml.etree import ElementTree

from datasets.layouts.annotations import Annotation, Object


def format_annotation(
    annotation: Annotation, *, folder: str = "", source: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of one annotation's file.

    Args:
      annotation: boxes in pixels; whole ones are written without a point, others with as many
        digits as give the same number again.
      folder: name of the data set's folder; left out when empty.
      source: where the image is from, tag by tag; left out when None.
    """
    root = ElementTree.Element("annotation")
    if folder:
        _add(root, folder=folder)
    _add(root, filename=annotation.filename)
    if source is not None:
        _add(ElementTree.SubElement(root, "source"), **source)
    size = ElementTree.SubElement(root, "size")
    _add(size, width=annotation.width, height=annotation.height, depth=annotation.depth)
    _add(root, segmented=0)
    for thing in annotation.objects:
        _add_object(ElementTree.SubElement(root, "object"), thing)
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root, encoding="utf-8") + b"\n"


def _add_object(element: ElementTree.Element, thing: Object) -> None:
    flags = {"truncated": int(thing.truncated), "difficult": int(thing.difficult)}
    _add(element, name=thing.name, pose="Unspecified", **flags)
    if thing.crowd:
        _add(element, crowd=1)
    ymin, xmin, ymax, xmax = map(_number, thing.box)
    bounds = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
    _add(ElementTree.SubElement(element, "bndbox"), **bounds)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _add(parent: ElementTree.Element, **children: object) -> None:
    for tag, value in children.items():
        ElementTree.SubElement(parent, tag).text = str(value)
