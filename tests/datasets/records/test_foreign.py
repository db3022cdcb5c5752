"""Records without a manifest: counting them and recalling the counts."""

import json
import os

import pytest

from datasets.records.foreign import Counts, count_records
from datasets.records.index import build_index
from runtime.errors import InputError


@pytest.fixture
def folder(tmp_path, write_tfrecord, ssd_tensorflow_record):
    """Two shards of SSD-Tensorflow's converter: four images."""
    first = [ssd_tensorflow_record([(8, b"cat"), (12, b"dog")]), ssd_tensorflow_record([])]
    flat = ssd_tensorflow_record(
        [(15, b"person")] * 2, boxes=[(0.1, 0.1, 0.1, 0.9), (0.0, 0.0, 1.0, 1.0)]
    )
    write_tfrecord(tmp_path / "own_000.tfrecord", first)
    write_tfrecord(tmp_path / "own_001.tfrecord", [flat, ssd_tensorflow_record([(8, b"cat")])])
    return tmp_path


FILES = ("own_000.tfrecord", "own_001.tfrecord")
EXPECTED = Counts(4, {8: 2, 12: 1, 15: 1}, {8: "cat", 12: "dog", 15: "person"})


def count(folder, files=FILES):
    return count_records(str(folder), "own", files)


def test_pictures_and_objects_with_an_area_are_counted(folder):
    assert count(folder) == EXPECTED


def test_counts_and_indexes_are_kept_beside_the_records(folder):
    count(folder)
    assert sorted(os.listdir(folder)) == [
        "own.counts.json",
        "own_000.tfrecord",
        "own_000.tfrecord.index",
        "own_001.tfrecord",
        "own_001.tfrecord.index",
    ]


def test_counting_says_that_it_goes_on_and_recalling_nothing(folder, capsys):
    count(folder)
    assert capsys.readouterr().err == "Counting own, which has no manifest: record 0 of 4.\n"
    count(folder)
    assert capsys.readouterr().err == ""


def test_kept_counts_are_recalled(folder):
    count(folder)
    path = folder / "own.counts.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"objects": {"8": 7}}))
    assert count(folder) == Counts(4, {8: 7}, EXPECTED.names)


@pytest.mark.parametrize(
    "forged",
    [
        *({"num_images": value} for value in (123, 4.5, "4", True)),
        *({"objects": value} for value in ({"8": "x"}, [], {"8": -1})),
        {"names": {"8": [[1]]}, "objects": 3},
    ],
)
def test_counts_that_cannot_be_are_counted_again(folder, forged):
    count(folder)
    path = folder / "own.counts.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | forged))
    assert count(folder) == EXPECTED


def test_classes_are_limited(tmp_path, write_tfrecord, ssd_tensorflow_record):
    objects = [(k, b"") for k in range(1, 20_000)]
    records = [
        ssd_tensorflow_record(objects),
        ssd_tensorflow_record([(20_000, b""), (20_001, b"")]),
    ]
    write_tfrecord(tmp_path / "own_000.tfrecord", records)
    with pytest.raises(InputError, match=r"byte \d+: .* 20001 classes, more than 20000"):
        count(tmp_path, FILES[:1])


def test_kept_counts_of_other_shards_are_not_recalled(folder):
    count(folder)
    assert count(folder, FILES[:1]) == Counts(2, {8: 1, 12: 1}, {8: "cat", 12: "dog"})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "ssd-counts-1"}'])
def test_damaged_counts_are_ignored(folder, text):
    (folder / "own.counts.json").write_text(text)
    assert count(folder) == EXPECTED


def test_folder_that_takes_no_files_is_counted_all_the_same(folder):
    (folder / "own.counts.json").mkdir()  # nothing can be written under that name
    assert count(folder) == EXPECTED
    assert count(folder) == EXPECTED


def test_difficult_objects_are_not_counted_but_their_class_is_known(
    tmp_path, write_tfrecord, make_example
):
    record = make_example(
        {
            "image/encoded": [b"x"],
            **{f"image/object/bbox/{side}": [0.1] for side in ("ymin", "xmin")},
            **{f"image/object/bbox/{side}": [0.9] for side in ("ymax", "xmax")},
            "image/object/class/label": [2],
            "image/object/class/text": [b"dog"],
            "image/object/difficult": [1],
        }
    )
    write_tfrecord(tmp_path / "own_000.tfrecord", [record])
    assert count(tmp_path, FILES[:1]) == Counts(1, {2: 0}, {2: "dog"})


def test_record_with_a_wrong_crc_is_a_picture_without_objects(folder):
    path = folder / "own_001.tfrecord"
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    assert count(folder) == Counts(4, {8: 2, 12: 1}, {8: "cat", 12: "dog"})


def test_records_that_are_no_pictures_are_bad_input(tmp_path, write_tfrecord):
    path = write_tfrecord(tmp_path / "own_000.tfrecord", [b"", b"text"])
    with pytest.raises(InputError, match=r"own_000\.tfrecord, byte 0: .*no image"):
        count(tmp_path, FILES[:1])
    assert len(build_index(path)) == 2


def test_class_with_two_names_is_bad_input(tmp_path, write_tfrecord, ssd_tensorflow_record):
    record = ssd_tensorflow_record([(1, b"cat"), (1, b"dog")])
    write_tfrecord(tmp_path / "own_000.tfrecord", [record])
    with pytest.raises(InputError, match="class 1 is called 'dog' and 'cat'"):
        count(tmp_path, FILES[:1])


def test_names_without_ids_are_bad_input(tmp_path, write_tfrecord, make_example):
    sides = {f"image/object/bbox/{side}": [0.5] for side in ("ymin", "xmin", "ymax", "xmax")}
    fields = {"image/encoded": [b"x"], "image/object/class/text": [b"cat"], **sides}
    write_tfrecord(tmp_path / "own_000.tfrecord", [make_example(fields)])
    with pytest.raises(InputError, match=r"have names \(cat\) but no class ids"):
        count(tmp_path, FILES[:1])


def test_truncated_shard_is_bad_input(folder):
    path = folder / "own_000.tfrecord"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"own_000\.tfrecord, byte \d+: .*cut off"):
        count(folder)
