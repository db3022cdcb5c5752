"""Several data sets as one, from real records; lists that do not fit and classes that differ."""

import pytest

from datasets.dataset_factory import NAMED, Named
from datasets.layouts.voc import VOC_LABELS
from datasets.mixture import get_mixture
from datasets.order import Pool
from datasets.records.shards import write_shards
from runtime.errors import InputError


@pytest.fixture
def write(tmp_path):
    """Writes a converted data set to the folder `sub`; the first class has as many objects."""

    def write(name, *, count, labels=("cat", "dog"), sub="."):
        classes = {label: {"pictures": 0, "objects": 0, "difficult": 0} for label in labels}
        classes[labels[0]]["objects"] = count
        write_shards(
            (b"%d" % i for i in range(count)),
            output_dir=str(tmp_path / sub),
            name=name,
            labels=labels,
            num_shards=1,
            num_examples=count,
            describe=lambda: (classes, {}),
        )

    return write


def shard_names(dataset) -> list[str]:
    return [path.rsplit("/", 1)[1].removesuffix("_000.tfrecord") for path in dataset.shards]


def test_single_data_set_is_itself(tmp_path, write):
    write("a_train", count=3)
    found = get_mixture("a", "train", str(tmp_path))
    assert (found.name, found.num_samples, found.pools) == ("a", 3, ())


def test_names_share_a_split_and_a_folder(tmp_path, write):
    write("a_train", count=3)
    write("b_train", count=2)
    found = get_mixture("a, b", "train", str(tmp_path))
    assert shard_names(found) == ["a_train", "b_train"]
    assert (found.num_samples, found.pools) == (5, ())


def test_splits_of_one_data_set_are_mixed(tmp_path, write):
    write("a_train", count=3)
    write("a_val", count=2)
    assert shard_names(get_mixture("a", "train,val", str(tmp_path))) == ["a_train", "a_val"]


def test_names_splits_and_folders_go_in_step(tmp_path, write):
    write("a_train", count=3, sub="x")
    write("b_all", count=2, sub="y")
    found = get_mixture("a,b", "train,all", f"{tmp_path}/x,{tmp_path}/y/")
    assert shard_names(found) == ["a_train", "b_all"]


def test_folder_with_a_comma_is_one_folder(tmp_path, write):
    write("a_train", count=3, sub="x,y")
    assert get_mixture("a", "train", f"{tmp_path}/x,y").num_samples == 3


def test_voc_of_both_years_with_its_built_in_names(tmp_path, write):
    write("voc_2007_trainval", count=2, labels=VOC_LABELS)
    write("voc_2012_trainval", count=5, labels=VOC_LABELS)
    by_list = get_mixture("pascalvoc_2007,pascalvoc_2012", "trainval", str(tmp_path))
    by_name = get_mixture("pascalvoc_0712", "trainval", str(tmp_path))
    assert by_list.shards == by_name.shards
    assert by_name.num_samples == 7


def test_weights_give_every_set_its_pool(tmp_path, write):
    write("a_train", count=30)
    write("b_train", count=2)
    found = get_mixture("a,b", "train", str(tmp_path), weights=(3, 1))
    assert found.pools == (Pool(30, 3), Pool(2, 1))


def test_added_name_stands_for_its_records(tmp_path, write, monkeypatch):
    write("cats_2023_train", count=3)
    write("dogs_train", count=2)
    monkeypatch.setitem(NAMED, "pets", Named(("cats_2023", "dogs"), ("cat", "dog")))
    found = get_mixture("pets", "train", str(tmp_path))
    assert shard_names(found) == ["cats_2023_train", "dogs_train"]
    assert found.num_samples == 5


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3)])
def test_one_weight_for_each_set(tmp_path, write, weights):
    write("a_train", count=3)
    write("b_train", count=2)
    with pytest.raises(InputError, match=rf"has {len(weights)} numbers for 2 data sets"):
        get_mixture("a,b", "train", str(tmp_path), weights=weights)


def test_lists_of_other_lengths_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"--dataset_split_name=x,y has 2 entries .*give 1 or 3"):
        get_mixture("a,b,c", "x,y", str(tmp_path))
    with pytest.raises(InputError, match=r"--split=x,y has 2 entries"):
        get_mixture("a,b,c", "x,y", str(tmp_path), split_flag="--split")


def test_other_classes_are_refused_by_name(tmp_path, write):
    write("a_train", count=3)
    write("b_val", count=2, labels=("cat", "cow"))
    with pytest.raises(InputError, match=r"Class 2 is dog in a train and cow in b val: convert"):
        get_mixture("a,b", "train,val", str(tmp_path))


def test_one_class_more_is_refused(tmp_path, write):
    write("a_train", count=3)
    write("b_train", count=2, labels=("cat", "dog", "eel"))
    with pytest.raises(InputError, match=r"Class 3 is absent in a train and eel in b train"):
        get_mixture("a,b", "train", str(tmp_path))


def test_records_named_twice_are_refused(tmp_path, write):
    write("a_train", count=3)
    with pytest.raises(InputError, match=r"a_train_000\.tfrecord twice: .*--dataset_weights"):
        get_mixture("a,a", "train", str(tmp_path))
