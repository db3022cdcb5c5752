"""What can be wrong with annotated images, how bad each kind is, and the checks of one image.

`HARM` is what a training would suffer from: an object or an image is lost, or a box lies where its
object is not. `DOUBT` is likely a mistake, `NOTE` is worth knowing. A box without area is a doubt,
since it is mostly a stray click, until such boxes are more than one object in a hundred.
"""

import enum
import math
import os
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.image_file import Header, check_header_limits, check_picture, read_header
from datasets.layouts.orientation import Box, DrawnOn, drawn_on, orientation, to_stored
from datasets.layouts.other_formats import as_png, format_of
from runtime.errors import InputError

_EXTENSIONS = {"JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "PNG": (".png",)}


_LEAST_SIDE = 2.0  # pixels that the network sees
_REACH = 1.0  # pixels that a box may reach out of the image: conventions differ by one


class Severity(enum.IntEnum):
    """How bad a defect is; the worst is the largest."""

    NOTE = 0
    DOUBT = 1
    HARM = 2


KINDS = {
    "bad_annotation": Severity.HARM,
    "bad_record": Severity.HARM,
    "bad_split": Severity.HARM,
    "missing_picture": Severity.HARM,
    "bad_picture": Severity.HARM,
    "wrong_size": Severity.HARM,
    "unknown_label": Severity.HARM,
    "inverted_box": Severity.HARM,
    "box_outside": Severity.HARM,
    "shared_by_splits": Severity.HARM,
    "all_crowds": Severity.HARM,
    "left_out": Severity.DOUBT,
    "box_without_area": Severity.DOUBT,
    "box_reaches_out": Severity.DOUBT,
    "tiny_box": Severity.DOUBT,
    "duplicate_box": Severity.DOUBT,
    "same_box_other_class": Severity.DOUBT,
    "zero_based": Severity.DOUBT,
    "similar_label": Severity.DOUBT,
    "duplicate_picture": Severity.DOUBT,
    "exif_rotated": Severity.DOUBT,
    "cmyk": Severity.DOUBT,
    "sixteen_bit": Severity.DOUBT,
    "other_format": Severity.NOTE,
    "mislabelled": Severity.NOTE,
    "greyscale": Severity.NOTE,
    "transparent": Severity.NOTE,
    "no_size": Severity.NOTE,
    "other_filename": Severity.NOTE,
    "no_objects": Severity.NOTE,
    "many_objects": Severity.NOTE,
    "no_annotation": Severity.NOTE,
}

# What evaluation and detection keep of an image, unless --keep_top_k says otherwise.
_KEPT_DETECTIONS = 200
_LOST = {"inverted_box", "box_outside", "box_without_area"}


def kind_title(kind: str) -> str:
    """What a reader is told; the kinds themselves are keys of inspection.json."""
    return kind.replace("_", " ").replace("picture", "image")


class Defect(NamedTuple):
    """One thing found; `number` is the object's, from 1, or None for the whole image."""

    kind: str
    file: str
    number: int | None
    what: str

    @property
    def severity(self) -> Severity:
        """How bad its kind is."""
        return KINDS[self.kind]


class Item(NamedTuple):
    """An image with its annotation, as any layout has them.

    Attributes:
      name: the image's file name without folder.
      place: file, or shard and byte, for messages.
      annotation: boxes in pixels, or the error met; a record's are relative.
      load: the image file's bytes, or InputError.
      relative: whether boxes are relative to the image, as in records.
    """

    name: str
    place: str
    annotation: Annotation | InputError
    load: Callable[[], bytes]
    relative: bool = False


class Checked(NamedTuple):
    """What one image gave; boxes are relative, in the order of `objects`.

    Attributes:
      header: None where the image cannot be read.
      size: (height, width) in pixels, the annotation's where the image cannot be read.
      data: the image file's bytes; b"" where there are none.
      objects: those of the annotation whose box has an area inside the image.
    """

    item: Item
    defects: list[Defect]
    header: Header | None
    size: tuple[float, float]
    data: bytes
    objects: list[Object]


def check(item: Item, *, labels: Collection[str] | None, input_side: int) -> Checked:
    """Looks at one image and its annotation.

    Args:
      item: what to look at.
      labels: the classes that there may be; None allows all.
      input_side: pixels that the network sees of it, in each direction.
    """
    data, header, defects = _check_picture(item)
    if isinstance(item.annotation, InputError):
        kind = "bad_record" if item.relative else "bad_annotation"
        what = str(item.annotation).removeprefix(item.place).lstrip(" :,")
        defects.append(Defect(kind, item.place, None, what))
        return Checked(item, defects, header, (0, 0), data, [])
    annotation, turn, view = item.annotation, orientation(data), DrawnOn.UNKNOWN
    height, width = size = _size_of(annotation, header)
    if item.relative:
        annotation = _in_pixels(annotation, height=height, width=width)
    else:
        defects += _check_claims(annotation, item)
        view = _check_size(annotation, header, turn, item, defects)
    if turn > 1:
        what = f"is turned by its EXIF tag ({turn}): {view.value}"
        defects.append(_of_picture(item, "exif_rotated", what))
    if view is DrawnOn.TURNED:
        height, width = annotation.height, annotation.width
    options = {"labels": labels, "input_side": input_side}
    kept, found = _check_objects(annotation, height=height, width=width, **options)
    defects += [Defect(kind, item.place, number, what) for kind, number, what in found]
    if view is DrawnOn.TURNED:
        kept = [thing._replace(box=to_stored(thing.box, turn)) for thing in kept]
    return Checked(item, defects, header, size, data, kept)


def _check_picture(item: Item) -> tuple[bytes, Header | None, list[Defect]]:
    data = b""
    try:
        data = item.load()
        was = "" if item.relative else format_of(data)
        data = as_png(data) if was else data
        header = check_picture(data)
    except InputError as error:
        if error is item.annotation:  # there is one error to tell
            return b"", None, []
        return b"", None, [Defect("missing_picture", item.place, None, str(error).rstrip("."))]
    except ValueError as error:
        return data, _header_of(data), [_of_picture(item, "bad_picture", str(error))]
    if was:
        what = f"is {was}: a conversion encodes it anew as PNG"
        return data, header, [_of_picture(item, "other_format", what)]
    oddities = find_oddities(data, header, filename=item.name)
    return data, header, [_of_picture(item, kind, what) for kind, what in oddities]


def _of_picture(item: Item, kind: str, what: str) -> Defect:
    return Defect(kind, item.place, None, f"its image {item.name} {what}")


def _header_of(data: bytes) -> Header | None:
    """What is known of an image that does not decode."""
    try:
        check_header_limits(data)
        return read_header(data, whole=False)
    except ValueError:
        return None


def _size_of(annotation: Annotation, header: Header | None) -> tuple[float, float]:
    """The real size, or the claimed one; where both are unknown nothing reaches out."""
    if header:
        return header.height, header.width
    return annotation.height or math.inf, annotation.width or math.inf


def _relative(box: Box, *, height: float, width: float) -> Box:
    """Pixels -> relative, clipped to the image."""
    sides = box[0] / height, box[1] / width, box[2] / height, box[3] / width
    ymin, xmin, ymax, xmax = (min(1.0, max(0.0, side)) for side in sides)
    return ymin, xmin, ymax, xmax


def _in_pixels(annotation: Annotation, *, height: float, width: float) -> Annotation:
    height, width = (side if math.isfinite(side) else 1.0 for side in (height, width))
    objects = []
    for thing in annotation.objects:
        ymin, xmin, ymax, xmax = thing.box
        box = ymin * height, xmin * width, ymax * height, xmax * width
        objects.append(thing._replace(box=box))
    return annotation._replace(objects=tuple(objects))


def _check_claims(annotation: Annotation, item: Item) -> Iterator[Defect]:
    """What the annotation says of the image's file, and leaves out."""
    stem = os.path.splitext(os.path.basename(annotation.filename.replace("\\", "/")))[0]
    if stem and stem != os.path.splitext(item.name)[0]:
        what = f"belongs to {item.name} and names the image {annotation.filename!r}"
        yield Defect("other_filename", item.place, None, what)
    if not (annotation.height and annotation.width):
        yield Defect("no_size", item.place, None, "does not tell the image's size")


def _check_size(
    annotation: Annotation, header: Header | None, turn: int, item: Item, defects: list[Defect]
) -> DrawnOn:
    """Which image the boxes were drawn on; a contradiction of sizes is a defect."""
    try:
        return drawn_on(annotation, header, turn) if header else DrawnOn.UNKNOWN
    except ValueError as error:
        defects.append(Defect("wrong_size", item.place, None, str(error)))
        return DrawnOn.UNKNOWN


def _check_objects(
    annotation: Annotation, *, height: float, width: float, **options
) -> tuple[list[Object], list[tuple[str, int | None, str]]]:
    """Objects with an area, their boxes relative, and (kind, number of the object, what) rows."""
    kept, seen = [], {}
    rows: list[tuple[str, int | None, str]] = []
    for number, thing in enumerate(annotation.objects, start=1):
        found = list(_check_object(thing, height=height, width=width, **options))
        if again := _seen_before(thing, number, seen):
            found.append(again)
        rows += [(kind, number, what) for kind, what in found]
        if math.isfinite(height + width) and not _LOST & {kind for kind, _ in found}:
            kept.append(thing._replace(box=_relative(thing.box, height=height, width=width)))
    if not annotation.objects:
        rows.append(("no_objects", None, "has no objects"))
    if len(kept) > _KEPT_DETECTIONS:
        what = f"{len(kept)} objects, of which evaluation finds {_KEPT_DETECTIONS} at most: "
        rows.append(("many_objects", None, f"has {what}raise its --keep_top_k"))
    return kept, rows


def _told(thing: Object) -> str:
    ymin, xmin, ymax, xmax = thing.box
    return f"{thing.name} at x {xmin:g} to {xmax:g}, y {ymin:g} to {ymax:g}"


def _seen_before(
    thing: Object, number: int, seen: dict[Box, tuple[int, str]]
) -> tuple[str, str] | None:
    """(kind, what) where an object before this one, all of which `seen` holds, has its box."""
    first, name = seen.setdefault(thing.box, (number, thing.name))
    if first == number:
        return None
    kind = "duplicate_box" if name == thing.name else "same_box_other_class"
    return kind, f"{_told(thing)}: object {first} ({name}) has the same box"


def _check_object(
    thing: Object,
    *,
    height: float,
    width: float,
    labels: Collection[str] | None,
    input_side: int,
) -> Iterator[tuple[str, str]]:
    """Pairs (kind, what) for one object."""
    ymin, xmin, ymax, xmax = thing.box
    text = _told(thing)
    if labels is not None and thing.name not in labels:
        yield "unknown_label", f"{text}: the class is not among the {len(labels)} labels"
    if ymax < ymin or xmax < xmin:
        yield "inverted_box", f"{text}: its ends are swapped"
    elif ymax == ymin or xmax == xmin:
        yield "box_without_area", f"{text}: it has no area"
    elif ymax <= 0 or xmax <= 0 or ymin >= height or xmin >= width:
        yield "box_outside", f"{text}: it lies outside the image of {width:g} x {height:g}"
    else:
        reach = max(-ymin, -xmin, ymax - height, xmax - width)
        if reach > _REACH:
            yield "box_reaches_out", f"{text}: it reaches {reach:g} pixels out of the image"
        sides = (ymax - ymin) / height, (xmax - xmin) / width
        pixels = input_side * min(sides)
        if 0 < pixels < _LEAST_SIDE:
            yield "tiny_box", f"{text}: {pixels:.1f} pixels of the {input_side} the network sees"


def find_oddities(data: bytes, header: Header, *, filename: str) -> list[tuple[str, str]]:
    """(kind of defect, sentence's end) pairs for an image file that `check_picture` passed."""
    found = []
    extension = os.path.splitext(filename)[1].lower()
    if extension and extension not in _EXTENSIONS[header.format]:
        found.append(("mislabelled", f"is a {header.format} file called {extension}"))
    if header.channels in (1, 2):
        found.append(("greyscale", "is greyscale"))
    if header.format == "JPEG" and header.channels == 4:
        found.append(("cmyk", "has four channels (CMYK): its colours may change in decoding"))
    if header.format == "PNG":
        found += _png_oddities(data, header)
    return found


def _png_oddities(data: bytes, header: Header) -> list[tuple[str, str]]:
    found = []
    if data[24] == 16:
        found.append(("sixteen_bit", "has 16 bits a channel, of which 8 are used"))
    if header.channels in (2, 4):
        found.append(("transparent", "has a channel of transparency, which is ignored"))
    return found
