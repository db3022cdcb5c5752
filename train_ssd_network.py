"""Trains an SSD detector from TFRecords.

  train_ssd_network.py --dataset_dir=tfrecords --dataset_name=bccd --train_dir=train

The same command again resumes from the last checkpoint. `--flagfile=configs/NAME.flags` reads a
whole recipe. Exit codes: 0 done, 1 internal error, 2 invalid input, 75 interrupted (rerun to
resume), 130 ended by Ctrl-C before the first step.
"""

import functools
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
    done = train(
        settings,
        os.environ,
        on_end=functools.partial(finish, settings),
        leave=lambda done: cli.leave(code(done)),
    )
    return code(done)


def finish(settings: TrainSettings) -> None:
    """Says what a run that is done wrote and what comes next, and exports it if that is asked."""
    from evaluation import run_curves
    from model import train_dir

    folder = settings.train_dir.rstrip("/")
    history = run_curves.read(folder).scores
    best = train_dir.best_of(history) if history else None
    score = f", best/ ({train_dir.METRIC} {best[train_dir.METRIC] or 0:.4f})" if best else ""
    print(f"Written to {folder}: checkpoints{score}, metrics.csv, results.png.")
    if settings.export != "none":
        export_run(settings, f"{folder}/export")
    print(f"Next: eval_ssd_network.py --checkpoint_path={folder} --eval_dir={folder}/eval")


def export_run(settings: TrainSettings, folder: str) -> None:
    """Exports the best checkpoint of a run that is done, or else its last."""
    from export.export import export
    from export.settings import ExportSettings

    formats = (settings.export,)
    export(ExportSettings(checkpoint_path=settings.train_dir, export_dir=folder, format=formats))
    print(f"Exported to {folder}.")


if __name__ == "__main__":
    define_flags(TrainSettings)
    cli.run(main, usage=__doc__)
