"""Folders of CVAT's export "CVAT for images 1.1": XML files that hold many images each.

The images lie anywhere in the folder. Boxes and polygons become objects, a rotated box or a polygon
as the box around it; other shapes are left out and counted. CVAT lists every image of a task: one
without shapes has no objects. Its attributes `difficult` and `truncated` are read; that an object
is occluded is not, since records do not say so.
"""

import collections
import math
import os
import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from datasets.layouts import tree
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.image_file import is_folder
from datasets.layouts.labels import check_names
from datasets.layouts.source import AnnotatedImage, Options, Source
from datasets.layouts.voc_xml import parse_xml
from runtime import files, limits
from runtime.errors import InputError

_START = 4096  # bytes of a file that tell whether it is CVAT's
_TRUE = ("1", "true", "yes")


def recognises(path: str) -> bool:
    """Whether it is one of CVAT's XML files, or a folder with one in it or in a folder there."""
    if path.lower().endswith(".xml"):
        return _is_cvat(path)
    try:
        folders = [path, *tree.folders_in(path)] if path and is_folder(path) else []
        return any(_is_cvat(found) for folder in folders for found in _first_xml(folder))
    except InputError:
        return False


def _first_xml(folder: str) -> list[str]:
    names = (name for name in tree.list_names(folder) if name.lower().endswith(".xml"))
    return [os.path.join(folder, name) for name in names][:1]


def _is_cvat(path: str) -> bool:
    try:
        start = files.read_start(path, _START)
    except InputError:
        return False
    return re.search(rb"<annotations[\s/>]", start) is not None


def open_source(options: Options) -> Source:
    """Reads all of CVAT's files in a folder, or one; splits are CVAT's subsets.

    Raises:
      InputError: there is no such file, one is broken, or the split does not exist.
    """
    one = options.folder.lower().endswith(".xml")
    folder = os.path.dirname(options.folder) or "." if one else options.folder
    folder = tree.check_folder(folder, flag=options.folder_flag, kind="CVAT folder")
    paths = tree.list_files(folder)
    of_cvat = [os.path.basename(options.folder)] if one else _cvat_files(folder, paths)
    if not of_cvat:
        raise InputError(
            f"{options.folder_flag}={options.folder} holds no XML file of CVAT: export the task as "
            "'CVAT for images 1.1' and unpack it there."
        )
    reader = _Reader(folder, [path for path in paths if tree.is_picture(path)])
    for path in of_cvat:
        reader.read(path)
    ids = reader.ids_of(options.split, flag="--split")
    images = {image_id: reader.images[image_id] for image_id in ids}
    others = [p for p in paths if not (tree.is_picture(p) or p in of_cvat)]
    left_out = reader.left_out | tree.passed_over(folder, others, layout="CVAT folder")
    if options.with_images and not options.split:
        unused = (path for path in reader.pictures if path not in reader.used)
        left_out |= {f"{folder}/{path}": "is in no XML file" for path in unused}
    return Source(images, reader.learn_labels, left_out=left_out, splits=reader.splits)


def _cvat_files(folder: str, paths: Sequence[str]) -> list[str]:
    xml = [path for path in paths if path.lower().endswith(".xml")]
    return [path for path in xml if _is_cvat(os.path.join(folder, path))]


