"""The order of events in demo.sh, with a stand-in for the interpreter that notes what it is asked.

The real demo is `make demo`; the scripts it calls have their own tests.
"""

import pathlib
import shutil
import subprocess

import pytest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
PYTHON = """#!/bin/bash
echo "$1" >> calls.txt
case $1 in
  train_ssd_network.py) mkdir -p demo/train; [ ! -e stop_early ] || exit 75 ;;
  eval_ssd_network.py) touch demo/detections.png ;;
esac
"""
DATA = ["scripts/make_shapes_devkit.py", "tf_convert_data.py", "tf_convert_data.py"]
REST = ["train_ssd_network.py", "eval_ssd_network.py"]


class Project:
    """A folder with demo.sh, a recipe and an interpreter that only takes notes."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        for name in ("scripts", "configs", ".venv/bin"):
            (folder / name).mkdir(parents=True)
        shutil.copy(SCRIPTS / "demo.sh", folder / "scripts")
        self.recipe = folder / "configs" / "demo.flags"
        self.recipe.write_text("--seed=1\n")
        python = folder / ".venv" / "bin" / "python"
        python.write_text(PYTHON)
        python.chmod(0o755)

    def demo(self, *, stop_early: bool = False) -> tuple[int, list[str]]:
        """Runs demo.sh; returns its exit code and the scripts that it called."""
        calls, stop = self.folder / "calls.txt", self.folder / "stop_early"
        calls.write_text("")
        stop.touch() if stop_early else stop.unlink(missing_ok=True)
        done = subprocess.run([self.folder / "scripts" / "demo.sh"], capture_output=True)
        return done.returncode, calls.read_text().split()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_demo_makes_data_trains_and_scores(project):
    assert project.demo() == (0, DATA + REST)


def test_finished_demo_starts_afresh(project):
    project.demo()
    assert project.demo() == (0, DATA + REST)


def test_demo_stopped_in_training_says_so_and_is_carried_on(project):
    assert project.demo(stop_early=True) == (75, [*DATA, "train_ssd_network.py"])
    assert project.demo() == (0, REST)


def test_changed_recipe_starts_afresh(project):
    project.demo(stop_early=True)
    project.recipe.write_text("--seed=2\n")
    assert project.demo() == (0, DATA + REST)


def test_fresh_start_leaves_what_it_did_not_make(project):
    project.demo()
    (project.folder / "demo" / "mine.txt").touch()
    (project.folder / "demo" / "train" / "old").touch()
    project.demo()
    assert (project.folder / "demo" / "mine.txt").exists()
    assert not (project.folder / "demo" / "train" / "old").exists()
