"""Imports go one way: scripts -> deployment -> the leaves, which do not know each other.

Read from each file's syntax tree, so that an import inside a function counts too.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEAVES = ("nets", "preprocessing", "datasets", "metrics", "optimization")
PACKAGES = (*LEAVES, "deployment")
SHARED = ("errors", "cli", "settings", "tf_utils")
SCRIPTS = {path.stem for path in ROOT.glob("*.py")} - {*SHARED}
OURS = {*PACKAGES, *SHARED, *SCRIPTS, "tests", "scripts", "benchmarks"}

ALLOWED = {
    "errors": set(),
    "settings": {"errors"},
    "cli": {"errors"},
    **{leaf: {leaf, "errors"} for leaf in LEAVES},
    "tf_utils": {"errors", *LEAVES},
    "deployment": {"errors", "settings", "tf_utils", *PACKAGES},
    **{script: {*SHARED, *PACKAGES} for script in SCRIPTS},
}
FILES = sorted(
    [*ROOT.glob("*.py"), *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
)


def owner(path: pathlib.Path) -> str:
    """The package that a file belongs to, or the name of a top-level file."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(source: str, *, inside: str) -> set[str]:
    """Top-level names that `source`, a file of `inside`, imports from anywhere."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(inside if node.level else str(node.module).split(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    mine = owner(path)
    taken = imports(path.read_text(), inside=mine) & OURS
    assert taken <= ALLOWED[mine], f"{mine} may not import {sorted(taken - ALLOWED[mine])}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_looked_at(package):
    assert any(owner(path) == package for path in FILES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import nets.boxes as b, numpy", {"nets", "numpy"}),
        ("from datasets.voc import read_split", {"datasets"}),
        ("def f():\n  from deployment import detector", {"deployment"}),
        ("from . import boxes", {"metrics"}),
        ("x = 'import nets'", set()),
    ],
)
def test_imports_are_found_in_every_form(source, expected):
    assert imports(source, inside="metrics") == expected
