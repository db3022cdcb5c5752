"""Split files and images of a VOC folder."""

import os

import pytest

from datasets.layouts import voc as voc_module
from datasets.layouts.voc import (
    VOC_LABELS,
    annotation_path,
    find_pictures,
    find_voc_dir,
    list_annotated,
    list_splits,
    read_annotation,
    read_split,
)
from runtime.errors import InputError


def test_voc_labels_are_twenty_in_alphabetical_order():
    assert len(VOC_LABELS) == 20
    assert list(VOC_LABELS) == sorted(VOC_LABELS)
    assert (VOC_LABELS[0], VOC_LABELS[14], VOC_LABELS[19]) == ("aeroplane", "person", "tvmonitor")


@pytest.mark.parametrize("ending", ["", "/", "//"])
def test_voc_dir_is_the_folder_itself(voc, ending):
    assert find_voc_dir(f"{voc}{ending}") == str(voc)


def test_voc_dir_is_found_in_a_devkit(voc):
    (voc.path.parent / "results").mkdir()
    assert find_voc_dir(str(voc.path.parent) + "/") == str(voc)


def test_several_voc_dirs_are_listed(voc):
    (voc.path.parent / "VOC2012" / "Annotations").mkdir(parents=True)
    with pytest.raises(InputError, match=r"several VOC folders \(VOC, VOC2012\)"):
        find_voc_dir(str(voc.path.parent))


def test_folder_without_annotations_says_what_is_there(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError, match=r"no Annotations folder.*pictures"):
        find_voc_dir(str(tmp_path))


@pytest.mark.parametrize("path", ["", "/nowhere/at/all"])
def test_missing_folder_is_bad_input(path):
    with pytest.raises(InputError, match="is not a folder"):
        find_voc_dir(path)


def test_split_keeps_its_order_and_ignores_blanks(voc):
    voc.add_split("train", "b\r\n\na\n  c  \n")
    assert read_split(str(voc), "train") == ["b", "a", "c"]


def test_split_takes_the_first_column_of_class_files(voc):
    voc.add_split("cat_train", "000005 -1\n000007  1\n000009  0\n")
    assert read_split(str(voc), "cat_train") == ["000005", "000007", "000009"]


def test_split_ids_may_have_spaces(voc):
    voc.add_split("train", "my image\nmy image 2\n")
    assert read_split(str(voc), "train") == ["my image", "my image 2"]


def test_name_that_ends_as_a_column_does_is_a_name_where_it_is_annotated(voc):
    voc.add("photo 1")
    voc.add("a  b")
    voc.add_split("train", "photo 1\n000005  1\na  b\n")
    voc.add_split("cat_train", "photo 1 -1\n000005  1\na  b  0\n")
    for split in ("train", "cat_train"):
        assert read_split(str(voc), split) == ["photo 1", "000005", "a  b"]


def test_split_may_start_with_a_byte_order_mark(voc):
    voc.add_split("train", "\ufeffa\n")
    assert read_split(str(voc), "train") == ["a"]


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_empty_split_is_bad_input(voc, text):
    voc.add_split("train", text)
    with pytest.raises(InputError, match=r"train\.txt names no image"):
        read_split(str(voc), "train")


@pytest.mark.parametrize("split", ["val", "../Main/train", "train.txt"])
def test_missing_split_lists_those_there(voc, split):
    voc.add_split("train", "a")
    voc.add_split("test", "a")
    with pytest.raises(InputError, match=r"splits there: test, train\)"):
        read_split(str(voc), split)


def test_folder_without_splits_says_so(tmp_path):
    assert list_splits(str(tmp_path)) == []
    with pytest.raises(InputError, match="splits there: none"):
        read_split(str(tmp_path), "train")


@pytest.mark.parametrize("line", ["../a", "/etc/passwd", "JPEGImages/a.jpg", "..", "x\\y"])
def test_split_line_that_is_a_path_is_refused(voc, line):
    voc.add_split("train", f"a\n{line}\n")
    with pytest.raises(InputError, match=r"line 2: .* is a path"):
        read_split(str(voc), "train")


def test_split_line_that_stands_twice_is_refused(voc):
    voc.add_split("train", "a\nb\na\n")
    with pytest.raises(InputError, match="line 3: a stands already in line 1"):
        read_split(str(voc), "train")


def test_split_that_is_no_text_is_refused(voc):
    (voc.path / "ImageSets" / "Main" / "train.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="is not UTF-8"):
        read_split(str(voc), "train")


def test_no_split_means_every_annotated_picture(voc):
    voc.add("b")
    voc.add("a")
    (voc.path / "Annotations" / "._a.xml").write_text("a Mac's leftover")
    assert read_split(str(voc), "") == ["a", "b"]


def test_folder_without_annotation_files_is_bad_input(voc):
    with pytest.raises(InputError, match=r"holds no \.xml"):
        list_annotated(str(voc))


def test_pictures_are_found_by_id_whatever_their_extension(voc):
    folder = voc.path / "JPEGImages"
    for name in ("a.jpg", "b.JPEG", "c.png", "d.e.jpg", "f.png", "f.jpg", "notes.txt", "._a.jpg"):
        (folder / name).write_bytes(b"")
    found = find_pictures(str(voc))
    assert {key: path.removeprefix(f"{folder}/") for key, path in found.items()} == {
        "a": "a.jpg",
        "b": "b.JPEG",
        "c": "c.png",
        "d.e": "d.e.jpg",
        "f": "f.jpg",
    }


@pytest.mark.parametrize(
    ("folder", "ending", "listing"),
    [
        ("Annotations", "xml", list_annotated),
        ("JPEGImages", "jpg", find_pictures),
        ("ImageSets/Main", "txt", list_splits),
        ("..", "d", lambda path: find_voc_dir(os.path.dirname(path))),
    ],
)
def test_name_that_is_not_utf8_is_bad_input(voc, folder, ending, listing):
    (voc.path / folder).mkdir(parents=True, exist_ok=True)
    name = f"caf\udce9.{ending}"  # the byte e9
    (voc.path / folder / name).write_bytes(b"")
    with pytest.raises(InputError, match=rf"/caf\\xe9\.{ending} has a name that is not UTF-8 or"):
        listing(str(voc))


def test_folder_without_pictures_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no JPEGImages folder"):
        find_pictures(str(tmp_path))


@pytest.mark.parametrize("name", ["read_annotation", "Annotation", "Object"])
def test_annotations_are_reached_through_voc(name):
    assert name in voc_module.__all__


def test_annotation_of_a_picture_is_read(voc):
    voc.add("a", ("cat", (1, 2, 3, 4)))
    (item,) = read_annotation(annotation_path(str(voc), "a")).objects
    assert item.box == (1, 2, 3, 4)
