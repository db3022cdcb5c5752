"""Checkpoints by name: `ckpt-STEP.index` and `ckpt-STEP.data-00000-of-00001`.

A checkpoint is a map from names to tensors in TensorFlow's bundle format: the variables under
exactly slim's names, slots below them (`ssd_300_vgg/conv6/weights/Momentum`), `global_step`, and
one string, `description`. TF1-style readers, `tf.train.load_checkpoint` and slim's tools read it
as it is.

Written whole or not at all: into a folder of its own first, then renamed, the index last, so that a
name with an index is complete. TensorFlow's `checkpoint` file is written for other tools and never
believed: the folder's listing and a full read decide which checkpoint is the newest good one.
"""

import contextlib
import glob
import os
import re
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model import train_dir as model_train_dir
from model import weights
from runtime import files
from runtime.errors import InputError, is_outage, one_line

_NAME = re.compile(r"ckpt-(\d+)\.index$")
_DATA = ".data-00000-of-00001"
_FOREIGN = re.compile(
    r".+(?<!\.tfrecord)\.index|.+\.ckpt(-\d+)?"
)  # the second is TensorFlow's older form
_LEFTOVER = re.compile(rf"ckpt-\d+(_temp|(\.index|{_DATA})\.temp)")  # the second of old versions
_OTHERS_STAY = "; earlier checkpoints are untouched"
_UNREADABLE = (tf.errors.OpError, OSError, IndexError, ValueError, RuntimeError)


class Header(NamedTuple):
    """What a checkpoint says before any weight is read; `description` is JSON, if it has one."""

    names: set[str]
    description: str | None


class LoadedCheckpoint(NamedTuple):
    """A checkpoint that was read from end to end."""

    path: str
    step: int
    tensors: dict[str, np.ndarray]
    skipped: tuple[str, ...]


def write(prefix: str, tensors: Mapping[str, tf.Tensor | tf.Variable | np.ndarray | str]) -> None:
    """Writes tensors by name to `PREFIX.index` and `PREFIX.data-00000-of-00001`."""
    names = sorted(tensors)
    values = [tf.convert_to_tensor(tensors[name]) for name in names]
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
    )


def save(train_dir: str, step: int, tensors: Mapping[str, tf.Tensor | tf.Variable]) -> str:
    """Writes `ckpt-STEP` into train_dir and returns its path without ending.

    Raises:
      InputError: it could not be written, such as on a full disk; earlier checkpoints stay.
    """
    with files.explain_write_errors(tf.io.gfile.join(train_dir, f"ckpt-{step}"), hope=_OTHERS_STAY):
        try:
            return _save(train_dir, step, tensors)
        except files.DISK_ERRORS:
            with contextlib.suppress(tf.errors.OpError, OSError):
                files.remove_tree(_temporary(train_dir, step))
            raise


def _save(train_dir: str, step: int, tensors: Mapping[str, tf.Tensor | tf.Variable]) -> str:
    path = tf.io.gfile.join(train_dir, f"ckpt-{step}")
    temporary = _temporary(train_dir, step)
    files.remove_tree(temporary)
    tf.io.gfile.makedirs(temporary)
    prefix = tf.io.gfile.join(temporary, "ckpt")
    write(prefix, tensors)
    for ending in (_DATA, ".index"):
        files.put_in_place(prefix + ending, path + ending)
    files.sync(train_dir)  # it may be all that is left when the power fails: older ones go next
    files.remove_tree(temporary)
    _write_state(train_dir)
    return path


def keep_newest(train_dir: str, max_to_keep: int, *, every_n_hours: float = 0.0) -> None:
    """Removes all but the newest checkpoints, and of the older ones keeps one in so many hours.

    Args:
      train_dir: where they are.
      max_to_keep: how many are the newest; 0 keeps all.
      every_n_hours: an older one stays for good when it was saved so long after the last one that
        does, or after the first; 0 removes them all.
    """
    last_kept = _last_kept(train_dir)
    for step in list_steps(train_dir)[:-max_to_keep] if max_to_keep else []:
        path = tf.io.gfile.join(train_dir, f"ckpt-{step}")
        saved = _saved_at(path)
        if every_n_hours and saved >= last_kept + every_n_hours * 3600:
            last_kept = saved
        elif not every_n_hours or saved > last_kept:
            remove(path)
    _write_state(train_dir, last_kept)


