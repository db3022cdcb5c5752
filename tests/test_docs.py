"""The pages can be followed: links lead somewhere, commands can be given, Python code runs."""

import ast
import functools
import json
import os
import pathlib
import re
import shlex
import string
import subprocess
import sys

import numpy as np
import pytest

from benchmarks._records import run_script
from metrics import tables
from metrics.coco import Scores
from metrics.voc import Result

ROOT = pathlib.Path(__file__).resolve().parent.parent
FURTHER = ("benchmarks/README.md", "checkpoints/README.md", "tests/faults/schedules.md")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / p for p in FURTHER)])
PACKAGES = [path.parent for path in ROOT.glob("*/__init__.py")]
SOURCES = [*ROOT.glob("*.py"), *(path for folder in PACKAGES for path in folder.rglob("*.py"))]
SETTINGS = sorted(
    path
    for pattern in ("*/settings.py", "*/fitting/settings.py", "*/setting_groups.py")
    for path in ROOT.glob(pattern)
)
PYTHON = ".venv/bin/python"
RECIPES = sorted((ROOT / "configs").glob("*.flags"))
SHELL_SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))
# Of programs that are not ours: absl, pytest (tests/conftest.py), TensorBoard, SLURM.
OTHERS_FLAGS = {"help", "helpfull", "flagfile", "fuzz_count", "gpus", "logdir", "nodes"}
OTHERS_FLAGS |= {"batch", "distribution", "full", "signal"}


def named(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, lines) of the fenced blocks of a page; those in a list are indented."""
    return re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words of each command in the blocks for a shell."""
    lines = "".join(lines for language, lines in blocks(text) if language == "sh")
    return [shlex.split(line, comments=True) for line in lines.replace("\\\n", " ").splitlines()]


def programs(words: list[str]) -> list[tuple[str, list[str]]]:
    """(file, names of flags) of each program of ours in a command; modules as their files."""
    found: list[tuple[str, list[str]]] = []
    for before, word in zip(["", *words], words, strict=False):
        if before == "-m" and word != "pytest":
            found.append((word.replace(".", "/") + ".py", []))
        elif word.endswith((".py", ".sh", ".sbatch")):
            found.append((word, []))
        elif found and re.match(r"--\w", word):
            found[-1][1].append(word[2:].split("=")[0])
    return found


def settings_classes(paths: list[pathlib.Path]) -> dict[str, ast.ClassDef]:
    trees = [ast.parse(path.read_text()) for path in paths]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


@functools.cache
def flags_of(program: str) -> set[str]:
    """What a script hands to `define_flags` or argparse; a shell script has no flags of its own."""
    path = ROOT / program
    if path.suffix != ".py":
        return set()
    source = path.read_text()
    classes = settings_classes([*SETTINGS, path])
    given = re.findall(r"^    define_flags\((?:\w+\.)?(\w+)\)", source, re.MULTILINE)
    bases = [ast.unparse(base) for name in given for base in classes[name].bases]
    fields = [field for name in [*given, *bases] for field in classes[name].body]
    return set(re.findall(r'add_argument\(\s*"--(\w+)"', source)) | {
        str(field.target.id)
        for field in fields
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


def all_flags() -> set[str]:
    folders = [ROOT, ROOT / "scripts", ROOT / "benchmarks"]
    modules = ["deployment/launcher.py", "tests/faults/random_schedules.py"]
    scripts = [named(path) for folder in folders for path in folder.glob("*.py")]
    return OTHERS_FLAGS.union(*map(flags_of, [*scripts, *modules]))


def python_blocks(name: str) -> str:
    return "\n".join(
        lines for language, lines in blocks((ROOT / name).read_text()) if language == "python"
    )


@functools.cache
def messages() -> list[str]:
    """What the code may print, with "..." for values, and the shell scripts as they are."""
    found = [path.read_text() for path in SHELL_SCRIPTS]
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(str(getattr(v, "value", "...")) for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def prose(text: str) -> str:
    """A page without its blocks, its code and the targets of its links."""
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)


def headings(path: pathlib.Path) -> set[str]:
    """Anchors of a page, as the forges make them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    dropped = str.maketrans("", "", string.punctuation.replace("-", "").replace("_", ""))
    return {title.lower().translate(dropped).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_commands_name_scripts_and_flags_that_there_are(path):
    for words in commands(path.read_text()):
        for program, flags in programs(words):
            assert (ROOT / program).is_file(), program
            assert set(flags) - {"flagfile"} <= flags_of(program), " ".join(words)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_commands_run_as_printed(path):
    """Scripts are not on PATH, and the system's Python lacks what they import."""
    for words in commands(path.read_text()):
        for place, word in enumerate(words):
            assert not re.fullmatch(r"python\d?|pip\d?|pytest", word), " ".join(words)
            if word.endswith(".py"):
                assert words[place - 1] in (PYTHON, "--"), " ".join(words)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_commands_stand_in_blocks_for_a_shell(path):
    others = [lines for language, lines in blocks(path.read_text()) if language != "sh"]
    command = re.compile(r"^ *(\.venv|make |python|pip |scripts/\w|\w+\.py --)", re.MULTILINE)
    assert [lines for lines in others if command.search(lines)] == []


@pytest.mark.parametrize("path", [*PAGES, *RECIPES], ids=named)
def test_flags_named_anywhere_are_flags(path):
    prose = re.sub(r"--[\w.()]+-->", "", path.read_text())  # the arrows of architecture.md
    assert set(re.findall(r"(?<![\w-])--([a-z]\w*)", prose)) - all_flags() == set()


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if not re.match(r"https?:", link):
            file, _, heading = link.partition("#")
            target = path.parent / file if file else path
            assert target.exists(), link
            assert not heading or heading in headings(target), link


def test_index_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in index] == []


