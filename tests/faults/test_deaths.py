"""Workers die, get stuck or are asked to stop; the run ends as if nothing had happened."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import runs

from deployment import launcher, rendezvous
from model import checkpoints
from tests.faults import clusters
from tests.faults.asynchronous import wait_until
from tests.faults.clusters import BATCH, EVAL_EVERY, LIMIT_SECS, PEER_SECS, STEPS, Death

pytestmark = [pytest.mark.faults, pytest.mark.slow]


SCHEDULES = {
    "chief asked": [Death("SIGTERM", 0, 4)],
    "worker asked, chief stuck, worker killed at the last step": [
        Death("SIGTERM", 1, 2),
        Death("SIGSTOP", 0, 5),
        Death("SIGKILL", 1, STEPS),
    ],
    "worker killed while starting, worker stuck": [Death("SIGKILL", 1, 0), Death("SIGSTOP", 1, 3)],
    "chief killed in a save, then in an evaluation": [
        Death("SIGKILL", 0, 2, during="save", damage="data torn"),
        Death("SIGKILL", 0, EVAL_EVERY, during="evaluation"),
    ],
}


@pytest.mark.parametrize("deaths", SCHEDULES.values(), ids=SCHEDULES)
def test_run_ends_with_the_same_bits_after(deaths, records, undisturbed, tmp_path):
    folder = tmp_path / "run"
    arguments = clusters.flags(records, folder, steps=STEPS, batch=BATCH)
    scoring = clusters.scoring(deaths)
    ends = clusters.run_to_the_end([*arguments, *scoring], folder, workers=2, deaths=deaths)
    for death, ended in zip(deaths, ends, strict=False):
        clusters.check(death, ended)
        assert ended.seconds or death.step == STEPS, f"{death} did not come"
    assert ends[-1].codes == [0, 0], ends[-1].output
    clusters.assert_equal_ends(undisturbed, folder, step=STEPS)
    assert clusters.steps_evaluated(folder) == ([EVAL_EVERY, STEPS] if scoring else [])


def test_launcher_brings_a_killed_worker_back(records, undisturbed, tmp_path):
    folder, log = tmp_path / "run", tmp_path / "log"
    launcher = [sys.executable, "-m", "deployment.launcher", "--workers=2", "--"]
    training = runs.command(
        "train_ssd_network.py", *clusters.flags(records, folder, steps=STEPS, batch=BATCH)
    )
    with log.open("w") as output:
        process = subprocess.Popen(
            [*launcher, *training[1:]], env=runs.environment(), cwd=runs.ROOT, stderr=output
        )
    try:
        while not list(folder.glob("ckpt-*.index")):
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        (worker,) = re.findall(r"worker 1 is process (\d+)\.", log.read_text())
        os.kill(int(worker), signal.SIGKILL)
        assert process.wait(clusters.LIMIT_SECS) == 0, log.read_text()
    finally:
        process.terminate()  # which ends its workers, too
    assert "-9; starting again (1/10)." in log.read_text()
    clusters.assert_equal_ends(undisturbed, folder, step=STEPS)


def test_workers_that_are_asked_to_stop_all_stop_after_the_same_saved_step(records, tmp_path):
    folder = tmp_path / "run"
    arguments = clusters.flags(records, folder, steps=1000, batch=BATCH)
    ended = clusters.run(arguments, folder, workers=2, death=Death("SIGTERM", 1, 2))
    assert ended.codes == [75, 75], ended.output
    step = checkpoints.newest(str(folder)).step
    assert step == clusters.last_step(folder)
    assert f"Stopped by a signal to another worker at step {step}; saved." in ended.output[0]


def test_worker_that_is_asked_to_stop_before_the_first_step_dies_of_it(records, tmp_path):
    """It waits for its labels, from a pipe that nobody writes to; TensorFlow is up."""
    folder, labels = tmp_path / "run", tmp_path / "labels.txt"
    os.mkfifo(labels)
    arguments = clusters.flags(records, folder, steps=1000, batch=BATCH)
    own = {1: [f"--labels_file={labels}"]}
    with clusters.started(arguments, workers=2, own=own) as (chief, worker):
        assert wait_until(folder.exists, LIMIT_SECS)  # the chief asks for step 0 to begin with
        time.sleep(2.0)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == -signal.SIGTERM
        assert chief.wait(PEER_SECS) == 75
    assert clusters.last_step(folder) == 0


@pytest.mark.parametrize("task", [0, 1])
def test_worker_whose_peer_dies_after_they_met_does_not_wait_for_ever(records, tmp_path, task):
    """TensorFlow waits for the peer then, and no thread of Python's runs."""
    hosts = [f"localhost:{port}" for port in launcher.free_ports(2)]
    arguments = clusters.flags(records, tmp_path / "run", steps=5, batch=BATCH)
    place = (f"--worker_hosts={','.join(hosts)}", f"--task={task}", "--stall_timeout_secs=10")
    with (tmp_path / "said").open("w") as output:
        process = runs.start("train_ssd_network.py", *arguments, *place, output=output)
    try:
        peer = threading.Thread(
            target=rendezvous.meet,
            args=(hosts, 1 - task),
            kwargs={"on_wait": id},
            daemon=True,
        )
        peer.start()
        assert process.wait(90) == 75
    finally:
        process.kill()
        process.wait()
    said = (tmp_path / "said").read_text()
    assert "(--stall_timeout_secs): another worker is gone or stuck" in said, said
    assert "Traceback" not in said


def test_worker_with_other_flags_is_refused(records, tmp_path):
    folder = tmp_path / "run"
    arguments = clusters.flags(records, folder, steps=5, batch=BATCH)
    ended = clusters.run(arguments, folder, workers=2, own={1: ["--learning_rate=0.5"]})
    assert ended.codes == [75, 2], ended.output
    assert "--learning_rate=0.5 differs from the chief's 0.001" in ended.output[1]


def test_refusal_of_the_chief_reaches_every_worker(records, undisturbed):
    arguments = clusters.flags(records, undisturbed, steps=STEPS, batch=BATCH)
    ended = clusters.run([*arguments, "--anchors=coco"], undisturbed, workers=2)
    assert ended.codes == [2, 2], ended.output
    assert "The chief refuses: --anchors=coco differs from the voc" in ended.output[1]
