"""Records of drawn images, made by the project's own scripts."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run_script(*command: str) -> subprocess.CompletedProcess:
    """Runs a script of this project to its end, quietly."""
    return subprocess.run(
        [sys.executable, str(ROOT / command[0]), *command[1:]],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"},
        check=True,
        capture_output=True,
        text=True,
    )


def make_records(folder: pathlib.Path, *, pictures: int) -> pathlib.Path:
    """Draws images and converts them; the records' folder, for --dataset_name=shapes."""
    run_script(
        "scripts/make_shapes_devkit.py",
        f"--output_dir={folder}", f"--num_train={pictures}", "--num_test=1",
    )  # fmt: skip
    run_script(
        "tf_convert_data.py",
        f"--dataset_dir={folder / 'VOC2007'}", "--split=train", "--output_name=shapes_train",
        f"--output_dir={folder / 'records'}",
    )  # fmt: skip
    return folder / "records"
