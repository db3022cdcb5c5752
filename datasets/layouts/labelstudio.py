"""Label Studio's JSON: tasks with the results of their annotators, boxes as percent of the sides.

Rectangles, polygons and ellipses with labels are objects; a rotated one is the upright box around
it. Of several annotations of a task, the one marked as ground truth is taken, otherwise the first
that was not cancelled. A task without one is left out: nobody said that nothing is on its image.

Images have the names of the upload, `3f2a1b4c-a.jpg`, or those they had before, `a.jpg`.
"""

import collections
import functools
import math
import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from datasets.layouts import json_file
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.image_file import PICTURE_ENDINGS
from datasets.layouts.picture_files import PictureFinder, base_name, without_annotation
from datasets.layouts.source import AnnotatedImage, Options, Source
from datasets.layouts.values import (
    Box,
    around,
    class_name,
    joined,
    learn_labels,
    listed,
    mapping,
    number,
    shortened,
    side,
    text,
)
from runtime import files
from runtime.errors import InputError

_LABELS = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


class Tasks(NamedTuple):
    """One export.

    Attributes:
      annotations: by the image's path, in the file's order; the error met where a task breaks a
        rule.
      places: where each is.
      left_out: tasks and regions that are no image or object, with the reason.
      num_rotated: objects that are the upright box around a rotated one.
    """

    annotations: dict[str, Annotation | InputError]
    places: dict[str, str]
    left_out: dict[str, str]
    num_rotated: int


def recognises(path: str) -> bool:
    """Whether it is a JSON file of tasks."""
    return json_file.is_named_json(path) and json_file.format_of(path) == "labelstudio"


def open_source(options: Options) -> Source:
    """The images of all annotated tasks, in the file's order.

    Raises:
      InputError: it is no such file.
    """
    path = options.annotations
    tasks = read_tasks(path)
    if tasks.num_rotated:
        options.report(f"{tasks.num_rotated} rotated objects are the upright boxes around them.")
    uploaded = PictureFinder(options.folder, tasks.annotations)
    earlier = PictureFinder(options.folder, map(_before_upload, tasks.annotations))
    bases = collections.Counter(map(_before_upload, tasks.annotations))
    images = {}
    for name, annotation in tasks.annotations.items():
        where: str | InputError = name
        if options.with_images:
            before, where = _before_upload(name), uploaded.path(name)
            if bases[before] == 1:
                where = _first_there(where, earlier.path(before))
        images[name] = AnnotatedImage(tasks.places[name], annotation, where)
    return Source(
        images,
        labels=functools.partial(learn_labels, tasks.annotations.values(), where=path),
        left_out=tasks.left_out,
        findings=without_annotation(images.values()),
    )


def _before_upload(name: str) -> str:
    """The name that a file had before it was uploaded."""
    return _UPLOADED.sub("", base_name(name))


def _first_there(*paths: str | InputError) -> str | InputError:
    """The first path that is a file; otherwise the first."""
    there = (
        p for p in paths if isinstance(p, str) and (not files.is_local(p) or os.path.isfile(p))
    )
    return next(there, paths[0])


def read_tasks(path: str) -> Tasks:
    """Reads an export.

    Raises:
      InputError: it is no such file.
    """
    rows = json_file.read_json(path, layout="labelstudio")
    if not isinstance(rows, list):
        raise InputError(f"{path} is no list of tasks: export as JSON from Label Studio.")
    reader = _Reader(path)
    for position, row in enumerate(rows, start=1):
        reader.add(row, position)
    return Tasks(reader.annotations, reader.places, reader.left_out, reader.num_rotated)


