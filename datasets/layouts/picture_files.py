"""Where the images of an annotation file are, whose names may come from another machine.

Names are relative to the folder of the images. Where nothing is there, as with `images/a.jpg` in
the folder `images` itself or with Windows' `images\\a.jpg`, the file of that base name is taken,
if there is only one, in the folder or below, and only one image is called so. A name never leads
out of the folder.
"""

import collections
import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator

from datasets.layouts.image_file import PICTURE_ENDINGS
from datasets.layouts.source import AnnotatedImage, Finding
from runtime import files, limits
from runtime.errors import InputError


def with_slashes(name: str) -> str:
    """A name with slashes, also where Windows wrote it."""
    return name.replace("\\", "/")


def leads_out(name: str) -> bool:
    """Whether a name is absolute, a URL, or climbs out of the folder that it is relative to."""
    return name.startswith(("/", "~")) or "://" in name or ".." in with_slashes(name).split("/")


def base_name(name: str) -> str:
    """The part of a name behind its folders."""
    return with_slashes(name).rsplit("/", 1)[-1]


class PictureFinder:
    """Finds the images of one folder.

    Args:
      folder: theirs.
      names: of all annotated images, which tells the base names that stand for several.
    """

    def __init__(self, folder: str, names: Iterable[str]):
        self._folder = folder
        self._bases = collections.Counter(map(base_name, names))

    def path(self, name: str) -> str | InputError:
        """The path of an image, the one where it should be if it is nowhere, or why there is none.

        Of a name that leads out of the folder, the base name alone counts.
        """
        base, outside = base_name(name), leads_out(name)
        direct = os.path.join(self._folder, with_slashes(name))
        # Asking a remote store for every file takes longer than reading them.
        if not outside and (not files.is_local(direct) or os.path.isfile(direct)):
            return direct
        if self._bases[base] > 1:
            return InputError(
                f"{self._folder} has no {name}, and {self._bases[base]} images are called {base}: "
                "pass the folder that their names are relative to."
            )
        in_folder = os.path.join(self._folder, base)
        if not files.is_local(in_folder) or os.path.isfile(in_folder):
            return in_folder
        found = self._by_base.get(base, [])
        return found[0] if len(found) == 1 else in_folder if outside else direct

    @functools.cached_property
    def _by_base(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = collections.defaultdict(list)
        for path in itertools.islice(walk(self._folder), limits.MAX_PATHS):
            found[os.path.basename(path)].append(path)
        return found


def walk(folder: str) -> Iterator[str]:
    """The files below a local folder, in the order of their names; no links to folders."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        yield from (os.path.join(place, name) for name in sorted(names) if name[0] != ".")


def without_annotation(images: Iterable[AnnotatedImage]) -> Callable[[], Iterator[Finding]]:
    """Finds image files beside the annotated ones that have no annotation."""
    paths = [image.path for image in images if isinstance(image.path, str)]
    return functools.partial(_find_unnamed, {os.path.normpath(p) for p in paths})


def _find_unnamed(paths: set[str]) -> Iterator[Finding]:
    for folder in sorted({os.path.dirname(path) for path in paths if files.is_local(path)}):
        if not os.path.isdir(folder or "."):
            continue
        for name in sorted(os.listdir(folder or ".")):
            path = os.path.normpath(os.path.join(folder, name))
            if name.lower().endswith(PICTURE_ENDINGS) and path not in paths:
                yield Finding("no_annotation", path, "has no annotation")


def no_folder(folder: str, *, flag: str, what: str) -> InputError:
    """The error of a path that is no folder."""
    return InputError(f"{flag}={folder} is not a folder: pass {what}.")
