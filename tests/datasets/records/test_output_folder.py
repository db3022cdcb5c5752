"""What is left when moving a data set into its place fails or is cut short."""

import pathlib

import pytest

from datasets.dataset_factory import get_dataset
from datasets.records.manifest import find_partial
from datasets.records.output_folder import partial_folder
from datasets.records.shards import write_shards
from runtime.errors import InputError


def write(folder, examples, *, name="own_train", num_shards=2):
    return write_shards(
        iter(examples),
        output_dir=str(folder),
        name=name,
        labels=("cat",),
        num_shards=num_shards,
        num_examples=len(examples),
        describe=lambda: ({"cat": {"pictures": 0, "objects": 0, "difficult": 0}}, {}),
    )


def count(folder):
    return get_dataset("own", "train", str(folder)).num_samples


def test_failure_while_moving_in_leaves_nothing_that_looks_whole(tmp_path):
    write(tmp_path, [b"old"], num_shards=1)
    obstacle = tmp_path / "own_train_001.tfrecord.index"
    (obstacle / "x").mkdir(parents=True)  # the second index cannot be moved here
    with pytest.raises(InputError, match="Writing own_train"):
        write(tmp_path, [b"new", b"new"])
    assert (tmp_path / "own_train_000.tfrecord").exists()
    with pytest.raises(InputError, match=r"own_train .*is incomplete.*convert it again"):
        count(tmp_path)
    (obstacle / "x").rmdir()
    obstacle.rmdir()
    write(tmp_path, [b"new", b"new"])
    assert count(tmp_path) == 2
    assert find_partial(str(tmp_path), "own_train") == []


@pytest.mark.parametrize("moved", range(4))
def test_kill_between_two_moves_is_noticed_and_mended(tmp_path, moved):
    """The folder as a kill leaves it after `moved` of the four files and before the manifest."""
    write(tmp_path, [b"1", b"2"])
    leftover = tmp_path / ".own_train.partial-99"
    leftover.mkdir()
    (tmp_path / "own_train.json").rename(leftover / "own_train.json")
    for path in sorted(tmp_path.glob("own_train_*"))[moved:]:
        path.rename(leftover / path.name)
    with pytest.raises(InputError, match=r"incomplete.*\.own_train\.partial-99"):
        count(tmp_path)
    write(tmp_path, [b"1", b"2", b"3"])
    assert count(tmp_path) == 3
    assert not leftover.exists()


def test_leftover_of_an_early_kill_does_not_hide_the_old_data_set(tmp_path):
    write(tmp_path, [b"1", b"2"])
    (tmp_path / ".own_train.partial-99").mkdir()
    assert count(tmp_path) == 2


def test_leftover_that_is_a_link_goes_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "photo").write_text("mine")
    (tmp_path / ".own_train.partial-1").symlink_to("elsewhere")
    write(tmp_path, [b"1"], num_shards=1)
    assert find_partial(str(tmp_path), "own_train") == []
    assert (tmp_path / "elsewhere" / "photo").read_text() == "mine"


def test_leftovers_of_other_names_are_left_alone(tmp_path):
    (tmp_path / ".own_test.partial-99").mkdir()
    write(tmp_path, [b"1", b"2"])
    assert find_partial(str(tmp_path), "own_test") == [".own_test.partial-99"]


def test_partial_folder_is_removed_after_an_error(tmp_path):
    with pytest.raises(KeyboardInterrupt), partial_folder(str(tmp_path), "own"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def interrupt_while_moving_in(folder, name):
    with partial_folder(str(folder), name) as partial:
        pathlib.Path(partial, f"{name}.json").write_text("")  # the last file to be moved
        raise KeyboardInterrupt


def test_interrupt_while_moving_in_keeps_the_sign(tmp_path):
    (tmp_path / "own_train_000.tfrecord").write_bytes(b"")
    with pytest.raises(KeyboardInterrupt):
        interrupt_while_moving_in(tmp_path, "own_train")
    with pytest.raises(InputError, match="incomplete"):
        count(tmp_path)
