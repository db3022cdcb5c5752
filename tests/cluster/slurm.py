"""A real SLURM on hosts that are network namespaces: host 0 has the controller, the rest compute.

The configuration is that of SLURM 22.05 and needs neither cgroups nor a data base. All daemons are
children of the test and are ended with it.
"""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.cluster.hosts import Hosts

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
_CONFIG = """
ClusterName=test
SlurmctldHost=node0
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=5
MpiDefault=none
ReturnToService=2
KillWait=30
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
NodeName=node[1-{nodes}] CPUs={cpus} RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
_START_SECS = 60


class Slurm:
    """A running SLURM.

    Attributes:
      folder: of its files; job logs go where the job says.
    """

    def __init__(self, hosts: Hosts, folder: pathlib.Path):
        self.folder, self._hosts = folder, hosts
        self._daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        """Starts the daemons and waits until all nodes are idle."""
        nodes = len(self._hosts.names) - 1
        text = _CONFIG.format(folder=self.folder, nodes=nodes, cpus=os.cpu_count())
        (self.folder / "slurm.conf").write_text(text)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        of_munge = [f"--{what}-file={self.folder}/munge.{what}" for what in ("key", "log", "pid")]
        of_munge += [f"--socket={self.folder}/munge.socket", f"--seed-file={self.folder}/seed"]
        self._daemon(["munged", "--foreground", "--force", *of_munge], "munged")
        time.sleep(0.5)
        self._daemon(self._hosts.command(0, "slurmctld", "-D"), "slurmctld")
        for number in range(1, nodes + 1):
            name = self._hosts.names[number]
            self._daemon(self._hosts.command(number, "slurmd", "-D", "-N", name), name)
        deadline = time.monotonic() + _START_SECS
        while self.call("sinfo", "-h", "-o", "%T").split() != ["idle"]:
            if time.monotonic() > deadline:
                pytest.skip(f"SLURM does not start here: see {self.folder}")
            time.sleep(0.3)

    def call(self, *words: str, cwd: pathlib.Path | None = None) -> str:
        """What a client prints, run on the controller's host; the errors where it fails."""
        done = subprocess.run(
            self._hosts.command(0, *words),
            env=self._environment(),
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return (done.stdout + (done.stderr if done.returncode else "")).strip()

    def state(self, job: str) -> str:
        """Such as "RUNNING"."""
        found = re.search(r"JobState=(\S+)", self.call("scontrol", "show", "job", job))
        return found[1] if found else ""

    def until(self, job: str, *states: str, secs: float = 240) -> str:
        """Waits until a job is in one of these states."""
        deadline = time.monotonic() + secs
        while (state := self.state(job)) not in states:
            assert time.monotonic() < deadline, f"job {job} is {state}"
            time.sleep(0.5)
        return state

    def run_again_now(self, job: str) -> None:
        """A job that was queued again waits two minutes otherwise."""
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    def stop(self) -> None:
        """Ends the jobs and the daemons."""
        self.call("scancel", "--user=root")
        deadline = time.monotonic() + 10
        while self.call("squeue", "-h") and time.monotonic() < deadline:
            time.sleep(0.5)
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
            daemon.wait()

    def _daemon(self, command: list[str], name: str) -> None:
        with (self.folder / f"{name}.out").open("w") as output:
            self._daemons.append(
                subprocess.Popen(
                    command, env=self._environment(), stdout=output, stderr=subprocess.STDOUT
                )
            )

    def _environment(self) -> dict[str, str]:
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        return {**os.environ, "PATH": path, "SLURM_CONF": str(self.folder / "slurm.conf")}


@contextlib.contextmanager
def running(hosts: Hosts, folder: pathlib.Path) -> Iterator[Slurm]:
    """SLURM until the end; skips where it is not installed."""
    absent = [name for name in PROGRAMS if not shutil.which(name, path="/usr/sbin:/usr/bin")]
    if absent:
        pytest.skip(f"SLURM is not installed here: no {', '.join(absent)}")
    slurm = Slurm(hosts, folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
