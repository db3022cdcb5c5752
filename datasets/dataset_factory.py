"""A data set by name: `get_dataset("pascalvoc_2007", "trainval", folder)`.

Name N and split S mean the records `N_S_NNN.tfrecord`, unless `NAMED` says otherwise. A data set
of one's own therefore needs no code: convert it, and its manifest tells the rest. To give several
record sets one name, or labels to records that came without a manifest, add an entry:

    "pets": Named(("cats_2023", "dogs"), labels=("cat", "dog")),

Then `--dataset_name=pets --dataset_split_name=train` reads `cats_2023_train_NNN.tfrecord` and
`dogs_train_NNN.tfrecord`. Records of other tools are read under their own names, such as
`N_S.record` and `N_S.tfrecord-00000-of-00002`. Sizes are counted, never written down. A layout that
the converters do not know needs a reader of annotations: `datasets/layouts/coco.py` is one.
"""

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from datasets.layouts.labels import check_labels, read_labels
from datasets.layouts.voc import VOC_LABELS
from datasets.order import Pool
from datasets.records.foreign import Counts, check_whole, count_records, find_files
from datasets.records.index import shard_size
from datasets.records.manifest import (
    check_records,
    check_shards,
    find_partial,
    find_shards,
    read_manifest,
)
from runtime import files
from runtime.errors import InputError


class Named(NamedTuple):
    """Record sets that a data set name stands for, and the labels where no manifest gives them."""

    record_sets: tuple[str, ...]
    labels: tuple[str, ...] | None = None


NAMED = {
    "pascalvoc_2007": Named(("voc_2007",), VOC_LABELS),
    "pascalvoc_2012": Named(("voc_2012",), VOC_LABELS),
    "pascalvoc_0712": Named(("voc_2007", "voc_2012"), VOC_LABELS),
}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Records of one split.

    Attributes:
      shards: paths of the TFRecord files, in the order of their records.
      labels: class names; class k is labels[k - 1], class 0 the background.
      num_samples: images.
      pools: what a weighted mixture draws from, in the order of the records; () draws from all
        alike.
      fingerprint: of the shards' content, wherever they lie: by the manifest's checksums, or by
        their sizes where there is none; "" where nobody looked.
      objects: of each label, objects that are not difficult; () where nobody counted.
    """

    name: str
    split: str
    shards: tuple[str, ...]
    labels: tuple[str, ...]
    num_samples: int
    pools: tuple[Pool, ...] = ()
    fingerprint: str = ""
    objects: tuple[int, ...] = ()


class _Part(NamedTuple):
    """One record set; `objects` counts those of each class, by its id in the records."""

    shards: tuple[str, ...]
    sums: tuple[str, ...]
    labels: tuple[str, ...] | None
    num_images: int
    objects: Mapping[int, int]


def get_dataset(
    name: str,
    split: str,
    dataset_dir: str,
    labels_file: str | None = None,
    *,
    labels_offset: int = 0,
    split_flag: str = "--dataset_split_name",
) -> Dataset:
    """Finds the records of a data set and checks that they are whole.

    Labels come from, in this order: `labels_file`, the manifest, the names inside the records,
    `NAMED`, `labels.txt` or the only label map (.pbtxt) beside the records.

    Args:
      name: data set name, such as "pascalvoc_2007" or your own.
      split: such as "train"; "" for records without a split in their name.
      dataset_dir: folder of the records.
      labels_file: overrides the records' labels; may rename classes, not move them.
      labels_offset: subtracted from the records' class ids when they are parsed.
      split_flag: what messages call the flag that gave `split`.

    Raises:
      InputError: missing folder or records, an incomplete data set, unknown labels.
    """
    folder = dataset_dir.rstrip("/") or dataset_dir
    if not folder or not files.is_folder(folder):
        raise InputError(f"--dataset_dir={dataset_dir} is not a folder: pass the records' folder.")
    named = NAMED.get(name, Named((name,)))
    suffix = f"_{split}" if split else ""
    parts = [_read_part(folder, n + suffix, split_flag) for n in named.record_sets]
    labels = _choose_labels(parts, named=named, labels_file=labels_file, folder=folder)
    _check_ids(parts, labels=labels, labels_offset=labels_offset, name=name)
    return Dataset(
        name=name,
        split=split,
        shards=tuple(shard for part in parts for shard in part.shards),
        labels=labels,
        num_samples=sum(part.num_images for part in parts),
        fingerprint=fingerprint(itertools.chain.from_iterable(part.sums for part in parts)),
        objects=tuple(
            sum(part.objects.get(k + labels_offset, 0) for part in parts)
            for k in range(1, len(labels) + 1)
        ),
    )


def fingerprint(sums: Iterable[str]) -> str:
    """One short checksum for many."""
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:16]


def _read_part(folder: str, name: str, split_flag: str) -> _Part:
    manifest = read_manifest(folder, name)
    if manifest is None:
        return _read_foreign(folder, name, split_flag)
    check_shards(manifest, folder)
    check_records(manifest, folder)
    paths = tuple(os.path.join(folder, shard.name) for shard in manifest.shards)
    sums = tuple(shard.sha256 for shard in manifest.shards)
    counts = {
        k: manifest.classes.get(name, {}).get("objects", 0)
        for k, name in enumerate(manifest.labels, start=1)
    }
    return _Part(paths, sums, manifest.labels, manifest.num_images, counts)


def _read_foreign(folder: str, name: str, split_flag: str) -> _Part:
    partial = find_partial(folder, name)
    if partial:
        raise InputError(
            f"The data set {name} in {folder} is incomplete: its conversion is running or was "
            f"interrupted (folder {partial[0]}); convert it again."
        )
    ours = find_shards(folder)
    found = find_files(folder) | ours
    taken = next((n for n in _other_names(name) if n in found), None)
    if taken is None:
        numbered = {*itertools.chain.from_iterable(ours.values())}
        others = {n: files for n, files in found.items() if not numbered.issuperset(files)}
        listed = (f"{n} ({_counted(files)})" for n, files in (ours | others).items())
        there = ", ".join(listed) or "none"
        raise InputError(
            f"There is no {name}_NNN.tfrecord in {folder} (record sets there: {there}): check "
            f"--dataset_name, {split_flag} and --dataset_dir, or convert the data set; "
            f"{split_flag} may be empty."
        )
    check_whole(folder, taken, found[taken])
    counts = count_records(folder, taken, found[taken])
    paths = tuple(os.path.join(folder, file) for file in found[taken])
    sums = tuple(str(shard_size(path)) for path in paths)
    labels = _labels_of(counts)
    if labels:
        check_labels(labels, where=f"The records of {name} in {folder}")
    return _Part(paths, sums, labels, counts.num_images, counts.objects)


def _other_names(name: str) -> Iterator[str]:
    """What other tools may call a set NAME_SPLIT; one whose name tells no split is for training."""
    yield name
    stem, _, split = name.rpartition("_")
    if stem:
        yield f"{stem}-{split}"
    if stem and split == "train":
        yield stem


def _counted(files: Sequence[str]) -> str:
    return f"{len(files)} shard" + ("s" if len(files) > 1 else "")


def _labels_of(counts: Counts) -> tuple[str, ...] | None:
    """Labels that the records' own names give: those of VOC, or 1..C without a gap."""
    if counts.names and all(
        1 <= k <= len(VOC_LABELS) and VOC_LABELS[k - 1] == name for k, name in counts.names.items()
    ):
        return VOC_LABELS
    last = max(counts.objects, default=0)
    if counts.names and len(counts.names) == last and list(counts.names) == [*range(1, last + 1)]:
        return tuple(counts.names.values())
    return None


