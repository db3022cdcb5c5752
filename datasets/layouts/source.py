"""What a layout of annotated images is opened with, and what it gives to whoever opens it.

A layout gives what it found and judges nothing: an annotation that cannot be read is given as its
error, a class that is no label is left in. The conversion refuses these, the inspection lists them.
Whatever the layout's files hold and `images` does not, `left_out` tells with the reason.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from datasets.layouts.annotations import Annotation
from runtime.errors import InputError

Labels = tuple[str, ...]


def _say_nothing(line: str) -> None:
    """Takes a line of text."""


class Options(NamedTuple):
    """What a layout is opened with.

    Attributes:
      folder: the data set's; the images' alone where the layout's annotations are a file.
      annotations: that file; "" where the layout is a folder.
      split: which part of it; "" takes everything. Only given to layouts that have splits.
      labels: class names that the user gave, in their order; None leaves them to the layout.
      with_images: False where annotations alone are counted and images may be absent.
      folder_flag: what the user calls `folder` by, for messages.
      report: takes a line that a converting user should read.
    """

    folder: str
    annotations: str = ""
    split: str = ""
    labels: Labels | None = None
    with_images: bool = True
    folder_flag: str = "--dataset_dir"
    report: Callable[[str], None] = _say_nothing


class AnnotatedImage(NamedTuple):
    """An image and what is on it.

    Attributes:
      place: where its annotation is, for messages: a file, and where in it.
      annotation: boxes in pixels, counted as the layout's files do; or the error met.
      path: of the image file, or why there is none. Nobody opened it yet.
      source_id: the layout's own id of it, where records should keep that.
    """

    place: str
    annotation: Annotation | InputError
    path: str | InputError
    source_id: str = ""


class Finding(NamedTuple):
    """Something an inspection should tell; `kind` is one of `inspection.defects.KINDS`."""

    kind: str
    place: str
    what: str


class Source(NamedTuple):
    """Annotated images.

    Attributes:
      images: by id, in the order of the records.
      labels: class names, class k being labels[k - 1]; where the layout does not name them, a
        function that learns them from all annotations, also those outside the split, so that the
        splits of a data set agree.
      left_out: what was found and is not among the images: place -> reason.
      findings: gives what else the layout's files tell; asked by inspections alone.
      notes: what the manifest keeps.
      splits: names of the splits that the data set has by itself, each a value of `--split`.
    """

    images: Mapping[str, AnnotatedImage]
    labels: Labels | Callable[[], Labels]
    left_out: Mapping[str, str] = MappingProxyType({})
    findings: Callable[[], Iterable[Finding]] = tuple
    notes: Mapping[str, object] = MappingProxyType({})
    splits: tuple[str, ...] = ()
