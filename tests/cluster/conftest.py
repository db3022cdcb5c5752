"""Hosts as network namespaces, made once; skipped where the machine allows none."""

import pytest

from tests.cluster import hosts as namespaces
from tests.faults.conftest import records  # noqa: F401 (a fixture)


@pytest.fixture(scope="session")
def hosts():
    """Four hosts on one network."""
    with namespaces.made(4) as made:
        yield made
