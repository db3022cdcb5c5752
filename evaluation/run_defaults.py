"""What an evaluation takes from the flags of the run whose checkpoint it scores.

The split is not among them: a run is evaluated on images that it was not trained on.
"""

import dataclasses
from typing import Any

from evaluation.settings import EvalSettings
from model import train_dir
from runtime.errors import InputError

_DATA = ("dataset_name", "dataset_dir", "labels_file")
_DATASET_NAME = "pascalvoc_2007"  # where nobody says


def fill_in(settings: EvalSettings, path: str) -> EvalSettings:
    """The settings with data set, folder and labels of the run where they give none themselves.

    Args:
      settings: the flags.
      path: of the checkpoint, or of an export, which belongs to no run.

    Raises:
      InputError: nobody says where the records are.
    """
    folder = train_dir.of_checkpoint(path)
    flags = train_dir.read_flags(folder)
    taken: dict[str, Any] = {
        n: flags[n] for n in _DATA if flags.get(n) and not getattr(settings, n)
    }
    if "dataset_name" in taken and not settings.labels_offset:
        taken["labels_offset"] = int(flags.get("labels_offset", 0))
    filled = dataclasses.replace(settings, **taken)
    if not filled.dataset_dir:
        raise InputError(
            f"--dataset_dir is missing, and {folder} has no {train_dir.FLAGS} of a training to "
            "take it from: give --dataset_dir=PATH."
        )
    return dataclasses.replace(filled, dataset_name=filled.dataset_name or _DATASET_NAME)
