"""Step time against workers on this machine, the bytes of all-reduce, and an outlook on paper.

    python benchmarks/scaling.py [--steps=30] [--batch_size=4] [--depth_multiplier=0.25]

Every worker is a process on one core of its own. Bytes are those of the loopback device, which
anything else that talks to itself on this machine adds to; they are the difference of a long and a
short run, so that start-up does not count. The extrapolation is arithmetic on the assumptions that
are printed with it, not a measurement.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from deployment import launcher

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARAMETERS = 26_285_486  # SSD-300 VGG, 21 classes
BYTES = 4
_SHORT_STEPS = 5


class Link(NamedTuple):
    """An assumption for the extrapolation.

    Attributes:
      name: of the layout.
      workers: members of the ring.
      bytes_per_second: each way, of the slowest link in the ring.
      latency: seconds a message takes before its first byte.
      seconds: compute time of a step on one member.
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


def train(folder: pathlib.Path, options, *, workers: int, steps: int) -> tuple[float, int]:
    """Median seconds a step after the first few, and loopback bytes of the whole run."""
    train_dir = folder / f"run-{workers}-{steps}"
    hosts = [f"localhost:{port}" for port in launcher.free_ports(workers)]
    before = loopback_bytes(pathlib.Path("/proc/net/dev").read_text())
    processes = [
        subprocess.Popen(
            _command(folder, train_dir, options, steps, [*_place(hosts, index)]),
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for index in range(workers)
    ]
    cores = sorted(os.sched_getaffinity(0))
    for index, process in enumerate(processes):
        os.sched_setaffinity(process.pid, {cores[index % len(cores)]})
    codes = [process.wait() for process in processes]
    if any(codes):
        raise SystemExit(f"the workers ended with {codes}")
    moved = loopback_bytes(pathlib.Path("/proc/net/dev").read_text()) - before
    lines = [json.loads(line) for line in (train_dir / "metrics.jsonl").read_text().splitlines()]
    batch = options.batch_size * workers
    return statistics.median(batch / line["images_per_second"] for line in lines[3:]), moved


def measure(options, counts: Sequence[int]) -> None:
    """Prints a line for each number of workers."""
    print(
        f"{'workers':>7} {'s/step':>8} {'pictures/s':>10} {'efficiency':>10} {'MB/step on lo':>14}"
    )
    alone = None
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _make_records(folder)
        for workers in counts:
            _, few = train(folder, options, workers=workers, steps=_SHORT_STEPS)
            seconds, many = train(folder, options, workers=workers, steps=options.steps)
            alone = alone or seconds
            moved = (many - few) / (options.steps - _SHORT_STEPS) / 1e6
            rate = options.batch_size * workers / seconds
            print(f"{workers:7} {seconds:8.3f} {rate:10.1f} {alone / seconds:10.0%} {moved:14.2f}")


def extrapolate() -> None:
    """Prints what ring all-reduce costs the full network, on paper."""
    print(f"\nOn paper: {PARAMETERS:,} float32 gradients, ring all-reduce after the whole backward")
    print("pass (nothing hidden behind it), equal workers, input that keeps up.")
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


def _make_records(folder: pathlib.Path) -> None:
    for command in (
        ["scripts/make_shapes_devkit.py", f"--output_dir={folder}", "--num_train=24",
         "--num_test=1"],
        ["tf_convert_data.py", f"--dataset_dir={folder / 'VOC2007'}", "--split=train",
         "--output_name=shapes_train", f"--output_dir={folder / 'records'}"],
    ):  # fmt: skip
        subprocess.run(
            [sys.executable, str(ROOT / command[0]), *command[1:]],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        )


def main() -> None:
    """Measures with one worker up to one a core, then reckons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch_size", type=int, default=4, help="of each worker")
    parser.add_argument("--depth_multiplier", type=float, default=0.25)
    parser.add_argument("--only_paper", action="store_true", help="skip the measurement")
    options = parser.parse_args()
    if not options.only_paper:
        measure(options, range(1, len(os.sched_getaffinity(0)) + 1))
    extrapolate()


if __name__ == "__main__":
    main()
