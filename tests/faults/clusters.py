"""Runs trainings of several workers as real processes, and deals out deaths by schedule."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from deployment import launcher
from model import checkpoints
from tests.faults import damage

ROOT = pathlib.Path(__file__).resolve().parents[2]
STALL_SECS = 60
STALL_AT_START_SECS = 5  # of a run that gets no further than its start
# So wide that a save takes long enough to be caught in.
TINY = (
    *("--model_name=ssd_32_tiny", "--depth_multiplier=2"),
    *("--precision=float32", "--seed=3", "--log_every_n_steps=1"),
    *("--save_interval_secs=0", f"--stall_timeout_secs={STALL_SECS}", "--max_to_keep=3"),
)
STEPS, BATCH = 40, 2  # of the run that deaths are dealt to; the batch is that of a worker
# From a peer's death to the exit of the others. TensorFlow notices after 10 seconds (0.4 when it is
# worker 0); the rest is room for a busy machine.
PEER_SECS = 60
LIMIT_SECS = 300  # for a whole run of workers on a busy machine
EVAL_EVERY = 20  # steps between the evaluations of a run that makes any
_INTO_EVALUATION_SECS = 0.3  # it takes a second


class Death(NamedTuple):
    """One planned misfortune.

    Attributes:
      kind: "SIGKILL", "SIGTERM" or "SIGSTOP" (stuck until the end of the run).
      target: number of the worker; 0 is the chief.
      step: when metrics.jsonl shows this step and one of this run, or at once where it is 0 (while
        starting).
      during: "save" or "evaluation": when the chief is in the middle of one, of this step or, where
        that save was over too soon, a later one.
      damage: one of `damage.DAMAGES`, done to the newest checkpoint afterwards.
    """

    kind: str
    target: int
    step: int
    during: str = ""
    damage: str = ""

    def __str__(self):
        when = f"in the {self.during} of" if self.during else "at"
        after = f", then {self.damage}" if self.damage else ""
        return f"{self.kind} to {self.target} {when} {self.step}{after}"


class Ended(NamedTuple):
    """How a run of workers ended.

    Attributes:
      codes: exit code of each worker; negative is a signal.
      seconds: from the death to the end of each other worker; 0 without a death, or where its
        moment did not come.
      output: of each worker.
    """

    codes: list[int]
    seconds: float
    output: list[str]


def flags(records: pathlib.Path, train_dir: pathlib.Path, *, steps: int, batch: int) -> list[str]:
    return [
        f"--dataset_dir={records}",
        "--dataset_name=shapes",
        f"--train_dir={train_dir}",
        f"--max_number_of_steps={steps}",
        f"--batch_size={batch}",
        *TINY,
    ]


def scoring(deaths: Sequence[Death]) -> list[str]:
    """Flags of a run that is scored while it trains, where a death is due in an evaluation."""
    if not any(death.during == "evaluation" for death in deaths):
        return []
    return ["--eval_split=train", f"--eval_every_n_steps={EVAL_EVERY}"]


@contextlib.contextmanager
def started(
    arguments: Sequence[str], *, workers: int, own: Mapping[int, Sequence[str]]
) -> Iterator[list[subprocess.Popen]]:
    """Workers of one training; whatever is left of them is killed at the end."""
    hosts = [f"localhost:{port}" for port in launcher.free_ports(workers)]
    processes = [
        _start([*arguments, *own.get(index, ())], hosts, index) for index in range(workers)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()


def run(
    arguments: Sequence[str],
    train_dir: pathlib.Path,
    *,
    workers: int,
    death: Death | None = None,
    own: Mapping[int, Sequence[str]] | None = None,
) -> Ended:
    """Runs workers until all have ended; a death that comes too late does not come.

    `own` holds flags of single workers, by number.
    """
    with started(arguments, workers=workers, own=own or {}) as processes:
        began = time.monotonic()
        died = deal(death, processes, train_dir) if death else None
        deadline = began + LIMIT_SECS
        stuck = {death.target} if died and death.kind == "SIGSTOP" else set()
        waiting = [p for i, p in enumerate(processes) if i not in stuck]
        while any(p.poll() is None for p in waiting) and time.monotonic() < deadline:
            time.sleep(0.05)
        seconds = time.monotonic() - died if died else 0.0
        for process in processes:
            process.kill()  # only the stuck one is still there, or all are beyond the limit
        output = [process.communicate()[0] for process in processes]
        return Ended([process.returncode for process in processes], seconds, output)


def deal(death: Death, processes, train_dir: pathlib.Path) -> float | None:
    """Sends a death's signal at its moment; returns when, or None when the moment never came."""
    deadline = time.monotonic() + LIMIT_SECS
    chief, target, moment = processes[0], processes[death.target], Moment(death, train_dir)
    while not moment.has_come(chief):
        if time.monotonic() > deadline or any(p.poll() is not None for p in processes):
            return None
        time.sleep(0.0005 if death.during == "save" else 0.005)
    target.send_signal(signal.Signals[death.kind])
    if death.during and (target is not chief or death.kind != "SIGSTOP"):
        chief.send_signal(signal.SIGCONT)
    return time.monotonic()


