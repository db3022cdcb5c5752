"""A messy folder: a planted list of defects, each found under its file and object, and no other."""

import base64
import pathlib
import struct

import cv2
import numpy as np
import pytest

from datasets.layouts import voc_source
from datasets.layouts.source import Options
from inspection import collect
from tests.voc_folder import annotation_xml, with_exif

BOX = (2, 4, 12, 24)  # ymin, xmin, ymax, xmax; every image has 20 x 40 pixels
CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwCgbniMeGSgjIKMtKqgvvD///Dc3PD////////////////////////////////////"
    "//////////////////////8AAFAgAFAAoBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAAD/8QAFBABAAAAAA"
    "AAAAAAAAAAAAAAAP/aAA4EQwBNAFkASwAAPwCyaqgAAAAAAAAAAAAAAAAAAP/Z"
)
BOMB = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]><annotation>&c;</annotation>'


class Messy:
    """A VOC folder in which what is planted is written down."""

    def __init__(self, path: pathlib.Path):
        self.path, self.planted, self._count = path, [], 0
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (path / name).mkdir(parents=True)

    def add(self, *objects: tuple, xml: str | None = None, picture: bytes | None = None,
            extension: str = ".jpg", size=(40, 20)) -> str:  # fmt: skip
        """One more image, of pixels of its own unless given; without a fault in itself."""
        self._count += 1
        name = f"{self._count:03d}"
        made = annotation_xml(width=size[0], height=size[1], objects=objects or [("cat", BOX)])
        made = made.replace("<filename>x", f"<filename>{name}{extension}")
        (self.path / "Annotations" / f"{name}.xml").write_text(made if xml is None else xml)
        data = encode(".jpg", self._count) if picture is None else picture
        (self.path / "JPEGImages" / f"{name}{extension}").write_bytes(data)
        return name

    def plant(self, kind: str, *objects: tuple, number: int | None = None, **options) -> str:
        """An image with a defect, of object `number` unless it is the whole image's."""
        name = self.add(*objects, **options)
        self.planted.append((kind, name, number))
        return name


def encode(extension: str, seed: int, *, channels: int = 3, dtype=np.uint8, size=(20, 40)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype)
    return cv2.imencode(extension, pixels)[1].tobytes()


