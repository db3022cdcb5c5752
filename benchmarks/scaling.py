"""Step time against workers on this machine, the bytes of all-reduce, and an outlook on paper.

    python benchmarks/scaling.py [--steps=30] [--batch_size=4] [--depth_multiplier=0.25]

Every worker is a process on one core of its own, with the same batch however many there are; a
step's time is the median of all after the third. As many trainings that know nothing of each other
run at once, too: what they take longer than one alone is the machine's doing (memory and clock
that cores share), and only the rest is the price of working together.

Bytes are those of the loopback device, which anything else that talks to itself on this machine
adds to; they are the difference of a long and a short run, so that start-up does not count. The
extrapolation is arithmetic on the assumptions that are printed with it, not a measurement.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks._records import ROOT, make_records
from deployment import launcher

PARAMETERS = 26_285_486  # SSD-300 VGG, 21 classes
BYTES = 4
_SHORT_STEPS, _FIRST_STEPS = 5, 3  # of the short run; of every run, not timed
_MOST_WORKERS = 8  # which takes a few minutes


class Link(NamedTuple):
    """An assumption for the extrapolation.

    Attributes:
      name: of the layout.
      workers: members of the ring.
      bytes_per_second: each way, of the slowest link in the ring.
      latency: seconds a message takes before its first byte.
      seconds: compute time of a step on one member, of whatever batch takes a GPU that long.
    """

    name: str
    workers: int
    bytes_per_second: float
    latency: float
    seconds: float


ASSUMED = (
    Link("8 GPUs of one host, NVLink at 300 GB/s", 8, 300e9, 10e-6, 0.1),
    Link("8 GPUs of one host, PCIe 4 at 20 GB/s", 8, 20e9, 20e-6, 0.1),
    Link("32 hosts of 1 GPU, 100 Gbit/s at 80 %", 32, 10e9, 50e-6, 0.1),
    Link("32 hosts of 1 GPU, 10 Gbit/s at 80 %", 32, 1e9, 100e-6, 0.1),
)


def ring_bytes(workers: int, parameters: int = PARAMETERS) -> float:
    """What each worker sends in a ring all-reduce: 2 (n - 1) / n of the gradients' bytes."""
    return 2 * (workers - 1) / workers * parameters * BYTES


def efficiency(link: Link) -> float:
    """Share of perfect scaling when nothing of the all-reduce hides behind the computation."""
    transfer = ring_bytes(link.workers) / link.bytes_per_second
    return link.seconds / (link.seconds + transfer + 2 * (link.workers - 1) * link.latency)


def loopback_bytes(table: str) -> int:
    """Bytes received by `lo`, from the text of /proc/net/dev; 0 where there is none."""
    for line in table.splitlines():
        name, _, values = line.partition(":")
        if name.strip() == "lo":
            return int(values.split()[0])
    return 0


class Run(NamedTuple):
    """What a training of several workers took.

    Attributes:
      seconds: a step; the median.
      moved: bytes over the loopback device, from the start to the end.
      parameters: numbers in the network's weights.
    """

    seconds: float
    moved: int
    parameters: int


