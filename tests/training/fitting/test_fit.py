"""The whole of a fit, with the 32-pixel network: what it leaves, resumes and refuses."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import training
from model import checkpoints
from runtime.errors import InputError
from tests.voc_folder import VocFolder, picture_bytes

ROOT = pathlib.Path(__file__).resolve().parents[3]
TINY = {"model_name": "ssd_32_tiny", "checkpoint_path": "none"}
FLAGS = "--precision=float32 --batch_size=2 --max_number_of_steps={}"


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> pathlib.Path:
    """Ten images, each with a cat and another class."""
    voc = VocFolder(tmp_path_factory.mktemp("data") / "VOC")
    voc.add_many(10)
    for number in range(10):  # of different pixels, so that they can be parted
        path = voc.path / "JPEGImages" / f"p{number:03d}.jpg"
        path.write_bytes(picture_bytes(width=40 + number))
        xml = voc.path / "Annotations" / f"p{number:03d}.xml"
        xml.write_text(xml.read_text().replace(">40<", f">{40 + number}<"))
    return voc.path


def command(images: pathlib.Path, output: pathlib.Path, steps: int, *more: str) -> list[str]:
    flags = {"input": images, "output_dir": output, "train_flags": FLAGS.format(steps), **TINY}
    given = [f"--{name}={value}" for name, value in flags.items()]
    return [sys.executable, str(ROOT / "fit_ssd_network.py"), *given, *more]


def run(*words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        words, capture_output=True, text=True, timeout=300, env=environment, check=False
    )


@pytest.fixture(scope="module")
def fitted(images, tmp_path_factory) -> tuple[pathlib.Path, str]:
    output = tmp_path_factory.mktemp("run") / "my run"
    done = run(*command(images, output, 4, "--export=saved_model"))
    assert done.returncode == 0, done.stderr
    return output, done.stdout


def test_everything_is_there(fitted):
    output, said = fitted
    metrics = json.loads((output / "eval" / "metrics.json").read_text())
    for name in (
        *("fit.json", "report/index.html", "report/data.html", "train/flags.txt"),
        *("detections/detections.jsonl", "export/export.json"),
    ):
        assert (output / name).exists(), name
    lines = (output / "detections" / "detections.jsonl").read_text().splitlines()
    assert len(lines) == metrics["num_images"] == len(held_out(output))
    assert {json.loads(line)["image"] for line in lines} == held_out(output)
    assert f"mAP_VOC07 {metrics['mAP_VOC07']:.3f}" in said
    assert "network: ssd_32_tiny, from scratch" in said
    assert "length: 4 steps" in said
    assert "as you say: --batch_size, --max_number_of_steps, --precision" in said


def held_out(output: pathlib.Path) -> set[str]:
    state = json.loads((output / "fit.json").read_text())
    return {pathlib.Path(path).name for path in state["data"]["shown"]}


def test_same_call_in_python_makes_nothing_anew(fitted, images, capsys):
    output, _ = fitted
    before = {path: path.stat().st_mtime_ns for path in (output / "records").iterdir()}
    made = training.fit(str(images), str(output), train_flags=FLAGS.format(4), **TINY)
    assert {path: path.stat().st_mtime_ns for path in (output / "records").iterdir()} == before
    assert made.metrics == json.loads((output / "eval" / "metrics.json").read_text())
    best = json.loads((output / "train" / "best" / "metrics.json").read_text())["step"]
    assert made.checkpoint == str(output / "train" / "best" / f"ckpt-{best}")
    assert "Resuming what was begun" in capsys.readouterr().out


def test_other_choices_need_another_folder(fitted, images, tmp_path):
    output, _ = fitted
    for flags, said in (
        ({"classes": "cat"}, r"--classes=cat is not what was begun in .* \(not given\): keep"),
        ({"holdout": 0.5}, r"--holdout=0.5 is not what was begun"),
    ):
        with pytest.raises(InputError, match=said):
            training.fit(str(images), str(output), train_flags=FLAGS.format(4), **TINY, **flags)
    (tmp_path / "fit.json").write_text('{"asked": {}, "data": {"train": "train"}}')
    with pytest.raises(InputError, match=r"fit.json cannot be understood"):
        training.fit(str(images), str(tmp_path), **TINY)
    (tmp_path / "fit.json").unlink()
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "flags.txt").write_text("--seed=1\n")
    with pytest.raises(InputError, match=r"holds a training that no fit.json tells of"):
        training.fit(str(images), str(tmp_path), **TINY)


def test_bad_input_is_a_sentence(tmp_path):
    done = run(*command(tmp_path / "none", tmp_path / "run", 4))
    assert done.returncode == 2
    assert "is neither a file nor a folder" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_interrupted_run_ends_as_if_it_had_not_been(fitted, images, tmp_path):
    """A signal in the training; the same command ends with the weights of a run in one go."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    words = command(images, stopped, 400, "--seed=3")
    process = subprocess.Popen(
        words, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    metrics = stopped / "train" / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not metrics.exists() or len(metrics.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 75
    assert run(*words).returncode == 0
    assert run(*command(images, whole, 400, "--seed=3")).returncode == 0
    ends = [checkpoints.read(str(each / "train" / "ckpt-400")) for each in (whole, stopped)]
    assert ends[0].keys() == ends[1].keys()
    for name, value in ends[0].items():
        if name not in ("training", "description"):
            assert value.tobytes() == ends[1][name].tobytes(), name


@pytest.mark.slow
def test_minutes_are_kept_about(images, tmp_path):
    """A small budget buys few steps: those of a trial, less than the rest of the fit takes."""
    flags = "--precision=float32 --batch_size=2"
    words = command(images, tmp_path / "run", 1, "--minutes=1")
    words = [word for word in words if not word.startswith("--train_flags")]
    done = run(*words, f"--train_flags={flags}")
    assert done.returncode == 0, done.stderr
    assert "--minutes=1 at " in done.stdout