def huge(data: bytes) -> bytes:
    """A JPEG whose header claims a square of 65,500 pixels."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", 65500, 65500) + data[at + 4 :]


def plant_annotations(messy: Messy) -> None:
    without_box = "<object><name>cat</name></object>"
    size = "<size><width>40</width><height>20</height><depth>3</depth></size>"
    for xml in ("", "<annotation>", BOMB, "<annotation/>"):
        messy.plant("bad_annotation", xml=xml)
    messy.plant("bad_annotation", xml=f"<annotation>{size}{without_box}</annotation>")
    messy.plant("bad_annotation", ("cat", ("nan", 4, 12, 24)))
    messy.plant("no_size", size=(0, 0))
    other = annotation_xml(width=40, height=20, objects=[("cat", BOX)])
    messy.plant("other_filename", xml=other.replace("<filename>x", "<filename>C:\\photos\\9.jpg"))
    messy.plant("no_objects", xml=f"<annotation>{size}</annotation>")


def plant_pictures(messy: Messy) -> None:
    whole, flat = encode(".jpg", 900), encode(".png", 901)
    for damaged in (whole[:-40], b"<html>404</html>", huge(whole), b"", whole[:9]):
        messy.plant("bad_picture", picture=damaged)
    messy.plant("bad_picture", picture=flat[:-30], extension=".png")
    messy.plant("wrong_size", picture=encode(".jpg", 902, size=(30, 44)))
    on_its_side = encode(".jpg", 903, size=(40, 20))
    messy.plant("wrong_size", ("cat", (2, 4, 12, 18)), picture=on_its_side)
    messy.plant("exif_rotated", picture=with_exif(encode(".jpg", 904), 6))
    upright = {"picture": with_exif(encode(".jpg", 910), 6), "size": (20, 40)}
    messy.plant("exif_rotated", ("cat", (24, 2, 39, 19)), **upright)
    messy.plant("cmyk", picture=CMYK)
    messy.plant("greyscale", picture=encode(".jpg", 905, channels=1))
    messy.plant("mislabelled", picture=encode(".png", 906))
    messy.plant("transparent", picture=encode(".png", 907, channels=4), extension=".png")
    deep = encode(".png", 908, dtype=np.uint16)
    messy.plant("sixteen_bit", picture=deep, extension=".png")
    messy.add(picture=encode(".jpg", 909))
    messy.plant("duplicate_picture", picture=encode(".jpg", 909))
    (messy.path / "JPEGImages" / f"{messy.plant('missing_picture')}.jpg").unlink()
    (messy.path / "Annotations" / f"{messy.plant('no_annotation')}.xml").unlink()


def plant_boxes(messy: Messy) -> None:
    good = ("cat", BOX)
    messy.plant("inverted_box", good, ("cat", (12, 4, 2, 24)), number=2)
    messy.plant("inverted_box", good, ("cat", (2, 24, 12, 4)), number=2)
    messy.plant("box_without_area", good, ("cat", (2, 4, 12, 4)), number=2)
    messy.plant("box_outside", good, ("cat", (2, 50, 12, 60)), number=2)
    messy.plant("box_reaches_out", good, ("cat", (2, 4, 12, 43)), number=2)
    messy.plant("tiny_box", good, ("cat", (2, 4, 2.1, 24)), number=2)
    messy.plant("duplicate_box", good, ("dog", (3, 3, 9, 9)), good, number=3)
    messy.plant("same_box_other_class", good, ("dog", BOX), number=2)
    messy.plant("unknown_label", good, ("cta", (3, 3, 9, 9)), number=2)
    for _ in range(10):
        messy.add(("cat", (1, 1, 9, 9)))
    messy.plant("many_objects", *[("cat", (1, 1, 9, 9 + 0.01 * k)) for k in range(201)])
    messy.plant("zero_based", ("cat", (0, 3, 9, 9)), number=1)


def plant_splits(messy: Messy) -> None:
    both = messy.plant("shared_by_splits")
    lists = {"train": f"{both}\n{messy.add()}\n", "test": f"{both}\n", "val": "../../etc/passwd\n"}
    for name, text in lists.items():
        (messy.path / "ImageSets" / "Main" / f"{name}.txt").write_text(text)
    messy.planted.append(("bad_split", "Main", None))


@pytest.fixture
def messy(tmp_path):
    made = Messy(tmp_path / "voc")
    for plant in (plant_annotations, plant_pictures, plant_boxes, plant_splits):
        plant(made)
    return made


def look(folder, labels) -> list[tuple[str, str, int | None]]:
    """What is found: kind, file without folder and ending, object."""
    source = voc_source.open_source(Options(str(folder)))
    items, extra = collect.source_items(source), collect.source_defects(source)
    seen = collect.inspect(items, title="t", input_side=300, labels=labels, extra=extra)
    return [(d.kind, pathlib.Path(d.file).stem, d.number) for d in seen.defects]


def test_every_planted_defect_is_found_and_no_other(messy):
    assert len(messy.planted) >= 30
    assert sorted(look(messy.path, ("cat", "dog")), key=str) == sorted(messy.planted, key=str)


def test_clean_voc_sample_has_nothing_but_what_is_there(shared):
    """Nothing is wrong with it."""
    folder = shared / "data" / "voc2007_sample" / "VOCdevkit" / "VOC2007"
    assert look(folder, None) == []


def test_bccd_has_its_two_boxes_without_area(shared):
    folder = shared / "data" / "bccd" / "BCCD"
    assert look(folder, None) == [
        ("box_without_area", "BloodImage_00338", 13),
        ("box_without_area", "BloodImage_00343", 4),
    ]
