"""Promises about the repository as a whole, read from its files."""

import ast
import collections
import pathlib
import re
import statistics
import subprocess
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = tuple(sorted(path.parent.name for path in ROOT.glob("*/__init__.py")))
FOLDERS = (*PACKAGES, "scripts", "benchmarks", "configs", "docs", "notebooks", "checkpoints")
SOURCES = sorted(
    [*ROOT.glob("*.py"), *(path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py"))]
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TEXTS = sorted(
    path
    for path in [
        *(path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"),
        *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")),
    ]
    if path.suffix in {"", ".py", ".md", ".sh", ".toml", ".yaml", ".flags", ".ipynb", ".txt"}
)
TOP_LEVEL = {
    *FOLDERS,
    "tests",
    ".ci",
    *(".gitattributes", ".gitignore", ".pre-commit-config.yaml", "Makefile", "pyproject.toml"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md"),
    *("tf_utils.py", "tf_convert_data.py", "inspect_dataset.py", "compare_runs.py"),
    *(f"{verb}_ssd_network.py" for verb in ("train", "eval", "detect", "export", "fit")),
}


def named(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def defined_flags(tree: ast.AST) -> set[str]:
    """Names in `flags.DEFINE_x("name", ...)` and of fields `name: x = setting(...)`."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=define), args=[ast.Constant(value=name), *_]):
                found |= {name} if define.startswith("DEFINE_") else set()
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=ast.Name("setting"))):
                found.add(name)
    return found


def read_names(tree: ast.AST) -> set[str]:
    """Names in `anything.name`, and parameters: settings are handed to factories by keyword."""
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def touches_compat_v1(source: str) -> bool:
    """Whether code, not prose, says `compat.v1`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node).endswith("compat.v1"):
            return True
        if isinstance(node, ast.Import | ast.ImportFrom) and "compat.v1" in ast.unparse(node):
            return True
    return False


def places_on_devices(source: str) -> bool:
    """Whether code says which device something runs on."""
    named_device = re.compile(r"(^|/)((device:)?[CGT]PU|job):", re.IGNORECASE)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("tf.device"):
            return True
        if isinstance(node, ast.Constant) and named_device.search(str(node.value)):
            return True
    return False


def function_lengths(tree: ast.AST) -> list[int]:
    """Lines of each function or method, decorators and docstring counted."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [
        int(node.end_lineno) - node.lineno + 1 for node in ast.walk(tree) if isinstance(node, kinds)
    ]


def test_texts_stay_inside_the_repository():
    places = re.compile(r"\.\./shared|(?<![\w.])/work\b")
    assert [named(path) for path in TEXTS if places.search(path.read_text())] == []


def test_files_have_at_most_400_lines():
    lengths = {named(path): len(path.read_text().splitlines()) for path in [*SOURCES, *TESTS]}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_no_package_is_a_quarter_of_the_code():
    """Packages inside packages are their own, such as the layouts of annotations."""
    lines: collections.Counter[str] = collections.Counter()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            lines[str(path.parent)] += len(path.read_text().splitlines())
    assert max(lines.values()) < sum(lines.values()) / 4


def test_functions_are_short():
    lengths = [n for path in SOURCES for n in function_lengths(ast.parse(path.read_text()))]
    assert statistics.median(lengths) < 12
    assert sum(n < 50 for n in lengths) >= 0.95 * len(lengths)


def test_top_level_holds_only_what_belongs_there():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout, so what belongs to the project is not known")
    assert {line.split("/")[0] for line in listing.stdout.splitlines()} <= TOP_LEVEL


def test_compat_v1_stays_with_the_owner_of_slim_variables():
    touching = [named(path) for path in SOURCES if touches_compat_v1(path.read_text())]
    assert touching == ["nets/variables.py"]


def test_compat_v1_is_found_in_code_and_not_in_prose():
    assert touches_compat_v1("tf.compat.v1.train.Saver()")
    assert touches_compat_v1("import tensorflow.compat.v1 as tf")
    assert not touches_compat_v1('"""No tf.compat.v1 here."""')


def test_what_runs_where_is_the_strategys_business():
    """Device strings in the code broke other trainers on machines with other devices."""
    placing = [named(path) for path in SOURCES if places_on_devices(path.read_text())]
    assert placing == ["deployment/model_deploy.py"]


def test_placements_are_found():
    assert places_on_devices("with tf.device(name): pass")
    assert places_on_devices("OneDeviceStrategy('/gpu:0')")
    assert places_on_devices("f'/device:CPU:{k}'")
    assert places_on_devices("'/job:worker'")
    assert not places_on_devices("tf.config.set_visible_devices([], 'GPU')")


def test_every_flag_is_read():
    trees = [ast.parse(path.read_text()) for path in [*SOURCES, *(ROOT / "scripts").glob("*.py")]]
    defined, read = (set().union(*map(names, trees)) for names in (defined_flags, read_names))
    assert defined
    assert defined - read == set()


def test_flags_defined_and_read_are_found():
    tree = ast.parse("flags.DEFINE_string('a', '', '')\nb: int = setting(1, '')\nc: int = 2\nx.d")
    assert defined_flags(tree) == {"a", "b"}
    assert "d" in read_names(tree)
    assert "b" not in read_names(tree)


def test_map_names_every_package_and_where_to_begin_reading():
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)/` \|[^|]*\| `([\w.]+)`", text, flags=re.MULTILINE)
    assert {package for package, _ in rows} == set(PACKAGES)
    assert [f"{p}/{f}" for p, f in rows if not [*(ROOT / p).rglob(f)]] == []


def test_installation_holds_every_package_and_module():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    existing = {path.parent for folder in PACKAGES for path in (ROOT / folder).rglob("__init__.py")}
    assert sorted(setup["packages"]) == sorted(named(path).replace("/", ".") for path in existing)
    assert sorted(setup["py-modules"]) == sorted(path.stem for path in ROOT.glob("*.py"))


@pytest.mark.parametrize("script", ["train", "eval"])
def test_migration_table_names_flags_that_there_are(script):
    text = (ROOT / "docs" / "migrating.md").read_text()
    section = text.split(f"## Flags of {script}_ssd_network.py\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named_there = set(re.findall(r"`(\w+)`", " ".join(rows)))
    groups = ["training/setting_groups.py", "optimization/setting_groups.py"]
    files = {"train": groups, "eval": ["evaluation/settings.py"]}[script]
    settings = "".join((ROOT / name).read_text() for name in files)
    assert named_there
    assert named_there <= defined_flags(ast.parse(settings))
