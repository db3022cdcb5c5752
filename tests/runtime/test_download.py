"""Files fetched from a real server: whole, resumed, verified, or not there."""

import hashlib

import pytest

from runtime import download
from runtime.errors import InputError
from tests import http_folder

DATA = bytes(range(256)) * 4000
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "file.bin").write_bytes(DATA)
    return folder


def test_file_is_fetched_into_a_new_folder_and_not_twice(site, tmp_path):
    path = tmp_path / "new" / "file.bin"
    with http_folder.serve(site) as (url, asked):
        for _ in range(2):
            download.fetch(f"{url}/file.bin", str(path), sha256=SHA)
    assert path.read_bytes() == DATA
    assert asked == [""]
    assert [each.name for each in path.parent.iterdir()] == ["file.bin"]


def test_connection_that_breaks_is_told_and_carried_on(site, tmp_path):
    path = tmp_path / "file.bin"
    with (
        http_folder.serve(site, cut=300_000) as (url, _),
        pytest.raises(InputError, match=r"did not arrive whole .*run this again"),
    ):
        download.fetch(f"{url}/file.bin", str(path), sha256=SHA)
    assert not path.exists()
    assert (tmp_path / "file.bin.part").stat().st_size == 300_000
    with http_folder.serve(site) as (url, asked):
        download.fetch(f"{url}/file.bin", str(path), sha256=SHA)
    assert asked == ["bytes=300000-"]
    assert path.read_bytes() == DATA


def test_part_that_is_whole_is_taken(site, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(DATA)
    with http_folder.serve(site) as (url, _):
        download.fetch(f"{url}/file.bin", str(tmp_path / "file.bin"), sha256=SHA)
    assert (tmp_path / "file.bin").read_bytes() == DATA


def test_other_file_is_refused_and_does_not_get_the_name(site, tmp_path):
    (site / "file.bin").write_bytes(DATA + b"!")
    with (
        http_folder.serve(site) as (url, _),
        pytest.raises(InputError, match=r"is not the file that .*remove it"),
    ):
        download.fetch(f"{url}/file.bin", str(tmp_path / "file.bin"), sha256=SHA)
    assert not (tmp_path / "file.bin").exists()


def test_absent_file_and_absent_server_are_told(site, tmp_path):
    path = str(tmp_path / "file.bin")
    with (
        http_folder.serve(site) as (url, _),
        pytest.raises(InputError, match=r"other.bin did not arrive whole .*404"),
    ):
        download.fetch(f"{url}/other.bin", path)
    with pytest.raises(InputError, match="refused"):
        download.fetch(f"{url}/file.bin", path)
