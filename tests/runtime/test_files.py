"""Locks and durability on local folders."""

import os

import pytest

from runtime.errors import InputError
from runtime.files import (
    is_local,
    keep_beside,
    lock,
    locked,
    read,
    read_start,
    read_text,
    remove_tree,
    size,
    sync,
    write,
)


@pytest.mark.parametrize(
    "path, expected", [("/a/b", True), ("./a:b", True), ("gs://x/y", False), ("file:///a", False)]
)
def test_paths_with_a_scheme_are_remote(path, expected):
    assert is_local(path) is expected


def test_sync_takes_files_and_folders(tmp_path):
    (tmp_path / "a").write_text("a")
    sync(str(tmp_path / "a"))
    sync(str(tmp_path))
    sync("gs://nowhere/a")


def test_sync_of_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        sync(str(tmp_path / "a"))


def test_locked_folder_is_refused_to_a_second_holder(tmp_path):
    with locked(str(tmp_path)), pytest.raises(BlockingIOError):  # noqa: SIM117
        with locked(str(tmp_path), wait=False):
            pass


def test_lock_is_free_afterwards_and_leaves_no_file(tmp_path):
    with locked(str(tmp_path)):
        pass
    with locked(str(tmp_path), wait=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(KeyError), locked(str(tmp_path)):
        raise KeyError
    with locked(str(tmp_path), wait=False):
        pass


@pytest.mark.parametrize("wait", [False, True])
def test_what_cannot_be_locked_is_not_taken_for_locked(tmp_path, wait):
    descriptor = os.open(tmp_path, os.O_PATH)  # flock refuses it with another error than "busy"
    lock(descriptor, wait=wait)
    os.close(descriptor)


def test_remote_folders_go_without_a_lock():
    with locked("gs://a/b"), locked("gs://a/b", wait=False):
        pass


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_files_are_read_whole_or_up_to_a_limit(tmp_path, scheme):
    (tmp_path / "a").write_bytes(b"\xff\x00abc")
    path = f"{scheme}{tmp_path}/a"
    assert (read(path), read_start(path, 2), size(path)) == (b"\xff\x00abc", b"\xff\x00", 5)
    assert read(path, most=5) == b"\xff\x00abc"
    with pytest.raises(InputError, match=r"/a is larger than 4 bytes: no such file is\."):
        read(path, most=4)


@pytest.mark.parametrize("reading", [read, lambda path: read_start(path, 9), read_text])
def test_only_regular_files_are_read(tmp_path, reading):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(InputError, match=rf"{path} cannot be read \(not a regular file\)"):
            reading(str(path))
    with pytest.raises(InputError, match=r"a\\x00b' cannot be read"):
        reading("a\0b")


def test_size_is_looked_at_before_anything_is_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(30_000_000_000)
    with pytest.raises(InputError, match="larger than 100000000 bytes"):
        read(str(tmp_path / "a"))


def test_text_of_another_encoding_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9")
    assert read_text(str(tmp_path / "a")) == "café"
    (tmp_path / "a").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="/a is not UTF-8 text"):
        read_text(str(tmp_path / "a"))


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_file_that_cannot_be_read_is_named(tmp_path, scheme):
    path = f"{scheme}{tmp_path}/none"
    with pytest.raises(InputError, match=r"none cannot be read \(.*[Nn]o such file"):
        read(path)
    assert size(path) == 0


def linked_folder(tmp_path):
    """A folder with a file in it, which no removal of a link to it may take."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "photo").write_text("mine")
    return tmp_path / "target"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_tree_is_removed_and_what_its_links_lead_to_stays(tmp_path, scheme):
    target = linked_folder(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "link").symlink_to(target)
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("a", "link/", "dangling", "never_there"):
        remove_tree(f"{scheme}{tmp_path}/{name}")
    assert list(tmp_path.iterdir()) == [target]
    assert (target / "photo").read_text() == "mine"


def test_cache_is_kept_whole_and_refused_without_a_trace(tmp_path):
    assert keep_beside(str(tmp_path / "a"), b"1")
    assert keep_beside(str(tmp_path / "a"), b"2")
    (tmp_path / "folder").mkdir()
    assert not keep_beside(str(tmp_path / "folder"), b"2")
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a", "folder"]
    assert (tmp_path / "a").read_bytes() == b"2"


def test_writing_goes_through_no_link(tmp_path):
    (tmp_path / "precious").write_text("content")
    (tmp_path / "a.temp").symlink_to("precious")
    write(str(tmp_path / "a"), b"new")
    assert (tmp_path / "precious").read_text() == "content"
    assert (tmp_path / "a").read_text() == "new"
