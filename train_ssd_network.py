"""Trains an SSD detector from TFRecords.

  train_ssd_network.py --dataset_dir=tfrecords --dataset_name=bccd --train_dir=train

The same command again resumes from the last checkpoint. `--flagfile=configs/NAME.flags` reads a
whole recipe. Exit codes: 0 done, 1 internal error, 2 invalid input, 75 interrupted (rerun to
resume), 130 ended by Ctrl-C before the first step.
"""

import os

from runtime import cli
from runtime.errors import EXIT_STOPPED_EARLY
from runtime.settings import define_flags, from_flags
from training.settings import TrainSettings


def main() -> int:
    """Flags -> settings -> one call."""

    def code(done: bool) -> int:
        return 0 if done else EXIT_STOPPED_EARLY

    cli.quiet_tensorflow()

    from training.train import train

    settings = from_flags(TrainSettings)
    return code(train(settings, os.environ, leave=lambda done: cli.leave(code(done))))


if __name__ == "__main__":
    define_flags(TrainSettings)
    cli.run(main, usage=__doc__)