def replace_best(
    folder: str, step: int, tensors: Mapping[str, tf.Tensor | tf.Variable | np.ndarray]
) -> None:
    """Makes a checkpoint the only one of a folder, which never is without one in between.

    Raises:
      InputError: it could not be written; what was there stays.
    """
    path = save(folder, step, tensors)
    with files.explain_write_errors(path, hope=_OTHERS_STAY):
        for other in list_steps(folder):
            if other != step:
                remove(tf.io.gfile.join(folder, f"ckpt-{other}"))
        _write_state(folder)


def remove(path: str) -> None:
    """Removes one checkpoint, its index first, so that no half of it looks whole."""
    for ending in (".index", _DATA):
        if tf.io.gfile.exists(path + ending):
            tf.io.gfile.remove(path + ending)


def list_steps(train_dir: str) -> list[int]:
    """Steps of the checkpoints in a folder, rising; whether they can be read is not asked."""
    if not files.is_folder(train_dir):
        return []
    matches = (_NAME.fullmatch(name) for name in tf.io.gfile.listdir(train_dir))
    return sorted(int(match.group(1)) for match in matches if match)


def read(path: str) -> dict[str, np.ndarray]:
    """Every tensor of a checkpoint, checksums verified.

    Raises:
      InputError: a file is missing, cut short or changed.
    """
    with explain_read_errors(path):
        _check_regular(path)
        reader = tf.train.load_checkpoint(path)
        return {
            name: np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()
        }


def read_header(path: str) -> Header:
    """What a checkpoint holds, without reading weights: slim's vgg_16.ckpt has half a gigabyte.

    Raises:
      InputError: as `read`, as far as these parts tell.
    """
    with explain_read_errors(path):
        _check_regular(path)
        reader = tf.train.load_checkpoint(path)
        names = reader.get_variable_to_shape_map().keys()
        described = "description" in names
        text = text_in(np.asarray(reader.get_tensor("description"))) if described else None
        return Header(set(names), text)


def text_in(tensor: np.ndarray) -> str:
    """A string that a checkpoint holds. Raises InputError where it is something else."""
    try:
        return tensor.item().decode()
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"A text in the checkpoint cannot be read ({one_line(error)}): use another checkpoint "
            "or a fresh copy of this one."
        ) from error


@contextlib.contextmanager
def explain_read_errors(path: str) -> Iterator[None]:
    """Around whatever reads a checkpoint: what TensorFlow says of damage becomes one sentence.

    Raises:
      InputError: a file is missing, cut short or changed.
    """
    try:
        yield
    except _UNREADABLE as error:
        raise InputError(
            f"Checkpoint {path} cannot be read ({type(error).__name__}: {one_line(error)}): "
            "use another checkpoint or a fresh copy of this one."
        ) from error


def newest(train_dir: str) -> LoadedCheckpoint | None:
    """The newest checkpoint that can be read from end to end; None in a folder without any.

    Raises:
      InputError: there are checkpoints, and none can be read. Starting from scratch over them
        would lose the run.
    """
    skipped = []
    for step in reversed(list_steps(train_dir)):
        path = tf.io.gfile.join(train_dir, f"ckpt-{step}")
        try:
            return LoadedCheckpoint(path, step, read(path), tuple(skipped))
        except InputError as error:
            if is_outage(error):  # it may be a good one
                raise
            skipped.append(str(error))
    skipped += [f"{name} has no index." for name in _orphans(train_dir)]
    if skipped:
        raise InputError(
            f"{train_dir} holds checkpoints and none can be read: restore one from a copy, or "
            f"have the training start over with --overwrite. {' '.join(skipped)}"
        )
    return None


