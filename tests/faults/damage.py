"""What can happen to a checkpoint's files between two runs."""

import pathlib
from collections.abc import Callable

from model import checkpoints
from runtime.errors import InputError

ENDINGS = {"data": ".data-00000-of-00001", "index": ".index"}


def _flip_bit(path: pathlib.Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def _cut(path: pathlib.Path, *, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


HARMS: dict[str, Callable[[pathlib.Path], None]] = {
    "whole": lambda path: None,
    "torn": lambda path: _cut(path, keep=0.5),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: _cut(path, keep=0.0),
    "bit flipped": _flip_bit,
    "missing": pathlib.Path.unlink,
}
DAMAGES = tuple(f"{file} {harm}" for file in ENDINGS for harm in HARMS if harm != "whole")


def harm(path: pathlib.Path, damage: str) -> None:
    """Does to one file of the checkpoint `path` what a name of `DAMAGES` says."""
    file, _, kind = damage.partition(" ")
    HARMS[kind](path.with_name(path.name + ENDINGS[file]))


def harm_newest(train_dir: pathlib.Path, damage: str) -> None:
    """Harms the newest checkpoint that reads, where there is an older one to resume from."""
    paths = [train_dir / f"ckpt-{step}" for step in checkpoints.list_steps(str(train_dir))]
    good = [path for path in paths if _reads(path)]
    if len(good) > 1:
        harm(good[-1], damage)


def _reads(path: pathlib.Path) -> bool:
    try:
        checkpoints.read(str(path))
    except InputError:
        return False
    return True
