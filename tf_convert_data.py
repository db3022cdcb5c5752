"""Converts annotated images to a data set of TFRecords.

  tf_convert_data.py --dataset_dir=VOCdevkit/VOC2007 --split=trainval \\
    --output_name=voc_2007_trainval --output_dir=tfrecords
  tf_convert_data.py --dataset_name=coco --annotations=instances_val2017.json \\
    --dataset_dir=val2017 --output_name=coco_val --output_dir=tfrecords
  tf_convert_data.py --dataset_name=yolo --dataset_dir=my_yolo --holdout=.2 \\
    --output_name=mine --output_dir=tfrecords

Writes OUTPUT_NAME_NNN.tfrecord, their offset indexes, labels.txt and, last, the manifest
OUTPUT_NAME.json; with `--holdout`, those of OUTPUT_NAME_train and OUTPUT_NAME_val. `--dry_run` only
reads and counts the annotations. Exit codes: 0 done, 1 internal error, 2 invalid input.
"""

import sys
from typing import TYPE_CHECKING

from datasets.settings import Conversion
from runtime import cli
from runtime.settings import define_flags, from_flags
from runtime.words import counted

if TYPE_CHECKING:
    from datasets.conversion_stats import ConversionStats


def main() -> None:
    """Flags -> settings -> one call."""
    conversion = from_flags(Conversion)
    cli.quiet_tensorflow()

    import tensorflow as tf

    from datasets.conversion import convert
    from runtime import progress

    tf.config.set_visible_devices([], "GPU")  # images are checked on the CPU
    print_result(convert(conversion, report=say, progress=progress.shown), conversion)


def say(line: str) -> None:
    """Prints a line of the report, apart from the result on stdout."""
    print(line, file=sys.stderr, flush=True)


def print_result(tally: "ConversionStats", conversion: Conversion) -> None:
    """Prints the table per class and where the records are."""
    written = tally.parts or {conversion.output_name: tally}
    for name, part in written.items():
        if tally.parts:
            print(f"{name}:")
        print(part.table())
    for line in tally.summary():
        print(line)
    for name, part in written.items() if not conversion.dry_run else ():
        print(f"written: {name} ({counted(part.num_images, 'image')}) in {conversion.output_dir}")
    name, _, split = conversion.output_name.rpartition("_")
    if tally.parts:
        name, split = conversion.output_name, "train"
    if name and not conversion.dry_run:
        print(
            f"Next: train_ssd_network.py --dataset_name={name} --dataset_split_name={split} "
            f"--dataset_dir={conversion.output_dir} --train_dir=FOLDER"
        )


if __name__ == "__main__":
    define_flags(Conversion)
    cli.run(main, usage=__doc__)