@pytest.mark.parametrize("path", [*PAGES, *RECIPES, *SHELL_SCRIPTS], ids=named)
def test_prose_has_one_word_for_a_thing(path):
    """Image, skipped, resume, correct; and numbers with their leading zero."""
    words = r"\bpictures?\b|passed? over|\bgo(es)? on\b|\bmend|\bstands? in\b|(?<![\w.])\.\d"
    lines = prose(path.read_text()).splitlines()
    assert [line for line in lines if re.search(words, line, re.IGNORECASE)] == []


def test_quoted_messages_are_those_of_the_code():
    page = blocks((ROOT / "docs" / "troubleshooting.md").read_text())
    quoted = [line for language, lines in page if language == "text" for line in lines.splitlines()]
    assert len(quoted) >= 20
    for line in quoted:
        parts = [part.strip() for part in line.split("...") if part.strip()]
        assert any(all(part in message for part in parts) for message in messages()), line


def test_every_key_of_the_scores_is_explained():
    page = (ROOT / "docs" / "outputs.md").read_text()
    none = np.zeros(0, np.int64)
    keys = tables.metrics_json(
        Result((), none, none, 0.5), Scores([], []), step=1, num_images=0, COCO={}, checkpoint=""
    )
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_python_of_the_pages_runs(tmp_path):
    """One block after the other, as one program, on the smallest network and drawn images."""
    folders = (f"--output_dir={tmp_path}", "--num_train=4", "--num_test=2")
    run_script("scripts/make_shapes_devkit.py", *folders)
    for split in ("train", "test"):
        run_script(
            "tf_convert_data.py",
            f"--dataset_dir={tmp_path / 'VOC2007'}", f"--split={split}",
            f"--output_name=mine_{split}", f"--output_dir={tmp_path / 'records'}",
        )  # fmt: skip
    first = python_blocks("docs/python_api.md")
    for there, here in (('"ssd_300_vgg"', '"ssd_32_tiny"'), ("steps=900", "steps=2")):
        assert there in first
        first = first.replace(there, here)
    between = 'images = [image]\npictures.write_png("a.jpg", image)\n'
    others = python_blocks("README.md") + python_blocks("docs/export.md")
    for there in ("models/shapes/1", "small"):
        others = others.replace(f'"{there}"', '"runs/export"')
    done = subprocess.run(
        [sys.executable, "-c", first + between + others],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "detections.png").stat().st_size > 0
    outputs = (ROOT / "docs" / "outputs.md").read_text()
    metrics, *_ = (tmp_path / "runs/mine/metrics.jsonl").read_text().splitlines()
    files = [path.name.split(".")[0] for path in (tmp_path / "runs/mine").iterdir()]
    kinds = {name.partition("-")[0] for name in files} - {"eval", ""}
    assert [name for name in [*json.loads(metrics), *kinds] if f"`{name}" not in outputs] == []


def test_only_shell_scripts_are_executable():
    """A Python script started by itself would take the system's Python instead of .venv."""
    folders = [ROOT, ROOT / "scripts", ROOT / "benchmarks"]
    scripts = [path for folder in folders for path in folder.glob("*.py")]
    assert scripts
    assert [named(path) for path in scripts if path.stat().st_mode & 0o111] == []
    assert [named(path) for path in scripts if path.read_text().startswith("#!")] == []


def test_map_names_every_folder():
    page = (ROOT / "docs" / "architecture.md").read_text()
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout, so what belongs to the project is not known")
    files = [pathlib.PurePath(line) for line in listed.stdout.splitlines()]
    folders = {f"{path.parts[0]}/" for path in files if len(path.parts) > 1}
    assert {name for name in folders if f"`{name}" not in page} == {".ci/"}


def test_blocks_commands_and_their_flags_are_found():
    text = (
        "```python\nx\n```\nand\n   ```sh\n"
        "   .venv/bin/python -m deployment.launcher --ps=1 -- \\\n     a.py --b=c --d\n   ```\n"
    )
    assert [language for language, _ in blocks(text)] == ["python", "sh"]
    (words,) = commands(text)
    assert programs(words) == [("deployment/launcher.py", ["ps"]), ("a.py", ["b", "d"])]


def test_flags_of_settings_and_of_argparse_are_found():
    assert {"train_dir", "learning_rate"} <= flags_of("train_ssd_network.py")
    assert "labels_file" in flags_of("scripts/convert_weights.py")
    assert "output_name" not in flags_of("scripts/convert_weights.py")
    assert flags_of("deployment/launcher.py") == {"workers", "ps", "max_restarts", "grace_secs"}
    assert flags_of("scripts/demo.sh") == set()
