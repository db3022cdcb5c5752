"""Workers meet in any order, wait for whoever is missing, and do not count the dead."""

import contextlib
import queue
import re
import socket
import threading
import time

import pytest

from deployment import connections, rendezvous
from deployment.launcher import free_ports
from runtime.errors import InputError


@pytest.fixture
def hosts():
    return [f"localhost:{port}" for port in free_ports(3)]


def arrive(hosts, task: int, on_wait=id) -> threading.Thread:
    thread = threading.Thread(
        target=rendezvous.meet, args=(hosts, task), kwargs={"on_wait": on_wait}, daemon=True
    )
    thread.start()
    return thread


def call(hosts, text: bytes) -> socket.socket:
    """Speaks to the chief as a worker does, from this test."""
    port = int(hosts[0].partition(":")[2])
    deadline = time.monotonic() + 30
    while True:
        try:
            connection = socket.create_connection(("localhost", port))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            continue
        connection.sendall(text)
        return connection


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_all_go_on_when_the_last_has_come(hosts, order):
    threads = [arrive(hosts, task) for task in order[:2]]
    time.sleep(0.5)
    assert all(thread.is_alive() for thread in threads)
    for thread in [*threads, arrive(hosts, order[2])]:
        thread.join(30)
        assert not thread.is_alive()


def test_port_is_free_afterwards(hosts):
    for thread in [arrive(hosts, task) for task in range(3)]:
        thread.join(30)
    socket.create_server(("", int(hosts[0].partition(":")[2]))).close()


def test_worker_that_died_while_waiting_does_not_count(hosts):
    chief = arrive(hosts, 0)
    call(hosts, b"1").close()
    time.sleep(0.3)
    waiting = arrive(hosts, 2)
    time.sleep(0.5)
    assert chief.is_alive()
    again = arrive(hosts, 1)
    for thread in (chief, waiting, again):
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1", b"7", b"0"])
def test_strangers_are_not_counted(hosts, text):
    chief = arrive(hosts, 0)
    with call(hosts, text):
        workers = [arrive(hosts, task) for task in (1, 2)]
        for thread in [chief, *workers]:
            thread.join(30)
            assert not thread.is_alive()


def test_silent_strangers_delay_nobody(hosts):
    chief = arrive(hosts, 0)
    with contextlib.ExitStack() as strangers:
        for _ in range(8):  # five seconds each, one after the other
            strangers.enter_context(call(hosts, b""))
        began = time.monotonic()
        for thread in [chief, *(arrive(hosts, task) for task in (1, 2))]:
            thread.join(30)
            assert not thread.is_alive()
        assert time.monotonic() - began < 3


def test_workers_meet_by_ipv6_too():
    """A host name may stand for either."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    hosts = [f"[::1]:{port}" for port in free_ports(2)]
    for thread in [arrive(hosts, task) for task in (0, 1)]:
        thread.join(30)
        assert not thread.is_alive()


def test_chief_says_at_which_port_it_waits_for_whom(hosts, capfd):
    threads = [arrive(hosts, task) for task in range(3)]
    for thread in threads:
        thread.join(30)
    port = hosts[0].partition(":")[2]
    said = capfd.readouterr().out
    assert f"Waiting at port {port} for worker 1 ({hosts[1]}), worker 2 ({hosts[2]}).\n" in said
    assert f"Calling the chief ({hosts[0]}).\n" in said


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("no.such.host.invalid:1", "(Temporary failure in n|N)ame.* (not known|resolution)"),
        ("localhost:{closed}", "Connection refused"),
    ],
)
def test_chief_says_why_it_cannot_reach_a_worker_that_has_called(hosts, address, why):
    """The worker's own list has its right address, and the chief's has not."""
    address = address.format(closed=free_ports(1)[0])
    said = queue.Queue()
    chief = arrive([hosts[0], address], 0, said.put)
    arrive(hosts[:2], 1)
    wait_until_said(said, rf"worker 1 \({address}\) cannot be reached: {why}")
    assert chief.is_alive()


def test_chief_says_which_worker_has_not_called(hosts):
    said = queue.Queue()
    arrive(hosts[:2], 0, said.put)
    port = int(hosts[1].partition(":")[2])
    with socket.create_server(("localhost", port)):
        wait_until_said(said, r"worker 1 .* can be reached, but has not called port \d+ of this")


def test_worker_says_why_it_cannot_reach_the_chief(hosts):
    said = queue.Queue()
    arrive(hosts, 1, said.put)
    wait_until_said(said, rf"the chief \({hosts[0]}\) cannot be reached: Connection refused")


def wait_until_said(said: queue.Queue, pattern: str) -> None:
    deadline = time.monotonic() + 30
    while not re.fullmatch(pattern + ".*", line := said.get(timeout=30)):
        assert time.monotonic() < deadline, line


def test_port_in_use_is_refused(hosts, monkeypatch):
    monkeypatch.setattr(connections, "_BUSY_SECS", 0.3)
    port = int(hosts[0].partition(":")[2])
    with (
        socket.create_server(("", port)),
        pytest.raises(InputError, match=f"port {port} cannot be used"),
    ):
        rendezvous.meet(hosts, 0, on_wait=id)
