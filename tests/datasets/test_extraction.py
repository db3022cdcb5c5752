"""Records back to a VOC folder, which converts to the same records again, byte for byte."""

import pathlib

import numpy as np
import pytest

from datasets.conversion import Conversion, convert
from datasets.dataset_factory import get_dataset
from datasets.extraction import extract
from datasets.layouts.voc import read_annotation, read_split
from datasets.records.features import encode_example
from datasets.records.manifest import read_manifest
from runtime.errors import InputError


@pytest.fixture
def to_records(tmp_path):
    """Converts a folder to `tmp_path/out`; returns the data set and the shards' checksums."""

    def to_records(folder, name, **changes):
        out = str(tmp_path / "out")
        fields = {"split": "train", "output_dir": out, "output_name": f"{name}_train"} | changes
        convert(Conversion(str(folder), **fields), report=lambda line: None)
        sums = [shard.sha256 for shard in read_manifest(out, f"{name}_train").shards]
        return get_dataset(name, "train", out), sums

    return to_records


def test_extracted_folder_converts_to_the_same_records(voc, to_records, tmp_path):
    boxes = np.random.default_rng(0).uniform(0, [20, 40, 20, 40], (40, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 0.01)
    flags = "<difficult>1</difficult>", "<truncated>1</truncated>", "<crowd>1</crowd>", ""
    objects = [("käse &amp; &lt;b&gt;", tuple(box), flags[k % 4]) for k, box in enumerate(boxes)]
    voc.add("b", *objects)
    voc.add("empty")
    voc.add("a.b", ("own", (1, 2, 19, 38)))
    voc.add_split("train", "empty\nb\na.b\n")
    dataset, before = to_records(voc, "own")
    folder = tmp_path / "back"
    assert extract(dataset.shards, dataset.labels, str(folder), split="train") == 3
    assert read_split(str(folder), "train") == ["empty", "b", "a.b"]
    whole = read_annotation(str(folder / "Annotations" / "a.b.xml")).objects[0]
    assert whole.box == (1.0, 2.0, 19.0, 38.0)
    assert to_records(folder, "again")[1] == before
    labels = {"labels_file": str(folder / "labels.txt")}
    assert to_records(folder, "again", **labels)[1] == before


@pytest.mark.parametrize(
    "name", ["../../x.jpg", "/etc/passwd", "..", ".hidden.jpg", "a\n.jpg", "", "n" * 300 + ".jpg"]
)
def test_names_stay_inside_the_folder(tmp_path, write_tfrecord, voc, name):
    voc.add("p")
    picture = (voc.path / "JPEGImages" / "p.jpg").read_bytes()
    fields = {"image_format": "JPEG", "height": 20, "width": 40, "channels": 3}
    nothing = dict.fromkeys(("labels", "names", "difficult", "truncated"), ())
    example = encode_example(
        encoded=picture, filename=name, boxes=np.zeros((0, 4)), **fields, **nothing
    )
    shard = write_tfrecord(tmp_path / "x_000.tfrecord", [example, example])
    folder = tmp_path / "deep" / "back"
    extract([shard], ("cat",), str(folder), split="train")
    made = sorted(path.name for path in (folder / "JPEGImages").iterdir())
    assert made in (["record_000000.jpg", "record_000001.jpg"], ["record_000001.jpg", "x.jpg"])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["back"]


def test_folder_in_use_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for used in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError, match=r"--extract=.* is not empty"):
            extract([], ("cat",), str(used), split="train")


def test_bad_record_leaves_nothing_in_the_way_of_the_next_try(voc, to_records, tmp_path):
    voc.add("a", ("own", (1, 2, 19, 38)))
    voc.add("b", ("own", (1, 2, 19, 38)))
    voc.add_split("train", "a\nb\n")
    shard = pathlib.Path(to_records(voc, "own")[0].shards[0])
    good, folder = shard.read_bytes(), tmp_path / "deep" / "back"
    shard.write_bytes(good[:-20] + bytes(20))
    with pytest.raises(InputError, match="CRC"):
        extract([str(shard)], ("own",), str(folder), split="train")
    assert list(folder.parent.iterdir()) == []
    shard.write_bytes(good)
    folder.mkdir()  # empty: as good as a new one
    assert extract([str(shard)], ("own",), f"{folder}/", split="train") == 2
    assert [path.name for path in folder.parent.iterdir()] == ["back"]


def test_record_without_a_picture_is_named(tmp_path, write_tfrecord, make_example):
    shard = write_tfrecord(tmp_path / "x_000.tfrecord", [make_example({"image/encoded": [b"x"]})])
    with pytest.raises(InputError, match=r"x_000\.tfrecord, byte 0: it cannot be extracted"):
        extract([shard], ("cat",), str(tmp_path / "back"), split="train")
