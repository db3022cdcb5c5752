"""`--classes`: which classes of a data set are converted, and under which names.

`car=car,truck;person` makes two classes: car of all that was car or truck, and person. Objects of
other classes are left out, counted by class; their images stay, with what is left on them.
"""

import collections
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtime.errors import InputError
from runtime.words import counted

if TYPE_CHECKING:
    from datasets.layouts.source import AnnotatedImage, Source


def read_selection(value: str) -> dict[str, str]:
    """The new name of each chosen class, in the order of the new classes; {} chooses all.

    Raises:
      InputError: the value has another form, or names a class twice.
    """
    names: dict[str, str] = {}
    made = set()
    for part in filter(str.strip, unicodedata.normalize("NFC", value).split(";")):
        new, equals, old = (each.strip() for each in part.partition("="))
        sources = [each.strip() for each in old.split(",")] if equals else [new]
        if not new or "" in sources or (not equals and "," in new):
            raise InputError(
                f"--classes={value}: {part.strip()!r} is no class; give names with ; between them, "
                "or NEW=OLD,OLD to rename and merge, such as 'car=car,truck;person'."
            )
        for name in sources:
            if name in names or new in made:
                twice = name if name in names else new
                raise InputError(f"--classes={value}: {twice!r} is named twice: name it once.")
            names[name] = new
        made.add(new)
    return names


def select(source: "Source", names: Mapping[str, str]) -> "Source":
    """A data set's objects of the chosen classes, under their new names.

    Args:
      source: the data set.
      names: of `read_selection`.

    Raises:
      InputError: the data set has no class of such a name.
    """
    there = source.labels if isinstance(source.labels, tuple) else source.labels()
    for name in names.keys() - {*there}:
        some = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "")
        raise InputError(
            f"--classes: {name!r} is none of the {counted(len(there), 'class')} there ({some})."
        )
    dropped: collections.Counter[str] = collections.Counter()
    images = {key: _selected(image, names, dropped) for key, image in source.images.items()}
    reasons = {
        f"class {name}": f"{counted(count, 'object')}, which --classes leaves out"
        for name, count in sorted(dropped.items())
    }
    notes: dict[str, Any] = dict(source.notes)
    if "coco_ids" in notes:
        ids: dict[str, Any] = {}
        for old, new in names.items():
            if old in notes["coco_ids"]:
                ids.setdefault(new, notes["coco_ids"][old])
        notes["coco_ids"] = ids
    return source._replace(
        images=images,
        labels=tuple(dict.fromkeys(names.values())),
        left_out={**source.left_out, **reasons},
        notes=notes,
    )


def _selected(
    image: "AnnotatedImage", names: Mapping[str, str], dropped: collections.Counter[str]
) -> "AnnotatedImage":
    annotation: Any = image.annotation
    if isinstance(annotation, InputError):
        return image
    dropped.update(item.name for item in annotation.objects if item.name not in names)
    objects = tuple(
        item._replace(name=names[item.name]) for item in annotation.objects if item.name in names
    )
    return image._replace(annotation=annotation._replace(objects=objects))
