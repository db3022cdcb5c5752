"""Writing to a device that has no room: what was there stays, and a sentence says what happened."""

import pathlib

import pytest
import tensorflow as tf

from deployment import disk
from errors import InputError


def write(path, text: str) -> None:
    with (
        disk.explained(str(path)),
        disk.replacing(str(path)) as temporary,
        tf.io.gfile.GFile(temporary, "w") as file,
    ):
        file.write(text)


def test_whole_file_takes_the_place_of_the_old_one(tmp_path):
    write(tmp_path / "a", "old")
    write(tmp_path / "a", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_file_without_room_leaves_the_old_one_alone(tmp_path):
    write(tmp_path / "a", "old")
    (tmp_path / "a.temp").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"/a could not be written \(.*No space left.*: make room"):
        write(tmp_path / "a", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_defect_in_between_stays_a_defect_and_leaves_the_old_file(tmp_path):
    write(tmp_path / "a", "old")
    with pytest.raises(KeyError), disk.replacing(str(tmp_path / "a")) as temporary:
        pathlib.Path(temporary).write_text({}["half"])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_hope_ends_the_sentence():
    said = r"^it could not be written \(no\): make room and run again; wait\.$"
    with pytest.raises(InputError, match=said), disk.explained("it", hope="; wait"):
        raise OSError("no")
