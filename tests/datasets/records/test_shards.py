"""Writing data sets: all or nothing, several in one folder."""

import hashlib
import pathlib

import pytest

from datasets.records.index import load_index
from datasets.records.manifest import check_shards, find_partial, read_manifest
from datasets.records.reader import RecordReader
from datasets.records.shards import choose_num_shards, write_shards
from runtime.errors import InputError

CLASSES = {"cat": {"pictures": 1, "objects": 1, "difficult": 0}}


def write(folder, examples, **changes):
    examples = list(examples)
    fields = {
        "output_dir": str(folder),
        "name": "own",
        "labels": ("cat",),
        "num_shards": 1,
        "num_examples": len(examples),
        "describe": lambda: (CLASSES, {"note": 1}),
    }
    return write_shards(iter(examples), **(fields | changes))


def read(folder, name="own"):
    """All records of a data set that is whole."""
    manifest = read_manifest(str(folder), name)
    check_shards(manifest, str(folder))
    with RecordReader([str(folder / shard.name) for shard in manifest.shards]) as reader:
        return [reader.read(i) for i in range(len(reader))]


def names(folder):
    return sorted(path.name for path in pathlib.Path(folder).iterdir())


def failing(examples):
    yield from examples
    raise InputError("the images end here")


def test_data_set_is_written_and_read_back(tmp_path):
    written = write(tmp_path / "deep" / "out", [b"a", b"bb", b""])
    assert read(tmp_path / "deep" / "out") == [b"a", b"bb", b""]
    assert names(tmp_path / "deep" / "out") == [
        "labels.txt",
        "own.json",
        "own_000.tfrecord",
        "own_000.tfrecord.index",
    ]
    assert (written.classes, written.notes) == (CLASSES, {"note": 1})
    assert (tmp_path / "deep" / "out" / "labels.txt").read_text() == "cat\n"


def test_examples_are_spread_evenly(tmp_path):
    written = write(tmp_path, [b"%d" % i for i in range(10)], num_shards=4)
    assert [shard.records for shard in written.shards] == [3, 2, 3, 2]
    assert read(tmp_path) == [b"%d" % i for i in range(10)]


def test_shards_carry_checksum_and_index(tmp_path):
    for shard in write(tmp_path, [b"a", b"bb"], num_shards=2).shards:
        data = (tmp_path / shard.name).read_bytes()
        assert shard.sha256 == hashlib.sha256(data).hexdigest()
        assert shard.size == len(data)
        assert load_index(str(tmp_path / shard.name)).tolist() == [0]


def test_fewer_examples_than_expected_are_fine(tmp_path):
    written = write(tmp_path, [b"a", b"b"], num_examples=8, num_shards=4)
    assert [shard.records for shard in written.shards] == [2]


def test_data_set_is_replaced(tmp_path):
    write(tmp_path, [b"%d" % i for i in range(6)], num_shards=3)
    write(tmp_path, [b"new"])
    assert read(tmp_path) == [b"new"]
    assert "own_001.tfrecord.index" not in names(tmp_path)


def test_records_of_another_tool_are_replaced_with_their_counts(tmp_path, write_tfrecord):
    write_tfrecord(tmp_path / "own_003.tfrecord", [b"old"])
    (tmp_path / "own.counts.json").write_text("{}")
    write(tmp_path, [b"new"])
    assert read(tmp_path) == [b"new"]
    assert "own.counts.json" not in names(tmp_path)


def test_several_data_sets_share_a_folder(tmp_path):
    write(tmp_path, [b"a"], name="own_train")
    write(tmp_path, [b"b"], name="own_test")
    assert read(tmp_path, "own_train") == [b"a"]
    assert read(tmp_path, "own_test") == [b"b"]


def test_failure_leaves_what_was_there(tmp_path):
    write(tmp_path, [b"old"])
    before = names(tmp_path)
    with pytest.raises(InputError, match="the images end here"):
        write_shards(
            failing([b"new"] * 3),
            output_dir=str(tmp_path),
            name="own",
            labels=("dog",),
            num_shards=1,
            num_examples=5,
            describe=dict,
        )
    assert names(tmp_path) == before
    assert read(tmp_path) == [b"old"]
    assert (tmp_path / "labels.txt").read_text() == "cat\n"


