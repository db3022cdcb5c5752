"""What detections are written as: JSON lines, CSV, VOC XML, drawn images, a drawn video.

A file that grows (JSON lines, CSV, video) is called `NAME.partial...` until its run has come to the
end, then takes its name: what has the name is whole. Text goes out after every batch, so that
nothing but the last batch is lost with the process.
"""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol, cast

import cv2
import numpy as np
import tensorflow as tf

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.voc_xml_writer import format_annotation
from detection.sources import Frame
from runtime import files
from runtime.errors import InputError
from visualization import pictures

# Those that players and browsers know best first: few builds of OpenCV can write H.264.
VIDEO_OUT_CODECS = {".mp4": ("avc1", "mp4v"), ".avi": ("MJPG",), ".mkv": ("avc1", "mp4v")}


class FrameDetections(NamedTuple):
    """The detections of a frame, best first.

    Attributes:
      frame: with its image.
      boxes: f32[K, 4] relative.
      classes: i64[K], from 1.
      names: K class names.
      scores: f32[K].
    """

    frame: Frame
    boxes: np.ndarray
    classes: np.ndarray
    names: Sequence[str]
    scores: np.ndarray

    @property
    def image(self) -> np.ndarray:
        """The frame's image, uint8[H, W, 3] RGB: only readable frames get here."""
        return cast(np.ndarray, self.frame.image)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        height, width, _ = self.image.shape
        return height, width


class Writer(Protocol):
    """One form of output."""

    def write(self, found: FrameDetections) -> None:
        """Takes the detections of the next frame."""

    def flush(self) -> None:
        """Puts everything so far where another process can see it."""

    def close(self, *, whole: bool) -> None:
        """Ends the output; `whole` says that the run came to its end."""


class _GrowingFile:
    """A text file that has its name only when it is whole."""

    def __init__(self, path: str):
        self._path = path
        self._file = tf.io.gfile.GFile(f"{path}.partial", "w")
        self._file.write("")  # opens it: a folder that cannot be written is found out now
        self.write = self._file.write
        self.flush = self._file.flush

    def close(self, *, whole: bool) -> None:
        self._file.close()
        if whole:
            files.put_in_place(f"{self._path}.partial", self._path)


class JsonLines:
    """`detections.jsonl`: one object an image, also for an image on which nothing was found."""

    def __init__(self, output_dir: str):
        """Starts the file."""
        self._file = _GrowingFile(os.path.join(output_dir, "detections.jsonl"))
        self.flush, self.close = self._file.flush, self._file.close

    def write(self, found: FrameDetections) -> None:
        """Adds a line."""
        height, width = found.size
        line = {"image": found.frame.image_name, "width": width, "height": height}
        if found.frame.number is not None:
            line["frame"] = found.frame.number
        line["detections"] = [
            {"class": int(k), "label": name, "score": _number(score), "box": [*map(_number, box)]}
            for box, k, name, score in _each(found)
        ]
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")


class Csv:
    """`detections.csv`: one line a detection, coordinates relative as in the JSON lines."""

    COLUMNS = (
        *("image", "width", "height", "class", "label", "score"),
        *("ymin", "xmin", "ymax", "xmax"),
    )

    def __init__(self, output_dir: str):
        """Starts the file with its heading."""
        self._file = _GrowingFile(os.path.join(output_dir, "detections.csv"))
        self.flush, self.close = self._file.flush, self._file.close
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(self.COLUMNS)

    def write(self, found: FrameDetections) -> None:
        """Adds a line for every detection."""
        height, width = found.size
        for box, k, name, score in _each(found):
            place = [found.frame.image_name, width, height]
            self._rows.writerow([*place, int(k), name, _number(score), *map(_number, box)])


class VocXml:
    """`Annotations/STEM.xml` for every image, to be corrected in a labelling tool.

    Frames of a video have no files of their own, so they are written to `JPEGImages/STEM.jpg` too.
    """

    def __init__(self, output_dir: str):
        """Makes the folder."""
        self._output_dir = output_dir
        tf.io.gfile.makedirs(os.path.join(output_dir, "Annotations"))

    def write(self, found: FrameDetections) -> None:
        """Writes the file of an image."""
        name = os.path.basename(found.frame.image_name)
        if found.frame.number is not None:
            name = f"{found.frame.stem}.jpg"
            tf.io.gfile.makedirs(os.path.join(self._output_dir, "JPEGImages"))
            _write_jpeg(os.path.join(self._output_dir, "JPEGImages", name), found.image)
        path = os.path.join(self._output_dir, "Annotations", f"{found.frame.stem}.xml")
        _put(path, format_annotation(_annotation(found, name)))

    def flush(self) -> None:
        """Does nothing: every file is whole."""

    def close(self, *, whole: bool) -> None:
        """Does nothing: every file is whole."""


