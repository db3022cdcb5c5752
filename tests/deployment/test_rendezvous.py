"""Workers meet in any order, wait for whoever is missing, and do not count the dead."""

import socket
import threading
import time

import pytest

from deployment import rendezvous
from deployment.launcher import free_ports
from runtime.errors import InputError


@pytest.fixture
def hosts():
    return [f"localhost:{port}" for port in free_ports(3)]


def arrive(hosts, task: int) -> threading.Thread:
    thread = threading.Thread(target=rendezvous.meet, args=(hosts, task), daemon=True)
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


def test_port_in_use_is_refused(hosts, monkeypatch):
    monkeypatch.setattr(rendezvous, "_BUSY_SECS", 0.3)
    port = int(hosts[0].partition(":")[2])
    with (
        socket.create_server(("", port)),
        pytest.raises(InputError, match=f"port {port} cannot be used"),
    ):
        rendezvous.meet(hosts, 0)
