"""Which files a folder holds, and which image belongs to which annotation."""

import pytest

from datasets.layouts import tree
from runtime.errors import InputError


def test_files_of_all_folders_are_listed_without_hidden_ones(tmp_path):
    for name in ("b.jpg", "day1/a.xml", ".git/x.jpg", "day1/._a.xml", "skipped/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert tree.list_files(str(tmp_path), skip=["skipped"]) == ["b.jpg", "day1/a.xml"]


def test_link_in_a_circle_ends(tmp_path):
    (tmp_path / "a.jpg").write_text("")
    (tmp_path / "again").symlink_to(tmp_path)
    found = tree.list_files(str(tmp_path))
    assert found[:2] == ["a.jpg", "again/a.jpg"]
    assert found[-1].count("again/") == 7


def test_name_that_is_not_utf8_is_bad_input(tmp_path):
    (tmp_path / "caf\udce9").mkdir()
    with pytest.raises(InputError, match=r"/caf\\xe9 has a name that is not UTF-8 or has"):
        tree.list_files(str(tmp_path))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.jpg", "a"),
        ("images/a.b.jpg", "a.b"),
        ("train/Images/day1/a.jpg", "train/day1/a"),
        ("images/images/a.jpg", "images/a"),
        ("images.jpg", "images"),
    ],
)
def test_id_is_the_path_without_ending_and_holder(path, expected):
    assert tree.id_of(path, tree.IMAGE_FOLDERS) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("valid/images/a.jpg", "val"),
        ("images/TRAIN/a.jpg", "train"),
        ("images/a.jpg", ""),
        ("train.jpg", ""),
    ],
)
def test_split_is_a_folders_name(path, expected):
    assert tree.split_of(path) == expected


def test_passed_over_files_are_counted_by_ending():
    assert tree.passed_over("x", ["e", "b.heic", "a.HEIC"], layout="VOC folder") == {
        "x: 1 file without ending": "not part of a VOC folder (e)",
        "x: 2 .heic files": "not part of a VOC folder (a.HEIC, b.heic)",
    }
