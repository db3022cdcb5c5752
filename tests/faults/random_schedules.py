"""Deals random schedules of deaths to a training of two or more workers, and lists what came of it.

  python -m tests.faults.random_schedules --count=20 > schedules.md

A schedule passes when every death led to the exit codes that are promised, in time, and the run
ended with the weights and the metrics of a run that nothing disturbed, to the last bit. Without
`--records`, a folder that holds records named shapes_train, a small set is drawn.
"""

import argparse
import os
import pathlib
import platform
import random
import sys
import tempfile
import time
from collections.abc import Sequence

from benchmarks._records import make_records
from tests.faults import clusters
from tests.faults.clusters import BATCH, EVAL_EVERY, STEPS, Death, Ended
from tests.faults.damage import DAMAGES

KINDS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGSTOP")
MOMENTS = ("", "", "save", "evaluation")


def draw(seed: int, *, workers: int) -> list[Death]:
    """One to three deaths: at the start, at any step, in a save or in an evaluation.

    They come in the order of their steps, so that a run has some way to go to each.
    """
    draws = random.Random(seed)
    return sorted(
        (_draw_one(draws, workers) for _ in range(draws.randint(1, 3))),
        key=lambda death: (death.step, death.during != "save"),
    )


def _draw_one(draws: random.Random, workers: int) -> Death:
    during = draws.choice(MOMENTS)
    steps = {
        "": range(STEPS + 1),
        "save": range(1, STEPS + 1),
        "evaluation": range(EVAL_EVERY, STEPS + 1, EVAL_EVERY),
    }[during]
    return Death(
        kind=draws.choice(KINDS),
        target=draws.randrange(workers),
        step=draws.choice(steps),
        during=during,
        damage=draws.choice(DAMAGES) if draws.random() < 0.25 else "",
    )


def play(
    deaths: Sequence[Death], arguments: list[str], folder, calm, *, workers: int
) -> tuple[list[Ended], str]:
    """Runs one schedule: how each run ended, and "ok" or what went wrong."""
    ends: list[Ended] = []
    try:
        ends = clusters.run_to_the_end(
            [*arguments, *clusters.scoring(deaths)], folder, workers=workers, deaths=deaths
        )
        for death, ended in zip(deaths, ends, strict=False):
            clusters.check(death, ended)
        assert not any(ends[-1].codes), ends[-1].output
        clusters.assert_equal_ends(calm, folder, step=STEPS)
    except AssertionError as error:
        return ends, f"FAILED: {' '.join(str(error).split())[:1500]}"
    return ends, "ok"


def _row(seed: int, deaths: Sequence[Death], ends: Sequence[Ended], said: str, secs: float) -> str:
    dealt = [*(end.seconds > 0 for end in ends), *[False] * len(deaths)]
    told = (f"{d}{'' if came else ' (too late)'}" for d, came in zip(deaths, dealt, strict=False))
    codes = (" ".join(map(str, end.codes)) for end in ends)
    return f"| {seed} | {'; '.join(told)} | {'; '.join(codes)} | {said} | {secs:.0f} |"


def main() -> int:
    """Plays the schedules in turn; 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first_seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--records", help="folder of shapes_train")
    parser.add_argument(
        "--stall_secs", type=float, default=30, help="more than 30 where the machine is busy"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        records = pathlib.Path(options.records or make_records(root, pictures=12)).resolve()
        return _play_all(options, root, records)


def _play_all(options: argparse.Namespace, root: pathlib.Path, records: pathlib.Path) -> int:
    def arguments(folder: pathlib.Path) -> list[str]:
        flags = clusters.flags(records, folder, steps=STEPS, batch=BATCH)
        return [*flags, f"--stall_timeout_secs={options.stall_secs}"]

    print(f"{options.count} random schedules of deaths from seed {options.first_seed}, "
        f"{options.workers} workers, {STEPS} steps, {platform.machine()}, "
        f"{len(os.sched_getaffinity(0))} cores\n")  # fmt: skip
    print("| seed | deaths | exit codes of each run | outcome | seconds |\n|---|---|---|---|---|")
    calm, failed = root / "calm", 0
    clusters.run_to_the_end(arguments(calm), calm, workers=options.workers)
    for seed in range(options.first_seed, options.first_seed + options.count):
        deaths, began = draw(seed, workers=options.workers), time.monotonic()
        folder = root / str(seed)
        ends, said = play(deaths, arguments(folder), folder, calm, workers=options.workers)
        failed += said != "ok"
        print(_row(seed, deaths, ends, said, time.monotonic() - began), flush=True)
    print(f"\n{options.count - failed} of {options.count} schedules passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
