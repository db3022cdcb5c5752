"""The manifest file, and the check of shards against it."""

import json

import pytest

from datasets.records.manifest import (
    Manifest,
    Shard,
    check_records,
    check_shards,
    find_partial,
    find_shards,
    manifest_path,
    read_manifest,
    shard_name,
)
from runtime.errors import InputError

MANIFEST = Manifest(
    name="own_train",
    labels=("cat", "Käfer"),
    classes={
        "cat": {"pictures": 2, "objects": 3, "difficult": 1},
        "Käfer": {"pictures": 0, "objects": 0, "difficult": 2},
    },
    shards=(
        Shard("own_train_000.tfrecord", 7, 3, "a1"),
        Shard("own_train_001.tfrecord", 5, 1, "b2"),
    ),
    notes={"clipped_boxes": {"x.jpg": 2}},
)


@pytest.fixture
def folder(tmp_path):
    """A folder with the manifest and files of the sizes that it says."""
    (tmp_path / "own_train.json").write_text(MANIFEST.to_json(), encoding="utf-8")
    for shard in MANIFEST.shards:
        (tmp_path / shard.name).write_bytes(bytes(shard.size))
    return tmp_path


def test_manifest_comes_back_as_it_was_written(folder):
    assert read_manifest(str(folder), "own_train") == MANIFEST
    check_shards(MANIFEST, str(folder))


def test_manifest_states_totals_for_other_tools():
    fields = json.loads(MANIFEST.to_json())
    assert (fields["num_images"], fields["num_objects"], fields["num_difficult"]) == (4, 3, 3)
    assert fields["labels"] == ["cat", "Käfer"]
    assert fields["shards"][1] == {
        "name": "own_train_001.tfrecord",
        "size": 5,
        "records": 1,
        "sha256": "b2",
    }


def test_pictures_are_counted_over_the_shards():
    assert MANIFEST.num_images == 4


def test_absent_manifest_is_none(tmp_path):
    assert read_manifest(str(tmp_path), "own_train") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": "other"}',
        '{"format": "ssd-records-1", "name": "x"}',
        "\xff",
    ],
)
def test_json_that_is_no_manifest_is_bad_input(tmp_path, text):
    (tmp_path / "own_train.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"own_train\.json is not the manifest"):
        read_manifest(str(tmp_path), "own_train")


@pytest.mark.parametrize("value", [1e9, -1, float("inf"), float("nan"), True, "3", None, [3]])
@pytest.mark.parametrize("key", ["records", "size"])
def test_counts_are_whole_numbers(folder, key, value):
    fields = json.loads(MANIFEST.to_json())
    fields["shards"][0][key] = value
    (folder / "own_train.json").write_text(json.dumps(fields))
    with pytest.raises(InputError, match=r"is not the manifest .* it must be a whole number"):
        read_manifest(str(folder), "own_train")


@pytest.mark.parametrize(
    "forged",
    [
        {"name": 3},
        {"labels": "cat"},
        {"labels": {"cat": 1}},
        {"labels": [1]},
        {"labels": ["a\x1bb"]},
        {"classes": [1]},
        {"classes": {"cat": 3}},
        {"classes": {"cat": {"objects": "x"}}},
        {"shards": {"name": 1}},
        {"shards": [3]},
        {"shards": [{}]},
        {"shards": [{"name": 1, "size": 1, "records": 1, "sha256": "x"}]},
        {"notes": 3},
    ],
)
def test_manifest_of_other_types_is_bad_input(folder, forged):
    fields = json.loads(MANIFEST.to_json()) | forged
    (folder / "own_train.json").write_text(json.dumps(fields))
    with pytest.raises(InputError, match=r"own_train\.json"):
        read_manifest(str(folder), "own_train")


def test_nested_manifest_is_bad_input(folder):
    (folder / "own_train.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"is not the manifest"):
        read_manifest(str(folder), "own_train")


def test_records_are_counted(tmp_path, write_tfrecord):
    for shard in MANIFEST.shards:
        write_tfrecord(tmp_path / shard.name, [b"x"] * shard.records)
    check_records(MANIFEST, str(tmp_path))
    write_tfrecord(tmp_path / "own_train_000.tfrecord", [b"x"] * 2)
    with pytest.raises(InputError, match="byte 0: the shard has 2 records, and 3"):
        check_records(MANIFEST, str(tmp_path))


def test_missing_shard_is_found(folder):
    (folder / "own_train_001.tfrecord").unlink()
    with pytest.raises(InputError, match="lists 2 shards, the folder has 1"):
        check_shards(MANIFEST, str(folder))


def test_shard_too_many_is_found(folder):
    (folder / "own_train_002.tfrecord").write_bytes(b"")
    with pytest.raises(InputError, match="lists 2 shards, the folder has 3"):
        check_shards(MANIFEST, str(folder))


def test_truncated_shard_is_found_by_its_size(folder):
    (folder / "own_train_000.tfrecord").write_bytes(bytes(6))
    with pytest.raises(
        InputError, match=r"own_train_000\.tfrecord has 6 bytes, its manifest says 7"
    ):
        check_shards(MANIFEST, str(folder))


def test_names_are_those_of_the_documentation():
    assert shard_name("voc_2007_test", 7) == "voc_2007_test_007.tfrecord"
    assert shard_name("x", 1234) == "x_1234.tfrecord"
    assert manifest_path("d", "x") == "d/x.json"


def test_shards_are_listed_by_data_set_in_the_order_of_their_numbers(tmp_path):
    for name in ("b_000", "a_1000", "a_999", "a_x_000", "a_00", "c"):
        (tmp_path / f"{name}.tfrecord").write_bytes(b"")
    (tmp_path / "a_000.tfrecord.index").write_bytes(b"")
    assert find_shards(str(tmp_path)) == {
        "a": ["a_999.tfrecord", "a_1000.tfrecord"],
        "a_x": ["a_x_000.tfrecord"],
        "b": ["b_000.tfrecord"],
    }


def test_unfinished_conversions_are_found_by_exact_name(tmp_path):
    for name in (".a.partial-12", ".a.partial-7", ".a_b.partial-3", "a.partial-1"):
        (tmp_path / name).mkdir()
    assert find_partial(str(tmp_path), "a") == [".a.partial-12", ".a.partial-7"]
    assert find_partial(str(tmp_path), "b") == []
