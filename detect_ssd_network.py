"""Detects objects in images, a video, a camera or a stream, and writes the detections.

  detect_ssd_network.py --checkpoint_path=train --input=photos --output_dir=found
  detect_ssd_network.py --checkpoint_path=train --input='data/**/*.jpg' --output_dir=found
  detect_ssd_network.py --checkpoint_path=train --input=clip.mp4 --output_dir=found --format=csv
  detect_ssd_network.py --checkpoint_path=train --input=rtsp://camera/1 --output_dir=found

In output_dir: detections.jsonl, one line an image, and the images (or the video) with the boxes
drawn in. Unreadable images are reported and skipped. Exit codes: 0 done, 1 internal error,
2 invalid input, or no image that can be read.
"""

import os

from detection.settings import DetectSettings
from runtime import cli
from runtime.settings import define_flags, from_flags
from runtime.words import counted


def main() -> None:
    """Flags -> settings -> one call."""
    # Torn files are reported by us, in one line each. TensorFlow's import may bring OpenCV along.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cli.quiet_tensorflow()

    from detection import detect, sources
    from model import score_thresholds
    from model.description import CheckpointOverrides
    from model.detector import Detector
    from model.exported import is_export, open_export
    from runtime import hardware
    from runtime.progress import Progress

    settings = from_flags(DetectSettings)
    hardware.set_up_gpu_memory(None)
    source = sources.open_source(settings.input)
    detect.check_outputs(source, settings)
    path = settings.checkpoint_path
    load = open_export if is_export(path) else Detector.from_checkpoint
    overrides = CheckpointOverrides.of_flags(settings)
    detector = load(path, use_moving_average=settings.use_moving_average, hints=overrides)
    print(score_thresholds.describe(settings.select_threshold, detector.description))
    unit = "frame" if source.is_video else "image"
    with Progress(source.total, "detecting", unit=f"{unit}s", log_seconds=10.0) as progress:
        summary = detect.run(detector, source, settings, progress=progress)
    speed = summary.pictures / max(1e-9, summary.seconds)
    lost = f", {summary.unreadable} could not be read" if summary.unreadable else ""
    print(
        f"{counted(summary.pictures, unit)}{lost}, {counted(summary.detections, 'detection')}, "
        f"{speed:.1f} images/s: {settings.output_dir}"
    )
    print("Next: --format=voc_xml writes annotations to correct; export_ssd_network.py exports it.")


if __name__ == "__main__":
    define_flags(DetectSettings)
    cli.run(main, usage=__doc__)