class DrawnPictures:
    """`STEM.jpg` for every image, with its detections drawn on it."""

    def __init__(self, output_dir: str, labels: Sequence[str]):
        """Takes the labels, so that each class has its colour."""
        self._output_dir, self._colours = output_dir, pictures.class_colours(labels)

    def write(self, found: FrameDetections) -> None:
        """Draws and writes an image."""
        path = os.path.join(self._output_dir, f"{found.frame.stem}.jpg")
        _write_jpeg(path, _drawn(found, self._colours))

    def flush(self) -> None:
        """Does nothing: every file is whole."""

    def close(self, *, whole: bool) -> None:
        """Does nothing: every file is whole."""


class DrawnVideo:
    """A video with the detections drawn on every frame; it has no sound.

    Attributes:
      note: what the user should know of it.
    """

    def __init__(self, path: str, labels: Sequence[str], *, frames_per_second: float):
        """Prepares; the file begins with the first frame, whose size it takes.

        Raises:
          InputError: another ending than those of `VIDEO_OUT_CODECS`, or a path that is not local.
        """
        stem, ending = os.path.splitext(path)
        if ending.lower() not in VIDEO_OUT_CODECS or not files.is_local(path):
            raise InputError(
                f"--video_out={path} must be a local file ending in {', '.join(VIDEO_OUT_CODECS)}."
            )
        self._path, self._partial = path, f"{stem}.partial{ending}"
        self._codecs = VIDEO_OUT_CODECS[ending.lower()]
        self.note = ""
        # OpenCV counts thousandths of a frame, and MPEG-4 takes no more than 65,535 of them.
        rate = round(frames_per_second, 1) if frames_per_second > 65.5 else frames_per_second
        self._frames_per_second = max(rate, 0.01)
        self._colours = pictures.class_colours(labels)
        self._video: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def write(self, found: FrameDetections) -> None:
        """Draws and adds a frame."""
        if self._video is None:
            self._video = self._begin(*found.size)
        drawn = cv2.cvtColor(_drawn(found, self._colours), cv2.COLOR_RGB2BGR)
        if found.size != self._size:
            drawn = cv2.resize(drawn, self._size[::-1])
        self._video.write(drawn)

    def _begin(self, height: int, width: int) -> cv2.VideoWriter:
        os.makedirs(os.path.dirname(self._path) or ".", exist_ok=True)
        self._size = (height, width)
        for codec in self._codecs:
            fourcc = cv2.VideoWriter_fourcc(*codec)
            video = cv2.VideoWriter(self._partial, fourcc, self._frames_per_second, (width, height))
            if video.isOpened():
                if codec == "mp4v":
                    self.note = (
                        f"{self._path} is MPEG-4 Part 2, which few browsers play, since this "
                        "OpenCV writes no H.264: ffmpeg -i IN.mp4 OUT.mp4 converts it"
                    )
                return video
        raise InputError(f"--video_out={self._path} cannot be written: choose another place.")

    def flush(self) -> None:
        """Does nothing: a video cannot be read before its end."""

    def close(self, *, whole: bool) -> None:
        """Ends the file; without a frame there is none."""
        if self._video is None:
            return
        self._video.release()
        if whole:
            files.put_in_place(self._partial, self._path)


FORMATS: dict[str, Callable[[str], Writer]] = {"jsonl": JsonLines, "csv": Csv, "voc_xml": VocXml}


def _each(found: FrameDetections) -> Iterator[tuple[np.ndarray, int, str, float]]:
    return zip(found.boxes, found.classes, found.names, found.scores, strict=True)


def _number(value: float) -> float:
    """Six decimals: a thousandth of a pixel of an image 1,000 wide."""
    return round(float(value), 6)


def _drawn(found: FrameDetections, colours: dict[str, pictures.Colour]) -> np.ndarray:
    return pictures.draw_boxes(
        found.image, found.boxes, found.names, scores=found.scores, colours=colours
    )


def _write_jpeg(path: str, image: np.ndarray) -> None:
    # Without colour subsampling, which would smear thin coloured lines.
    options = (cv2.IMWRITE_JPEG_QUALITY, 92)
    sampling = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [*options, *sampling])
    _put(path, data.tobytes())


def _put(path: str, data: bytes) -> None:
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(data)


def _annotation(found: FrameDetections, filename: str) -> Annotation:
    height, width = found.size
    objects = []
    for box, _, name, _ in _each(found):
        corners = np.round(box.reshape(2, 2) * (height, width)).astype(int)
        ymin, xmin = least = np.clip(corners[0], 1, (height - 1, width - 1))
        ymax, xmax = np.clip(corners[1], least + 1, (height, width))
        objects.append(Object(name, (ymin, xmin, ymax, xmax), difficult=False, truncated=False))
    # In one row or column there is no room for a box: xmax > xmin, which counts from 1.
    return Annotation(filename, width, height, 3, tuple(objects) if min(found.size) > 1 else ())