def test_no_example_at_all_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no image that could be written"):
        write(tmp_path, [], num_examples=3)
    assert names(tmp_path) == []


def test_data_sets_of_other_labels_share_a_folder(tmp_path):
    write(tmp_path, [b"a"], name="first")
    write(tmp_path, [b"a"], labels=("cat", "dog"))
    assert read_manifest(str(tmp_path), "first").labels == ("cat",)
    assert read_manifest(str(tmp_path), "own").labels == ("cat", "dog")
    assert (tmp_path / "labels.txt").read_text() == "cat\n"


def test_other_labels_are_fine_when_the_only_data_set_is_replaced(tmp_path):
    write(tmp_path, [b"a"])
    write(tmp_path, [b"b"], labels=("dog", "emu"))
    assert read_manifest(str(tmp_path), "own").labels == ("dog", "emu")
    assert (tmp_path / "labels.txt").read_text() == "dog\nemu\n"


def test_labels_file_of_a_stranger_is_not_overwritten(tmp_path):
    (tmp_path / "labels.txt").write_text("zebra\n")
    write(tmp_path, [b"a"])
    assert (tmp_path / "labels.txt").read_text() == "zebra\n"
    assert read_manifest(str(tmp_path), "own").labels == ("cat",)


def test_records_and_json_of_other_tools_do_not_disturb(tmp_path, write_tfrecord):
    write_tfrecord(tmp_path / "coco_000.tfrecord", [b"x"])
    (tmp_path / "coco.json").write_text("{}")
    write(tmp_path, [b"a"])
    assert read(tmp_path) == [b"a"]


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "a b", "a\n", "-a"])
def test_odd_names_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="--output_name"):
        write(tmp_path, [b"a"], name=name)


def test_output_folder_that_is_a_file_is_bad_input(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="--output_dir"):
        write(tmp_path / "out", [b"a"])


def meanwhile(action):
    """Two examples; `action` happens after the first, while the conversion is under way."""
    yield b"first"
    action()
    yield b"second"


def write_meanwhile(folder, action, **changes):
    fields = {"output_dir": str(folder), "name": "own", "labels": ("cat",), "num_shards": 1}
    fields |= {"num_examples": 2, "describe": lambda: (CLASSES, {})}
    return write_shards(meanwhile(action), **(fields | changes))


def test_second_conversion_of_the_same_name_is_refused(tmp_path):
    def action():
        with pytest.raises(InputError, match="Another conversion writes own"):
            write(tmp_path, [b"a"])

    write_meanwhile(tmp_path, action)
    assert read(tmp_path) == [b"first", b"second"]


def test_conversions_of_two_names_run_side_by_side(tmp_path):
    write_meanwhile(tmp_path, lambda: write(tmp_path, [b"a"]), name="slow")
    assert read(tmp_path) == [b"a"]
    assert read(tmp_path, "slow") == [b"first", b"second"]
    assert find_partial(str(tmp_path), "slow") == []


def test_old_data_set_is_readable_until_the_new_one_is_whole(tmp_path):
    write(tmp_path, [b"old"])
    seen = []
    write_meanwhile(tmp_path, lambda: seen.extend(read(tmp_path)))
    assert seen == [b"old"]
    assert read(tmp_path) == [b"first", b"second"]


@pytest.mark.parametrize(
    "examples, size, requested, expected",
    [(1, 0, 0, 1), (1000, 10, 0, 1), (1001, 10, 0, 2), (5, 250_000_000, 0, 3), (9, 0, 9, 9)],
)
def test_number_of_shards_follows_size_and_count(examples, size, requested, expected):
    found = choose_num_shards(num_examples=examples, num_bytes=size, requested=requested)
    assert found == expected


@pytest.mark.parametrize("requested", [-1, 6])
def test_impossible_number_of_shards_is_refused(requested):
    with pytest.raises(InputError, match=f"--num_shards={requested}"):
        choose_num_shards(num_examples=5, num_bytes=1, requested=requested)
