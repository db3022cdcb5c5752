"""What make_venv.sh refuses, and that a failed installation does not count as a whole one."""

import pathlib
import shutil
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "make_venv.sh"


@pytest.fixture
def make_venv(tmp_path):
    """make_venv.sh in an empty project: takes an interpreter, returns the finished process."""
    script = tmp_path / "scripts" / SCRIPT.name
    script.parent.mkdir()
    shutil.copy(SCRIPT, script)

    def run(python):
        return subprocess.run([script, python, "cpu,dev"], capture_output=True, text=True)

    return run


def stand_in(path: pathlib.Path, body: str) -> pathlib.Path:
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
    return path


def test_absent_interpreter_is_refused(make_venv):
    done = make_venv("python-of-nowhere")
    assert done.returncode == 2
    assert "'python-of-nowhere' does not run: install Python 3.11, 3.12 or 3.13" in done.stderr


def test_other_python_version_is_refused(make_venv, tmp_path):
    done = make_venv(stand_in(tmp_path / "python3", "echo 3.10"))
    assert done.returncode == 2
    assert "is Python 3.10, needed is 3.11, 3.12 or 3.13" in done.stderr


def test_python_without_venv_module_is_refused(make_venv, tmp_path):
    python = stand_in(tmp_path / "python3", '[[ "$2" != *ensurepip* ]] && echo 3.11')
    done = make_venv(python)
    assert done.returncode == 2
    assert "apt-get install python3-venv" in done.stderr


@pytest.mark.slow
def test_failed_installation_leaves_no_stamp(make_venv, tmp_path):
    done = make_venv(sys.executable)  # there is no pyproject.toml to install
    assert done.returncode == 2
    assert "the installation into .venv failed" in done.stderr
    assert (tmp_path / ".venv" / "bin" / "python").exists()
    assert not list((tmp_path / ".venv").glob(".installed-*"))
