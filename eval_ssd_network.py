"""Evaluates a detector with Pascal VOC's metrics, and COCO's with --coco.

  eval_ssd_network.py --checkpoint_path=train --eval_dir=eval \\
    --dataset_dir=tfrecords --dataset_name=bccd
  eval_ssd_network.py --detections_dir=DIR --voc_dir=VOCdevkit/VOC2007 --dataset_split_name=test

The first evaluates a checkpoint or an export on records, the second the detections of any detector
in VOC devkit files. With --wait_for_checkpoints the first evaluates every checkpoint that a
training writes. Exit codes: 0 done, 1 internal error, 2 invalid input.
"""

from evaluation.settings import EvalSettings
from runtime import cli
from runtime.settings import define_flags, from_flags


def main() -> None:
    """Flags -> settings -> one call."""
    cli.quiet_tensorflow()

    from evaluation.continuous import evaluate_continuously
    from evaluation.devkit_files import evaluate_devkit_files
    from evaluation.evaluate import evaluate_checkpoint
    from model.exported import is_export
    from runtime import hardware

    settings = from_flags(EvalSettings)
    hardware.set_up_gpu_memory(settings.gpu_memory_fraction)
    if settings.detections_dir:
        evaluate_devkit_files(settings)
    elif settings.wait_for_checkpoints and not is_export(settings.checkpoint_path):
        evaluate_continuously(settings)
    else:
        evaluate_checkpoint(settings)
        report = f", {settings.report_dir}/index.html" if settings.report_dir else ""
        print(
            f"Written: {settings.eval_dir}/metrics.json, {settings.eval_dir}/curves.csv{report}.\n"
            f"Next: detect_ssd_network.py --checkpoint_path={settings.checkpoint_path} "
            "--input=PHOTOS --output_dir=FOLDER"
        )


if __name__ == "__main__":
    define_flags(EvalSettings)
    cli.run(main, usage=__doc__)
