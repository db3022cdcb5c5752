"""The manifest of a data set, `NAME.json`: what a complete conversion wrote.

It is written last, so that its presence says that the shards are whole. A folder
`.NAME.partial-...` beside shards without a manifest is a conversion that runs or was interrupted:
not to be read.
"""

import dataclasses
import json
import os
import re

import tensorflow as tf

from datasets.layouts.labels import check_labels
from runtime.errors import InputError

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
        with tf.io.gfile.GFile(path, "rb") as file:
            return _parse(json.loads(file.read()), where=path)
    except (KeyError, TypeError, ValueError, AttributeError, tf.errors.OpError) as error:
        raise InputError(
            f"{path} is not the manifest of a data set ({error}): convert again, or move it away."
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


def _parse(fields: dict, *, where: str) -> Manifest:
    if fields["format"] != FORMAT:
        raise ValueError(f"format is {fields['format']!r}, not {FORMAT!r}")
    return Manifest(
        name=fields["name"],
        labels=check_labels(fields["labels"], where=where),
        classes=fields["classes"],
        shards=tuple(Shard(**shard) for shard in fields["shards"]),
        notes=fields["notes"],
    )
