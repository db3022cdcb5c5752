"""VOC annotations in the folders that tools write besides the devkit's."""

import pytest

from datasets.conversion import Conversion, convert
from datasets.layouts.source import Options
from datasets.layouts.voc_source import open_source, recognises
from inspection import collect
from runtime.errors import InputError
from tests.voc_folder import annotation_xml, picture_bytes

BOX = (2, 4, 12, 24)
XML = annotation_xml(width=40, height=20, objects=[("cat", BOX)])


@pytest.fixture
def write(tmp_path):
    """Makes a folder of annotations, images and other files by their names."""

    def write(*names):
        for name in names:
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            known = path.suffix.lower() in (".xml", ".txt")
            path.write_bytes(XML.encode() if known else picture_bytes())
        return str(tmp_path / "set")

    return write


def find(folder, **options):
    """Ids with images and annotations relative to the folder, and the lines reported."""
    lines = []
    source = open_source(Options(folder, report=lines.append, **options))
    pairs = {
        image_id: (image.path.removeprefix(folder), image.place.removeprefix(folder))
        for image_id, image in source.images.items()
    }
    assert all(each.annotation.objects[0].box == BOX for each in source.images.values())
    return pairs, [line.replace(folder, "") for line in lines]


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations", "images"),
        ("annots", "images"),
        ("xmls", "JPEGImages"),
        ("Annotations", "IMAGES"),
        ("labels", "imgs"),
    ],
)
def test_folders_may_be_called_otherwise(write, annotations, images):
    folder = write(f"{annotations}/a.xml", f"{images}/a.jpg")
    assert recognises(folder)
    pairs, lines = find(folder)
    assert pairs == {"a": (f"/{images}/a.jpg", f"/{annotations}/a.xml")}
    assert lines == [f"VOC layout: XML in /{annotations}, images in /{images}."]


def test_xml_may_lie_beside_the_images(write):
    folder = write("a.jpg", "a.xml", "day1/b.PNG", "day1/b.XML")
    pairs, lines = find(folder)
    assert pairs == {"a": ("/a.jpg", "/a.xml"), "day1/b": ("/day1/b.PNG", "/day1/b.XML")}
    assert lines == ["VOC layout: XML and images in ."]


def test_images_may_lie_beside_the_folder_of_annotations(write):
    assert find(write("a.jpg", "xml/a.xml"))[0] == {"a": ("/a.jpg", "/xml/a.xml")}


def test_folder_in_the_folder_is_entered(write, tmp_path):
    write("a.jpg", "a.xml")
    assert find(str(tmp_path))[0] == {"a": ("/set/a.jpg", "/set/a.xml")}


def test_folders_may_be_splits(write):
    folder = write("train/a.jpg", "train/a.xml", "valid/a.jpg", "valid/a.xml", "test/b.jpg")
    pairs, lines = find(folder)
    assert pairs == {
        "train/a": ("/train/a.jpg", "/train/a.xml"),
        "valid/a": ("/valid/a.jpg", "/valid/a.xml"),
    }
    assert lines[1] == "No --split: all 2 annotated images are taken (splits: train, val)."
    for split in ("val", "valid"):
        assert list(find(folder, split=split)[0]) == ["valid/a"]
    with pytest.raises(InputError, match=r"splits there: train, val\)"):
        find(folder, split="test")


def test_splits_may_lie_in_the_folders_of_images_and_annotations(write):
    folder = write("images/train/a.jpg", "annotations/train/a.xml", "images/train/c.jpg")
    write("images/test/b.jpg", "annotations/test/b.xml")
    assert find(folder, split="test")[0] == {
        "test/b": ("/images/test/b.jpg", "/annotations/test/b.xml")
    }


def test_splits_with_folders_of_their_own_in_a_folder_of_images(write, tmp_path):
    write("train/a.jpg", "train/a.xml", "test/b.jpg", "test/b.xml")
    assert list(find(str(tmp_path), split="train")[0]) == ["train/a"]


def test_image_called_as_a_split_is_in_none(write):
    pairs, lines = find(write("test.jpg", "test.xml"))
    assert (list(pairs), lines) == (["test"], ["VOC layout: XML and images in ."])


def test_annotation_may_have_the_images_ending_in_its_name(write):
    folder = write("Annotations/a.jpg.xml", "JPEGImages/a.jpg")
    assert find(folder)[0] == {"a": ("/JPEGImages/a.jpg", "/Annotations/a.jpg.xml")}


@pytest.mark.parametrize(
    "line",
    [
        "JPEGImages/day1/a.jpg Annotations/day1/a.xml",
        "./JPEGImages/day1/a.jpg",
        "/data/set/JPEGImages/day1/a.jpg",
        "day1\\a",
        "day1/a.jpg 1",
        "day1/a",
    ],
)
def test_split_may_name_files(write, line):
    folder = write("Annotations/day1/a.xml", "JPEGImages/day1/a.jpg", "ImageSets/Main/x.txt")
    with open(f"{folder}/ImageSets/Main/x.txt", "w") as file:
        file.write(line)
    assert list(find(folder, split="x")[0]) == ["day1/a"]


def test_everything_found_is_used_or_told(write, tmp_path):
    folder = write("a.jpg", "a.png", "a.xml", "b.jpg", "notes.txt", "c.heic", "d.heic")
    lines = []
    convert(Conversion(folder, output_dir=str(tmp_path)), report=lines.append)
    assert [line.replace(folder, "") for line in lines] == [
        "VOC layout: XML and images in .",
        "left out: /b.jpg: has no annotation",
        "left out: /a.png: has the name of a.jpg, which is used",
        "left out: : 2 .heic files: not part of a VOC folder (c.heic, d.heic)",
        "left out: : 1 .txt file: not part of a VOC folder (notes.txt)",
    ]
    found = collect.source_defects(open_source(Options(folder)))
    assert [defect.kind for defect in found] == ["left_out"] * 3 + ["no_annotation"]


def test_annotation_without_image_is_an_error_of_its_own(write):
    folder = write("a.jpg", "a.xml", "b.xml")
    image = open_source(Options(folder)).images["b"]
    assert str(image.path) == f"{folder} has no image of b: add it."


def test_images_alone_are_no_voc_folder(write):
    folder = write("images/a.jpg", "labels/a.txt", "annotations/a.json")
    assert not recognises(folder)


@pytest.mark.parametrize(
    ("case", "split", "count"),
    [
        ("nested-annotations", "", 5),
        ("nested-annotations", "train", 4),
        ("upper-case-xml", "train", 3),
        ("image-ending-in-xml-name", "", 1),
        ("split-with-endings", "train", 1),
        ("split-with-endings", "cat_train", 2),
    ],
)
def test_folders_that_users_had_are_read(shared, case, split, count):
    folder = shared / "cases" / case / "data"
    source = open_source(Options(str(folder), split=split))
    assert len(source.images) == count
    assert all(isinstance(image.path, str) for image in source.images.values())
    assert source.left_out == {}