class _Reader:
    """Collects the tasks of a file."""

    def __init__(self, path: str):
        self.annotations: dict[str, Annotation | InputError] = {}
        self.places: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self.num_rotated = 0
        self._path = path

    def add(self, row: Any, position: int) -> None:
        """Reads one task, the file's number `position`."""
        where = f"{self._path}, task number {position}"
        try:
            task = mapping(row, where=where)
            name = _image_of(mapping(task.get("data"), where=f"{where}: data"), where=where)
        except InputError as error:
            self._keep(where, error, where)
            return
        where = f"{where} ({base_name(name)})"
        try:
            result = self._choose(task, where=where)
            if result is not None:
                self._keep(name, self._read(result, name, where=where), where)
        except InputError as error:
            self._keep(name, error, where)

    def _keep(self, name: str, annotation: Annotation | InputError, where: str) -> None:
        there = self.annotations.get(name)
        self.annotations[name] = joined(there, annotation) if there else annotation
        self.places.setdefault(name, where)

    def _choose(self, task: Mapping[str, Any], *, where: str) -> list | None:
        """The results of the annotation that counts; None where nobody finished one."""
        key = "annotations" if "annotations" in task else "completions"
        made = [
            mapping(item, where=f"{where}: an annotation")
            for item in listed(task.get(key), where=f"{where}: {key}")
        ]
        done = [item for item in made if item.get("was_cancelled") is not True]
        if not done:
            reason = "has no annotation"
            if made:
                reason = "has cancelled annotations alone"
            elif task.get("predictions"):
                reason = "has predictions and no annotation"
            self.left_out[where] = reason
            return None
        chosen = next((item for item in done if item.get("ground_truth") is True), done[0])
        if len(made) > 1:
            self.left_out[f"{where}, other annotations"] = (
                f"{len(made) - 1} more annotations of the same task: one is taken"
            )
        return listed(chosen.get("result"), where=f"{where}: result")

    def _read(self, result: list, name: str, *, where: str) -> Annotation:
        objects: list[Object] = []
        sizes = set()
        regions = [mapping(item, where=f"{where}: a region") for item in result]
        labelled = {str(region.get("id")) for region in regions if region.get("type") in _LABELS}
        for position, region in enumerate(regions, start=1):
            here = f"{where}, region {position}"
            kind = region.get("type")
            if kind not in _LABELS:
                # Tools of their own for shape and label give both, under one id.
                if str(region.get("id")) not in labelled:
                    self.left_out[here] = (
                        f"{shortened(kind)} is no labelled box, polygon or ellipse"
                    )
                continue
            value = mapping(region.get("value"), where=f"{here}: value")
            names = [
                class_name(label, where=here)
                for label in listed(value.get(kind), where=f"{here}: {kind}")
            ]
            if not names:
                self.left_out[here] = "has no label"
                continue
            size = _size(region, where=here)
            box, rotated = _box(value, *size, where=here)
            sizes.add(size)
            self.num_rotated += rotated * len(names)
            objects += [Object(label, box, difficult=False, truncated=False) for label in names]
        if len(sizes) > 1:
            raise InputError(f"{where} has the sizes {sorted(sizes)}: correct original_width.")
        width, height = sizes.pop() if sizes else (0, 0)
        return Annotation(base_name(name), width, height, 3, tuple(objects))


def _image_of(data: Mapping[str, Any], *, where: str) -> str:
    """The path of a task's image, without its host; the longest-known names of the field first."""
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    named = [texts[key] for key in ("image", "img", "ocr", "picture") if key in texts]
    ended = [value for value in texts.values() if _path_of(value).lower().endswith(PICTURE_ENDINGS)]
    for value in (*named, *ended):
        return text(_path_of(value), where=where)
    raise InputError(f"{where} names no image in its data ({shortened([*data])}): add it.")


def _path_of(value: str) -> str:
    """The path in a URL or in Label Studio's address of a local file, `...?d=day1/a.jpg`."""
    query = value.partition("?")[2]
    if "d=" in query:
        value = urllib.parse.parse_qs(query).get("d", [value])[0]
    elif "://" in value or value.startswith("/data/"):
        value = urllib.parse.unquote(value.partition("?")[0])
    return value


def _size(region: Mapping[str, Any], *, where: str) -> tuple[int, int]:
    width, height = (
        side(region.get(key), where=f"{where}: {key}")
        for key in ("original_width", "original_height")
    )
    if not (width and height):
        raise InputError(f"{where} has no original_width and original_height, of which its box is.")
    turn = region.get("image_rotation") or 0
    if number(turn, where=f"{where}: image_rotation") % 360:
        raise InputError(
            f"{where} was drawn on an image turned by {turn:g} degrees: annotate it upright."
        )
    return width, height


def _box(value: Mapping[str, Any], width: int, height: int, *, where: str) -> tuple[Box, bool]:
    """The box in pixels, and whether it is one around a rotated shape."""
    percent = width / 100, height / 100
    if "points" in value:
        return _scaled(around(value["points"], where=where), percent), False
    turn = math.radians(number(value.get("rotation") or 0, where=f"{where}: rotation"))
    keys = ("radiusX", "radiusY") if "radiusX" in value else ("width", "height")
    x, y, a, b = (number(value.get(key), where=f"{where}: {key}") for key in ("x", "y", *keys))
    if keys[0] == "width" and not turn:
        return _scaled((y, x, y + b, x + a), percent), False
    # Sides are in percent of different lengths, so only pixels can be turned.
    x, y, a, b = x * percent[0], y * percent[1], a * percent[0], b * percent[1]
    sine, cosine = math.sin(turn), math.cos(turn)
    if keys[0] == "radiusX":
        across, down = math.hypot(a * cosine, b * sine), math.hypot(a * sine, b * cosine)
        return (y - down, x - across, y + down, x + across), bool(turn)
    # About the upper left corner, clockwise as y points downwards.
    corners: Sequence[Sequence[float]] = [
        (x + u * cosine - v * sine, y + u * sine + v * cosine)
        for u, v in ((0, 0), (a, 0), (0, b), (a, b))
    ]
    return around(corners, where=where), True


def _scaled(box: Box, percent: tuple[float, float]) -> Box:
    across, down = percent
    ymin, xmin, ymax, xmax = box
    return ymin * down, xmin * across, ymax * down, xmax * across
