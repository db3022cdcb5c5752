"""Hosts of a cluster as network namespaces on one bridge; their traffic stays in there."""

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest


class Hosts:
    """Namespaces that reach each other by the names node0, node1 ... and by IPv4 and IPv6.

    Attributes:
      names: of the hosts, as they resolve inside.
    """

    def __init__(self, count: int):
        self.names = [f"node{number}" for number in range(count)]
        self._tag = f"h{os.getpid() % 100000}"
        self._switch = f"{self._tag}sw"

    def command(self, number: int, *words: str) -> list[str]:
        """A command line that runs on a host, under the host's name."""
        named = ["unshare", "--uts", "sh", "-c", f'hostname {self.names[number]}; exec "$@"', "sh"]
        return ["ip", "netns", "exec", self._space(number), *named, *words]

    def link(self, number: int, state: str) -> None:
        """Sets a host's cable "down" or "up"."""
        _run("ip", "-n", self._switch, "link", "set", f"p{number}", state)

    @staticmethod
    def address(number: int, *, version: int = 4) -> str:
        """Of a host, as it stands before a port."""
        return f"10.77.0.{number + 10}" if version == 4 else f"[fd77::{number + 10}]"

    def make(self) -> None:
        """Makes the namespaces, the bridge and the cables."""
        self._add(self._switch)
        _run("ip", "-n", self._switch, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", self._switch, "link", "set", "br0", "up")
        table = ["127.0.0.1 localhost"]
        table += [f"{self.address(i)} {name}" for i, name in enumerate(self.names)]
        for number in range(len(self.names)):
            space, port = self._space(number), f"p{number}"
            self._add(space)
            _run("ip", "-n", self._switch, "link", "add", port, "type", "veth", "peer", "name",
                 "eth0", "netns", space)  # fmt: skip
            _run("ip", "-n", space, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            six = self.address(number, version=6).strip("[]")
            with contextlib.suppress(subprocess.CalledProcessError):  # a kernel without IPv6
                _run("ip", "-n", space, "addr", "add", f"{six}/64", "dev", "eth0", "nodad")
            _run("ip", "-n", space, "link", "set", "eth0", "up")
            _run("ip", "-n", self._switch, "link", "set", port, "master", "br0", "up")
            folder = pathlib.Path("/etc/netns") / space
            folder.mkdir(parents=True)
            (folder / "hosts").write_text("\n".join(table) + "\n")
            (folder / "resolv.conf").write_text("")

    def remove(self) -> None:
        """Takes all of it away, whatever there is of it."""
        for space in (*(self._space(i) for i in range(len(self.names))), self._switch):
            subprocess.run(["ip", "netns", "del", space], capture_output=True)
            shutil.rmtree(pathlib.Path("/etc/netns") / space, ignore_errors=True)

    def _space(self, number: int) -> str:
        return f"{self._tag}n{number}"

    @staticmethod
    def _add(space: str) -> None:
        _run("ip", "netns", "add", space)
        _run("ip", "-n", space, "link", "set", "lo", "up")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@contextlib.contextmanager
def made(count: int) -> Iterator[Hosts]:
    """Hosts until the end; skips where the machine allows none."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("hosts as network namespaces need root, iproute2 and util-linux")
    hosts = Hosts(count)
    try:
        try:
            hosts.make()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', '') or error}")
        yield hosts
    finally:
        hosts.remove()
