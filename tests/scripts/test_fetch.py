"""The fetch scripts, against a folder of stand-ins in place of the servers."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
ARCHIVES = {
    "voc2007/VOCtrainval_06-Nov-2007.tar": "c52e279531787c972589f7e41ab4ae64",
    "voc2007/VOCtest_06-Nov-2007.tar": "b6e924de25625d8de591ea690078ad9f",
    "voc2012/VOCtrainval_11-May-2012.tar": "6cd6e144f989b92b3379bac3b3de84fd",
}
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def run(script: pathlib.Path, folder: pathlib.Path, **variables: str):
    return subprocess.run(
        [script, folder], env=os.environ | variables, capture_output=True, text=True
    )


def pack(archive: pathlib.Path, name: str, content: pathlib.Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as tar:
        tar.add(content, arcname=name)


@pytest.fixture
def voc_server(tmp_path):
    """A folder with small archives in the places of the three real ones."""
    for number, path in enumerate(ARCHIVES):
        content = tmp_path / f"{number}.txt"
        content.write_text(path * 1000)
        pack(tmp_path / "server" / path, f"VOCdevkit/{number}.txt", content)
    return tmp_path / "server"


@pytest.fixture
def voc_script(tmp_path, voc_server):
    """fetch_voc.sh with the stand-ins' checksums in place of the real ones."""
    text = (SCRIPTS / "fetch_voc.sh").read_text()
    for path, md5 in ARCHIVES.items():
        assert md5 in text
        text = text.replace(md5, hashlib.md5((voc_server / path).read_bytes()).hexdigest())
    script = shutil.copy(SCRIPTS / "fetch_voc.sh", tmp_path)
    pathlib.Path(script).write_text(text)
    shutil.copy(SCRIPTS / "fetch_lib.sh", tmp_path)
    return script


def test_voc_archives_are_fetched_and_unpacked(tmp_path, voc_server, voc_script):
    done = run(voc_script, tmp_path / "data", VOC_URL=voc_server.as_uri())
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "data" / "VOCdevkit").iterdir())) == 3


def test_half_fetched_archive_is_carried_on(tmp_path, voc_server, voc_script):
    path = next(iter(ARCHIVES))
    part = tmp_path / "data" / (pathlib.Path(path).name + ".part")
    part.parent.mkdir()
    part.write_bytes((voc_server / path).read_bytes()[:5000])
    done = run(voc_script, tmp_path / "data", VOC_URL=voc_server.as_uri())
    assert done.returncode == 0, done.stderr
    assert not part.exists()


def test_archive_of_another_checksum_is_refused(tmp_path, voc_server):
    done = run(SCRIPTS / "fetch_voc.sh", tmp_path / "data", VOC_URL=voc_server.as_uri())
    assert done.returncode == 2
    assert "has not the MD5 c52e279531787c972589f7e41ab4ae64" in done.stderr
    assert not (tmp_path / "data" / "VOCdevkit").exists()


def test_absent_server_is_told_with_the_address(tmp_path):
    url = (tmp_path / "nowhere").as_uri()
    done = run(SCRIPTS / "fetch_voc.sh", tmp_path / "data", VOC_URL=url)
    assert done.returncode == 2
    assert f"{url}/voc2007/VOCtrainval_06-Nov-2007.tar did not arrive whole" in done.stderr
