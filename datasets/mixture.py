"""Several data sets as one: comma lists of names, splits and folders.

`pascalvoc_2007,pascalvoc_2012` with the splits `trainval,train` are the first set's trainval and
the second's train. A list of one entry stands for all, so `--dataset_split_name=train,val` is both
splits of one data set. Without weights all images come equally often, as if they were one set.
"""

import collections
import itertools
from collections.abc import Sequence

import tensorflow as tf

from datasets.dataset_factory import Dataset, fingerprint, get_dataset, sum_learnable
from datasets.order import Pool, slots_of
from runtime.errors import InputError


def get_mixture(
    name: str,
    split: str,
    dataset_dir: str,
    *,
    weights: Sequence[float] = (),
    labels_file: str | None = None,
    labels_offset: int = 0,
    split_flag: str = "--dataset_split_name",
) -> Dataset:
    """The data sets that comma lists name, as one.

    Args:
      name: one data set name or several.
      split: one split or several.
      dataset_dir: one folder or several.
      weights: how often images of each set come, relative to each other.
      labels_file: as for `get_dataset`, for every set.
      labels_offset: likewise.
      split_flag: likewise.

    Raises:
      InputError: as `get_dataset`; lists of different lengths, classes that differ, a weight of 0.
    """
    one_folder = tf.io.gfile.isdir(dataset_dir)  # whose name may have a comma
    parts = _in_step(
        ("--dataset_name", name.split(",")),
        (split_flag, split.split(",")),
        ("--dataset_dir", [dataset_dir] if one_folder else dataset_dir.split(",")),
    )
    found = [
        get_dataset(
            *part, labels_file=labels_file, labels_offset=labels_offset, split_flag=split_flag
        )
        for part in parts
    ]
    if weights and len(weights) != len(found):
        raise InputError(
            f"--dataset_weights has {len(weights)} numbers for {len(found)} data sets: give one "
            "for each, or none."
        )
    _check_alike(found)
    return found[0] if len(found) == 1 else _join(found, name=name, split=split, weights=weights)


def _in_step(*lists: tuple[str, list[str]]) -> list[tuple[str, str, str]]:
    """Rows of three equally long lists; a list of one is repeated."""
    length = max(len(items) for _, items in lists)
    for flag, items in lists:
        if len(items) not in (1, length):
            raise InputError(
                f"{flag}={','.join(items)} has {len(items)} entries where another list of data "
                f"sets has {length}: give 1 or {length}."
            )
    names, splits, folders = (items * (length // len(items)) for _, items in lists)
    return [
        (n.strip(), s.strip(), f.strip()) for n, s, f in zip(names, splits, folders, strict=True)
    ]


def _check_alike(found: Sequence[Dataset]) -> None:
    shards = collections.Counter(itertools.chain.from_iterable(each.shards for each in found))
    twice = [path for path, count in shards.items() if count > 1]
    if twice:
        raise InputError(
            f"The data sets name {twice[0]} twice: to see one more often, use --dataset_weights."
        )
    first = found[0]
    for other in found[1:]:
        pairs = itertools.zip_longest(first.labels, other.labels)
        for k, (own, others) in enumerate(pairs, start=1):
            if own != others:
                raise InputError(
                    f"Class {k} is {own or 'absent'} in {_called(first)} and {others or 'absent'} "
                    f"in {_called(other)}: convert both with one --labels_file."
                )


def _called(dataset: Dataset) -> str:
    return f"{dataset.name} {dataset.split}".strip()


def _join(found: Sequence[Dataset], *, name: str, split: str, weights: Sequence[float]) -> Dataset:
    return Dataset(
        name=name,
        split=split,
        shards=tuple(itertools.chain.from_iterable(each.shards for each in found)),
        labels=found[0].labels,
        num_samples=sum(each.num_samples for each in found),
        num_learnable=sum_learnable([each.num_learnable for each in found]),
        pools=tuple(
            Pool(each.num_samples, slots)
            for each, slots in zip(found, slots_of(weights), strict=bool(weights))
        ),
        fingerprint=fingerprint(each.fingerprint for each in found),
    )