def _choose_labels(
    parts: list[_Part], *, named: Named, labels_file: str | None, folder: str
) -> tuple[str, ...]:
    own = {part.labels for part in parts if part.labels}
    if len(own) > 1:
        raise InputError(f"The record sets in {folder} have different labels: convert them alike.")
    recorded = own.pop() if own else None
    if labels_file:
        labels = read_labels(labels_file)
        _check_order(recorded or (), labels=labels, labels_file=labels_file)
        return labels
    if known := recorded or named.labels:
        return known
    maps = [name for name in sorted(tf.io.gfile.listdir(folder)) if name.endswith(".pbtxt")]
    for beside in ["labels.txt", *(maps if len(maps) == 1 else [])]:
        if tf.io.gfile.exists(os.path.join(folder, beside)):
            return read_labels(os.path.join(folder, beside), is_given=False)
    raise InputError(f"The records in {folder} do not name their classes: pass --labels_file.")


def _check_order(recorded: tuple[str, ...], *, labels: tuple[str, ...], labels_file: str) -> None:
    """Refuses a labels file that gives a name of the records to another class."""
    for k, label in enumerate(recorded, start=1):
        if label in labels and labels.index(label) + 1 != k:
            raise InputError(
                f"--labels_file={labels_file}: {label!r} is class {labels.index(label) + 1}, but "
                f"class {k} in the records: remove the flag, or convert with this labels file."
            )


def _check_ids(
    parts: list[_Part], *, labels: tuple[str, ...], labels_offset: int, name: str
) -> None:
    ids = [label - labels_offset for part in parts for label in part.objects]
    wrong = sorted({label for label in ids if not 1 <= label <= len(labels)})
    if wrong:
        raise InputError(
            f"The data set {name} has objects of class {wrong[0]} after --labels_offset="
            f"{labels_offset}, but its {len(labels)} labels are classes 1 to {len(labels)}: check "
            "--labels_offset and --labels_file."
        )
