"""Runs the scripts as a user does: real processes, real files.

Trainings are of the tiny network, but where `NARROW_VGG` is the point.
"""

import contextlib
import json
import os
import pathlib
import runpy
import subprocess
import sys
from typing import IO, Any, NoReturn
from unittest import mock

from runtime import settings
from tests.defined_flags import forget_flags

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ("--model_name=ssd_32_tiny", "--batch_size=2", "--seed=3", "--log_every_n_steps=1")
NARROW_VGG = ("--model_name=ssd_300_vgg", "--depth_multiplier=0.0625")  # behind `TINY`, it wins


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "2"}


def command(script: str, *flags: str) -> list[str]:
    return [sys.executable, str(ROOT / script), *map(str, flags)]


def run(script: str, *flags: str, code: int = 0) -> subprocess.CompletedProcess:
    """Runs a script to its end and checks the exit code."""
    done = subprocess.run(
        command(script, *flags), env=environment(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class _Exit(BaseException):
    """What `os._exit` is in `refuse`."""


def refuse(script: str, *flags: str, capsys: Any) -> str:
    """What a script says on stderr that ends with 2 before it starts a thread, in this process.

    The exit code of a process is tested where `run` has code=2: a process takes seconds to start.
    """
    codes: list[int] = []
    defined: list[type] = []

    def leave(code: int) -> NoReturn:
        codes.append(code)
        raise _Exit

    def define(settings_class: type, define_flags=settings.define_flags) -> None:
        defined.append(settings_class)
        define_flags(settings_class)

    capsys.readouterr()
    with (
        mock.patch.object(settings, "define_flags", define),
        mock.patch.object(os, "_exit", leave),
        mock.patch.object(sys, "argv", command(script, *flags)[1:]),
        contextlib.suppress(_Exit),
    ):
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        finally:
            for settings_class in defined:
                forget_flags(settings_class)
    said = capsys.readouterr().err
    assert codes == [2], said
    assert "Traceback" not in said
    return said


def start(script: str, *flags: str, output: IO[str]) -> subprocess.Popen:
    """Starts a script whose output goes to a file."""
    return subprocess.Popen(
        command(script, *flags), env=environment(), stdout=output, stderr=subprocess.STDOUT
    )


def link_checkout(folder: pathlib.Path) -> None:
    """Makes `folder` look like a checkout with its `.venv`, to run commands in."""
    for path in ROOT.iterdir():
        if path.name not in {".git", ".venv", "demo", "runs", "records"}:
            (folder / path.name).symlink_to(path)
    (folder / ".venv").symlink_to(sys.prefix)


def shell(commands: str, folder: pathlib.Path) -> None:
    """Runs commands as a user would in `folder`, and checks that each succeeds."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def read_metrics(train_dir: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in (train_dir / "metrics.jsonl").read_text().splitlines()]


def train_flags(records: pathlib.Path, train_dir: pathlib.Path, *, steps: int) -> list[str]:
    return [
        f"--dataset_dir={records}",
        "--dataset_name=shapes",
        f"--train_dir={train_dir}",
        f"--max_number_of_steps={steps}",
        *TINY,
    ]
