"""Deals random schedules of deaths to a training of two or more workers, and lists what came of it.

  python -m tests.faults.random_schedules --count=20 --records=demo/tfrecords/shapes

A schedule passes when every death led to the exit codes that are promised, and the run ended with
the weights and the metrics of a run that nothing disturbed, to the last bit. `--records` is a
folder that holds records named shapes_train.
"""

import argparse
import pathlib
import random
import sys
import tempfile
import time

from tests.faults import clusters
from tests.faults.clusters import BATCH, STEPS, Death

KINDS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGSTOP")


def draw(seed: int, *, workers: int) -> tuple[Death, ...]:
    """One to three deaths: before the first step, at any step, or at the last."""
    draws = random.Random(seed)
    return tuple(
        Death(draws.choice(KINDS), draws.randrange(workers), draws.randrange(STEPS + 1))
        for _ in range(draws.randint(1, 3))
    )


def play(deaths: tuple[Death, ...], records, folder, calm, *, workers: int) -> str:
    """Runs one schedule; "ok", or what went wrong."""
    arguments = clusters.flags(records, folder, steps=STEPS, batch=BATCH)
    try:
        ends = clusters.run_to_the_end(arguments, folder, workers=workers, deaths=deaths)
        for death, ended in zip(deaths, ends, strict=False):
            clusters.check(death, ended)
        assert not any(ends[-1].codes), ends[-1].output
        clusters.assert_equal_ends(calm, folder, step=STEPS)
    except AssertionError as error:
        return f"FAILED: {' '.join(str(error).split())[:1500]}"
    return "ok, exit codes " + "; ".join(",".join(map(str, ended.codes)) for ended in ends)


def main() -> int:
    """Plays the schedules in turn; 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first_seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--records", required=True)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        root, records = pathlib.Path(name), pathlib.Path(options.records).resolve()
        calm = root / "calm"
        arguments = clusters.flags(records, calm, steps=STEPS, batch=BATCH)
        clusters.run_to_the_end(arguments, calm, workers=options.workers)
        for seed in range(options.first_seed, options.first_seed + options.count):
            deaths, began = draw(seed, workers=options.workers), time.monotonic()
            told = ", ".join(f"{d.kind} to {d.target} at {d.step}" for d in deaths)
            said = play(deaths, records, root / str(seed), calm, workers=options.workers)
            failed += not said.startswith("ok")
            print(f"{seed}: {told}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
    print(f"{options.count - failed} of {options.count} schedules passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
