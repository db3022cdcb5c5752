"""The folder that conversions write to and share: moving a complete data set in, or nothing.

A conversion works in `.NAME.partial-PID` inside the output folder and moves its files out once
they are complete and on the disk. A data set that is replaced loses its manifest before the first
new shard is moved in, the new manifest comes last, and the partial folder is removed after that: so
at no moment do old and new shards, or some of the new ones, look like a whole data set. What an
interrupted conversion left is removed by the next one of that name.
"""

import contextlib
import os
import re
from collections.abc import Iterator

import tensorflow as tf

from datasets.layouts.labels import format_labels
from datasets.records import manifest
from datasets.records.index import index_path
from datasets.records.manifest import Manifest, find_shards, read_manifest
from runtime import files
from runtime.errors import InputError


def check_output(*, output_dir: str, name: str) -> None:
    """Makes the output folder and checks that a data set of this name may go there.

    Raises:
      InputError: as `write_shards`.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", name):
        raise InputError(f"--output_name={name!r} must be letters, digits, '_', '-', '.' or '+'.")
    try:
        tf.io.gfile.makedirs(output_dir)
    except tf.errors.OpError as error:
        raise InputError(
            f"--output_dir={output_dir} cannot be made a folder ({error.message})."
        ) from error


def _labels_file_is_ours(output_dir: str, written: Manifest) -> bool:
    """Whether `labels.txt` may be (re)written: nothing else in the folder needs another one.

    Manifests name the classes of each data set; labels.txt is for people and for records of other
    tools. With several data sets of different classes it stays as the first one wrote it.
    """
    path = os.path.join(output_dir, "labels.txt")
    if not tf.io.gfile.exists(path):
        return True
    others = [name for name in find_shards(output_dir) if name != written.name]
    mine = tf.io.gfile.exists(manifest.manifest_path(output_dir, written.name))
    return mine and all(_labels_of(output_dir, n) in (None, written.labels) for n in others)


def _labels_of(output_dir: str, name: str) -> tuple[str, ...] | None:
    """Labels by the manifest of a data set; None for records of other tools."""
    try:
        found = read_manifest(output_dir, name)
    except InputError:
        return None
    return found.labels if found else None


@contextlib.contextmanager
def partial_folder(output_dir: str, name: str) -> Iterator[str]:
    """A locked folder to work in; leftovers of the same name are removed first.

    It is removed in the end, unless moving the files out began (a manifest is in it) and failed:
    then it stays as the sign that the shards outside are not whole.
    """
    with contextlib.ExitStack() as stack:
        with files.locked(output_dir):
            _remove_leftovers(output_dir, name)
            folder = os.path.join(output_dir, f"{manifest.partial_prefix(name)}{os.getpid()}")
            tf.io.gfile.makedirs(folder)
            stack.enter_context(files.locked(folder, wait=False))
        try:
            yield folder
        finally:
            if not tf.io.gfile.exists(manifest.manifest_path(folder, name)):
                files.remove_tree(folder)


def _remove_leftovers(output_dir: str, name: str) -> None:
    for entry in manifest.find_partial(output_dir, name):
        folder = os.path.join(output_dir, entry)
        try:
            with files.locked(folder, wait=False):
                files.remove_tree(folder)
        except BlockingIOError as error:
            raise InputError(
                f"Another conversion writes {name} to {output_dir} (folder {entry}): wait for it, "
                "or choose another --output_name."
            ) from error


def move_in(written: Manifest, *, folder: str, output_dir: str) -> None:
    """Moves a complete data set into place; one conversion at a time in one output folder."""
    name = written.name
    files.write(os.path.join(folder, "labels.txt"), format_labels(written.labels))
    with files.locked(output_dir):
        moved = ["labels.txt"] if _labels_file_is_ours(output_dir, written) else []
        files.write(manifest.manifest_path(folder, name), written.to_json().encode())
        _remove_data_set(output_dir, name)
        for shard in written.shards:
            moved += [shard.name, index_path(shard.name)]
        for file_name in (*moved, os.path.basename(manifest.manifest_path("", name))):
            _move(file_name, folder=folder, output_dir=output_dir)


def _remove_data_set(output_dir: str, name: str) -> None:
    """Removes a data set, its manifest first."""
    shards = find_shards(output_dir).get(name, [])
    for file_name in (f"{name}.json", *shards, *map(index_path, shards), f"{name}.counts.json"):
        path = os.path.join(output_dir, file_name)
        if tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)
    files.sync(output_dir)


def _move(file_name: str, *, folder: str, output_dir: str) -> None:
    if file_name.endswith(".json"):
        files.sync(output_dir)  # the shards' names must be on the disk before the manifest's
    source, target = (os.path.join(parent, file_name) for parent in (folder, output_dir))
    tf.io.gfile.rename(source, target, overwrite=True)
