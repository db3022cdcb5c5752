"""Exports a checkpoint for TensorFlow Serving, phones and other runtimes.

  export_ssd_network.py --checkpoint_path=train --export_dir=models/ssd/1
  export_ssd_network.py --checkpoint_path=train --export_dir=out --format=saved_model,tflite,slim
  export_ssd_network.py --checkpoint_path=train --export_dir=small --format=tflite \\
    --tflite_quantization=int8 --calibration_dir=photos

Inputs and outputs of each format are in docs/export.md. Exit codes: 0 done, 1 internal error,
2 invalid input.
"""

from export.settings import ExportSettings
from runtime import cli
from runtime.settings import define_flags, from_flags


def main() -> None:
    """Flags -> settings -> one call."""
    cli.quiet_tensorflow()

    from export.export import export
    from runtime import hardware

    settings = from_flags(ExportSettings)
    hardware.set_up_gpu_memory(None)
    names = export(settings)
    print(f"{settings.export_dir}: {', '.join(names)}")
    if {*settings.format} != {"slim"}:
        print(f"Next: detect_ssd_network.py --checkpoint_path={settings.export_dir} --input=PHOTOS")


if __name__ == "__main__":
    define_flags(ExportSettings)
    cli.run(main, usage=__doc__)