def refuse_foreign(train_dir: str) -> None:
    """Keeps a training from beginning at 0 in the folder of another trainer's checkpoints.

    Raises:
      InputError: there are checkpoints, and none has a name of ours.
    """
    names = tf.io.gfile.listdir(train_dir) if files.is_folder(train_dir) else []
    others = {name.removesuffix(".index") for name in names if _FOREIGN.fullmatch(name)}
    if others and not list_steps(train_dir) and not _orphans(train_dir):
        newest_name = max(others, key=lambda name: (step_of(name), name))
        raise InputError(
            f"--train_dir={train_dir} holds {newest_name} of another trainer, which cannot be "
            f"resumed: give a new --train_dir, and --checkpoint_path={train_dir}/{newest_name} to "
            "start from its weights."
        )


def quarantine_unreadable(train_dir: str, *, after: int) -> None:
    """Renames the checkpoints after a step, which cannot be read, to `*.damaged`.

    Otherwise they would be the newest ones that `keep_newest` keeps, in the place of good ones.
    """
    damaged = [step for step in list_steps(train_dir) if step > after]
    for step in damaged:
        path = tf.io.gfile.join(train_dir, f"ckpt-{step}")
        for ending in (".index", _DATA):
            if tf.io.gfile.exists(path + ending):
                tf.io.gfile.rename(path + ending, f"{path}{ending}.damaged", overwrite=True)
    if damaged:
        _write_state(train_dir)


def remove_leftovers(folder: str) -> None:
    """Removes what saves left that were killed; call it after `newest` found all in order."""
    for name in tf.io.gfile.listdir(folder) if files.is_folder(folder) else []:
        if _LEFTOVER.fullmatch(name.rstrip("/")):
            files.remove_tree(tf.io.gfile.join(folder, name))
    for name in _orphans(folder):
        tf.io.gfile.remove(tf.io.gfile.join(folder, name))


def resolve(checkpoint_path: str) -> str:
    """A checkpoint's path without ending, from itself, one of its files, or its folder.

    In the folder of a run, which may hold the train_dir as `train`, the best comes first, then the
    newest of ours that can be read (newer ones are named), then what its `checkpoint` file names,
    then the only checkpoint there is. `model.ckpt-STEP`, as older
    trainers named theirs, finds our `ckpt-STEP`.

    A name of `weights` without a folder finds what was fetched under it.

    Raises:
      InputError: there is none, or none of ours can be read.
    """
    if checkpoint_path in weights.SOURCES and not tf.io.gfile.exists(checkpoint_path):
        fetched = weights.path_of(checkpoint_path)
        if not tf.io.gfile.exists(f"{fetched}.index") and not tf.io.gfile.exists(fetched):
            raise InputError(
                f"--checkpoint_path={checkpoint_path} is not in {weights.FOLDER}: fetch it by "
                f"scripts/fetch_weights.py {checkpoint_path}."
            )
        return fetched
    path = re.sub(r"\.(index|data-\d+-of-\d+|meta)$", "", model_train_dir.find(checkpoint_path))
    is_folder = files.is_folder(path)
    ours = re.sub(r"model\.ckpt-(\d+)$", r"ckpt-\1", path)
    if not tf.io.gfile.exists(f"{path}.index") and tf.io.gfile.exists(f"{ours}.index"):
        return ours
    if tf.io.gfile.exists(f"{path}.index") or (not is_folder and tf.io.gfile.exists(path)):
        return path  # the second is TensorFlow's older form, one file, as slim's vgg_16.ckpt
    if is_folder and (found := _best_or_newest(path)):
        return found
    if is_folder and (latest := tf.train.latest_checkpoint(path)):
        return latest
    indexes = tf.io.gfile.glob(f"{path}/*.index")
    only = [name for name in indexes if not name.endswith(".tfrecord.index")]
    only = only or tf.io.gfile.glob(f"{path}/*.ckpt")
    if len(only) == 1:
        return only[0].removesuffix(".index")
    if tf.io.gfile.exists(f"{path}/model.json") or path.endswith(".json"):
        raise InputError(
            f"--checkpoint_path={checkpoint_path} is a TensorFlow.js model: make a checkpoint of "
            f"it by scripts/convert_weights.py --input={path} --output=NAME.ckpt."
        )
    if is_folder and tf.io.gfile.exists(f"{path}/saved_model.pb"):
        raise InputError(
            f"--checkpoint_path={checkpoint_path} is a SavedModel without the export.json of "
            "export_ssd_network.py beside it: copy the whole export_dir."
        )
    name = os.path.basename(path).removesuffix(".ckpt")
    fetch = f", or fetch it by scripts/fetch_weights.py {name}" if name in weights.SOURCES else ""
    raise InputError(
        f"--checkpoint_path={checkpoint_path} holds no checkpoint: give a train_dir, or the "
        f"path of a checkpoint without its ending, such as train/ckpt-1000{fetch}."
    )


