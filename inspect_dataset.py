"""Reports defects of a data set before a training is wasted on it, and its contents.

  inspect_dataset.py --input=VOCdevkit/VOC2007 --split=trainval
  inspect_dataset.py --input=instances_val2017.json --dataset_dir=val2017 \\
    --format=text,html --output_dir=report
  inspect_dataset.py --dataset_name=bccd --dataset_dir=tfrecords --split=train \\
    --view=8 --extract=bccd_voc --output_dir=report

Exit codes: 0 no defect that harms a training, 1 internal error, 2 such a defect, or invalid input.
"""

from inspection.settings import InspectSettings
from runtime import cli
from runtime.settings import define_flags, from_flags


def main() -> None:
    """Flags -> settings -> one call."""
    cli.quiet_tensorflow()

    import tensorflow as tf

    from inspection import inspect

    settings = from_flags(InspectSettings)
    tf.config.set_visible_devices([], "GPU")  # images are looked at on the CPU
    inspect.run(settings)


if __name__ == "__main__":
    define_flags(InspectSettings)
    cli.run(main, usage=__doc__)
