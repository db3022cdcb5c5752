"""One Pascal VOC annotation: XML to numbers.

Annotations come from strangers: they are read up to a size limit, and a DOCTYPE (the only place
where XML entities, and so entity bombs, can be declared) is refused.
"""

import math
from xml.etree import ElementTree

from datasets.layouts.annotations import Annotation, Object
from runtime import files
from runtime.errors import InputError

MAX_XML_BYTES = 10_000_000

_TRUE = ("1", "true", "yes")
_FALSE = ("", "0", "false", "no", "unspecified")


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document at its DOCTYPE, before any entity is declared."""

    def doctype(self, name, pubid, system):
        raise InputError("it declares a DOCTYPE, which a VOC annotation never needs: remove it")


def read_annotation(path: str) -> Annotation:
    """Reads one VOC annotation.

    Only the direct `<object>` children of the root are objects: the `<part>`s of VOC's person
    layout lie inside them. A missing `difficult` or `truncated` is False.

    Raises:
      InputError: naming the file, the object's number (from 1) and the rule that it breaks.
    """
    root = parse_xml(path)
    if root.tag == "annotations" and root.find("image") is not None:
        raise InputError(f"{path} is a file of CVAT, not of VOC: pass --dataset_name=cvat.")
    size = root.find("size")
    if size is None:
        raise InputError(f"{path} has no <size>: add it with <width> and <height> in pixels.")
    objects = [
        _read_object(element, where=f"{path}, object {number}")
        for number, element in enumerate(root.findall("object"), start=1)
    ]
    return Annotation(
        filename=_text(root, "filename"),
        width=_read_side(size, "width", where=path),
        height=_read_side(size, "height", where=path),
        depth=_read_side(size, "depth", where=path, default=3),
        objects=tuple(objects),
    )


def parse_xml(
    path: str, *, limit: int = MAX_XML_BYTES, kind: str = "VOC annotation"
) -> ElementTree.Element:
    """The root of an XML file, which is not trusted.

    Args:
      path: of the file.
      limit: bytes that it may have.
      kind: what it is, for messages.

    Raises:
      InputError: it cannot be read, is too large, declares a DOCTYPE or is not well-formed.
    """
    data = files.read(path, limit + 1)
    if len(data) > limit:
        raise InputError(f"{path} is larger than {limit} bytes: no {kind} is.")
    # The builder in Python is slow. Where no DOCTYPE is in letters that every encoding which
    # expat takes has in common, and no zero byte as in UTF-16, there is none for it to refuse.
    suspect = b"<!DOCTYPE" in data or b"\0" in data
    parser = ElementTree.XMLParser(target=_NoDoctype() if suspect else None)
    try:
        parser.feed(data)
        return parser.close()
    except InputError as error:
        raise InputError(f"{path}: {error}.") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(
            f"{path} is not well-formed XML ({error}): correct or remove it."
        ) from error


def _read_object(element: ElementTree.Element, *, where: str) -> Object:
    name = _text(element, "name")
    if not name:
        raise InputError(f"{where} has no <name>: every object needs its class.")
    box = element.find("bndbox")
    if box is None:
        raise InputError(f"{where} ({name}) has no <bndbox>: every object needs a box.")
    where = f"{where} ({name})"
    crowd = _read_flag(element, "crowd", where=where)
    return Object(
        name=name,
        box=(
            _read_number(box, "ymin", where=where),
            _read_number(box, "xmin", where=where),
            _read_number(box, "ymax", where=where),
            _read_number(box, "xmax", where=where),
        ),
        difficult=_read_flag(element, "difficult", where=where) or crowd,
        truncated=_read_flag(element, "truncated", where=where),
        crowd=crowd,
    )


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _read_number(element: ElementTree.Element, tag: str, *, where: str) -> float:
    text = _text(element, tag)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: <{tag}> is {text!r}; it must be a number of pixels.")
    return value


def _read_side(
    size: ElementTree.Element, tag: str, *, where: str, default: int | None = None
) -> int:
    if default is not None and not _text(size, tag):
        return default
    value = _read_number(size, tag, where=where)
    if value < 0 or value > 1e6:
        raise InputError(f"{where}: <{tag}> is {value:g}; it must lie between 0 and a million.")
    return round(value)


def _read_flag(element: ElementTree.Element, tag: str, *, where: str) -> bool:
    text = _text(element, tag).lower()
    if text not in _TRUE + _FALSE:
        raise InputError(f"{where}: <{tag}> is {text!r}; it must be 0 or 1.")
    return text in _TRUE
