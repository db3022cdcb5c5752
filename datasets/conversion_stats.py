"""What a conversion counted: images and objects per class, and what it had to change.

An object is counted when it is not difficult and its box, clipped to the image, has an area: the
counts that VOC publishes. An image counts for a class when it has a counted object of it.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from datasets.layouts.annotations import Annotation
from datasets.layouts.orientation import DrawnOn
from runtime.errors import InputError

MAX_LINES = 20


class RelativeBoxes(NamedTuple):
    """Boxes of one image's N objects.

    boxes: f32[N, 4] relative [ymin, xmin, ymax, xmax], clipped to [0, 1].
    keep: bool[N], the box has an area.
    clipped: bool[N], the box reached out of the image.
    """

    boxes: np.ndarray
    keep: np.ndarray
    clipped: np.ndarray


def relative_boxes(annotation: Annotation, *, height: int, width: int) -> RelativeBoxes:
    """An annotation's boxes relative to an image of `height` x `width` pixels (pixel / size)."""
    pixels = np.array([item.box for item in annotation.objects], np.float64).reshape(-1, 4)
    relative = pixels / np.array([height, width, height, width], np.float64)
    boxes = np.clip(relative, 0, 1).astype(np.float32)
    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    clipped = ((relative < 0) | (relative > 1)).any(axis=1)
    return RelativeBoxes(boxes, keep, clipped)


