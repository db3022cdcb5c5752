"""The order in which a training is put together, and how its loop ends."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from deployment.cluster import Cluster
from deployment.model_deploy import DeploymentConfig
from runtime.errors import InputError
from runtime.signals import StopRequest
from runtime.watchdog import Watchdog
from training.initial_weights import InitialWeights
from training.numerics import NumericsCheck
from training.settings import TrainSettings
from training.start import Start
from training.train import run_to_the_end
from training.writer import NullWriter

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The records are only found when the labels come, later than the watchdog would wait for a step.
WAITS_FOR_LABELS = """
import sys, threading, time
from training import train as training
from training.settings import TrainSettings

def give_labels():
    time.sleep(2)
    with open("labels.txt", "w") as file:
        file.write("background")

threading.Thread(target=give_labels, daemon=True).start()
settings = TrainSettings(
    train_dir="run", dataset_dir=".", dataset_name="own", labels_file="labels.txt",
    stall_timeout_secs=1,
)
training.train(settings, {})
"""


def test_search_for_the_records_is_no_stall(tmp_path):
    fields = {"format": "ssd-records-1", "name": "own_train", "labels": ["cat"], "classes": {}}
    (tmp_path / "own_train.json").write_text(json.dumps({**fields, "shards": [], "notes": {}}))
    os.mkfifo(tmp_path / "labels.txt")
    done = subprocess.run(
        [sys.executable, "-c", WAITS_FOR_LABELS],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "InputError: The labels file labels.txt" in done.stderr


class Steps:
    """Takes steps in which nothing happens but a signal in one of them; 0 asks before the first."""

    idle = True

    def __init__(self, *, signal_in: int):
        self._taken, self._signal_in = 0, signal_in

    def take(self, *, stop, drain):
        if not self._signal_in:
            os.kill(os.getpid(), signal.SIGTERM)
            return None
        self._taken += 1
        if self._taken == self._signal_in:
            os.kill(os.getpid(), signal.SIGTERM)
        return None, {"stop": stop(), "finite": True}

    def finish(self):
        pass


def run(folder, *, signal_in: int, **flags) -> bool:
    """Whether a loop of three steps says that it is done."""
    settings = TrainSettings(
        train_dir=str(folder), dataset_dir="records", max_number_of_steps=3, **flags
    )
    start = Start(settings=settings, description=None, step=0, found=None, origin=InitialWeights())
    cluster = Cluster(DeploymentConfig(), tf.distribute.get_strategy())
    numerics = NumericsCheck(settings, None, None)
    steps = Steps(signal_in=signal_in)
    with StopRequest() as interrupts:
        return run_to_the_end(
            start,
            steps,
            numerics,
            NullWriter(),
            cluster,
            num_samples=9,
            interrupts=interrupts,
            watchdog=Watchdog(0),
        )


@pytest.mark.parametrize(
    ("signal_in", "flags", "done", "said"),
    [
        (0, {}, False, "Stopped by SIGTERM at step 0; nothing to save yet.\n"),
        (2, {}, False, "Stopped by SIGTERM at step 2; saved.\n"),
        (
            *(2, {"overwrite": True}, False),
            "Stopped by SIGTERM at step 2; saved. Run again without --overwrite.\n",
        ),
        (3, {}, True, ""),
    ],
)
def test_signal_ends_the_loop(tmp_path, capsys, signal_in, flags, done, said):
    assert run(tmp_path, signal_in=signal_in, **flags) is done
    assert capsys.readouterr().out == said


def test_signal_in_the_last_step_does_not_pass_over_the_last_evaluation(tmp_path):
    with pytest.raises(InputError, match="ckpt-3"):  # is asked for, and here nobody saved it
        run(tmp_path, signal_in=3, eval_split="val", eval_every_n_steps=9)