def _best_or_newest(folder: str) -> str | None:
    """The best checkpoint of a train_dir, or else its newest, said in a line; None without any."""
    skipped: list[str] = []
    found, rank = None, "the best"
    try:
        found = newest(tf.io.gfile.join(folder, model_train_dir.BEST))
    except InputError as error:
        skipped.append(str(error))
    if not found and list_steps(folder):
        found, rank = newest(folder), "the latest"
    if not found:
        return None
    for sentence in (*skipped, *found.skipped):
        print(f"Skipped: {sentence}", flush=True)
    print(f"Checkpoint: {found.path}, {rank} of {folder}.", flush=True)
    return found.path


def step_of(path: str) -> int:
    """The step in a checkpoint's name; 0 where it has none."""
    match = re.search(r"-(\d+)$", path)
    return int(match.group(1)) if match else 0


def _check_regular(path: str) -> None:
    """Raises OSError where a checkpoint's file is a pipe or device, which TensorFlow waits for."""
    if files.is_local(path):
        for each in (path, f"{path}.index", *glob.glob(f"{glob.escape(path)}.data-*")):
            if os.path.exists(each) and not os.path.isdir(each):
                files.check_regular(each)


def _temporary(train_dir: str, step: int) -> str:
    return tf.io.gfile.join(train_dir, f"ckpt-{step}_temp")


def _orphans(train_dir: str) -> list[str]:
    """Data files whose index is missing."""
    if not files.is_folder(train_dir):
        return []
    names = set(tf.io.gfile.listdir(train_dir))
    data = (name for name in names if re.fullmatch(rf"ckpt-\d+{_DATA}", name))
    return sorted(name for name in data if f"{name.removesuffix(_DATA)}.index" not in names)


def _saved_at(path: str) -> float:
    """When a checkpoint was saved, in seconds since 1970; not in the future."""
    return min(tf.io.gfile.stat(f"{path}.index").mtime_nsec / 1e9, time.time())


def _last_kept(train_dir: str) -> float:
    """When the last checkpoint was saved that stays for good; else just before the first was.

    It stands where TensorFlow's own CheckpointManager has it. A time in the future, of a clock that
    was set back since, says nothing.
    """
    path = tf.io.gfile.join(train_dir, "checkpoint")
    if tf.io.gfile.exists(path):
        text = files.read(path).decode("utf-8", "replace")
        found = re.search(r"^last_preserved_timestamp: (\d+(\.\d+)?)$", text, re.MULTILINE)
        if found and float(found.group(1)) <= time.time():
            return float(found.group(1))
    saved = (_saved_at(tf.io.gfile.join(train_dir, f"ckpt-{s}")) for s in list_steps(train_dir))
    return min(saved, default=0.0) - 1.0


def _write_state(train_dir: str, last_kept: float | None = None) -> None:
    """TensorFlow's own `checkpoint` file, for TensorBoard and other readers."""
    last_kept = _last_kept(train_dir) if last_kept is None else last_kept
    names = [f"ckpt-{step}" for step in list_steps(train_dir)]
    lines = [f'model_checkpoint_path: "{names[-1]}"'] if names else []
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
    lines.append(f"last_preserved_timestamp: {last_kept}")
    text = "\n".join(lines) + "\n"
    files.write(tf.io.gfile.join(train_dir, "checkpoint"), text.encode())
