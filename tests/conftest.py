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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What two processes of `make test` have to know: the longest first, and what stays together.

    Tests of a file share what is made once a session; so do all that look at the demo.
    """
    longest = {"demo": 0, "end_to_end": 1, "faults": 2}
    places = {}
    for item in items:
        looks = {"demo", "trained_demo"} & set(getattr(item, "fixturenames", ()))
        group = "demo" if looks else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
        places[item] = longest.get(group, longest.get(item.path.parent.name, 3))
    items.sort(key=places.__getitem__)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real pictures and published results; skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real pictures here: {SHARED} is absent")
    return SHARED
