"""What is said of data and schedule before the first step, since it would waste the run."""

import os

from datasets.dataset_factory import Dataset
from datasets.records.features import read_contents
from datasets.records.index import RecordError
from datasets.records.reader import RecordReader
from runtime.errors import InputError
from training.settings import MAX_STEPS, TrainSettings

FEW_EPOCHS = 5
_MAX_NAMES = 8


def refuse_useless(settings: TrainSettings, dataset: Dataset) -> None:
    """Refuses a run that could not learn.

    Args:
      settings: with their length in steps.
      dataset: to train on.

    Raises:
      InputError: the warm-up is as long as the run, or no object is there to learn.
    """
    if settings.slow_start_step >= settings.last_step:
        raise InputError(
            f"--slow_start_step={settings.slow_start_step} is as long as the run of "
            f"{settings.last_step} steps, which would end before it trains at the full learning "
            "rate: give a shorter warm-up (a tenth of the run is usual) or more steps."
        )
    nobody_counted = not dataset.objects
    if nobody_counted or any(dataset.objects) or _has_learnable(settings, dataset):
        return
    raise InputError(
        f"{_called(dataset)} has no object to learn in its {dataset.num_samples} images "
        f"(--use_difficult={settings.use_difficult}; crowds are never trained on): look at the "
        "annotations with inspect_dataset.py; where a tool made crowds of all objects, convert "
        "with --learn_crowds."
    )


def _has_learnable(settings: TrainSettings, dataset: Dataset) -> bool:
    """Whether a record has an object that is difficult but no crowd."""
    if not settings.use_difficult:
        return False
    with RecordReader(dataset.shards) as reader:
        for index in range(len(reader)):
            try:
                contents = read_contents(reader.read(index))
            except (RecordError, ValueError):
                continue  # which the run will name
            if not all(contents.crowd):
                return True
    return False


def warnings(settings: TrainSettings, dataset: Dataset) -> list[str]:
    """Sentences about what a user may not have noticed; the settings have their length in steps."""
    said = []
    absent = [label for label, n in zip(dataset.labels, dataset.objects, strict=False) if not n]
    if absent and sum(dataset.objects):
        more = f" and {len(absent) - _MAX_NAMES} more" if len(absent) > _MAX_NAMES else ""
        said.append(
            f"WARNING: {_called(dataset)} has no object of {', '.join(absent[:_MAX_NAMES])}{more} "
            "(difficult ones aside): such a class is hardly learnt."
        )
    seen = settings.last_step * settings.global_batch_size / max(1, dataset.num_samples)
    if settings.last_step < MAX_STEPS and seen < FEW_EPOCHS:
        said.append(
            f"WARNING: {settings.last_step} steps of {settings.global_batch_size} images are "
            f"{seen:.2g} epochs of {dataset.num_samples} images, which is few to train on: "
            f"--epochs={FEW_EPOCHS} or more is usual."
        )
    return said


def _called(dataset: Dataset) -> str:
    name = f"{dataset.name} {dataset.split}".strip()
    return f"{name} in {os.path.dirname(dataset.shards[0])}" if dataset.shards else name