class _Reader:
    """What the files of a folder hold, one after the other.

    Attributes:
      images: by id, the name that CVAT has for them.
      left_out: shapes that are no boxes: place -> reason.
      used: paths of the images that the files name.
    """

    def __init__(self, folder: str, pictures: Sequence[str]):
        self.images: dict[str, AnnotatedImage] = {}
        self.left_out: dict[str, str] = {}
        self.pictures = pictures
        self.used: set[str] = set()
        self._folder = folder
        self._splits: dict[str, str] = {}
        self._labels: dict[str, None] = {}
        self._by_end: dict[str, list[str]] = {}
        for path in pictures:
            parts = path.split("/")
            for at in range(len(parts)):
                self._by_end.setdefault("/".join(parts[at:]), []).append(path)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that some image is in."""
        return tuple(sorted({*self._splits.values()} - {""}))

    def learn_labels(self) -> tuple[str, ...]:
        """The task's labels in its order, and others that occur, sorted."""
        names = set()
        for image in self.images.values():
            if isinstance(image.annotation, Annotation):
                names |= {thing.name for thing in image.annotation.objects}
        known = [*self._labels, *sorted(names - self._labels.keys())]
        return check_names(known, where=f"The annotations in {self._folder}")

    def read(self, name: str) -> None:
        """Adds a file's images.

        Raises:
          InputError: it is broken, holds a video's tracks, or an image that another has too.
        """
        path = os.path.join(self._folder, name)
        root = parse_xml(path, most=limits.MAX_CVAT_BYTES, kind="file of CVAT")
        if root.find("track") is not None:
            raise InputError(
                f"{path} holds the tracks of a video, not boxes of images: export the task as "
                "'CVAT for images 1.1'."
            )
        labels = (e.findtext("name") or "" for e in root.iterfind("./meta//labels/label"))
        self._labels |= dict.fromkeys(label.strip() for label in labels if label.strip())
        for image in root.iterfind("image"):
            self._add(image, name)
        passed = collections.Counter(
            shape.tag for image in root.iterfind("image") for shape in image
        )
        for tag in sorted(passed.keys() - {"box", "polygon"}):
            self.left_out[f"{path}: {passed[tag]} <{tag}>"] = "only boxes and polygons are read"

    def ids_of(self, split: str, *, flag: str) -> list[str]:
        """Ids of the images of a split; all of them where it is "".

        Raises:
          InputError: there is no such split.
        """
        called = tree.split_called(split)
        ids = [i for i in self.images if not split or self._splits[i] in (split, called)]
        if not ids:
            there = ", ".join(self.splits) or "none"
            raise InputError(f"{flag}={split}: no image is in it (splits there: {there}).")
        return ids

    def _add(self, image: ElementTree.Element, xml: str) -> None:
        name = image.get("name", "").replace("\\", "/")
        stem = os.path.splitext(xml)[0]
        split = tree.split_called(image.get("subset", "")) or tree.split_of(f"{stem}/")
        image_id = f"{split}/{name}" if split else name
        place = f"{self._folder}/{xml}, image {image.get('id', '?')} ({name})"
        if image_id in self.images:
            raise InputError(f"{place} is in the folder's XML files twice: keep one of them.")
        found = self._find(name, image.get("subset", ""), os.path.dirname(xml))
        self.used |= {*found}
        path: str | InputError = InputError(f"{self._folder} has no image {name}: add it.")
        if len(found) > 1:
            path = InputError(f"{place} may be any of {tree.listed(found)}: keep one.")
        elif found:
            path = os.path.join(self._folder, found[0])
        self._splits[image_id] = split
        self.images[image_id] = AnnotatedImage(place, _read_image(image, place), path)

    def _find(self, name: str, subset: str, beside: str) -> list[str]:
        """The images that a name may be of: of its whole path, or of its end where none is.

        Of several, those in the folder of the XML file and its folders.
        """
        found = self._by_end.get(f"{subset}/{name}") or self._by_end.get(name)
        found = found or self._by_end.get(name.split("/")[-1], [])
        return [
            path for path in found if f"/{path}".startswith(f"/{beside}/".replace("//", "/"))
        ] or found


def _read_image(image: ElementTree.Element, place: str) -> Annotation | InputError:
    try:
        return Annotation(
            filename=image.get("name", ""),
            width=_side(image, "width", place),
            height=_side(image, "height", place),
            depth=3,
            objects=tuple(_read_objects(image, place)),
        )
    except InputError as error:
        return error


def _read_objects(image: ElementTree.Element, place: str) -> Iterator[Object]:
    number = 0
    for shape in image:
        if shape.tag not in ("box", "polygon"):
            continue
        number += 1
        name = shape.get("label", "").strip()
        where = f"{place}, object {number}" + (f" ({name})" if name else "")
        if not name:
            raise InputError(f"{where} has no label: every object needs its class.")
        read = _read_box if shape.tag == "box" else _read_polygon
        yield Object(
            name=name,
            box=read(shape, where),
            difficult=_has(shape, "difficult"),
            truncated=_has(shape, "truncated"),
        )


def _has(shape: ElementTree.Element, name: str) -> bool:
    """Whether the user's own attribute of that name is set."""
    values = (a.text or "" for a in shape.iterfind("attribute") if _lower(a.get("name")) == name)
    return any(_lower(value) in _TRUE for value in values)


def _lower(text: str | None) -> str:
    return (text or "").strip().lower()


def _read_box(box: ElementTree.Element, where: str) -> tuple[float, float, float, float]:
    left, top, right, bottom = (_number(box, n, where) for n in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(_number(box, "rotation", where)) if box.get("rotation") else 0.0
    if not angle:
        return top, left, bottom, right
    x, y = (left + right) / 2, (top + bottom) / 2
    half_width, half_height = (right - left) / 2, (bottom - top) / 2
    cosine, sine = abs(math.cos(angle)), abs(math.sin(angle))
    reach_x = half_width * cosine + half_height * sine
    reach_y = half_width * sine + half_height * cosine
    return y - reach_y, x - reach_x, y + reach_y, x + reach_x


def _read_polygon(polygon: ElementTree.Element, where: str) -> tuple[float, float, float, float]:
    text = polygon.get("points", "")
    try:
        points = [tuple(map(float, point.split(","))) for point in text.split(";")]
        xs, ys = zip(*points, strict=True)
    except ValueError:
        xs, ys = (math.nan,), (math.nan,)
    if not all(map(math.isfinite, (*xs, *ys))):
        raise InputError(f"{where} has the points {text[:60]!r}; they must be x,y pairs: x,y;x,y.")
    return min(ys), min(xs), max(ys), max(xs)


def _side(image: ElementTree.Element, name: str, where: str) -> int:
    value = round(_number(image, name, where))
    if value < 0:
        raise InputError(f"{where}: {name} is {value}; it must be 0, which is unknown, or more.")
    return value


def _number(element: ElementTree.Element, name: str, where: str) -> float:
    text = element.get(name, "")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and abs(value) <= 1e6):
        raise InputError(f"{where}: {name} is {text!r}; it must be a number of pixels.")
    return value
