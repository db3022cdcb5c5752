"""Checkpoint files torn, truncated, emptied, bit-flipped or missing, in all combinations.

Whatever is left: a run resumes with exactly the numbers of the newest checkpoint that reads from
end to end, or is refused; it never takes wrong numbers, and never starts over.
"""

import itertools
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from model import checkpoints
from runtime.errors import InputError
from tests.faults import damage
from tests.faults.damage import DAMAGES, ENDINGS, HARMS

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """train_dir with ckpt-1, full of ones, and ckpt-2, full of twos."""
    folder = tmp_path_factory.mktemp("damaged") / "run"
    folder.mkdir()
    for step in (1, 2):
        tensors = {"net/weights": np.full((3, 4), step, np.float32), "global_step": np.int64(step)}
        texts = {"description": tf.constant('{"format": 1}')}
        checkpoints.save(str(folder), step, {**tensors, **texts})
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """Makes a fresh copy of `saved`, time and again."""

    def make() -> pathlib.Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        return shutil.copytree(saved, tmp_path / "run")

    return make


def newest(folder: pathlib.Path) -> int:
    """Step of the newest checkpoint, after a look at its numbers."""
    found = checkpoints.newest(str(folder))
    assert found.tensors["global_step"] == found.step
    np.testing.assert_array_equal(found.tensors["net/weights"], np.full((3, 4), found.step))
    return found.step


@pytest.mark.parametrize(("data", "index"), list(itertools.product(HARMS, HARMS)))
def test_newest_checkpoint_that_reads_is_found(copy, data, index):
    for state in HARMS:
        folder = copy()
        damage.harm(folder / "ckpt-2", f"data {data}")
        damage.harm(folder / "ckpt-2", f"index {index}")
        HARMS[state](folder / "checkpoint")
        assert newest(folder) == (2 if data == index == "whole" else 1), state


@pytest.mark.parametrize("of_newest", DAMAGES)
def test_folder_of_damaged_checkpoints_alone_is_refused(copy, of_newest):
    for of_older in DAMAGES:
        folder = copy()
        damage.harm(folder / "ckpt-2", of_newest)
        damage.harm(folder / "ckpt-1", of_older)
        with pytest.raises(InputError, match="none can be read"):
            checkpoints.newest(str(folder))


@pytest.mark.parametrize("file", ENDINGS)
def test_no_flipped_bit_gives_wrong_numbers(copy, file):
    path = copy() / f"ckpt-2{ENDINGS[file]}"
    whole = path.read_bytes()
    for position, byte in enumerate(whole):
        flipped = bytes([byte ^ 1 << position % 8])
        path.write_bytes(whole[:position] + flipped + whole[position + 1 :])
        newest(path.parent)
