"""Data sets by name: where records, labels and counts come from, and what is refused."""

import pathlib

import pytest

from datasets.dataset_factory import NAMED, Named, get_dataset
from datasets.layouts.voc import VOC_LABELS
from datasets.records.index import encode_index, index_path, load_index
from datasets.records.reader import RecordReader
from datasets.records.shards import write_shards
from runtime.errors import InputError


@pytest.fixture
def write(tmp_path):
    """Writes a converted data set of `count` records; every class has one object."""

    def write(name, *, count=2, labels=("cat", "dog")):
        counts = {"pictures": 1, "objects": 1, "difficult": 0}
        write_shards(
            (b"%d" % i for i in range(count)),
            output_dir=str(tmp_path),
            name=name,
            labels=labels,
            num_shards=min(2, count),
            num_examples=count,
            describe=lambda: (dict.fromkeys(labels, counts), {}),
        )

    return write


@pytest.fixture
def write_foreign(tmp_path, write_tfrecord, ssd_tensorflow_record):
    """Writes a data set without a manifest: one record of objects (id, name)."""

    def write(name, *objects):
        write_tfrecord(tmp_path / f"{name}_000.tfrecord", [ssd_tensorflow_record(objects)])

    return write


def test_own_data_set_is_found_by_name_and_split(tmp_path, write):
    write("own_train", count=3)
    found = get_dataset("own", "train", f"{tmp_path}/")
    assert (found.name, found.split, found.num_samples) == ("own", "train", 3)
    assert found.labels == ("cat", "dog")
    assert found.shards == tuple(f"{tmp_path}/own_train_{k:03d}.tfrecord" for k in (0, 1))


def test_fingerprint_is_of_the_content_wherever_it_lies(tmp_path, write, write_foreign):
    write("own_train", count=3)
    write("own_again", count=3)
    write("own_more", count=4)
    write_foreign("own_foreign", (8, b"cat"))
    write_foreign("own_longer", (8, b"cat"), (8, b"cat"))
    splits = ("train", "again", "more", "foreign", "longer")
    found = [get_dataset("own", split, str(tmp_path), None).fingerprint for split in splits]
    assert found[0] == found[1]
    assert len({*found}) == 4


def test_records_without_a_split_are_found(tmp_path, write):
    write("pascalvoc")
    assert get_dataset("pascalvoc", "", str(tmp_path)).num_samples == 2


@pytest.mark.parametrize("year", ["2007", "2012"])
def test_voc_years_have_their_record_names(tmp_path, write, year):
    write(f"voc_{year}_trainval", labels=VOC_LABELS)
    found = get_dataset(f"pascalvoc_{year}", "trainval", str(tmp_path))
    assert found.shards[0].endswith(f"/voc_{year}_trainval_000.tfrecord")
    assert found.labels == VOC_LABELS


def test_voc_0712_is_both_years(tmp_path, write):
    write("voc_2007_trainval", count=2, labels=VOC_LABELS)
    write("voc_2012_trainval", count=5, labels=VOC_LABELS)
    found = get_dataset("pascalvoc_0712", "trainval", str(tmp_path))
    assert found.num_samples == 7
    assert [path.removeprefix(f"{tmp_path}/") for path in found.shards] == [
        "voc_2007_trainval_000.tfrecord",
        "voc_2007_trainval_001.tfrecord",
        "voc_2012_trainval_000.tfrecord",
        "voc_2012_trainval_001.tfrecord",
    ]


def test_voc_0712_with_one_year_missing_is_bad_input(tmp_path, write):
    write("voc_2007_trainval", labels=VOC_LABELS)
    with pytest.raises(InputError, match=r"no voc_2012_trainval_NNN\.tfrecord"):
        get_dataset("pascalvoc_0712", "trainval", str(tmp_path))


def test_missing_records_list_those_there(tmp_path, write):
    write("own_test")
    with pytest.raises(InputError, match=r"no own_train_NNN.*there: own_test \(2 shards\)\)"):
        get_dataset("own", "train", str(tmp_path))


def test_empty_folder_says_so(tmp_path):
    with pytest.raises(InputError, match="record sets there: none"):
        get_dataset("own", "train", str(tmp_path))


@pytest.mark.parametrize("folder", ["", "/nowhere/at/all"])
def test_missing_folder_is_bad_input(folder):
    with pytest.raises(InputError, match="is not a folder"):
        get_dataset("own", "train", folder)


def test_truncated_shard_is_bad_input(tmp_path, write):
    write("own_train")
    path = tmp_path / "own_train_001.tfrecord"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"own_train_001\.tfrecord has 16 bytes.* says 17"):
        get_dataset("own", "train", str(tmp_path))


def test_missing_shard_is_bad_input(tmp_path, write):
    write("own_train")
    (tmp_path / "own_train_001.tfrecord").unlink()
    with pytest.raises(InputError, match=r"own_train in .* is incomplete"):
        get_dataset("own", "train", str(tmp_path))


def test_records_of_ssd_tensorflow_get_vocs_labels(tmp_path, write_foreign):
    write_foreign("voc_2007_train", (8, b"cat"), (12, b"dog"))
    found = get_dataset("pascalvoc_2007", "train", str(tmp_path))
    assert (found.num_samples, found.labels) == (1, VOC_LABELS)


