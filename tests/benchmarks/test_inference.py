"""The benchmark of detection: equal work for all, and rows for what is not installed."""

import importlib.util

import numpy as np
import pytest

from benchmarks import inference


def test_threshold_lets_as_many_candidates_through_as_asked():
    scores = np.random.default_rng(0).random((2, 50, 3)).astype(np.float32)
    threshold = inference.threshold_for(scores, 20)
    assert np.sum(scores > threshold) == 2 * 20
    assert inference.threshold_for(scores, 10**6) == scores.min()


def test_pictures_are_the_same_for_every_contender():
    eight, one = inference.make_pictures(8), inference.make_pictures(1)
    assert eight.shape == (8, 300, 300, 3)
    assert (eight.dtype, eight.min() >= 0, eight.max() <= 255) == (np.float32, True, True)
    assert one.std() > 10


def test_what_is_not_installed_says_so_in_its_row(capsys):
    if importlib.util.find_spec("torch"):
        pytest.skip("torch is installed")
    inference.main(["--contenders=2", "--rounds=1"])
    assert "not here: No module named 'torch'" in capsys.readouterr().out


@pytest.mark.slow
def test_benchmark_prints_both_parts_of_ours(capsys):
    inference.main(["--contenders=1", "--rounds=1", "--batches=1"])
    header, row = capsys.readouterr().out.splitlines()[-2:]
    assert header.split() == ["batch", "1", "network", "ratio", "whole", "ratio"]
    assert row.split()[:3] == ["this", "project,", "float32"]
    assert row.split()[5] == row.split()[8] == "1.00"
