"""Records under the names that other tools give them, also compressed ones."""

import gzip
import pathlib

import pytest

from datasets.dataset_factory import get_dataset
from datasets.records.foreign import find_files
from datasets.records.graph_source import GraphRecordSource
from datasets.records.reader import RecordReader
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError


@pytest.fixture
def write(tmp_path, write_tfrecord, ssd_tensorflow_record):
    """Writes files of two records each."""

    def write(*names):
        for name in names:
            write_tfrecord(tmp_path / name, [ssd_tensorflow_record([(1, b"cell")])] * 2)

    return write


@pytest.mark.parametrize(
    "files",
    [
        ["own_train.record"],
        ["own_train.tfrecord"],
        ["own_train.records"],
        ["own_train.tfrec"],
        ["own-train.tfrecord"],
        ["own.tfrecord"],
        ["own_train.record-00000-of-00001"],
        ["own_train.record-00000-of-00002", "own_train.record-00001-of-00002"],
        ["own_train.tfrecord-00000-of-00002", "own_train.tfrecord-00001-of-00002"],
        ["own-train.tfrecord-00000-of-00002", "own-train.tfrecord-00001-of-00002"],
        ["own_train-00000-of-00002", "own_train-00001-of-00002"],
        ["own_train_00000-of-00002.tfrecord", "own_train_00001-of-00002.tfrecord"],
    ],
)
def test_records_of_other_tools_are_found(tmp_path, write, files):
    write(*files)
    found = get_dataset("own", "train", str(tmp_path))
    assert (found.num_samples, found.labels) == (2 * len(files), ("cell",))
    assert [pathlib.Path(shard).name for shard in found.shards] == files


def test_set_without_a_split_in_its_name_is_no_test_set(tmp_path, write):
    write("own.record")
    assert get_dataset("own", "", str(tmp_path)).num_samples == 2
    with pytest.raises(InputError, match=r"record sets there: own \(1 shard\)\).*may be empty"):
        get_dataset("own", "test", str(tmp_path))


def test_own_records_come_first(tmp_path, write):
    write("own_train_000.tfrecord", "own_train.record")
    found = get_dataset("own", "train", str(tmp_path))
    assert [pathlib.Path(shard).name for shard in found.shards] == ["own_train_000.tfrecord"]


def test_missing_file_of_several_is_bad_input(tmp_path, write):
    write("own_train.record-00000-of-00003", "own_train.record-00002-of-00003")
    with pytest.raises(InputError, match="should have 3 files by their names, and 2 are there"):
        get_dataset("own", "train", str(tmp_path))


def test_files_of_no_records_are_none(tmp_path):
    for name in ("a.txt", "a.tfrecord.index", "labels.txt", "a.counts.json", "a.recording"):
        (tmp_path / name).write_text("")
    assert find_files(str(tmp_path)) == {}


@pytest.mark.parametrize("name", ["own_train.record", "own_train.tfrecord.gz"])
def test_compressed_records_are_read(tmp_path, write, name):
    write("plain.record")
    packed = gzip.compress((tmp_path / "plain.record").read_bytes())
    (tmp_path / name).write_bytes(packed)
    found = get_dataset("own", "train", str(tmp_path))
    with RecordReader(found.shards) as reader, RecordReader([f"{tmp_path}/plain.record"]) as plain:
        assert [reader.read(k) for k in range(2)] == [plain.read(k) for k in range(2)]
    with pytest.raises(InputError, match=r"is compressed, .* gunzip"):
        GraphRecordSource(found.shards)
    (tmp_path / name).write_bytes(packed[:-30])
    with pytest.raises(InputError, match="cannot be uncompressed"):
        RecordReader(found.shards)


def test_inspection_reads_them(tmp_path, write, capsys):
    write("own.record-00000-of-00001")
    inspect.run(InspectSettings(dataset_name="own", dataset_dir=str(tmp_path)))
    assert "2 images" in capsys.readouterr().out


def test_label_map_beside_names_the_classes(tmp_path, write_tfrecord, make_example):
    sides = {f"image/object/bbox/{side}": [0.5] for side in ("ymin", "xmin", "ymax", "xmax")}
    record = make_example({"image/encoded": [b"x"], "image/object/class/label": [1], **sides})
    write_tfrecord(tmp_path / "own.record", [record])
    (tmp_path / "own_label_map.pbtxt").write_text("item {\n name: 'cell'\n id: 1\n}\n")
    assert get_dataset("own", "", str(tmp_path)).labels == ("cell",)