class ConversionStats:
    """Counts of a conversion, reported line by line to `report` (at most `MAX_LINES` of a kind).

    Attributes:
      labels: class names.
      num_images: images added.
      classes: for each label a dict of `images`, `objects` and `difficult`.
      notes: files by what befell them: `clipped_boxes`, `dropped_boxes` (file name -> number of
        boxes), `turned_back` and `maybe_turned` (file name -> EXIF's orientation), `skipped`
        (image id -> error), and, where there are such, `left_out` (place -> reason) of the layout
        `encoded_anew` (file name -> the format it was in) and `crowds` (file name -> number).
      parts: where the images were divided, the counts of each part, by the name of its records.
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        report: Callable[[str], None],
        parts: Mapping[str, "ConversionStats"] = MappingProxyType({}),
    ):
        self.labels = tuple(labels)
        self.parts = parts
        self.num_images = 0
        self.classes = {name: {"pictures": 0, "objects": 0, "difficult": 0} for name in labels}
        kinds = "clipped_boxes", "dropped_boxes", "turned_back", "maybe_turned", "skipped"
        self.notes = {key: {} for key in kinds}
        self._report = report
        for part in parts.values():
            self._add_part(part)

    def _add_part(self, part: "ConversionStats") -> None:
        self.num_images += part.num_images
        for name, counts in part.classes.items():
            for key, count in counts.items():
                self.classes[name][key] += count
        for key, noted in part.notes.items():
            self.notes.setdefault(key, {}).update(noted)

    @property
    def num_objects(self) -> int:
        """Counted objects, without difficult ones."""
        return sum(counts["objects"] for counts in self.classes.values())

    @property
    def num_difficult(self) -> int:
        """Difficult objects."""
        return sum(counts["difficult"] for counts in self.classes.values())

    def add(self, filename: str, annotation: Annotation, boxes: RelativeBoxes) -> None:
        """Counts one image."""
        self.num_images += 1
        counted = collections.Counter()
        kept = zip(annotation.objects, boxes.keep, strict=True)
        if crowds := sum(bool(keep) and item.crowd for item, keep in kept):
            self.notes.setdefault("crowds", {})[filename] = crowds
        for item, keep in zip(annotation.objects, boxes.keep, strict=True):
            if keep and item.difficult:
                self.classes[item.name]["difficult"] += 1
            elif keep:
                counted[item.name] += 1
        for name, count in counted.items():
            self.classes[name]["objects"] += count
            self.classes[name]["pictures"] += 1
        self._note_boxes("dropped_boxes", filename, ~boxes.keep, "has no area inside the image")
        self._note_boxes("clipped_boxes", filename, boxes.clipped & boxes.keep, "is clipped")

    def add_turn(self, filename: str, turn: int, drawn_on: DrawnOn) -> None:
        """Notes an image that EXIF turns, unless its boxes are surely of what is stored."""
        if drawn_on is not DrawnOn.STORED:
            key = "turned_back" if drawn_on is DrawnOn.TURNED else "maybe_turned"
            self._note(
                key, filename, turn, f"{filename} is turned by EXIF ({turn}): {drawn_on.value}"
            )

    def add_format(self, filename: str, was: str) -> None:
        """Notes an image that was encoded anew; `was` is "" for one that was not."""
        if was:
            self.notes.setdefault("encoded_anew", {})
            self._note("encoded_anew", filename, was, f"{filename} is {was}: encoded anew as PNG")

    def skip(self, image_id: str, error: InputError, *, limit: int, earlier: int = 0) -> None:
        """Notes an image that is left out.

        Args:
          image_id: the image's.
          error: what is wrong with it.
          limit: how many may be left out.
          earlier: how many were, of other parts.

        Raises:
          InputError: it is one more than `limit`.
        """
        number = earlier + len(self.notes["skipped"]) + 1
        if number > limit:
            sentence = str(error).rstrip(".")
            raise InputError(
                f"{sentence} (bad image number {number}, --skip_bad={limit}; inspect_dataset.py "
                "lists all)."
            ) from error
        self.notes["skipped"][image_id] = str(error)
        self._report(f"skipped: {error}")

    def leave_out(self, place: str, reason: str) -> None:
        """Notes something of the input that is used for no image."""
        self.notes.setdefault("left_out", {})
        self._note("left_out", place, reason, f"left out: {place}: {reason}")

    def table(self) -> str:
        """Classes, images, objects and difficult objects, aligned, with a line of totals."""
        rows: list[tuple[str, ...]] = [("class", "images", "objects", "difficult")]
        rows += [(name, *map(str, counts.values())) for name, counts in self.classes.items()]
        totals = self.num_images, self.num_objects, self.num_difficult
        rows.append(("all", *map(str, totals)))
        width = max(len(row[0]) for row in rows)
        return "\n".join(f"{r[0]:<{width}}  {r[1]:>8}  {r[2]:>8}  {r[3]:>9}" for r in rows)

    def summary(self) -> list[str]:
        """One line for each kind of note that there is."""
        boxes = {key: sum(self.notes[key].values()) for key in ("dropped_boxes", "clipped_boxes")}
        lines = {
            "dropped_boxes": f"{boxes['dropped_boxes']} boxes without area dropped; images",
            "clipped_boxes": f"{boxes['clipped_boxes']} boxes clipped to the image; images",
            "turned_back": "images turned by EXIF whose boxes were turned back",
            "maybe_turned": "images turned by EXIF whose boxes may lie elsewhere",
            "encoded_anew": "images encoded anew as PNG",
            "skipped": "bad images left out",
            "left_out": "parts of the input left out",
        }
        there = {key: len(noted) for key, noted in self.notes.items() if noted}
        return [f"{line}: {there[key]}" for key, line in lines.items() if key in there]

    def _note_boxes(self, key: str, filename: str, which: np.ndarray, what: str) -> None:
        if which.any():
            numbers = ", ".join(str(number + 1) for number in np.flatnonzero(which))
            self._note(
                key, filename, int(which.sum()), f"{filename}: the box of object {numbers} {what}"
            )

    def _note(self, key: str, filename: str, value: object, line: str) -> None:
        self.notes[key][filename] = value
        if len(self.notes[key]) <= MAX_LINES:
            self._report(line)
        elif len(self.notes[key]) == MAX_LINES + 1:
            self._report(f"(more files of this kind are listed in the manifest under {key})")
