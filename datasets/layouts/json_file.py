"""JSON files of annotations: reading them, and telling the formats apart by their keys.

To recognise a format, only the beginning of a file is looked at, which may be gigabytes; the keys
of its outermost object or list and of the first ones inside are enough.
"""

import json
import os
import re
from typing import Any, NamedTuple

from runtime import files, limits
from runtime.errors import InputError

_HEAD_BYTES = 1 << 18
_TOKEN = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\Z)|[{}\[\],:]', re.DOTALL)


class Format(NamedTuple):
    """A format of JSON, by what it is called and what a user can do with such a file."""

    title: str
    remedy: str


# By what `format_of` tells: the names of layouts, and what other tools write.
FORMATS = {
    "coco": Format("COCO's instances", "pass --dataset_name=coco"),
    "via": Format("VIA, the VGG Image Annotator", "pass --dataset_name=via"),
    "labelstudio": Format("Label Studio", "pass --dataset_name=labelstudio"),
    "labelme": Format("LabelMe", "pass the folder of all such files with --dataset_name=labelme"),
    "captions": Format("COCO's captions, without boxes", "pass the file of instances"),
    "panoptic": Format("COCO's panoptic segmentation", "pass the file of instances"),
    "results": Format("COCO's results, without images", "pass the file of instances"),
    "via3": Format("a project of VIA 3", "export it as COCO, or annotate with VIA 2"),
    "labelstudio_min": Format("Label Studio's JSON-MIN", "export it as JSON or as COCO"),
    "createml": Format("CreateML", "export it as COCO or Pascal VOC"),
    "supervisely": Format("Supervisely", "export it as COCO or Pascal VOC"),
    "vott": Format("VoTT", "export it as Pascal VOC"),
    "geojson": Format("GeoJSON", "convert it to COCO, with boxes in pixels"),
}


class Keys(NamedTuple):
    """What the beginning of a JSON file shows.

    Attributes:
      kind: "{", "[" or "".
      outer: keys of the outermost object.
      inner: keys of objects right inside it, in the list or under the key that they are under.
      deeper: keys of objects one level further inside.
    """

    kind: str
    outer: frozenset[str]
    inner: frozenset[str]
    deeper: frozenset[str]


def format_of(path: str) -> str:
    """The format of a JSON file, one of `FORMATS`; "" where it has none of them or is no file."""
    if files.is_local(path) and not os.path.isfile(path):
        return ""
    try:
        return _format(read_keys(files.read_start(path, _HEAD_BYTES)))
    except InputError:
        return ""


def is_named_json(path: str) -> bool:
    """Whether a path is called .json."""
    return path.lower().endswith(".json")


def read_keys(head: bytes) -> Keys:
    """The keys in the beginning of a JSON file, which may end anywhere."""
    found: tuple[set[str], set[str], set[str]] = set(), set(), set()
    depth, kind, last = 0, "", ""
    keyed = [False]  # whether each open bracket is of an object
    for token in _TOKEN.finditer(head.decode("utf-8-sig", "replace")):
        letter = token[0][0]
        if letter in "{[":
            kind = kind or letter
            depth += 1
            keyed.append(letter == "{")
        elif letter in "}]":
            depth -= 1
            if depth <= 0:
                break
            keyed.pop()
        elif letter == '"':
            last = token[1]
        elif letter == ":" and keyed[-1]:
            # Lists do not count as a level: "images": [{...}] is as deep as "a.jpg": {...}.
            level = sum(keyed) - 1 + (kind == "[")
            if level < len(found):
                found[level].add(last)
    return Keys(kind, *map(frozenset, found))


def _format(keys: Keys) -> str:
    kind, outer, inner, deeper = keys
    if kind == "[":
        return _format_of_list(inner, deeper)
    if "_via_img_metadata" in outer or {"filename", "regions"} <= inner:
        return "via"
    if {"file", "view"} <= outer and {"project", "metadata"} & outer:
        return "via3"
    if "shapes" in outer or {"imageData", "imagePath"} & outer:
        return "labelme"
    if "annotations" in outer and {"images", "categories"} & outer:
        if "caption" in inner and "bbox" not in inner:
            return "captions"
        return "panoptic" if "segments_info" in inner else "coco"
    if {"image_id", "category_id"} <= inner:
        return "coco"
    if {"objects", "size"} <= outer and {"classTitle", "height"} & inner:
        return "supervisely"
    if {"assets", "tags"} <= outer:
        return "vott"
    return "geojson" if "features" in outer else ""


def _format_of_list(inner: frozenset[str], deeper: frozenset[str]) -> str:
    if {"image_id", "score"} <= inner:
        return "results"
    if "result" in deeper and {"annotations", "completions", "predictions"} & inner:
        return "labelstudio"
    if "data" in inner and {"annotations", "completions", "predictions"} & inner:
        return "labelstudio"
    if "coordinates" in deeper and "annotations" in inner:
        return "createml"
    if {"annotator", "annotation_id", "lead_time"} & inner:
        return "labelstudio_min"
    return ""


def read_json(path: str, *, layout: str, flag: str = "--annotations") -> Any:
    """What a file of annotations holds.

    Args:
      path: "" where the user gave none.
      layout: the format that is wanted.
      flag: what gives the path.

    Raises:
      InputError: there is no such file, or it is no JSON, or known to be of another format.
    """
    title = FORMATS[layout].title
    if not path:
        raise InputError(f"{flag} is missing: give the JSON file of {title}.")
    if files.is_local(path) and os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{flag}={path} is not a regular file: pass the JSON file of {title}.")
    data = files.read(path, most=limits.MAX_TABLE_BYTES, remedy="split it into several files")
    try:
        made = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}): copy or export it anew.") from error
    told = format_of(path)
    if told and told != layout:
        other = FORMATS[told]
        raise InputError(
            f"{path} is a file of {other.title}, and read as one of {title}: {other.remedy}."
        )
    return made
