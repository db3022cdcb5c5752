"""What describes a YOLO folder: class names and splits, in data.yaml or in text files.

Ultralytics has both in a YAML file, darknet and labelling tools a name a line in `classes.txt` and
lists of images in `train.txt`. Paths there are mostly of another machine: each is taken as the
longest end of it that the folder holds, so that none leads out of it.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import yaml

from datasets.layouts import tree
from runtime import files, limits
from runtime.errors import InputError, one_line

_NAMES_FILES = ("classes.txt", "obj.names", "_darknet.labels")
_YAML = (".yaml", ".yml")


class Description(NamedTuple):
    """What the files of a folder say.

    Attributes:
      names: class names by number, in their order; empty where there are none.
      splits: paths of the images of each split that a file names.
      used: paths of these files.
      left_out: what they name that is not there: place -> reason.
      is_ultralytics: whether one is Ultralytics' YAML.
      has_keypoints: whether labels have keypoints behind the boxes.
    """

    names: Mapping[int, str]
    splits: Mapping[str, list[str]]
    used: Collection[str]
    left_out: Mapping[str, str]
    is_ultralytics: bool = False
    has_keypoints: bool = False


def describe(folder: str, paths: Sequence[str], *, chosen: str = "") -> Description:
    """Reads what describes a folder.

    Args:
      folder: the data set's.
      paths: of its files, relative to it.
      chosen: the YAML file to take; "" takes the first one that has class names.

    Raises:
      InputError: a file is broken, or two have different class names.
    """
    lists = [path for path in paths if _is_list(path)]
    name, data = _find_yaml(folder, [chosen] if chosen else paths)
    finder = _Finder(folder, paths)
    if name:
        entries = {key: data[key] for key in ("train", "val", "valid", "test") if data.get(key)}
        splits = {
            tree.split_called(key): list(finder.images_of(entry, name, key, data.get("path", "")))
            for key, entry in entries.items()
        }
        names = _names_of(data["names"], where=f"{folder}/{name}")
        used = {name, *lists}
        return Description(names, splits, used, finder.left_out, True, "kpt_shape" in data)
    splits = {tree.split_called(_stem(path)): list(finder.images_in(path)) for path in lists}
    of_names = [path for path in paths if os.path.basename(path).lower() in _NAMES_FILES]
    return Description(_read_names(folder, of_names), splits, {*lists, *of_names}, finder.left_out)


def has_names(path: str) -> bool:
    """Whether a YAML file is a description of classes."""
    try:
        return "names" in _read_yaml(path)
    except InputError:
        return False


def is_yaml(path: str) -> bool:
    """Whether the file's name is one of YAML."""
    return path.lower().endswith(_YAML)


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _is_list(path: str) -> bool:
    return path.lower().endswith(".txt") and tree.split_called(_stem(path)) in tree.SPLITS


def _find_yaml(folder: str, paths: Sequence[str]) -> tuple[str, dict]:
    """The first YAML file with class names, and what it holds; data.yaml before others."""
    found = sorted(filter(is_yaml, paths), key=lambda p: (p.count("/"), _stem(p) != "data", p))
    for path in found:
        data = _read_yaml(os.path.join(folder, path))
        if "names" in data:
            return path, data
    return "", {}


def _read_yaml(path: str) -> dict:
    """A YAML file's table; all values are text, as a class may be called "no" or "1.0"."""
    text = files.read(path, most=limits.MAX_YAML_BYTES, remedy="no description is")
    try:
        data = yaml.load(text, Loader=yaml.BaseLoader)  # which makes no objects
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path} is not YAML ({one_line(error)}): correct it.") from error
    return data if isinstance(data, dict) else {}


def _names_of(names: object, *, where: str) -> dict[int, str]:
    """Class names, of a list or of a table by number."""
    pairs = dict(enumerate(names)) if isinstance(names, list) else names
    try:
        if not isinstance(pairs, dict) or not all(isinstance(n, str) for n in pairs.values()):
            raise ValueError
        return {number: name.strip() for number, name in sorted(_numbered(pairs))}
    except ValueError:
        raise InputError(
            f"{where}: names must be a list of class names, or a table of number and name."
        ) from None


def _numbered(names: Mapping[int | str, str]) -> Iterator[tuple[int, str]]:
    for number, name in names.items():
        yield int(number), name


def _read_names(folder: str, paths: Sequence[str]) -> dict[int, str]:
    """Class names of files with one a line, which must agree."""
    found: dict[int, str] = {}
    for path in paths:
        lines = files.read_text(os.path.join(folder, path)).splitlines()
        names = {number: line.strip() for number, line in enumerate(lines) if line.strip()}
        if found and names != found:
            raise InputError(f"{folder}: {tree.listed(paths)} name different classes: keep one.")
        found = names
    return found


class _Finder:
    """Images of a folder by paths of another machine; `left_out` tells those that are not there."""

    def __init__(self, folder: str, paths: Sequence[str]):
        self.left_out: dict[str, str] = {}
        self._folder = folder
        self._files = {*paths}
        self._pictures = [path for path in paths if tree.is_picture(path)]

    def images_of(self, entry: object, name: str, key: str, base: object) -> Iterator[str]:
        """Images of a split: of a folder, a list of images, or several of them."""
        for value in entry if isinstance(entry, list) else [entry]:
            ends = list(_ends(f"{os.path.dirname(name)}/{base}/{value}"))
            if listing := next((end for end in ends if end in self._files), ""):
                yield from self.images_in(listing)
                continue
            folders = [f"{end}/" for end in ends] + ([] if [*_ends(str(value))] else [""])
            found = next(filter(None, map(self._images_under, folders)), [])
            if not found:
                self.left_out[f"{self._folder}/{name}, {key}"] = f"{value}: there is no image in it"
            yield from found

    def _images_under(self, folder: str) -> list[str]:
        return [path for path in self._pictures if path.startswith(folder)]

    def images_in(self, path: str) -> Iterator[str]:
        """Images that a text file lists."""
        lines = files.read_text(os.path.join(self._folder, path)).splitlines()
        for number, line in enumerate(lines, start=1):
            if line.strip():
                end = next((end for end in _ends(line.strip()) if end in self._files), "")
                if tree.is_picture(end):
                    yield end
                else:
                    place = f"{self._folder}/{path}, line {number}"
                    self.left_out[place] = f"{line.strip()[:80]!r}: there is no such image"


def _ends(path: str) -> Iterator[str]:
    """A path without what leads up, and then without its first folders, one after the other."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return ("/".join(parts[at:]) for at in range(len(parts)))
