"""The files of a data set's folder: what lies there, and which image belongs to which annotation.

Tools that write one annotation a file give it the image's name, and keep both in one folder or in
two beside each other: `a.jpg` and `a.xml`, `images/day1/a.jpg` and `labels/day1/a.xml`,
`train/images/a.jpg` and `train/annotations/a.xml`. In all of these an image and its annotation have
one id: the path without its ending and without the first folder whose name is such a holder's.
"""

import collections
import os
from collections.abc import Collection, Iterable, Mapping

from datasets.layouts.image_file import PICTURE_ENDINGS, is_folder, names_in, printable
from runtime.errors import InputError

IMAGE_FOLDERS = (
    *("jpegimages", "images", "image", "imgs", "img", "jpegs", "jpg", "pictures", "photos"),
)
_SPLITS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
SPLITS = ("train", "val", "test")
_DEEPEST = 6  # folders within folders; links that lead in a circle end there too
_NAMED = 3


def list_names(folder: str) -> list[str]:
    """Names in a folder, sorted, without hidden ones and the '/' that remote folders end with.

    Raises:
      InputError: a name is not UTF-8, or the folder cannot be listed.
    """
    names = sorted(n for n in (name.rstrip("/") for name in names_in(folder)) if n[:1] != ".")
    for name in names:
        if printable(name) != name:
            raise InputError(
                f"{folder}/{printable(name)} has a name that is not UTF-8 or has control "
                "characters: rename it."
            )
    return names


def list_files(folder: str, *, skip: Collection[str] = (), deepest: int = _DEEPEST) -> list[str]:
    """Paths of a folder's files and of its folders' files, relative to it, sorted.

    Hidden ones are left out. A folder that is too deep is given itself, with a '/' at its end.

    Args:
      folder: where to look.
      skip: folders directly in it that are left out.
      deepest: how many folders within folders are entered.

    Raises:
      InputError: as `list_names`.
    """
    found: list[str] = []
    waiting = [name for name in list_names(folder) if name not in skip]
    while waiting:
        path = waiting.pop()
        if not _may_be_folder(path) or not is_folder(os.path.join(folder, path)):
            found.append(path)
        elif path.count("/") >= deepest:
            found.append(f"{path}/")
        else:
            waiting += [f"{path}/{name}" for name in list_names(os.path.join(folder, path))]
    return sorted(found)


def folders_in(folder: str) -> list[str]:
    """Paths of the folders in a folder. Raises InputError as `list_names`."""
    names = filter(_may_be_folder, list_names(folder))
    return [path for path in (os.path.join(folder, n) for n in names) if is_folder(path)]


def _may_be_folder(path: str) -> bool:
    """False for what is surely a file: asking the disk about each image takes long."""
    return not path.lower().endswith((*PICTURE_ENDINGS, ".xml", ".txt"))


def is_picture(path: str) -> bool:
    """Whether the file's name is an image's."""
    return path.lower().endswith(PICTURE_ENDINGS)


def id_of(path: str, holders: Collection[str]) -> str:
    """The path without its ending and without the first of its folders that is called a holder.

    Args:
      path: relative to the data set's folder.
      holders: names in lower case.
    """
    folders, name = path.split("/")[:-1], os.path.splitext(path.split("/")[-1])[0]
    at = next((k for k, folder in enumerate(folders) if folder.lower() in holders), len(folders))
    return "/".join([*folders[:at], *folders[at + 1 :], name])


def pictures_by_id(paths: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Images by id, and those that another image's id has already: path -> reason.

    Of several images with one id the first in the order of `PICTURE_ENDINGS` stays.
    """
    chosen: dict[str, str] = {}
    spare = {}
    for path in sorted(filter(is_picture, paths), key=_preference):
        if (first := chosen.setdefault(id_of(path, IMAGE_FOLDERS), path)) != path:
            spare[path] = f"has the name of {first}, which is used"
    return dict(sorted(chosen.items())), spare


def _preference(path: str) -> tuple[int, str]:
    return PICTURE_ENDINGS.index(os.path.splitext(path)[1].lower()), path


def split_called(name: str) -> str:
    """The usual name of a split: "val" for "valid"; other names as they are."""
    return _SPLITS.get(name.lower(), name.lower() if name.lower() in SPLITS else name)


def split_of(path: str) -> str:
    """The split whose name one of the path's folders has; "" where none has."""
    folders = map(split_called, path.split("/")[:-1])
    return next((folder for folder in folders if folder in SPLITS), "")


def passed_over(folder: str, paths: Iterable[str], *, layout: str) -> dict[str, str]:
    """What a layout has no use for, counted by ending: place -> reason."""
    by_ending = collections.defaultdict(list)
    for path in sorted(paths):
        by_ending[os.path.splitext(path)[1].lower()].append(path)
    return {
        f"{folder}: {_counted(ending, len(some))}": f"not part of a {layout} ({listed(some)})"
        for ending, some in sorted(by_ending.items())
    }


def _counted(ending: str, number: int) -> str:
    noun = "file" if number == 1 else "files"
    return f"{number} {ending} {noun}" if ending else f"{number} {noun} without ending"


def listed(names: Iterable[str]) -> str:
    """The first few of them as text."""
    some = list(names)
    return ", ".join(some[:_NAMED]) + (", ..." if len(some) > _NAMED else "")


def under(folder: str, paths: Mapping[str, str]) -> dict[str, str]:
    """Values, which are relative to the folder, as whole paths."""
    return {key: os.path.join(folder, path) for key, path in paths.items()}


def check_folder(path: str, *, flag: str, kind: str) -> str:
    """The folder without the slashes at its end.

    Raises:
      InputError: there is no such folder.
    """
    folder = path.rstrip("/") or path
    if not folder or not is_folder(folder):
        raise InputError(f"{flag}={path} is not a folder: pass a {kind}.")
    return folder
