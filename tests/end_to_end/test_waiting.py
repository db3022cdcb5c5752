"""A worker that waits for the others: it says for whom and why, and can be told to end."""

import pathlib
import shutil
import signal
import subprocess
import time

import pytest
import runs

from deployment.launcher import free_ports

GIVEN = ("--dataset_dir=absent", "--train_dir=absent")  # read when all have met


def end(*flags: str) -> str:
    """What a process says that nobody joins in two seconds."""
    done = runs.run(
        "train_ssd_network.py", *GIVEN, "--stall_timeout_secs=2", *flags, code=75
    )  # fmt: skip
    return done.stderr


def test_end_names_the_worker_that_cannot_be_reached():
    hosts = ",".join(f"localhost:{port}" for port in free_ports(2))
    said = end(f"--worker_hosts={hosts}", "--task=0")
    address = hosts.split(",")[1]
    assert f": worker 1 ({address}) cannot be reached: Connection refused. Run the same" in said


def test_end_names_the_server_that_cannot_be_reached():
    chief, worker, server = (f"localhost:{port}" for port in free_ports(3))
    said = end(f"--worker_hosts={chief},{worker}", f"--ps_hosts={server}", "--task=0")
    assert f": worker 0 ({worker}) cannot be reached: Connection refused; ps 0 ({server})" in said


def test_end_says_why_the_chief_cannot_be_reached():
    chief, worker, server = (f"localhost:{port}" for port in free_ports(3))
    place = (f"--worker_hosts={chief},{worker}", f"--ps_hosts={server}", "--task=1")
    assert f": the chief ({chief}) cannot be reached: Connection refused." in end(*place)


def test_first_process_of_a_container_ends_when_asked(tmp_path):
    container = ["unshare", "--pid", "--fork", "--kill-child", "--user", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*container, "true"]).returncode:
        pytest.skip("no process namespaces here")
    hosts = ",".join(f"localhost:{port}" for port in free_ports(2))
    flags = (*GIVEN, f"--worker_hosts={hosts}", "--task=0")
    with (tmp_path / "said").open("w") as output:
        process = subprocess.Popen(
            [*container, *runs.command("train_ssd_network.py", *flags)],
            env=runs.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        while "Waiting at port" not in (tmp_path / "said").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        (first,) = children.read_text().split()
        subprocess.run(["kill", f"-{signal.SIGTERM}", first], check=True)
        assert process.wait(20) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
