"""The settings of a fit: the flags of `fit_ssd_network.py`, with their defaults."""

import dataclasses
from typing import Any

from export.settings import FORMATS
from runtime.errors import InputError
from runtime.limits import MAX_SEED
from runtime.settings import check, given_in, require, setting
from training.settings import TrainSettings

SCRATCH = "none"
# Flags of a training that a fit gives itself, with the flag of the fit to give instead.
_GIVEN_BY_FIT = {
    "train_dir": "--output_dir",
    "dataset_dir": "--input",
    "dataset_name": "--input",
    "dataset_split_name": "--input",
    "eval_split": "--holdout",
    "checkpoint_path": "--checkpoint_path",
    "model_name": "--model_name",
    "epochs": "--epochs",
    "seed": "--seed",
    "skip_bad": "--skip_bad",
    "overwrite": "another --output_dir",
    "dry_run": "inspect_dataset.py",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitSettings:
    """What to learn from, for how long, and where to put everything."""

    input: str = setting(
        "",
        "Folder of annotated images in any layout (VOC, YOLO, COCO, Roboflow, CVAT, LabelMe, ...), "
        "or the file of their annotations.",
    )
    output_dir: str = setting(
        "", "Folder for records, training, scores, report and detections; resumed if used."
    )
    images_dir: str = setting(
        "", "Folder of the images, if --input is a file and they are not beside it."
    )
    classes: str = setting(
        "",
        "Classes to learn, with ; between them; NEW=OLD,OLD renames and merges: "
        "'car=car,truck;person'. All by default.",
    )
    holdout: float | None = setting(
        None,
        "Share of the images to evaluate on; by default the data set's own splits, else 0.2.",
        above=0,
        below=1,
    )
    split_seed: int = setting(0, "Another number holds out other images.")
    skip_bad: int = setting(
        0, "Skip up to so many images or boxes that are damaged or missing.", minimum=0
    )
    epochs: float | None = setting(
        None, "Length of the training in passes over the images; chosen by default.", above=0
    )
    minutes: float | None = setting(
        None, "Length of the whole fit in minutes, about, instead of --epochs.", above=0
    )
    model_name: str | None = setting(
        None, "Name of the network; by default the one that fits the weights."
    )
    checkpoint_path: str = setting(
        "",
        f"Weights to start from; {SCRATCH} starts from scratch. By default those for COCO, if they "
        "are fetched.",
    )
    seed: int = setting(0, "Random seed of the training.", minimum=0, maximum=MAX_SEED)
    train_flags: str = setting(
        "",
        "Flags of train_ssd_network.py that replace what is chosen, in one text: "
        "'--batch_size=16 --learning_rate=2e-3'.",
    )
    export: tuple[str, ...] = setting(
        (), "Formats to export to: comma list of saved_model, tflite, onnx and slim."
    )

    def __post_init__(self):
        check(self)
        require(self, "input", "output_dir")
        if self.epochs is not None and self.minutes is not None:
            raise InputError(
                f"--epochs={self.epochs} and --minutes={self.minutes} both say how long: give one."
            )
        for name in self.export:
            if name not in FORMATS:
                raise InputError(
                    f"--export={name} is not known: take some of {', '.join(FORMATS)}."
                )
        given = self.given_to_training()
        for name in _GIVEN_BY_FIT.keys() & given.keys():
            raise InputError(
                f"--train_flags names --{name}, which the fit gives: use {_GIVEN_BY_FIT[name]}."
            )
        if "max_number_of_steps" in given and (self.epochs or self.minutes):
            flag = "epochs" if self.epochs else "minutes"
            raise InputError(
                f"--{flag}={getattr(self, flag)} and --max_number_of_steps in --train_flags both "
                "say how long: give one."
            )

    def given_to_training(self) -> dict[str, Any]:
        """What --train_flags says, by the names of `TrainSettings`."""
        return given_in(TrainSettings, self.train_flags, flag="--train_flags")
