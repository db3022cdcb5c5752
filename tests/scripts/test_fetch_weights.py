"""Weights by name: archives from a server, in real processes."""

import io
import json
import tarfile

import numpy as np
import pytest
import runs

from model import checkpoints, weights
from runtime.errors import InputError
from tests import http_folder

NAME = "vgg_16"
NEEDED = weights.SOURCES[NAME].needed


def pack(path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


def archive(site, shapes) -> None:
    """A checkpoint of such variables, packed as slim's archives are; zeros pack well."""
    prefix = str(site / "vgg_16.ckpt")
    checkpoints.write(prefix, {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    files = {each.name: each.read_bytes() for each in site.iterdir()}
    pack(site / "vgg.tar.gz", files)


def fetch(site, target, *flags, code=0):
    with http_folder.serve(site) as (url, _):
        return runs.run(
            "scripts/fetch_weights.py",
            NAME,
            f"--url={url}/vgg.tar.gz",
            f"--output_dir={target}",
            *flags,
            code=code,
        )


def test_archive_becomes_a_checkpoint_and_is_removed(site, tmp_path):
    small = {**NEEDED, "vgg_16/fc6/weights": (7, 7, 512, 4096)}
    archive(site, small)
    target = tmp_path / "weights"
    done = fetch(site, target)
    assert f"--checkpoint_path={target}/vgg_16.ckpt finds it." in done.stdout
    names = sorted(each.name for each in target.iterdir())
    assert names == ["vgg_16.ckpt.data-00000-of-00001", "vgg_16.ckpt.index"]
    assert checkpoints.read(str(target / "vgg_16.ckpt")).keys() == small.keys()


def test_archive_of_something_else_is_refused(site, tmp_path):
    archive(site, {"vgg_16/conv1/conv1_1/weights": (3, 3, 3, 64)})
    done = fetch(site, tmp_path / "weights", code=2)
    assert "does not hold VGG-16, trained on ImageNet, of slim: remove it" in done.stderr
    (site / "vgg.tar.gz").write_bytes(b"no archive")
    done = fetch(site, tmp_path / "other", code=2)
    assert "cannot be unpacked" in done.stderr


def test_unknown_name_is_answered_with_the_known_ones():
    done = runs.run("scripts/fetch_weights.py", "vgg_61", code=2)
    assert "--name=vgg_61 is unknown: give one of ssdlite_mobilenet_v2_coco" in done.stderr


def test_name_finds_what_was_fetched_and_else_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=r"fetch it by scripts/fetch_weights.py vgg_16\."):
        checkpoints.resolve(NAME)
    checkpoints.write(str(tmp_path / "vgg_16.ckpt"), {"a": np.zeros(2)})
    assert checkpoints.resolve(NAME) == str(tmp_path / "vgg_16.ckpt")


def test_graph_model_is_converted_and_named_where_it_is_given_as_a_checkpoint(tmp_path):
    folder = tmp_path / "js"
    folder.mkdir()
    value = np.arange(12, dtype=np.float32)
    (folder / "shard").write_bytes(value.tobytes())
    name = "BoxPredictor_0/BoxEncodingPredictor/biases"
    entry = {"name": name, "shape": [12], "dtype": "float32"}
    model = {"weightsManifest": [{"paths": ["shard"], "weights": [entry]}]}
    (folder / "model.json").write_text(json.dumps(model))
    with pytest.raises(InputError, match=r"is a TensorFlow\.js model: make a checkpoint of it"):
        checkpoints.resolve(str(folder))
    output = tmp_path / "made.ckpt"
    runs.run("scripts/convert_weights.py", f"--input={folder}", f"--output={output}")
    assert checkpoints.read(str(output))[name].tolist() == value.tolist()
