"""Compares trainings: flags that differ, scores, time and data, and their curves over each other.

  compare_runs.py runs/*
  compare_runs.py runs/a runs/b --output_dir=comparison

With --output_dir also as index.html, runs.csv and curves.png. Exit codes: 0 done, 1 internal error,
2 invalid input.
"""

from evaluation.settings import CompareSettings
from runtime import cli
from runtime.settings import define_flags, from_flags


def main(*folders: str) -> None:
    """Flags and folders -> one call."""
    cli.quiet_tensorflow()

    import tensorflow as tf

    from evaluation import compare

    tf.config.set_visible_devices([], "GPU")
    compare.run(folders, from_flags(CompareSettings))


if __name__ == "__main__":
    define_flags(CompareSettings)
    cli.run(main, usage=__doc__, takes_words=True)