class Moment:
    """When a death is due, as the files in train_dir tell, those of earlier runs apart."""

    def __init__(self, death: Death, train_dir: pathlib.Path):
        self._death, self._folder, self._since = death, train_dir, time.time()

    def has_come(self, chief: subprocess.Popen) -> bool:
        """Whether it is here; in the midst of something the chief is frozen, and it still is."""
        if not self._death.during:
            return not self._death.step or self._is_here()
        if not self._is_here():
            return False
        time.sleep(_INTO_EVALUATION_SECS if self._death.during == "evaluation" else 0)
        chief.send_signal(signal.SIGSTOP)
        _wait_until_frozen(chief)
        if self._is_here():
            return True
        chief.send_signal(signal.SIGCONT)  # what it did was over before it stood still
        return False

    def _is_here(self) -> bool:
        step = self._death.step
        if self._death.during == "save":
            saving = (int(path.name[5:-5]) for path in self._folder.glob("ckpt-*_temp"))
            return any(n >= step and self._is_new(f"ckpt-{n}_temp") for n in saving)
        saved = [path.name for path in self._folder.glob("ckpt-*.index")]
        if self._death.during == "evaluation":
            events = self._folder.glob("events.out.*")  # opened when the network was made
            begun = any(self._is_new(path.name) for path in events)
            due = f"ckpt-{step}.index" in saved and step not in steps_evaluated(self._folder)
            return begun and due
        stepped = not saved or any(map(self._is_new, saved))
        return stepped and last_step(self._folder) >= step

    def _is_new(self, name: str) -> bool:
        try:
            return (self._folder / name).stat().st_mtime > self._since
        except FileNotFoundError:
            return False


def _wait_until_frozen(process: subprocess.Popen) -> None:
    while process.poll() is None:
        status = pathlib.Path(f"/proc/{process.pid}/stat").read_text()
        if status.rpartition(")")[2].split()[0] == "T":
            return
        time.sleep(0.001)


def run_to_the_end(
    arguments: Sequence[str],
    train_dir: pathlib.Path,
    *,
    workers: int,
    deaths: Sequence[Death] = (),
) -> list[Ended]:
    """Runs with one death after the other, starting again after each, until all exit with 0."""
    ends = []
    for death in deaths:
        hurry = [] if death.step else [f"--stall_timeout_secs={STALL_AT_START_SECS}"]
        ends.append(run([*arguments, *hurry], train_dir, workers=workers, death=death))
        if death.damage:
            damage.harm_newest(train_dir, death.damage)
    if not ends or any(ends[-1].codes) or deaths[-1].damage:
        ends.append(run(arguments, train_dir, workers=workers))
    return ends


def check(death: Death, ended: Ended) -> None:
    """The promises about exit codes, and about the time until the last worker's end."""
    others = [code for i, code in enumerate(ended.codes) if i != death.target]
    if not ended.seconds:
        assert not any(ended.codes), ended.output  # the run was over before the death's moment
        return
    if death.kind == "SIGTERM" and death.step:
        assert set(ended.codes) <= {0, 75}, ended.output  # 0 when it came after the last step
        assert len(set(ended.codes)) == 1, ended.output
        return
    assert ended.codes[death.target] in (-9, -15, 0), ended.output
    assert set(others) <= {75, 0}, ended.output
    until_the_watchdog = STALL_SECS if death.kind == "SIGSTOP" or not death.step else 0
    assert ended.seconds < PEER_SECS + until_the_watchdog, ended.output


def last_step(train_dir: pathlib.Path) -> int:
    """The newest step in metrics.jsonl; 0 where there is none. A torn line does not count."""
    path = train_dir / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def steps_evaluated(train_dir: pathlib.Path) -> list[int]:
    path = train_dir / "evaluations.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line)["step"] for line in lines]


def losses(train_dir: pathlib.Path) -> np.ndarray:
    lines = (train_dir / "metrics.jsonl").read_text().splitlines()
    return np.array([json.loads(line)["loss"] for line in lines])


def assert_equal_ends(one: pathlib.Path, other: pathlib.Path, *, step: int) -> None:
    """The same newest checkpoint, and the same metrics, to the last bit."""
    first, second = (checkpoints.newest(str(folder)) for folder in (one, other))
    assert (first.step, second.step) == (step, step)
    assert first.tensors.keys() == second.tensors.keys()
    for name, value in first.tensors.items():
        np.testing.assert_array_equal(value, second.tensors[name], err_msg=name)
    np.testing.assert_array_equal(losses(one), losses(other))
    assert len(losses(one)) == step


def environment() -> dict[str, str]:
    """Of the processes of a training."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}


def _start(arguments: Sequence[str], hosts: list[str], index: int) -> subprocess.Popen:
    config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
    place = {"TF_CONFIG": json.dumps(config)} if len(hosts) > 1 else {}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train_ssd_network.py"), *map(str, arguments)],
        env={**environment(), **place},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
