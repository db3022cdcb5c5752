"""Detects on images of any source and writes what it finds: `detect_ssd_network.py` as a call.

An image or frame that cannot be read is reported and skipped. The detector is handed in: all
that is asked of it is `labels` and `detect`.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np
import tensorflow as tf

from datasets.layouts.image_file import count_endings, names_in
from detection import writers as detection_writers
from detection.settings import DetectSettings
from detection.sources import Frame, PictureFiles, Video
from detection.writers import DrawnVideo, FrameDetections, Writer
from runtime import files
from runtime.errors import InputError
from runtime.progress import Progress

# A run begins its text before it draws: by these names a folder is known as an earlier run's.
_TEXTS = {f"detections.{kind}{end}" for kind in ("jsonl", "csv") for end in ("", ".partial")}


class Detector(Protocol):
    """What detects."""

    @property
    def labels(self) -> Sequence[str]:
        """Class id k has the name labels[k - 1]."""

    def detect(self, images: list[np.ndarray], **thresholds: Any) -> Sequence[Any]:
        """uint8[H, W, 3] RGB images -> (boxes f32[K, 4], classes i64[K], scores f32[K]) each."""


class Summary(NamedTuple):
    """What a run did, in numbers; `seconds` without loading the network."""

    pictures: int
    unreadable: int
    detections: int
    seconds: float


def run(
    detector: Detector,
    source: PictureFiles | Video,
    settings: DetectSettings,
    *,
    progress: Progress,
) -> Summary:
    """Detects on every image of `source` and writes the outputs that `settings` ask for.

    Ctrl-C is how a camera or stream is stopped: there it ends the run in good order. SIGTERM and
    SIGHUP, which end a process otherwise, do what Ctrl-C does: a video is readable even then.

    Args:
      detector: labels and detections.
      source: as of `picture_sources.open_source`.
      settings: where to and what.
      progress: entered already; told of every batch and of what cannot be read.

    Raises:
      InputError: an unknown class name, an output that cannot be written or would overwrite the
        input, or not one image could be read.
    """
    classes = _class_ids(settings.classes, detector.labels)
    check_outputs(source, settings)
    if isinstance(source, PictureFiles) and source.passed_over:
        there, count = count_endings(source.passed_over), len(source.passed_over)
        noun = "file" if count == 1 else "files"
        progress.message(f"{count} {noun} passed over: {there}")
    writers = _open_writers(source, settings, detector.labels)
    whole = False
    with _interrupted_by_signals():
        try:
            summary = _detect_all(detector, source, settings, classes, writers, progress)
            if not summary.pictures:
                raise InputError(f"--input={settings.input}: not one image of it could be read.")
            whole = True
        finally:
            with files.explain_write_errors(settings.output_dir):
                for writer in writers:
                    writer.close(whole=whole)
        for note in (writer.note for writer in writers if isinstance(writer, DrawnVideo)):
            if note:
                progress.message(note)
    return summary


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt, the first alone: closing is not disturbed.

    Those that are ignored (nohup) or handled stay so. Python sets handlers in the main thread only.
    """
    numbers: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        both = (signal.SIGTERM, signal.SIGHUP)
        numbers = [number for number in both if signal.getsignal(number) == signal.SIG_DFL]

    def handle_all(handler: Any) -> None:
        for number in numbers:
            signal.signal(number, handler)

    def interrupt(*_: object) -> NoReturn:
        handle_all(signal.SIG_IGN)
        raise KeyboardInterrupt

    handle_all(interrupt)
    try:
        yield
    finally:
        handle_all(signal.SIG_DFL)


def _detect_all(
    detector: Detector,
    source: PictureFiles | Video,
    settings: DetectSettings,
    classes: frozenset[int],
    writers: Sequence[Writer],
    progress: Progress,
) -> Summary:
    began = time.monotonic()
    pictures = unreadable = detections = 0
    try:
        for batch, broken in _batches(source, settings.batch_size):
            for frame in broken:
                progress.message(f"{frame.image_name}: {frame.problem}; skipped")
            for found in _detect_batch(detector, batch, settings, classes):
                detections += len(found.scores)
                with files.explain_write_errors(settings.output_dir):
                    for writer in writers:
                        writer.write(found)
            with files.explain_write_errors(settings.output_dir):
                for writer in writers:
                    writer.flush()
            pictures, unreadable = pictures + len(batch), unreadable + len(broken)
            speed = pictures / max(1e-9, time.monotonic() - began)
            progress.update(pictures + unreadable, images_per_second=speed)
    except KeyboardInterrupt:
        if not source.is_live:
            raise
    return Summary(pictures, unreadable, detections, time.monotonic() - began)


def _batches(
    source: PictureFiles | Video, batch_size: int
) -> Iterator[tuple[list[Frame], list[Frame]]]:
    """Readable frames, `batch_size` at a time, with the unreadable ones met on the way."""
    batch: list[Frame] = []
    broken: list[Frame] = []
    for frame in source:
        (broken if frame.image is None else batch).append(frame)
        if len(batch) == batch_size:
            yield batch, broken
            batch, broken = [], []
    if batch or broken:
        yield batch, broken


