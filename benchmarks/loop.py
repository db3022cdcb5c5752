"""What the training script costs around the bare step: input, start, checkpoints, memory.

    python -m benchmarks.loop [--steps=14] [--rounds=3] [--batch_size=8] [--memory_steps=2000]

In every round `train_ssd_network.py` trains from records, with augmentation and all, and then the
bare step of `benchmarks/training.py` is taken as often on the same cores. The script's speed is the
median of what metrics.jsonl says of each step after the first two, which build. What a checkpoint,
the summaries and an evaluated image cost is told in steps. Memory is the script's, on a narrow
network, so that many steps take little time.
"""

import argparse
import functools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import _contenders
from benchmarks._contenders import Contender
from benchmarks._records import ROOT, make_records
from benchmarks._scenes import Scenes, make_scenes
from benchmarks.training import make_state

_BUILDING = 2  # steps that build, and are slow for it
_CLASSES = 7  # the drawn shapes and background


class Run(NamedTuple):
    """What a run of the script took.

    Attributes:
      first_step: seconds from the command to the end of the first step.
      seconds: of every step after those that build.
      memory: bytes of the process after every step.
    """

    first_step: float
    seconds: list[float]
    memory: list[int]


def train(folder: pathlib.Path, *, batch_size: int, flags: Sequence[str]) -> Run:
    """Runs the script on the records in a folder, in a fresh train_dir, and watches it."""
    shutil.rmtree(folder / "run", ignore_errors=True)
    command = [
        sys.executable, str(ROOT / "train_ssd_network.py"), f"--dataset_dir={folder / 'records'}",
        "--dataset_name=shapes", f"--train_dir={folder / 'run'}", f"--batch_size={batch_size}",
        "--seed=0", "--learning_rate=1e-4", "--log_every_n_steps=1", *flags,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    begun, first, memory = time.monotonic(), 0.0, []
    silence, lines = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdout=silence, stderr=lines, text=True
    ) as process:
        line = "nothing was said"
        for line in process.stderr or ():
            if line.startswith("training "):  # a step is done
                first = first or time.monotonic() - begun
                memory.append(resident_memory(process.pid))
    if process.returncode:
        raise SystemExit(f"the training ended with {process.returncode}: {line}")
    rows = map(json.loads, (folder / "run" / "metrics.jsonl").read_text().splitlines())
    seconds = [batch_size / row["images_per_second"] for row in rows]
    return Run(first, seconds[_BUILDING:], memory)


def resident_memory(process: int) -> int:
    """Bytes that a process has in memory; 0 where nobody says."""
    try:
        pages = pathlib.Path(f"/proc/{process}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def costs(scenes: Scenes, precision: str, folder: str) -> Contender:
    """The bare step, and what is done now and then between two steps."""
    import tensorflow as tf

    from model import checkpoints
    from training.summaries import TrainSummaries

    note = _contenders.set_up_tensorflow()
    state, batch, step = make_state(scenes, _CLASSES, precision)
    summaries = TrainSummaries(
        state.detector, tf.distribute.get_strategy(), histograms=True, images=True
    )
    thresholds = {"select_threshold": 0.01, "nms_threshold": 0.45, "keep_top_k": 200}

    def summarise() -> None:
        with tf.summary.create_file_writer(folder).as_default(step=1):
            for summary in summaries.of_step(batch(), step()):
                summary.write(summary.tag, summary.value)

    return Contender(
        {
            "step": step,
            "checkpoint": lambda: checkpoints.save(folder, 1, state.tensors()),
            "step and summaries": summarise,
            "detect": lambda: state.detector.detect_inputs(batch().images, **thresholds),
        },
        note,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Prints the speed of the loop, the costs, and how memory goes."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--steps", type=int, default=14, help="number of steps of each run")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--batch_size", type=int, default=8)
    options.add_argument("--precision", default="bfloat16", choices=("bfloat16", "float32"))
    options.add_argument(
        "--memory_steps",
        type=int,
        default=2000,
        help="number of steps of the memory measurement; 0 skips it",
    )
    given = options.parse_args(argv)
    print(f"{_contenders.machine()}; batches of {given.batch_size}, {given.precision}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_records(folder, pictures=10 * given.batch_size)
        scenes = make_scenes(given.batch_size, classes=_CLASSES, objects=4)
        bare = _contenders.Process(
            functools.partial(costs, scenes, given.precision, str(folder / "costs"))
        )
        print(bare.note, flush=True)
        compare_loop(folder, bare, given)
        compare_costs(folder, bare, given)
        bare.close()
        if given.memory_steps:
            show_memory(folder, given)


def compare_loop(folder: pathlib.Path, bare: _contenders.Process, given) -> None:
    """Runs of the script and bare steps, in turn."""
    bare.measure("step")
    bare.measure("step")
    shares, starts, steps = [], [], []
    flags = [f"--max_number_of_steps={given.steps}", f"--precision={given.precision}"]
    for _ in range(given.rounds):
        run = train(folder, batch_size=given.batch_size, flags=flags)
        seconds = [bare.measure("step") for _ in range(given.steps - _BUILDING)]
        shares.append(statistics.median(seconds) / statistics.median(run.seconds))
        starts.append(run.first_step)
        steps.append(statistics.median(run.seconds))
    print(f"bare step / step of the script, records to update: {_spread(shares, '.1%')}")
    print(f"a step of the script: {_spread(steps, '.2f')} s")
    print(f"from the command to the end of the first step: {_spread(starts, '.1f')} s", flush=True)


def compare_costs(folder: pathlib.Path, bare: _contenders.Process, given) -> None:
    """What happens between steps, in steps."""
    (folder / "costs").mkdir()
    seconds = {}
    for call in ("step", "checkpoint", "step and summaries", "detect"):
        bare.measure(call)
    for _ in range(given.rounds):
        for call in ("step", "checkpoint", "step and summaries", "detect"):
            seconds.setdefault(call, []).append(bare.measure(call))
    saved = sum(file.stat().st_size for file in (folder / "costs").glob("ckpt-*"))
    ratio = {call: _contenders.ratio(each, seconds["step"]) for call, each in seconds.items()}
    print(f"a checkpoint ({saved / 1e6:.0f} MB): {ratio['checkpoint']:.2f} steps")
    print(f"histograms and images: {ratio['step and summaries'] - 1:.2f} steps")
    print(f"detection on a batch, as in evaluation: {ratio['detect']:.2f} steps", flush=True)


def show_memory(folder: pathlib.Path, given) -> None:
    """Memory of a long run at several of its steps."""
    flags = [f"--max_number_of_steps={given.memory_steps}", "--depth_multiplier=0.0625"]
    memory = train(folder, batch_size=given.batch_size, flags=flags).memory
    places = [round(share * (len(memory) - 1)) for share in (0.02, 0.1, 0.25, 0.5, 0.75, 1)]
    told = ", ".join(f"{memory[place] / 2**20:.0f} at {place + 1}" for place in places)
    print(f"MiB in memory by step, a sixteenth of the width: {told}")


def _spread(values: Sequence[float], form: str) -> str:
    middle = format(statistics.median(values), form)
    return f"{middle} ({format(min(values), form)} to {format(max(values), form)})"


if __name__ == "__main__":
    main()
