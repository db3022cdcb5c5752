"""What asynchronous training refuses, and a chief that stands still; tests/faults hold the rest."""

import pathlib
import signal
import subprocess
import sys
import time
from concurrent.futures import Future

import numpy as np
import pytest
import tensorflow as tf

from deployment import parameter_server
from deployment.launcher import free_ports
from deployment.model_deploy import DeploymentConfig
from model import checkpoints
from runtime.errors import InputError
from training import remote_steps
from training.settings import TrainSettings

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHIEF = """
import sys, time
from deployment.peers import PeerMonitor
chief = PeerMonitor(int(sys.argv[1]), ["worker 0"], on_lost=print, on_life=int)
time.sleep(600)
"""
WORKER = """
import sys
from deployment import parameter_server
from deployment.model_deploy import DeploymentConfig
chief, worker, server = (f"localhost:{port}" for port in sys.argv[1:])
deployment = DeploymentConfig(num_replicas=2, replica_id=1, worker_hosts=(chief, worker),
                              num_ps_tasks=1, ps_hosts=(server,))
parameter_server.serve(deployment, stall_timeout_secs=3.0, gpu_memory_fraction=None)
"""
GIVEN = {"train_dir": "train", "dataset_dir": "records"}


@pytest.mark.parametrize(
    "flag",
    [
        {"eval_split": "val", "eval_every_n_steps": 5},
        {"skip_bad": 3},
        {"summarize_gradients": True},
        {"save_summaries_images": True},
        {"profile_dir": "trace"},
        {"data_service": ("grpc://a:1",)},
    ],
)
def test_flags_that_need_the_chief_to_see_a_batch_are_refused(flag):
    name = next(iter(flag))
    with pytest.raises(InputError, match=f"--{name}=.* does not go with parameter servers"):
        remote_steps.check(TrainSettings(**GIVEN, **flag))


def test_compilation_is_refused():
    with pytest.raises(InputError, match="--jit=True does not go with parameter servers: XLA"):
        remote_steps.check(TrainSettings(**GIVEN, jit=True))


def test_flags_of_the_step_itself_go_with_parameter_servers():
    remote_steps.check(TrainSettings(**GIVEN, accumulate_steps=2, moving_average_decay=0.9))


@pytest.mark.parametrize(
    ("saved", "flags", "expected"),
    [
        ((), {}, False),
        ((4, 7), {}, False),
        ((4, 8), {}, True),
        ((4, 9), {}, True),
        ((4, 8), {"max_number_of_steps": None}, False),
        ((4, 8), {"overwrite": True}, False),
    ],
)
def test_training_is_over_once_its_last_step_is_saved(tmp_path, saved, flags, expected):
    for step in saved:
        checkpoints.save(str(tmp_path), step, {"global_step": np.int64(step)})
    given = {**GIVEN, "train_dir": str(tmp_path), "max_number_of_steps": 8, **flags}
    assert remote_steps.is_over(TrainSettings(**given)) is expected


def test_training_whose_last_checkpoint_is_damaged_is_not_over(tmp_path):
    checkpoints.save(str(tmp_path), 8, {"global_step": np.int64(8)})
    (tmp_path / "ckpt-8.data-00000-of-00001").write_bytes(b"")
    given = {**GIVEN, "train_dir": str(tmp_path), "max_number_of_steps": 8}
    assert not remote_steps.is_over(TrainSettings(**given))


@pytest.mark.parametrize(
    ("fraction", "share", "grows"), [(None, 0.0, True), (0.25, 0.25, False), (1.0, 1.0, False)]
)
def test_server_takes_the_share_of_gpu_memory_that_it_is_given(fraction, share, grows):
    deployment = DeploymentConfig(
        num_clones=2, num_replicas=2, replica_id=1, worker_hosts=("a:1", "a:2"),
        num_ps_tasks=1, ps_hosts=("a:3",),
    )  # fmt: skip
    config = parameter_server.devices(deployment, gpu_memory_fraction=fraction)
    assert config.device_count["GPU"] == 2
    assert config.gpu_options.per_process_gpu_memory_fraction == share
    assert config.gpu_options.allow_growth is grows


def test_step_that_is_out_for_longest_counts_until_it_ends():
    now = time.monotonic()
    first, second = Future(), Future()
    pending = {first: now - 100.0, second: now - 10.0}
    assert remote_steps.longest_out(pending) == pytest.approx(100.0, abs=5.0)
    first.set_result(None)
    assert remote_steps.longest_out(pending) == pytest.approx(10.0, abs=5.0)
    assert remote_steps.longest_out({first: now - 100.0}) == 0.0


def test_chief_that_stands_still_ends_its_servers():
    """Its host's kernel answers for it, so that no connection tells."""
    ports = list(map(str, free_ports(3)))
    with (
        subprocess.Popen([sys.executable, "-c", CHIEF, *ports[:1]], cwd=ROOT) as chief,
        subprocess.Popen(
            [sys.executable, "-c", WORKER, *ports], cwd=ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as worker,
    ):  # fmt: skip
        try:
            assert worker.stdout.readline().startswith("worker 0 serves at"), worker.stderr.read()
            time.sleep(2.0)  # for a heartbeat
            chief.send_signal(signal.SIGSTOP)
            said = worker.communicate(timeout=60)[1]
        finally:
            for process in (chief, worker):
                process.kill()
    assert worker.returncode == 75, said
    assert "in the 3 seconds after the chief's last heartbeat" in said


@pytest.mark.parametrize(
    "several", ["", "2 root error(s) found.\n  (0) DATA_LOSS:  ", "2 root error(s) found.\n "]
)
def test_what_a_worker_could_not_read_is_told_in_one_sentence(several):
    where = "Graph execution error:\n\nDetected at node x\n<stack traces unavailable>\n"
    said = f"{where}{several}corrupted record at 12\n\t [[{{{{node IteratorGetNext}}}}]]"
    error = tf.errors.DataLossError(None, None, said)
    refused = pytest.raises(InputError, match=r"its records \(corrupted record at 12\): each needs")
    with refused, remote_steps._refusing_bad_records():
        raise error
