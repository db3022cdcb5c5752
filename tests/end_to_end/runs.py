"""Runs the scripts as a user does: real processes, real files."""

import json
import os
import pathlib
import subprocess
import sys
from typing import IO

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ("--depth_multiplier=0.0625", "--batch_size=2", "--seed=3", "--log_every_n_steps=1")


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