def train(folder: pathlib.Path, options, *, workers: int, steps: int, apart: bool = False) -> Run:
    """Trains with each worker on a core of its own; apart, each has a training of its own."""
    name = f"{'apart' if apart else 'run'}-{workers}-{steps}"
    train_dirs = [folder / f"{name}-{index if apart else 0}" for index in range(workers)]
    hosts = [f"localhost:{port}" for port in launcher.free_ports(workers)]
    cores = sorted(os.sched_getaffinity(0))
    before = loopback_bytes(pathlib.Path("/proc/net/dev").read_text())
    logs = [folder / f"log-{name}-{index}" for index in range(workers)]
    processes = [
        _start(
            _command(folder, train_dir, options, steps, [] if apart else _place(hosts, index)),
            core=cores[index],
            log=log,
        )
        for index, (train_dir, log) in enumerate(zip(train_dirs, logs, strict=True))
    ]
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"the workers ended with {codes}; the chief said:\n{logs[0].read_text()}")
    moved = loopback_bytes(pathlib.Path("/proc/net/dev").read_text()) - before
    rows = (train_dirs[0] / "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(row) for row in rows]
    batch = options.batch_size * (1 if apart else workers)
    seconds = [batch / line["images_per_second"] for line in lines[_FIRST_STEPS:]]
    told = re.search(r"([\d,]+) parameters", logs[0].read_text())
    return Run(statistics.median(seconds), moved, int(told[1].replace(",", "")) if told else 0)


def _start(command: list[str], *, core: int, log: pathlib.Path) -> subprocess.Popen:
    """A process on one core from its first moment: TensorFlow counts the cores that it may use."""
    with log.open("w") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def measure(options, counts: Sequence[int]) -> None:
    """Prints a line for each number of workers."""
    titles = ("efficiency", "s/step apart", "MB/step on lo", "of the ring")
    print(f"{'workers':>7} {'s/step':>8} {'images/s':>10} {titles[0]:>10}", end=" ")
    print(f"{titles[1]:>12} {titles[2]:>14} {titles[3]:>12}")
    alone = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_records(folder, pictures=24)
        for workers in counts:
            long = train(folder, options, workers=workers, steps=options.steps)
            alone = alone or long.seconds
            rate = options.batch_size * workers / long.seconds
            print(
                f"{workers:7} {long.seconds:8.3f} {rate:10.1f} {alone / long.seconds:10.0%}", end=""
            )
            if workers > 1:
                apart = train(folder, options, workers=workers, steps=options.steps, apart=True)
                short = train(folder, options, workers=workers, steps=_SHORT_STEPS)
                moved = (long.moved - short.moved) / (options.steps - _SHORT_STEPS) / 1e6
                ring = workers * ring_bytes(workers, long.parameters) / 1e6
                print(f" {apart.seconds:12.3f} {moved:14.2f} {ring:12.2f}", end="")
            print(flush=True)
    print("Efficiency: the step of one worker over that of several, each with the same batch.")
    print("Apart: as many trainings at once, each of one worker. MB of all workers together, as")
    print("measured, and as a ring all-reduce of float32 gradients has to.")


def extrapolate() -> None:
    """Prints what ring all-reduce costs the full network, on paper."""
    print(f"\nOn paper: {PARAMETERS:,} float32 gradients, ring all-reduce after the whole backward")
    print(
        "pass (nothing hidden behind it), equal workers, input that keeps up. The compute time of a"
    )
    print("step, bandwidths and latencies are assumptions: no GPU and no network was measured.")
    titles = ("s compute", "MB sent/worker", "ms transfer", "efficiency")
    print(f"{'layout':42} {titles[0]:>9} {titles[1]:>14} {titles[2]:>11} {titles[3]:>10}")
    for link in ASSUMED:
        sent = ring_bytes(link.workers)
        milliseconds = 1e3 * sent / link.bytes_per_second
        print(
            f"{link.name:42} {link.seconds:9.2f} {sent / 1e6:14.1f} {milliseconds:11.2f} "
            f"{efficiency(link):10.0%}"
        )


def _place(hosts: Sequence[str], index: int) -> list[str]:
    return [f"--worker_hosts={','.join(hosts)}", f"--task={index}"] if len(hosts) > 1 else []


def _command(folder, train_dir, options, steps: int, place: list[str]) -> list[str]:
    return [
        sys.executable,
        str(ROOT / "train_ssd_network.py"),
        f"--dataset_dir={folder / 'records'}",
        "--dataset_name=shapes",
        f"--train_dir={train_dir}",
        f"--max_number_of_steps={steps}",
        f"--batch_size={options.batch_size}",
        f"--depth_multiplier={options.depth_multiplier}",
        "--log_every_n_steps=1",
        "--seed=0",
        *place,
    ]


def main() -> None:
    """Measures with one worker, two, four and so on while there are cores, then reckons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch_size", type=int, default=4, help="images per worker and step")
    parser.add_argument("--depth_multiplier", type=float, default=0.25)
    parser.add_argument(
        "--only_paper",
        action="store_true",
        help="print only the calculated table, without a measurement",
    )
    options = parser.parse_args()
    if not options.only_paper:
        most = min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
        measure(options, [2**power for power in range(most.bit_length())])
    extrapolate()


if __name__ == "__main__":
    main()
