"""`--holdout`: which images of a data set are held out of the training, to evaluate on them.

A hash of the seed and the image's id alone decides about an image, so that those which are added
later move no other. Images that would make the score a score of images trained on are never parted:
equal files, and Roboflow's versions of one image (`a_jpg.rf.0123.jpg`), which go where the first of
their ids goes. Then come the exceptions, as few as possible: of every class that two images show
(or groups of such images), one is held out and one is not; a class with one image is trained on.
For that, the image of the class whose hash is nearest to the limit changes sides, unless that takes
another class off a side. Rare classes come first, equally rare ones in the order of their names.
"""

import collections
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from datasets.layouts.annotations import Annotation
from datasets.layouts.image_file import read_image_bytes
from datasets.layouts.source import AnnotatedImage
from runtime import files
from runtime.errors import InputError

TRAIN, VAL = "train", "val"
_ANY = ""  # the class of every image: no side may be empty
_HELD_OUT = ("val", "valid", "validation", "test", "testing")
_PAIRS = [(name, held_out) for held_out in _HELD_OUT for name in ("train", "training")]
_PAIRS.append(("trainval", "test"))
_VERSION = re.compile(r"\.rf\.[0-9A-Za-z]{8,}$")


class Division(NamedTuple):
    """Images in two parts.

    Attributes:
      sides: ids of the images of "train" and of "val", in the order of the data set.
      moved: ids that are not where their hash is, for the sake of a class.
      together: how many images are where another one is, as they are versions of it.
      lacking: classes with images on one side only.
    """

    sides: dict[str, list[str]]
    moved: list[str]
    together: int
    lacking: list[str]


def divide(images: Mapping[str, AnnotatedImage], *, share: float, seed: int) -> Division:
    """Divides images for training and evaluation.

    Args:
      images: of a `Source`. Files of one size are read, to see whether they are equal.
      share: of the images that are held out, about.
      seed: another one holds out others.

    Raises:
      InputError: there are not two images that could be parted.
    """
    groups = _groups(images)
    if len(groups) < 2:
        raise InputError(
            f"--holdout={share:g} needs two different images, and the data set has {len(groups)}: "
            "add images, or leave --holdout out."
        )
    where = {first: _hash(first, seed) for first in groups}
    classes = {first: _classes(images[i] for i in ids) for first, ids in groups.items()}
    sides = {first: VAL if at < share else TRAIN for first, at in where.items()}
    distance = {first: abs(at - share) for first, at in where.items()}
    by_hash = dict(sides)
    lacking = _balance(sides, classes, distance)
    of_image = {i: sides[first] for first, ids in groups.items() for i in ids}
    return Division(
        {side: [i for i in images if of_image[i] == side] for side in (TRAIN, VAL)},
        [i for first, ids in groups.items() if sides[first] != by_hash[first] for i in ids],
        len(images) - len(groups),
        lacking,
    )


def _hash(image_id: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}:{image_id}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _classes(images: Iterable[AnnotatedImage]) -> set[str]:
    """The classes of objects that count, and the class of every image."""
    read = (i.annotation for i in images if isinstance(i.annotation, Annotation))
    return {thing.name for item in read for thing in item.objects if not thing.difficult} | {_ANY}


def _groups(images: Mapping[str, AnnotatedImage]) -> dict[str, list[str]]:
    """Ids of images that belong together, sorted, by the first of them."""
    first_of: dict[str, str] = {}
    leader = {image_id: image_id for image_id in images}

    def find(image_id: str) -> str:
        while leader[image_id] != image_id:
            image_id = leader[image_id]
        return image_id

    for image_id, key in sorted([*_versions(images), *_contents(images)]):
        one, other = sorted([find(first_of.setdefault(key, image_id)), find(image_id)])
        leader[other] = one
    groups = collections.defaultdict(list)
    for image_id in sorted(images):
        groups[find(image_id)].append(image_id)
    return dict(groups)


def _versions(images: Mapping[str, AnnotatedImage]) -> list[tuple[str, str]]:
    """Pairs (id, name of the original) of Roboflow's versions of images."""
    paths = {i: image.path for i, image in images.items() if isinstance(image.path, str)}
    stems = {i: os.path.splitext(os.path.basename(path))[0] for i, path in paths.items()}
    found = ((i, _VERSION.sub("", stem)) for i, stem in stems.items())
    return [(i, f"name {original}") for i, original in found if original != stems[i]]


def _contents(images: Mapping[str, AnnotatedImage]) -> list[tuple[str, str]]:
    """Pairs (id, hash of the file) of images that have the size of another one's file."""
    by_size = collections.defaultdict(list)
    for image_id, image in images.items():
        if isinstance(image.path, str) and (size := files.size(image.path)):
            by_size[size].append((image_id, image.path))
    alike = [pair for pairs in by_size.values() if len(pairs) > 1 for pair in pairs]
    return [
        (i, f"content {hashlib.sha256(read_image_bytes(path)).hexdigest()}") for i, path in alike
    ]


def _balance(
    sides: dict[str, str], classes: Mapping[str, set[str]], distance: Mapping[str, float]
) -> list[str]:
    """Changes `sides` until the classes are on both, and gives those that are not."""
    of_class: dict[str, list[str]] = collections.defaultdict(list)
    for group, names in classes.items():
        for name in names:
            of_class[name].append(group)
    count = collections.Counter((name, sides[g]) for name, gs in of_class.items() for g in gs)

    def needed(name: str, side: str) -> bool:
        return side == TRAIN or len(of_class[name]) > 1

    def may_leave(group: str, name: str) -> bool:
        side, minded = sides[group], classes[group] if name else {name}
        return all(count[n, side] > needed(n, side) for n in minded)

    for name in sorted(of_class, key=lambda n: (n != _ANY, len(of_class[n]), n)):
        for side in (TRAIN, VAL):
            if count[name, side] or not needed(name, side):
                continue
            if free := [g for g in of_class[name] if may_leave(g, name)]:
                chosen = min(free, key=lambda g: (distance[g], g))
                count.subtract({(n, sides[chosen]): 1 for n in classes[chosen]})
                sides[chosen] = side
                count.update({(n, side): 1 for n in classes[chosen]})
    return sorted(n for n in of_class if not (count[n, TRAIN] and count[n, VAL]))


def usual_pair(splits: Collection[str]) -> tuple[str, str] | None:
    """The splits to train and to evaluate on, of those that a data set has; None if not two are.

    A validation split comes before a test split, which is for the end of all choices.
    """
    return next((pair for pair in _PAIRS if {*pair} <= {*splits}), None)
