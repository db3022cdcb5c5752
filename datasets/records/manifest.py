"""The manifest of a data set, `NAME.json`: what a complete conversion wrote.

It is written last, so that its presence says that the shards are whole. A folder
`.NAME.partial-...` beside shards without a manifest is a conversion that runs or was interrupted:
not to be read.
"""

import dataclasses
import json
import os
import re
import reprlib
from typing import Any

import tensorflow as tf

from datasets.layouts.labels import check_labels
from datasets.records.index import load_or_build
from runtime import files
from runtime.errors import InputError, one_line

FORMAT = "ssd-records-1"

_SHARD = re.compile(r"(.+)_(\d{3,})\.tfrecord")


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a data set; `size` in bytes."""

    name: str
    size: int
    records: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A complete data set.

    Attributes:
      name: NAME of the files `NAME_NNN.tfrecord`.
      labels: class names; class k is labels[k - 1].
      classes: for each label a dict of `images` (with at least one counted object), `objects`
        (counted ones, that is without difficult) and `difficult`.
      shards: in the order of their records.
      notes: what the converter told besides, such as clipped and dropped boxes by file.
    """

    name: str
    labels: tuple[str, ...]
    classes: dict[str, dict[str, int]]
    shards: tuple[Shard, ...]
    notes: dict

    @property
    def num_images(self) -> int:
        """Images, with or without objects."""
        return sum(shard.records for shard in self.shards)

    def to_json(self) -> str:
        """The text of `NAME.json`."""
        totals = {
            key: sum(c[key] for c in self.classes.values()) for key in ("objects", "difficult")
        }
        fields = {
            "format": FORMAT,
            "name": self.name,
            "num_images": self.num_images,
            "num_objects": totals["objects"],
            "num_difficult": totals["difficult"],
            "labels": self.labels,
            "classes": self.classes,
            "notes": self.notes,
            "shards": [dataclasses.asdict(shard) for shard in self.shards],
        }
        return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


def manifest_path(folder: str, name: str) -> str:
    """Where the manifest of data set `name` stands."""
    return os.path.join(folder, name + ".json")


def shard_name(name: str, number: int) -> str:
    """File name of shard `number` (from 0) of data set `name`."""
    return f"{name}_{number:03d}.tfrecord"


def partial_prefix(name: str) -> str:
    """How the folder of an unfinished conversion of data set `name` begins."""
    return f".{name}.partial-"


def find_shards(folder: str) -> dict[str, list[str]]:
    """File names of all shards in a folder, sorted, by data set name."""
    found = {}
    for file_name in tf.io.gfile.listdir(folder):
        if match := _SHARD.fullmatch(file_name):
            found.setdefault(match[1], []).append((int(match[2]), file_name))
    return {name: [file for _, file in sorted(files)] for name, files in sorted(found.items())}


def find_partial(folder: str, name: str) -> list[str]:
    """Names of folders that unfinished conversions of data set `name` work in or left."""
    names = (entry.rstrip("/") for entry in tf.io.gfile.listdir(folder))
    return sorted(entry for entry in names if entry.startswith(partial_prefix(name)))


def read_manifest(folder: str, name: str) -> Manifest | None:
    """Reads `NAME.json`; None when there is none. The shards are not looked at.

    Raises:
      InputError: it is no manifest of a data set.
    """
    path = manifest_path(folder, name)
    if not tf.io.gfile.exists(path):
        return None
    try:
        return _parse(json.loads(files.read(path)), where=path)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not the manifest of a data set ({one_line(error)}): convert again, or "
            "move it away."
        ) from error


def check_shards(manifest: Manifest, folder: str) -> None:
    """Raises InputError unless the shards in `folder` fit the manifest, by number and size."""
    found = find_shards(folder).get(manifest.name, [])
    expected = [shard.name for shard in manifest.shards]
    if sorted(found) != sorted(expected):
        raise InputError(
            f"The data set {manifest.name} in {folder} is incomplete: its manifest lists "
            f"{len(expected)} shards, the folder has {len(found)}; convert it again."
        )
    for shard in manifest.shards:
        size = tf.io.gfile.stat(os.path.join(folder, shard.name)).length
        if size != shard.size:
            raise InputError(
                f"{os.path.join(folder, shard.name)} has {size} bytes, its manifest says "
                f"{shard.size}: it was cut off or replaced; convert or copy it again."
            )


def check_records(manifest: Manifest, folder: str) -> None:
    """Raises InputError unless the shards hold as many records as the manifest says."""
    for shard in manifest.shards:
        load_or_build(os.path.join(folder, shard.name), records=shard.records)


def _parse(fields: dict, *, where: str) -> Manifest:
    if fields["format"] != FORMAT:
        raise ValueError(f"format is {fields['format']!r}, not {FORMAT!r}")
    return Manifest(
        name=_typed(fields["name"], str, what="name"),
        labels=check_labels(_typed(fields["labels"], list, what="labels"), where=where),
        classes={
            label: {key: whole_number(value, what=f"{key} of {label}") for key, value in of.items()}
            for label, of in fields["classes"].items()
        },
        shards=tuple(_shard(**shard) for shard in _typed(fields["shards"], list, what="shards")),
        notes=_typed(fields["notes"], dict, what="notes"),
    )


def _shard(*, name: str, size: int, records: int, sha256: str) -> Shard:
    return Shard(
        name=_typed(name, str, what="a shard's name"),
        size=whole_number(size, what=f"the size of {name}"),
        records=whole_number(records, what=f"the number of records of {name}"),
        sha256=_typed(sha256, str, what=f"the checksum of {name}"),
    )


def _typed(value: Any, kind: type, *, what: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{what} is {reprlib.repr(value)}, not a {kind.__name__}")
    return value


def whole_number(value: object, *, what: str) -> int:
    """A count as JSON has it. Raises ValueError where it is none."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{what} is {reprlib.repr(value)}; it must be a whole number from 0")
    return value
