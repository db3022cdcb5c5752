"""Writing to a device that has no room: what was there stays, and a sentence says what happened."""

import errno
import pathlib

import pytest
import tensorflow as tf

from deployment import cluster
from runtime import files
from runtime.errors import InputError


def write(path, text: str) -> None:
    with (
        files.explain_write_errors(str(path)),
        files.replacing(str(path)) as temporary,
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
    with pytest.raises(KeyError), files.replacing(str(tmp_path / "a")) as temporary:
        pathlib.Path(temporary).write_text({}["half"])
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_folder_is_made_and_nothing_is_left_in_it(tmp_path):
    for _ in range(2):
        files.make_folder(str(tmp_path / "a" / "b"), given="--eval_dir=a/b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_folder_that_cannot_be_is_refused_with_its_flag(tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"^--eval_dir=e cannot be written \(.*\): choose another"):
        files.make_folder(str(tmp_path / name), given="--eval_dir=e")


def test_folder_that_takes_no_file_is_refused():
    with pytest.raises(InputError, match=r"^--eval_dir=/proc/self cannot be written"):
        files.make_folder("/proc/self", given="--eval_dir=/proc/self")


FOLDER = "see that its folder is there and may be written"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "no space"), "make room"),
        (OSError(errno.EFBIG, "too large"), "make room"),
        (tf.errors.ResourceExhaustedError(None, None, "no space"), "make room"),
        (tf.errors.OutOfRangeError(None, None, "too large"), "make room"),
        (PermissionError(errno.EACCES, "denied"), FOLDER),
        (tf.errors.PermissionDeniedError(None, None, "denied"), FOLDER),
        (tf.errors.NotFoundError(None, None, "no such folder"), FOLDER),
        (tf.errors.FailedPreconditionError(None, None, "no folder"), FOLDER),
    ],
)
def test_remedy_is_that_of_the_error(error, remedy):
    with (
        pytest.raises(InputError, match=rf"\): {remedy} and run again"),
        files.explain_write_errors("it"),
    ):
        raise error


def test_error_of_a_peer_is_none_of_a_disk():
    for kind in cluster.PEER_ERRORS:
        with pytest.raises(kind), files.explain_write_errors("it"):
            raise kind(None, None, "a peer is gone")


def test_hope_ends_the_sentence():
    said = rf"^it could not be written \(no\): {FOLDER} and run again; wait\.$"
    with pytest.raises(InputError, match=said), files.explain_write_errors("it", hope="; wait"):
        raise OSError("no")
