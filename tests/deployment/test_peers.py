"""A chief and the processes that serve it notice each other's ends."""

import contextlib
import queue
import threading
import time

import pytest

from deployment import connections
from deployment.launcher import free_ports
from deployment.peers import Heartbeat, PeerMonitor

WAIT_SECS = 60


class Cluster:
    """A chief that expects worker 0 and ps 0, and whoever calls it.

    Attributes:
      port: of the chief.
      lost: names of those whose ends the chief noticed, and whether their hosts vanished.
      signs: names of those who saw a sign of the chief's life.
      shown: how often the chief showed one.
      waits: what callers were told while nobody answered.
    """

    def __init__(self, closing: contextlib.ExitStack):
        self.port, self._closing = free_ports(1)[0], closing
        self.lost: queue.Queue[tuple[str, bool]] = queue.Queue()
        self.signs: queue.Queue[str] = queue.Queue()
        self.shown = 0
        self.waits: list[str] = []
        self.chief = PeerMonitor(
            self.port,
            ["worker 0", "ps 0"],
            on_lost=lambda *how: self.lost.put(how),
            on_life=self._count,
        )
        closing.callback(self.chief.close)

    def _count(self) -> None:
        self.shown += 1

    def call(self, name: str) -> Heartbeat:
        line = Heartbeat(
            f"localhost:{self.port}",
            name,
            on_life=lambda: self.signs.put(name),
            on_wait=self.waits.append,
        )
        self._closing.callback(line.close)
        return line


@pytest.fixture
def cluster():
    with contextlib.ExitStack() as closing:
        yield Cluster(closing)


def until(condition) -> None:
    deadline = time.monotonic() + WAIT_SECS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end(line: Heartbeat) -> bool:
    """How a line ends that has to end."""
    deadline = time.monotonic() + WAIT_SECS
    while (done := line.ended()) is None:
        assert time.monotonic() < deadline
    return done


def test_chief_knows_who_is_missing(cluster):
    first = cluster.call("worker 0")
    until(lambda: cluster.chief.missing() == ["ps 0"])
    second = cluster.call("ps 0")
    until(lambda: not cluster.chief.missing())
    assert first.ended() is second.ended() is None


def test_chief_learns_who_is_lost_and_who_came_back(cluster):
    cluster.call("worker 0").close()
    assert cluster.lost.get(timeout=WAIT_SECS) == ("worker 0", False)
    line = cluster.call("worker 0")
    until(lambda: cluster.chief.missing() == ["ps 0"])
    assert line.ended() is None


def test_chief_shows_life_time_and_again_to_everybody(cluster):
    lines = [cluster.call("worker 0"), cluster.call("ps 0")]
    seen: list[str] = []
    deadline = time.monotonic() + WAIT_SECS
    while min(map(seen.count, ("worker 0", "ps 0"))) < 2:
        assert time.monotonic() < deadline
        assert [line.ended() for line in lines] == [None, None]
        seen += [cluster.signs.get() for _ in range(cluster.signs.qsize())]
    assert cluster.shown >= 2


@pytest.mark.parametrize("name", ["worker 7", "GET / HTTP/1.1"])
def test_stranger_is_shown_the_door(cluster, name):
    assert end(cluster.call(name)) is False
    assert cluster.chief.missing() == ["ps 0", "worker 0"]
    assert cluster.lost.empty()


def test_time_without_an_answer_of_the_other_kernel_is_known(cluster):
    with connections.call(f"localhost:{cluster.port}") as line:
        time.sleep(0.3)
        assert 0.3 <= connections.secs_without_answer(line) < 3
        line.sendall(b"worker 0")
        until(lambda: connections.secs_without_answer(line) < 0.2)


def test_silent_strangers_delay_nobody(cluster):
    with contextlib.ExitStack() as strangers:
        for _ in range(8):  # five seconds each, one after the other
            strangers.enter_context(connections.call(f"localhost:{cluster.port}"))
        began = time.monotonic()
        cluster.call("worker 0")
        until(lambda: cluster.chief.missing() == ["ps 0"])
        assert time.monotonic() - began < 3


def test_server_says_why_it_cannot_reach_the_chief():
    address, said = f"localhost:{free_ports(1)[0]}", queue.Queue()

    def call() -> None:
        Heartbeat(address, "ps 0", on_life=int, on_wait=said.put).close()

    calling = threading.Thread(target=call, daemon=True)
    calling.start()
    expected = f"the chief ({address}) cannot be reached: Connection refused"
    assert said.get(timeout=WAIT_SECS) == expected
    with connections.Callers(int(address.partition(":")[2])):
        calling.join(WAIT_SECS)
        assert not calling.is_alive()


def test_request_to_stop_reaches_the_chief(cluster):
    cluster.call("ps 0").ask_to_stop()
    until(lambda: cluster.chief.asked_to_stop)


@pytest.mark.parametrize("done", [True, False])
def test_server_learns_that_the_chief_ended_and_whether_the_training_was_done(cluster, done):
    line = cluster.call("ps 0")
    until(lambda: cluster.chief.missing() == ["worker 0"])
    if done:
        time.sleep(1.5)  # for a heartbeat, behind which the word stands
        cluster.chief.end()
        assert line.ended() is None  # the chief still needs it
    cluster.chief.close()
    assert end(line) is done
