"""Converts annotated images to a data set of TFRecords.

  tf_convert_data.py --dataset_dir=VOCdevkit/VOC2007 --split=trainval \\
    --output_name=voc_2007_trainval --output_dir=tfrecords
  tf_convert_data.py --dataset_name=coco --coco_annotations=instances_val2017.json \\
    --dataset_dir=val2017 --output_name=coco_val --output_dir=tfrecords

Writes OUTPUT_NAME_NNN.tfrecord, their offset indexes, labels.txt and, last, the manifest
OUTPUT_NAME.json. `--dry_run` reads and counts the annotations only. Exit codes: 0 done, 2 bad
input.
"""

import dataclasses
import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runtime import cli
from runtime.errors import InputError
from runtime.settings import check, define_flags, from_flags, require, setting

if TYPE_CHECKING:
    from datasets.conversion_stats import ConversionStats

# By what they are called on the command line, the modules that convert them.
LAYOUTS = {
    "pascalvoc": "datasets.pascalvoc_to_tfrecords",
    "coco": "datasets.coco_to_tfrecords",
    "shapes": "datasets.pascalvoc_to_tfrecords",  # as scripts/make_shapes_devkit.py writes them
}
PLAIN_LINE_EVERY = 1000


@dataclasses.dataclass(frozen=True)
class ConvertSettings:
    """The flags of this script."""

    dataset_name: str = setting(
        "pascalvoc",
        "Layout of the images and annotations: pascalvoc or coco, any classes; shapes are VOC's.",
    )
    dataset_dir: str | None = setting(
        None, "Folder of Annotations, JPEGImages and ImageSets, or of COCO's images."
    )
    coco_annotations: str = setting("", "JSON file of COCO's instances, with dataset_name=coco.")
    output_name: str = setting(
        "pascalvoc", "Name of the data set: files are called NAME_NNN.tfrecord."
    )
    output_dir: str = setting("./", "Folder for the records; several data sets may share it.")
    split: str = setting(
        "", "Split file ImageSets/Main/SPLIT.txt; every annotated image when empty."
    )
    labels_file: str = setting(
        "",
        "Class names, one a line; from the annotations when empty (VOC's 20, or sorted by name).",
    )
    num_shards: int = setting(0, "Number of record files; 0 chooses by size.", minimum=0)
    skip_bad: int = setting(
        0, "Leave out up to so many images that are missing or damaged.", minimum=0
    )
    dry_run: bool = setting(False, "Only read and count the annotations; needs no images.")


def main() -> None:
    """Flags -> settings -> one call."""
    settings = from_flags(ConvertSettings)
    _check(settings)
    cli.quiet_tensorflow()

    import tensorflow as tf

    from datasets.conversion import Conversion

    tf.config.set_visible_devices([], "GPU")  # images are checked on the CPU
    fields = {field.name: getattr(settings, field.name) for field in dataclasses.fields(Conversion)}
    convert = importlib.import_module(LAYOUTS[settings.dataset_name]).convert
    print_result(convert(Conversion(**fields), report=say, progress=show), settings)


def _check(settings: ConvertSettings) -> None:
    if settings.dataset_name == "coco" and settings.dry_run:
        require(settings, "coco_annotations")
    else:
        require(settings, "dataset_dir")
    check(settings)
    if settings.dataset_name not in LAYOUTS:
        raise InputError(
            f"--dataset_name={settings.dataset_name} is no layout that can be converted: pass one "
            f"of {', '.join(LAYOUTS)} (pascalvoc is right for any folder in VOC layout)."
        )
    if settings.coco_annotations and settings.dataset_name != "coco":
        raise InputError(
            f"--coco_annotations={settings.coco_annotations} belongs to --dataset_name=coco: pass "
            "that too."
        )
    if settings.split and settings.dataset_name == "coco":
        raise InputError(
            f"--split={settings.split}: a COCO file is one split; choose it by --coco_annotations."
        )


def show(image_ids: Sequence[str]) -> Iterator[str]:
    """Yields the ids, with a progress bar on a terminal and a line now and then elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(image_ids, "converting", console=Console(stderr=True), transient=True)
        return
    for number, image_id in enumerate(image_ids):
        if number and number % PLAIN_LINE_EVERY == 0:
            say(f"converting image {number} of {len(image_ids)}")
        yield image_id


def say(line: str) -> None:
    """Prints a line of the report, apart from the result on stdout."""
    print(line, file=sys.stderr, flush=True)


def print_result(tally: "ConversionStats", settings: ConvertSettings) -> None:
    """Prints the table per class and where the records are."""
    print(tally.table())
    for line in tally.summary():
        print(line)
    if not settings.dry_run:
        place = f"{settings.output_name} ({tally.num_images} images) in {settings.output_dir}"
        print(f"written: {place}")


if __name__ == "__main__":
    define_flags(ConvertSettings)
    cli.run(main, usage=__doc__)
