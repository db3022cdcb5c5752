"""Training as a user runs it: what it leaves behind, and that interruptions change nothing."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import runs

from model import checkpoints

LONG = 200  # steps of a run that is interrupted on its way


def weights_of(train_dir: pathlib.Path) -> dict[str, np.ndarray]:
    found = checkpoints.newest(str(train_dir))
    return {name: value for name, value in found.tensors.items() if value.dtype.kind != "S"}


def assert_same_run(one: pathlib.Path, other: pathlib.Path) -> None:
    """Equal weights, slots and metrics to the last bit; times may differ."""
    first, second = weights_of(one), weights_of(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    lines, others = (
        [{k: v for k, v in line.items() if k != "images_per_second"} for line in metrics]
        for metrics in (runs.read_metrics(one), runs.read_metrics(other))
    )
    assert lines == others


def start(folder: pathlib.Path, flags: list[str]) -> subprocess.Popen:
    with (folder.parent / "output.txt").open("w") as output:
        return runs.start("train_ssd_network.py", *flags, output=output)


def wait_for_step(train_dir: pathlib.Path, step: int) -> None:
    """Waits until the log has a line for `step`; its last line may be torn while it is written."""
    deadline = time.monotonic() + 300
    path = train_dir / "metrics.jsonl"
    while time.monotonic() < deadline:
        if path.exists() and f'"step": {step},' in path.read_text():
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} did not come within five minutes")


def test_training_leaves_what_the_contract_names(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"flags.txt", "labels.txt", "metrics.jsonl", "checkpoint", "ckpt-6.index"} <= names
    configuration = (trained / "configuration.txt").read_text()
    assert "  --model_name=ssd_32_tiny\n" in configuration
    assert "ssd_32_tiny/conv4 " in configuration
    assert any(name.startswith("events.") for name in names)
    assert not any(name.endswith(("_temp", ".temp")) for name in names)
    assert len((trained / "labels.txt").read_text().split()) >= 6


def test_metrics_hold_a_line_a_step_with_every_key(trained):
    metrics = runs.read_metrics(trained)
    assert [line["step"] for line in metrics] == [1, 2, 3, 4, 5, 6]
    for line in metrics:
        parts = [
            line[f"loss_{part}"] for part in ("classification", "localisation", "regularisation")
        ]
        assert line["loss"] == pytest.approx(sum(parts), rel=1e-6)
        assert line["learning_rate"] == pytest.approx(1e-3)
        assert line["positives"] >= 2
        assert line["images_per_second"] > 0


def test_checkpoint_names_are_slims_and_it_describes_itself(trained_vgg):
    tensors = checkpoints.newest(str(trained_vgg)).tensors
    description = json.loads(tensors["description"].item())
    assert description["model_name"] == "ssd_300_vgg"
    assert description["labels"] == (trained_vgg / "labels.txt").read_text().split()
    assert tensors["global_step"] == 3
    assert tensors["ssd_300_vgg/conv1/conv1_1/weights"].shape == (3, 3, 3, 8)
    assert "ssd_300_vgg/conv1/conv1_1/weights/Momentum" in tensors


def test_narrow_vgg_resumes_to_the_same_weights(trained_vgg, records, tmp_path):
    copy = shutil.copytree(trained_vgg, tmp_path / "copy")
    for step in (2, 3):
        checkpoints.remove(f"{copy}/ckpt-{step}")
    flags = [*runs.train_flags(records, copy, steps=3), *runs.NARROW_VGG]
    assert f"Resuming from {copy}/ckpt-1." in runs.run("train_ssd_network.py", *flags).stdout
    assert_same_run(trained_vgg, copy)


def test_flags_of_a_run_repeat_it_and_never_say_to_start_over(trained, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    (again / "ckpt-9.index").write_text("torn")
    flags = [f"--flagfile={trained / 'flags.txt'}", f"--train_dir={again}", "--overwrite"]
    runs.run("train_ssd_network.py", *flags)
    assert_same_run(trained, again)
    assert checkpoints.list_steps(str(again)) == [6]
    assert "--overwrite=False" in (again / "flags.txt").read_text()


def test_training_of_a_finished_run_does_nothing(trained, records, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    flags = [*runs.train_flags(records, copy, steps=6), "--loss_alpha=2"]
    runs.run("train_ssd_network.py", *flags)
    assert_same_run(trained, copy)
    assert (copy / "flags.txt").read_text() == (trained / "flags.txt").read_text()


@pytest.fixture(scope="module")
def long_run(tmp_path_factory, records):
    """train_dir of a long run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("long") / "run"
    runs.run("train_ssd_network.py", *runs.train_flags(records, folder, steps=LONG))
    return folder


@pytest.mark.faults
@pytest.mark.parametrize("step", [1, 20])
def test_resume_after_sigkill_ends_with_the_same_weights(long_run, records, tmp_path, step):
    killed = tmp_path / "killed"
    flags = [*runs.train_flags(records, killed, steps=LONG), "--save_interval_secs=0"]
    process = start(killed, flags)
    wait_for_step(killed, step)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    runs.run("train_ssd_network.py", *flags)
    assert_same_run(long_run, killed)


