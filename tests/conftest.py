"""Fixtures that many tests need: the shared data, and small data sets made once a session."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fuzz_count=10000` for a long run of tests/datasets/test_fuzz.py."""
    parser.addoption("--fuzz_count", type=int, default=150, help="mutated files of each kind")


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real pictures and published results; skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real pictures here: {SHARED} is absent")
    return SHARED