def _detect_batch(
    detector: Detector, batch: Sequence[Frame], settings: DetectSettings, classes: frozenset[int]
) -> Iterator[FrameDetections]:
    if not batch:
        return
    found = detector.detect(
        [frame.image for frame in batch],
        select_threshold=settings.select_threshold,
        nms_threshold=settings.nms_threshold,
        keep_top_k=settings.keep_top_k,
    )
    for frame, (boxes, ids, scores) in zip(batch, found, strict=True):
        kept = np.array([int(k) in classes for k in ids], bool)
        names = [detector.labels[int(k) - 1] for k in ids[kept]]
        yield FrameDetections(frame, boxes[kept], ids[kept], names, scores[kept])


def _class_ids(names: Sequence[str], labels: Sequence[str]) -> frozenset[int]:
    """Ids of the classes to report; all of them where no name is given."""
    unknown = [name for name in names if name not in labels]
    if unknown:
        raise InputError(
            f"--classes={','.join(names)}: the detector has no {unknown[0]!r}, only "
            f"{', '.join(labels)}."
        )
    return frozenset(k for k, label in enumerate(labels, 1) if not names or label in names)


def check_outputs(source: PictureFiles | Video, settings: DetectSettings) -> None:
    """Refuses outputs that would overwrite a user's files; call it before the network is loaded.

    Raises:
      InputError: the input, a drawn image's name that is taken, or annotations in output_dir;
        --video_out naming the input, or not fitting it.
    """
    if "voc_xml" in settings.format:
        _check_annotations(settings.output_dir, with_pictures=isinstance(source, Video))
    if isinstance(source, PictureFiles):
        if settings.video_out:
            raise InputError(
                f"--video_out={settings.video_out} is for a video or camera, and "
                f"--input={settings.input} is images: remove the flag."
            )
        _check_inputs(source, settings.output_dir)
        if settings.draw:
            _check_drawn(source, settings.output_dir)
    elif settings.video_out and not settings.draw:
        raise InputError("--video_out is the drawn video: remove it, or --draw=False.")
    elif os.path.realpath(source.name) == os.path.realpath(_video_path(source, settings)):
        raise InputError(f"--video_out={settings.video_out} is the input: choose another name.")


def _check_annotations(output_dir: str, *, with_pictures: bool) -> None:
    """Refuses folders of VOC's with files in them: annotations there are a person's work.

    Those of an earlier run too: they are written to be corrected.
    """
    for name in ("Annotations", "JPEGImages")[: 1 + with_pictures]:
        if there := names_in(os.path.join(output_dir, name)):
            raise InputError(
                f"--output_dir={output_dir} has {name} already ({min(there)} and so on), which "
                "--format=voc_xml could overwrite: choose another folder."
            )


def _check_inputs(source: PictureFiles, output_dir: str) -> None:
    """Refuses a folder that the input lies in, as a file or a link, or that its links lead to."""
    real = os.path.realpath(output_dir)
    folders = {os.path.dirname(path) for path in source.paths}
    same = {folder for folder in folders if os.path.realpath(folder) == real}
    for path, name in zip(source.paths, source.names, strict=True):
        led = os.path.islink(path) and os.path.dirname(os.path.realpath(path)) == real
        if led or os.path.dirname(path) in same:
            raise InputError(
                f"--output_dir={output_dir} holds the input {name}, which the drawn image could "
                "overwrite: choose another folder."
            )


def _check_drawn(source: PictureFiles, output_dir: str) -> None:
    """Refuses a folder with a file of a drawn image's name, unless an earlier run wrote there."""
    there = {*names_in(output_dir)}
    taken = there & {f"{stem}.jpg" for stem in source.stems}
    if taken and not there & _TEXTS:
        raise InputError(
            f"--output_dir={output_dir} has {min(taken)} already, which the drawn image could "
            "overwrite: choose another folder, or --draw=False."
        )


def _video_path(source: Video, settings: DetectSettings) -> str:
    default = os.path.join(settings.output_dir, f"{source.stem}_detections.mp4")
    return settings.video_out or default


def _open_writers(
    source: PictureFiles | Video, settings: DetectSettings, labels: Sequence[str]
) -> list[Writer]:
    try:
        tf.io.gfile.makedirs(settings.output_dir)
        names = dict.fromkeys(settings.format)
        writers: list[Writer] = [
            detection_writers.FORMATS[name](settings.output_dir) for name in names
        ]
    except tf.errors.OpError as error:
        raise InputError(
            f"--output_dir={settings.output_dir} cannot be written ({error.message}): choose "
            "another folder."
        ) from error
    if settings.draw and isinstance(source, Video):
        path = _video_path(source, settings)
        rate = source.frames_per_second
        writers.append(detection_writers.DrawnVideo(path, labels, frames_per_second=rate))
    elif settings.draw:
        writers.append(detection_writers.DrawnPictures(settings.output_dir, labels))
    return writers
