"""Fixtures that many tests need: the shared data, and small data sets made once a session."""

import os
import pathlib
import signal
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest

from tests.voc_folder import (  # noqa: F401 (fixtures)
    make_example,
    ssd_tensorflow_record,
    voc,
    write_tfrecord,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--fuzz_count=10000` for a long run of tests/datasets/test_fuzz.py."""
    parser.addoption("--fuzz_count", type=int, default=150, help="mutated files of each kind")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keeps together, in one of the processes of `make test`, what shares things made once.

    That is the tests of a file, and all that look at the demo.
    """
    looks = {"demo", "trained_demo"} & set(getattr(item, "fixturenames", ()))
    item.add_marker(pytest.mark.xdist_group("demo" if looks else str(item.path.relative_to(ROOT))))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that neither process has nothing left to do."""
    places = {"demo": 0, "end_to_end": 1, "faults": 2}

    def place(item: pytest.Item) -> int:
        group = item.get_closest_marker("xdist_group").args[0]
        return places.get(group, places.get(item.path.parent.name, 3))

    items.sort(key=place)


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real images and published results; skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real images here: {SHARED} is absent")
    return SHARED


@pytest.fixture
def hangup() -> Iterator[None]:
    """SIGHUP as a terminal has it, also where the tests run under nohup, whose heirs ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
