"""The order in which a training is put together."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The records are only found when the labels come, later than the watchdog would wait for a step.
WAITS_FOR_LABELS = """
import sys, threading, time
from deployment import training
from deployment.train_settings import TrainSettings

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
