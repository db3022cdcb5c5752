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
    cli.quiet_tensorflow()

    from training.train import is_chief, train

    settings = from_flags(TrainSettings)
    if not train(settings, os.environ):
        return EXIT_STOPPED_EARLY
    if settings.export != "none" and not settings.dry_run and is_chief(settings, os.environ):
        export_run(settings)
    return 0


def export_run(settings: TrainSettings) -> None:
    """Exports the best checkpoint of a run that is done, or else its last."""
    import tensorflow as tf
    from absl import logging

    from export.export import export
    from export.settings import ExportSettings

    logging.set_verbosity(logging.ERROR)  # the converters tell of every function they see
    tf.get_logger().setLevel("ERROR")
    folder = f"{settings.train_dir.rstrip('/')}/export"
    formats = (settings.export,)
    export(ExportSettings(checkpoint_path=settings.train_dir, export_dir=folder, format=formats))
    print(f"Exported to {folder}.")


if __name__ == "__main__":
    define_flags(TrainSettings)
    cli.run(main, usage=__doc__)
