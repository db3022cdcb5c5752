"""Imports go one way: no package imports one above it, and leaves do not know each other.

Read from each file's syntax tree, so that an import inside a function counts too.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEAVES = {"nets", "preprocessing", "datasets", "metrics", "optimization", "visualization"}
ALLOWED = {
    "runtime": set(),
    **{leaf: {"runtime"} for leaf in LEAVES},
    "tf_utils": {"nets", "optimization", "runtime"},
    "deployment": {"datasets", "runtime"},
    "model": {*LEAVES, "runtime"},
    "inspection": {*LEAVES, "runtime"},
    "detection": {*LEAVES, "model", "runtime"},
    "evaluation": {*LEAVES, "model", "runtime"},
    "export": {*LEAVES, "model", "runtime"},
    "training": {
        *(*LEAVES, "deployment", "detection", "evaluation", "export", "inspection", "model"),
        *("runtime", "tf_utils"),
    },
}
PACKAGES = set(ALLOWED) - {"tf_utils"}
SCRIPTS = {path.stem for path in ROOT.glob("*.py")} - {"tf_utils"}
OURS = {*ALLOWED, *SCRIPTS, "tests", "scripts", "benchmarks"}
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


def module(path: pathlib.Path) -> str:
    """The dotted name of a file's module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def module_imports(path: pathlib.Path) -> set[str]:
    """Modules of this project that a file imports, in whatever form."""
    names = {module(each) for each in FILES}
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            of_package = {f"{node.module}.{alias.name}" for alias in node.names}
            # A package that only its modules are taken of has no part in it.
            found |= of_package if of_package <= names else {str(node.module), *of_package}
    return found & names


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The names that are left when those which need no other that is left are taken away."""
    left = dict(graph)
    while free := [name for name, needs in left.items() if not needs & left.keys() - {name}]:
        for name in free:
            del left[name]
    while idle := [name for name in left if not any(name in needs for needs in left.values())]:
        for name in idle:
            del left[name]
    return sorted(left)


def test_imports_go_one_way():
    against = []
    for path in FILES:
        mine = owner(path)
        allowed = {mine, *ALLOWED.get(mine, PACKAGES)}
        taken = imports(path.read_text(), inside=mine) & OURS
        against += [f"{path.relative_to(ROOT)} may not import {name}" for name in taken - allowed]
    assert against == []


def test_no_file_is_imported_by_what_it_imports():
    graph = {module(path): module_imports(path) for path in FILES}
    assert circle(graph) == []


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_table_names_every_package():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == PACKAGES


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