@pytest.mark.faults
def test_sigterm_saves_and_exits_75_and_the_run_goes_on(long_run, records, tmp_path):
    stopped = tmp_path / "stopped"
    flags = runs.train_flags(records, stopped, steps=LONG)
    process = start(stopped, flags)
    wait_for_step(stopped, 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 75
    (saved,) = checkpoints.list_steps(str(stopped))
    assert 2 <= saved < LONG
    assert f"Stopped by SIGTERM at step {saved}" in (tmp_path / "output.txt").read_text()
    runs.run("train_ssd_network.py", *flags)
    assert_same_run(long_run, stopped)


@pytest.mark.faults
def test_damaged_newest_checkpoint_is_passed_over(trained, records, tmp_path):
    folder = tmp_path / "damaged"
    flags = [*runs.train_flags(records, folder, steps=6), "--save_interval_secs=0"]
    runs.run("train_ssd_network.py", *flags)
    data = folder / "ckpt-6.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:1000])
    output = runs.run("train_ssd_network.py", *flags).stdout
    assert "Skipped" in output
    assert "Resuming from" in output
    assert_same_run(trained, folder)


@pytest.mark.faults
def test_two_trainings_in_one_train_dir_are_refused(records, tmp_path):
    flags = runs.train_flags(records, tmp_path / "run", steps=10**6)
    first = start(tmp_path / "run", flags)
    try:
        wait_for_step(tmp_path / "run", 1)
        second = runs.run("train_ssd_network.py", *flags, code=2)
        assert "in use by another training" in second.stderr
        assert first.poll() is None
    finally:
        first.kill()
        first.wait()


def test_clones_take_the_steps_of_one_clone(records, tmp_path):
    """2 clones x batch 2 and 1 clone x batch 4, float32: the same losses."""
    losses = []
    for clones, batch in ((1, 4), (2, 2)):
        folder = tmp_path / f"clones{clones}"
        runs.run(
            "train_ssd_network.py",
            *runs.train_flags(records, folder, steps=4),
            f"--num_clones={clones}",
            f"--batch_size={batch}",
            "--precision=float32",
            "--learning_rate=0.00001",  # what rounding leaves grows with the rate, see test_layouts
        )
        losses.append([line["loss"] for line in runs.read_metrics(folder)])
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=1e-6)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


KNOBS = (
    "--moving_average_decay=0.5",
    "--min_negatives_per_image=5",
    "--hard_example_mining_step=3",
    "--bias_gradient_multiplier=2",
    "--last_layer_gradient_multiplier=3",
    "--weight_decay=0.001",
    "--clip_gradient_norm=5",
    "--learning_rate_decay_type=polynomial",
    "--num_epochs_per_decay=1",
    "--summarize_gradients",
    "--save_summaries_images",
)


def test_clones_that_accumulate_take_the_steps_of_one_large_batch(records, tmp_path):
    """2 clones x 2 batches of 1 and 1 clone x batch 4, with every knob turned: the same run."""
    layouts = {"one": (1, 1, 4), "parts": (2, 2, 1)}
    for name, (clones, parts, batch) in layouts.items():
        done = runs.run(
            "train_ssd_network.py",
            *runs.train_flags(records, tmp_path / name, steps=4),
            *KNOBS,
            f"--num_clones={clones}",
            f"--accumulate_steps={parts}",
            f"--batch_size={batch}",
            "--precision=float32",
        )
        assert "falls to --end_learning_rate=0.0001 by step 3 of 4 and stays there" in done.stdout
    one, parts = ([line["loss"] for line in runs.read_metrics(tmp_path / n)] for n in layouts)
    np.testing.assert_allclose(one[0], parts[0], rtol=1e-6)
    np.testing.assert_allclose(one, parts, rtol=1e-4)
    weights, others = (weights_of(tmp_path / name) for name in layouts)
    averages = [name for name in weights if name.endswith("/ExponentialMovingAverage")]
    assert len(averages) == 20  # weights and biases of four convolutions and six predictors
    for name in averages:
        np.testing.assert_allclose(weights[name], others[name], atol=1e-4, err_msg=name)


def test_weighted_mixture_trains_and_keeps_its_weights(tmp_path, records, capsys):
    flags = [
        *runs.train_flags(records, tmp_path / "run", steps=2),
        "--dataset_split_name=train,test",
    ]
    runs.run("train_ssd_network.py", *flags, "--dataset_weights=3,1")
    assert "--dataset_weights=3.0,1.0" in (tmp_path / "run" / "flags.txt").read_text()
    said = runs.refuse("train_ssd_network.py", *flags, "--dataset_weights=1,1", capsys=capsys)
    assert "--dataset_weights=1.0,1.0 differs from the 3.0,1.0 of the run" in said


LEAVES = """
import os, sys
from training.settings import TrainSettings
from training.train import train
settings = TrainSettings(
    dataset_dir=sys.argv[1], train_dir=sys.argv[2], dataset_name="shapes", batch_size=2,
    model_name="ssd_32_tiny", max_number_of_steps=2,
)
train(settings, {}, leave=lambda done: os._exit(7 if done else 8))
"""


def test_process_can_end_before_what_trained_is_destroyed(records, tmp_path):
    """TensorFlow's destructors wait for its threads, up to a minute."""
    words = [sys.executable, "-c", LEAVES, str(records), str(tmp_path / "run")]
    done = subprocess.run(words, env=runs.environment(), timeout=300)
    assert done.returncode == 7
    assert (tmp_path / "run" / "ckpt-2.index").exists()