def test_names_inside_the_records_are_the_labels(tmp_path, write_foreign):
    write_foreign("own_train", (2, b"wasp"), (1, b"ant"))
    assert get_dataset("own", "train", str(tmp_path)).labels == ("ant", "wasp")


def test_gap_in_the_names_needs_a_labels_file(tmp_path, write_foreign):
    write_foreign("own_train", (1, b"ant"), (3, b"wasp"))
    with pytest.raises(InputError, match="pass --labels_file"):
        get_dataset("own", "train", str(tmp_path))
    (tmp_path / "labels.txt").write_text("ant\nbee\nwasp\n")
    assert get_dataset("own", "train", str(tmp_path)).labels == ("ant", "bee", "wasp")


def test_labels_file_names_the_classes_of_foreign_records(tmp_path, write_foreign):
    write_foreign("own_train", (1, b"ant"), (3, b"wasp"))
    (tmp_path / "names").write_text("a\nb\nc\nd\n")
    found = get_dataset("own", "train", str(tmp_path), str(tmp_path / "names"))
    assert found.labels == ("a", "b", "c", "d")


def test_labels_file_with_too_few_classes_is_refused(tmp_path, write):
    write("own_train")
    (tmp_path / "names").write_text("cat\n")
    with pytest.raises(InputError, match=r"class 2 .*its 1 labels"):
        get_dataset("own", "train", str(tmp_path), str(tmp_path / "names"))


def test_labels_file_may_rename_but_not_move_classes(tmp_path, write):
    write("own_train")
    (tmp_path / "names").write_text("Katze\nHund\n")
    found = get_dataset("own", "train", str(tmp_path), labels_file=str(tmp_path / "names"))
    assert found.labels == ("Katze", "Hund")
    (tmp_path / "names").write_text("dog\ncat\n")
    with pytest.raises(InputError, match="'cat' is class 2, but class 1 in the records"):
        get_dataset("own", "train", str(tmp_path), labels_file=str(tmp_path / "names"))


def test_class_id_beyond_the_labels_is_refused(tmp_path, write_foreign):
    write_foreign("pascalvoc_x", (21, b"zebra"))
    write_foreign("voc_2007_x", (21, b"zebra"))
    with pytest.raises(InputError, match="objects of class 21"):
        get_dataset("pascalvoc_2007", "x", str(tmp_path))


def test_labels_offset_moves_the_ids(tmp_path, write_foreign):
    write_foreign("own_train", (0, b"ant"), (1, b"bee"))
    (tmp_path / "labels.txt").write_text("ant\nbee\n")
    with pytest.raises(InputError, match="class 0 after --labels_offset=0"):
        get_dataset("own", "train", str(tmp_path))
    found = get_dataset("own", "train", str(tmp_path), labels_offset=-1)
    assert found.labels == ("ant", "bee")


def test_record_sets_of_one_name_must_agree(tmp_path, write, write_foreign):
    write("voc_2007_train", labels=VOC_LABELS)
    write_foreign("voc_2012_train", (1, b"ant"))
    with pytest.raises(InputError, match="different labels"):
        get_dataset("pascalvoc_0712", "train", str(tmp_path))


def test_every_named_data_set_stands_for_records():
    assert all(isinstance(named, Named) and named.record_sets for named in NAMED.values())


def test_giant_class_id_makes_no_list(tmp_path, write_foreign):
    """A list of as many names as the largest id took 30 GB."""
    write_foreign("own_train", (1, b"cat"), (2**40, b"dog"))
    with pytest.raises(InputError, match="do not name their classes: pass --labels_file"):
        get_dataset("own", "train", str(tmp_path))


@pytest.mark.parametrize("name", [b"a\x1b[2J", b"", b"background", b" cat"])
def test_names_inside_the_records_are_checked_as_others_are(tmp_path, write_foreign, name):
    write_foreign("own_train", (1, b"emu"), (2, name))
    with pytest.raises(InputError, match=r"The records of own_train in .*: class 2 is"):
        get_dataset("own", "train", str(tmp_path))


def test_index_that_leaves_the_first_records_out_is_built_anew(tmp_path, write):
    """Right size, right checksum: of 4 records 1 was trained on, unsaid."""
    write("own_train", count=4)
    for k in (0, 1):
        shard = tmp_path / f"own_train_{k:03d}.tfrecord"
        index = encode_index(load_index(str(shard))[1:], size=shard.stat().st_size)
        pathlib.Path(index_path(str(shard))).write_bytes(index)
    found = get_dataset("own", "train", str(tmp_path))
    with RecordReader(found.shards) as reader:
        assert len(reader) == found.num_samples == 4


@pytest.mark.parametrize("count", [3, 10**9])
def test_manifest_of_more_records_than_there_are_is_refused(tmp_path, write, count):
    write("own_train", count=4)
    path = tmp_path / "own_train.json"
    path.write_text(path.read_text().replace('"records": 2', f'"records": {count}', 1))
    with pytest.raises(InputError, match=f"has 2 records, and {count} are expected"):
        get_dataset("own", "train", str(tmp_path))
