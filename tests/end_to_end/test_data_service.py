"""Real services of tf.data make the batches: the same ones, in the same order."""

import contextlib
import socket
import subprocess

import numpy as np
import pytest
import runs
import tensorflow as tf

from datasets.input_pipeline import WorkerSlice
from deployment import data_service
from deployment.launcher import free_ports
from runtime.errors import InputError
from tests.faults import clusters
from tests.faults.asynchronous import wait_until

pytestmark = pytest.mark.slow


def start(port: int) -> subprocess.Popen:
    process = subprocess.Popen(
        runs.command("scripts/data_service.py", f"--port={port}"),
        env=runs.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == (
        f"Serves at grpc://localhost:{port}; listens at the ports {port} and {port + 1} of every "
        "interface of this host.\n"
    )
    return process


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


def pair_of_ports() -> int:
    """A free port before another free port."""
    while True:
        port = free_ports(1)[0]
        with contextlib.suppress(OSError), socket.create_server(("localhost", port + 1)):
            return port


@pytest.fixture(scope="module")
def services():
    """Addresses of two."""
    ports = [pair_of_ports(), pair_of_ports()]
    processes = [start(port) for port in ports]
    yield [f"grpc://localhost:{port}" for port in ports]
    for process in processes:
        end(process)


def numbers(share: WorkerSlice, first_step: int) -> tf.data.Dataset:
    """Sample numbers in batches of two, as `training_batches` has them, in order of rows."""
    rows = tf.data.Dataset.range(first_step * share.rows, 1000)

    def sample(row):
        return row // share.rows * share.global_batch_size + share.first_row + row % share.rows

    return rows.map(sample, num_parallel_calls=2).batch(2)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("share", "clones"), [(WorkerSlice(2, 0, 2), 1), (WorkerSlice(8, 4, 4), 2)]
)
@pytest.mark.parametrize("first_step", [0, 3])
def test_batches_and_their_order_are_those_without(services, count, share, clones, first_step):
    made = data_service.batches(
        numbers, share, first_step, services=services[:count], clones=clones
    )
    expected = numbers(share, first_step).take(11)
    np.testing.assert_array_equal(list(made.take(11)), list(expected))


def test_training_on_services_takes_the_very_steps(services, trained, records, tmp_path):
    flags = runs.train_flags(records, tmp_path / "run", steps=6)
    runs.run("train_ssd_network.py", *flags, f"--data_service={','.join(services)}")
    clusters.assert_equal_ends(trained, tmp_path / "run", step=6)


@pytest.mark.faults
def test_service_that_was_started_again_ends_the_run_with_75(records, tmp_path):
    port, folder = pair_of_ports(), tmp_path / "run"
    flags = runs.train_flags(records, folder, steps=10**6)
    service = start(port)
    with (tmp_path / "output.txt").open("w") as output:
        training = runs.start(
            "train_ssd_network.py", *flags, "--save_interval_secs=0",
            f"--data_service=grpc://localhost:{port}", output=output,
        )  # fmt: skip
    try:
        assert wait_until(lambda: clusters.last_step(folder) >= 2, clusters.LIMIT_SECS)
        end(service)
        service = start(port)
        assert training.wait(timeout=120) == 75, (tmp_path / "output.txt").read_text()
        assert "A data service was started again" in (tmp_path / "output.txt").read_text()
    finally:
        training.kill()
        training.wait()
        end(service)


def test_address_where_nobody_answers_is_refused(monkeypatch):
    monkeypatch.setattr(data_service, "_WAIT_SECS", 0.0)
    address = f"grpc://localhost:{free_ports(1)[0]}"
    with pytest.raises(InputError, match=f"--data_service={address} does not answer"):
        data_service.batches(numbers, WorkerSlice(2, 0, 2), 0, services=[address], clones=1)
