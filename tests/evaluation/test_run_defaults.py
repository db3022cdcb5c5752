"""What an evaluation takes from its run, and what it does not."""

import pytest

from evaluation import run_defaults
from evaluation.settings import EvalSettings
from runtime.errors import InputError

FLAGS = """--dataset_name=mine
--dataset_split_name=train
--dataset_dir=records
--labels_file=names.txt
--labels_offset=1
--batch_size=32
"""


def fill_in(path, **given) -> EvalSettings:
    return run_defaults.fill_in(EvalSettings(checkpoint_path="c", eval_dir="e", **given), str(path))


@pytest.mark.parametrize("name", ["ckpt-9", "best/ckpt-9"])
def test_data_of_the_run_is_the_default_and_its_split_is_not(name, tmp_path):
    (tmp_path / "flags.txt").write_text(FLAGS)
    filled = fill_in(tmp_path / name)
    assert (filled.dataset_name, filled.dataset_dir) == ("mine", "records")
    assert (filled.labels_file, filled.labels_offset) == ("names.txt", 1)
    assert (filled.dataset_split_name, filled.batch_size) == ("test", 8)


def test_flags_win_over_those_of_the_run(tmp_path):
    (tmp_path / "flags.txt").write_text(FLAGS)
    given = {"dataset_name": "other", "dataset_dir": "there", "labels_file": "l.txt"}
    filled = fill_in(tmp_path / "ckpt-9", **given)
    assert {name: getattr(filled, name) for name in given} == given
    assert filled.labels_offset == 0


def test_without_a_run_the_folder_is_needed_and_the_name_is_vocs(tmp_path):
    assert fill_in(tmp_path / "ckpt-9", dataset_dir="r").dataset_name == "pascalvoc_2007"
    with pytest.raises(InputError, match=r"has no flags.txt of a training.*give --dataset_dir"):
        fill_in(tmp_path / "ckpt-9")
