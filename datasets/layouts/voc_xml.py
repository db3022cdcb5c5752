"""One Pascal VOC annotation: XML to numbers.

Annotations come from strangers: they are read up to a size limit, and a DOCTYPE (the only place
where XML entities, and so entity bombs, can be declared) is refused.

Tools differ in what they call standard: tags in capitals or in a namespace, `<objects>` around the
objects, no `<size>`, a share of truncation, encodings that expat does not know. All that is read.
"""

import math
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from datasets.layouts.annotations import Annotation, Object
from runtime import files, limits
from runtime.errors import InputError

_DECLARED = re.compile(rb"<\?xml[^>]*encoding\s*=\s*['\"]([A-Za-z][A-Za-z0-9._-]{0,40})['\"]")
_OF_EXPAT = (b"utf-8", b"utf8", b"utf-16", b"iso-8859-1", b"us-ascii", b"ascii")

_TRUE = ("1", "true", "yes")
_FALSE = ("", "0", "false", "no", "unspecified")


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document at its DOCTYPE, before any entity is declared."""

    def doctype(self, name, pubid, system):
        raise InputError("it declares a DOCTYPE, which a VOC annotation never needs: remove it")


def read_annotation(path: str) -> Annotation:
    """Reads one VOC annotation.

    The `<part>`s of VOC's person layout, inside of objects, are none themselves. A missing
    `difficult` or `truncated` is False; a missing or empty `size` is 0 x 0, which says that the
    image tells it.

    Raises:
      InputError: naming the file, the object's number (from 1) and the rule that it breaks.
    """
    root = parse_xml(path)
    if root.tag == "annotations" and root.find("image") is not None:
        raise InputError(f"{path} is a file of CVAT, not of VOC: pass --dataset_name=cvat.")
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2].lower()  # in no namespace
    if not any(root.find(tag) is not None for tag in ("filename", "size", "object", "objects")):
        raise InputError(
            f"{path} has no <filename>, <size> or <object>: it is not a VOC annotation; pass the "
            "--dataset_name of its format, or remove it."
        )
    size = root.find("size")
    size = ElementTree.Element("size") if size is None else size
    objects = [
        _read_object(element, where=f"{path}, object {number}")
        for number, element in enumerate(_objects(root, path), start=1)
    ]
    _refuse_shares(objects, path)
    return Annotation(
        filename=_text(root, "filename"),
        width=_read_side(size, "width", where=path, default=0),
        height=_read_side(size, "height", where=path, default=0),
        depth=_read_side(size, "depth", where=path, default=3),
        objects=tuple(objects),
    )


def parse_xml(
    path: str, *, most: int = limits.MAX_XML_BYTES, kind: str = "VOC annotation"
) -> ElementTree.Element:
    """The root of an XML file, which is not trusted.

    Args:
      path: of the file.
      most: bytes that it may have.
      kind: what it is, for messages.

    Raises:
      InputError: it cannot be read, is too large, declares a DOCTYPE or is not well-formed.
    """
    data = files.read(path, most=most, remedy=f"no {kind} is").lstrip()
    declared = _DECLARED.match(data)
    try:
        # Expat knows few encodings, Python all.
        is_foreign = declared is not None and declared[1].lower() not in _OF_EXPAT
        text = data.decode(declared[1].decode()) if declared and is_foreign else data
        return _parse(text)
    except InputError as error:
        raise InputError(f"{path}: {error}.") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        if not declared and not _is_utf8(data):
            raise InputError(
                f"{path} declares no encoding and is not in UTF-8: save it in UTF-8, or begin it "
                'with <?xml version="1.0" encoding="..."?>.'
            ) from error
        raise InputError(
            f"{path} is not well-formed XML ({error}): correct or remove it."
        ) from error


def _parse(data: bytes | str) -> ElementTree.Element:
    # The builder in Python is slow. Where no DOCTYPE is in letters that every encoding which
    # expat takes has in common, and no zero byte as in UTF-16, there is none for it to refuse.
    signs = ("<!DOCTYPE", "\0") if isinstance(data, str) else (b"<!DOCTYPE", b"\0")
    suspect = any(sign in data for sign in signs)  # type: ignore[operator]
    parser = ElementTree.XMLParser(target=_NoDoctype() if suspect else None)
    parser.feed(data)
    return parser.close()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _objects(element: ElementTree.Element, path: str) -> Iterator[ElementTree.Element]:
    """The objects, also those in a wrapper such as `<objects>`."""
    for child in element:
        if child.tag == "object":
            yield child
        elif child.tag == "bndbox":
            raise InputError(
                f"{path} has a <bndbox> in <{element.tag}>, which is no <object>: it is not a VOC "
                "annotation; pass the --dataset_name of its format."
            )
        else:
            yield from _objects(child, path)


def _refuse_shares(objects: list[Object], path: str) -> None:
    """Boxes as shares of the image would become specks in its corner."""
    sides = [side for item in objects for side in item.box]
    if sides and min(sides) >= 0 and max(sides) <= 1 and any(0 < side < 1 for side in sides):
        raise InputError(
            f"{path} has boxes from 0 to 1, shares of the image: VOC's are in pixels; multiply "
            "them by its width and height."
        )


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
    try:
        share = float(text)  # some tools say how much is truncated
    except ValueError:
        share = math.nan
    if math.isfinite(share):
        return share != 0
    if text not in _TRUE + _FALSE:
        raise InputError(f"{where}: <{tag}> is {text!r}; it must be 0 or 1.")
    return text in _TRUE
