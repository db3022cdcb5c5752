"""Workers on hosts of their own: hosts that vanish for seconds or for good, IPv6."""

import pathlib
import subprocess
import sys
import time

import pytest

from deployment.connections import GONE_SECS
from tests.faults import clusters

CHIEF = """
import queue, time
from deployment import connections
from deployment.peers import PeerMonitor
connections.GONE_SECS, lost = 6, queue.Queue()
monitor = PeerMonitor(2222, ["ps 0"], on_lost=lambda *who: lost.put(who), on_life=int)
while monitor.missing():
    time.sleep(0.1)
print("all here", flush=True)
print(*lost.get(timeout=60), flush=True)
"""
SERVER = """
from deployment.peers import Heartbeat
line = Heartbeat("node0:2222", "ps 0", on_life=int, on_wait=id)
while line.ended() is None:
    pass
"""
slow = pytest.mark.slow
PORT = 2222
LIMIT_SECS = 300
BUSY_SECS = 30  # room for a busy machine, in whatever time is promised
TRAIN = (sys.executable, str(clusters.ROOT / "train_ssd_network.py"))


class Training:
    """A process on each host, of a training that goes on until it is ended.

    Attributes:
      processes: by host.
    """

    def __init__(self, hosts, records, train_dir: pathlib.Path):
        self._hosts, self._records, self.train_dir = hosts, records, train_dir
        self.processes: dict[int, subprocess.Popen] = {}

    def start(self, host: int, *flags: str, steps: int = 100_000) -> None:
        arguments = clusters.flags(self._records, self.train_dir, steps=steps, batch=2)
        arguments += ["--save_interval_secs=20", "--depth_multiplier=1", *flags]
        with self._log(host).open("w") as log:
            self.processes[host] = subprocess.Popen(
                self._hosts.command(host, *TRAIN, *arguments),
                cwd=clusters.ROOT,
                env=clusters.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self, host: int) -> str:
        return self._log(host).read_text()

    def wait_for_step(self, step: int) -> None:
        deadline = time.monotonic() + LIMIT_SECS
        while clusters.last_step(self.train_dir) < step:
            assert time.monotonic() < deadline, [self.said(host) for host in self.processes]
            assert self.codes(*self.processes).count(None) >= 2, [*map(self.said, self.processes)]
            time.sleep(0.2)

    def codes(self, *hosts: int) -> list[int | None]:
        return [self.processes[host].poll() for host in hosts]

    def secs_until_end(self, *hosts: int) -> float:
        began = time.monotonic()
        for host in hosts:
            self.processes[host].wait(LIMIT_SECS)
        return time.monotonic() - began

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _log(self, host: int) -> pathlib.Path:
        return self.train_dir.with_name(f"log-{host}")


@pytest.fixture
def training(hosts, records, tmp_path):
    made = Training(hosts, records, tmp_path / "run")
    try:
        yield made
    finally:
        made.end()
        for host in range(len(hosts.names)):
            hosts.link(host, "up")


def test_chief_notices_a_host_that_vanishes(hosts):
    def start(host: int, program: str) -> subprocess.Popen:
        return subprocess.Popen(
            hosts.command(host, sys.executable, "-c", program),
            cwd=clusters.ROOT,
            env=clusters.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )

    with start(0, CHIEF) as chief, start(1, SERVER) as server:
        try:
            assert chief.stdout.readline() == "all here\n"
            time.sleep(2)
            hosts.link(1, "down")
            assert chief.stdout.readline() == "ps 0 True\n"
        finally:
            hosts.link(1, "up")
            chief.kill()
            server.kill()


@slow
@pytest.mark.parametrize("version", [4, 6])
def test_two_hosts_train(hosts, training, version):
    addresses = ",".join(f"{hosts.address(host, version=version)}:{PORT}" for host in (0, 1))
    for host in (0, 1):
        training.start(host, f"--worker_hosts={addresses}", f"--task={host}", steps=8)
    training.secs_until_end(0, 1)
    assert training.codes(0, 1) == [0, 0], (training.said(0), training.said(1))


def start_two(training: Training) -> None:
    for host in (0, 1):
        training.start(host, f"--worker_hosts=node0:{PORT},node1:{PORT}", f"--task={host}")


@slow
def test_partition_of_seconds_loses_no_step(hosts, training):
    """TensorFlow may give up within them: then both end with 75, and the same commands resume."""
    start_two(training)
    training.wait_for_step(5)
    hosts.link(1, "down")
    time.sleep(5)
    step = clusters.last_step(training.train_dir)
    hosts.link(1, "up")
    deadline = time.monotonic() + clusters.PEER_SECS + BUSY_SECS
    while clusters.last_step(training.train_dir) < step + 20:
        assert time.monotonic() < deadline, [*map(training.said, (0, 1))]
        if training.codes(0, 1) == [75, 75]:
            start_two(training)
            training.wait_for_step(step + 20)
        time.sleep(0.2)


@slow
def test_lasting_partition_ends_both_with_75(hosts, training):
    start_two(training)
    training.wait_for_step(5)
    hosts.link(1, "down")
    assert training.secs_until_end(0, 1) < clusters.PEER_SECS
    assert training.codes(0, 1) == [75, 75], (training.said(0), training.said(1))


@pytest.fixture
def asynchronous(training):
    """A chief, two workers and a parameter server, in step 5 or later."""
    addresses = [f"--worker_hosts=node0:{PORT},node1:{PORT},node2:{PORT}"]
    addresses.append(f"--ps_hosts=node3:{PORT}")
    for host in (0, 1, 2):
        training.start(host, *addresses, f"--task={host}", "--stall_timeout_secs=600")
    training.start(3, *addresses, "--task=0", "--job_name=ps", "--stall_timeout_secs=600")
    training.wait_for_step(5)
    return training


@slow
@pytest.mark.parametrize("lost", [0, 2, 3], ids=["chief", "worker", "parameter server"])
def test_all_stop_when_a_host_vanishes(hosts, asynchronous, lost):
    hosts.link(lost, "down")
    assert asynchronous.secs_until_end(0, 1, 2, 3) < GONE_SECS + BUSY_SECS
    assert asynchronous.codes(0, 1, 2, 3) == [75] * 4, asynchronous.said(0)
