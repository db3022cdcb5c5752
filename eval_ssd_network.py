"""Scores a detector with Pascal VOC's metrics, and COCO's with --coco.

  eval_ssd_network.py --checkpoint_path=train --eval_dir=eval \\
    --dataset_dir=tfrecords --dataset_name=bccd
  eval_ssd_network.py --detections_dir=DIR --voc_dir=VOCdevkit/VOC2007 --dataset_split_name=test

The first runs a checkpoint or an export over records, the second scores devkit files of any
detector. With --wait_for_checkpoints the first goes on with every checkpoint that a training
writes.
Exit codes: 0 done, 2 bad input.
"""

from runtime import cli

cli.quiet_tensorflow()

from evaluation.continuous import evaluate_continuously  # noqa: E402
from evaluation.devkit_files import evaluate_devkit_files  # noqa: E402
from evaluation.evaluate import evaluate_checkpoint  # noqa: E402
from evaluation.settings import EvalSettings  # noqa: E402
from model.exported import is_export  # noqa: E402
from runtime import hardware  # noqa: E402
from runtime.settings import define_flags, from_flags  # noqa: E402


def main() -> None:
    """Flags -> settings -> one call."""
    settings = from_flags(EvalSettings)
    hardware.set_up_gpu_memory(settings.gpu_memory_fraction)
    if settings.detections_dir:
        evaluate_devkit_files(settings)
    elif settings.wait_for_checkpoints and not is_export(settings.checkpoint_path):
        evaluate_continuously(settings)
    else:
        evaluate_checkpoint(settings)


if __name__ == "__main__":
    define_flags(EvalSettings)
    cli.run(main, usage=__doc__)
