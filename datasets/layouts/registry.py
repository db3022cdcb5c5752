"""The layouts of annotated images that can be converted and inspected.

To add one, write its file and name it in `LAYOUTS`. The file defines two functions:

  recognises(path: str) -> bool
      Whether a folder or file looks like this layout; by names as far as these tell, and
      otherwise by the beginning of few files.
  open_source(options: Options) -> Source
      What is there, both as in `datasets.layouts.source`. Raises InputError where nothing can be
      given at all: no such folder, a file in another format, a split that does not exist.

Nothing else needs to know the layout: flags that it has no use for are refused before it is opened,
and labels that the user gave replace its own. Images are never decoded here.

Layouts are imported when they are used, so that `--help` and wrong flags need no TensorFlow.
"""

import importlib
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datasets.layouts.source import AnnotatedImage, Options, Source


class Layout(NamedTuple):
    """Where a layout's code is, and which flags it takes.

    Attributes:
      title: what messages call it.
      module: its file.
      is_file: whether its annotations are a file, apart from the folder of the images; otherwise
        one folder holds all.
      has_splits: whether `--split` chooses among its images.
    """

    title: str
    module: str
    is_file: bool = False
    has_splits: bool = True

    @property
    def kind(self) -> str:
        """What a user has: such as "VOC folder"."""
        return f"{self.title} {'file' if self.is_file else 'folder'}"


# By what they are called on the command line. The first that recognises its like is taken.
LAYOUTS = {
    "cvat": Layout("CVAT", "datasets.layouts.cvat"),
    "pascalvoc": Layout("VOC", "datasets.layouts.voc_source"),
    "yolo": Layout("YOLO", "datasets.layouts.yolo"),
    "coco": Layout("COCO", "datasets.layouts.coco", is_file=True, has_splits=False),
    "roboflow": Layout("Roboflow", "datasets.layouts.roboflow"),  # its COCO and CSV exports
    "tfcsv": Layout("CSV", "datasets.layouts.tf_csv", is_file=True, has_splits=False),
    "labelstudio": Layout(
        "Label Studio", "datasets.layouts.labelstudio", is_file=True, has_splits=False
    ),
    "labelme": Layout("LabelMe", "datasets.layouts.labelme", has_splits=False),
    "via": Layout("VIA", "datasets.layouts.via", is_file=True, has_splits=False),
    "shapes": Layout("VOC", "datasets.layouts.voc_source"),  # of scripts/make_shapes_devkit.py
}


def open_source(name: str, options: "Options") -> "Source":
    """Opens a data set in the layout of that name.

    Raises:
      InputError: there is nothing that can be read.
    """
    source = _in_nfc(_load(name).open_source(options))
    return source if options.labels is None else source._replace(labels=options.labels)


def _in_nfc(source: "Source") -> "Source":
    """The source with class names that are written in one way, as `read_labels` gives them.

    Some systems write "é" as one character, others as two; tools mix them in one data set.
    """

    def labels() -> tuple[str, ...]:
        names = source.labels if isinstance(source.labels, tuple) else source.labels()
        return tuple(dict.fromkeys(unicodedata.normalize("NFC", name) for name in names))

    images = {key: _image_in_nfc(image) for key, image in source.images.items()}
    given = isinstance(source.labels, tuple)
    return source._replace(images=images, labels=labels() if given else labels)


def _image_in_nfc(image: "AnnotatedImage") -> "AnnotatedImage":
    annotation: Any = image.annotation
    objects = getattr(annotation, "objects", ())  # an error has none
    if all(unicodedata.is_normalized("NFC", item.name) for item in objects):
        return image
    changed = [o._replace(name=unicodedata.normalize("NFC", o.name)) for o in objects]
    return image._replace(annotation=annotation._replace(objects=tuple(changed)))


def recognise(path: str) -> str:
    """The name of the layout that a folder or file has; "pascalvoc" where none is recognised."""
    return next((name for name in LAYOUTS if _load(name).recognises(path)), "pascalvoc")


def is_recognised(path: str) -> bool:
    """Whether a folder or file looks like some layout."""
    return any(_load(name).recognises(path) for name in LAYOUTS)


def listed(layouts: Iterable[Layout]) -> str:
    """Kinds of layouts as words, each once: "a VOC folder, a CSV file or a COCO file"."""
    *kinds, last = dict.fromkeys(f"a {layout.kind}" for layout in layouts)
    return f"{', '.join(kinds)} or {last}" if kinds else last


def _load(name: str) -> Any:
    return importlib.import_module(LAYOUTS[name].module)
