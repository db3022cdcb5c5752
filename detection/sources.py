"""Images to detect on: from a file, a folder, a glob, a video, a camera or a stream, in turn.

What cannot be read comes out as a `Frame` that says why, not as an error, so that one broken file
does not end a long run. Images are RGB uint8 whatever the file holds: grey is repeated, 16 bits
are scaled to 8, transparency is dropped as in training, and a JPEG is turned upright as its EXIF
says.
"""

import glob
import os
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from datasets.layouts.decoding import decode_picture, read_picture
from datasets.layouts.image_file import (
    PICTURE_ENDINGS,
    count_endings,
    is_folder,
    others_in,
    pictures_in,
    printable,
)
from runtime import download, files, limits
from runtime.errors import InputError, one_line

VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv")
_CAMERA = "camera:"
_STREAMS = ("rtsp://", "rtmp://", "udp://", "http://", "https://")
_LOST_FRAMES = 30  # so many failures in a row mean that a stream has ended


class Frame(NamedTuple):
    """An image, or the reason why there is none.

    Attributes:
      image_name: what results call it: the file's path below the common folder, or `clip.mp4#12`.
      stem: name for output files without an ending, different for every frame of a source.
      image: uint8[H, W, 3] RGB, or None.
      problem: why there is no image, or None.
      number: of a video's frame, from 0; None for files.
    """

    image_name: str
    stem: str
    image: np.ndarray | None
    problem: str | None = None
    number: int | None = None


class PictureFiles:
    """Image files, in the order given."""

    is_video = False
    is_live = False

    def __init__(self, paths: Sequence[str], *, passed_over: Sequence[str] = ()):
        """Takes the paths, and names of what lies there and is no image; nothing is read yet."""
        self.paths = tuple(paths)
        self.passed_over = tuple(passed_over)
        self.total: int | None = len(self.paths)
        root = os.path.dirname(self.paths[0])
        if any(os.path.dirname(path) != root for path in self.paths):
            root = os.path.commonpath([os.path.dirname(path) for path in self.paths])
        self.names = [
            printable(os.path.relpath(path, root) if root else path) for path in self.paths
        ]
        self.stems = unique_stems(self.names)

    def __iter__(self) -> Iterator[Frame]:
        for path, name, stem in zip(self.paths, self.names, self.stems, strict=True):
            try:
                yield Frame(name, stem, self._read(path))
            except (ValueError, tf.errors.OpError, cv2.error, MemoryError) as error:
                yield Frame(name, stem, None, _first_line(error))

    def _read(self, path: str) -> np.ndarray:
        return read_picture(path)


class WebImage(PictureFiles):
    """An image of the web, fetched when it is opened."""

    def __init__(self, address: str):
        """Fetches it.

        Raises:
          InputError: it does not arrive.
        """
        shown = re.split("[?#]", address)[0].rpartition("@")[2]  # without a password or a token
        self._data = download.read(address, limit=limits.MAX_IMAGE_BYTES, given=f"--input={shown}")
        super().__init__([shown])
        self.names = [urllib.parse.unquote(_title(address)).replace("/", "_")]
        self.stems = unique_stems(self.names)

    def _read(self, path: str) -> np.ndarray:
        return decode_picture(self._data)


class Video:
    """Frames of a video file, or of a camera or stream until it ends or is stopped."""

    is_video = True

    def __init__(self, target: str | int, *, name: str):
        """Opens the video.

        Raises:
          InputError: OpenCV cannot open it.
        """
        self.name, self.is_live = name, isinstance(target, int) or is_stream(name)
        self._title = _title(name)
        self.stem = os.path.splitext(self._title)[0].replace(":", "_")
        self._capture = cv2.VideoCapture(target)
        if not self._capture.isOpened():
            kind = "camera" if isinstance(target, int) else "video"
            raise InputError(
                f"--input: {name} cannot be opened as a {kind}: give a file or address that "
                "ffmpeg can play, or the number of a camera that is plugged in."
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frames_per_second = rate if 0.0 < rate <= 1000.0 else 25.0
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.total = count if count > 0 and not self.is_live else None

    def __iter__(self) -> Iterator[Frame]:
        """Frames; those that fail between good ones come out as such, an early end as one more."""
        number, lost = 0, 0
        patience = 1 if self.total is None and not self.is_live else _LOST_FRAMES
        try:
            while lost < patience:
                done, image = self._capture.read()
                number += 1
                if not done:
                    lost += 1
                    continue
                for missed in range(number - lost, number):
                    yield self._frame(missed - 1, problem="the frame cannot be read")
                lost = 0
                yield self._frame(number - 1, image=cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            good = number - lost
            if good < (self.total or 0):
                yield self._frame(good, problem=f"it ends after {good} of {self.total} frames")
        finally:
            self._capture.release()

    def _frame(
        self, number: int, *, image: np.ndarray | None = None, problem: str | None = None
    ) -> Frame:
        return Frame(f"{self._title}#{number}", f"{self.stem}_{number:06d}", image, problem, number)


def open_source(text: str) -> PictureFiles | Video:
    """The source that `--input` names.

    Args:
      text: an image, a folder of images (not of folders), a glob (`**` looks into folders), a
        video, the web address of an image, such as https://.../a.jpg, or of a stream, or
        `camera:N`.

    Raises:
      InputError: nothing there that can be read, or a folder or glob without images.
    """
    if text.startswith(_CAMERA):
        number = text.removeprefix(_CAMERA)
        if not number.isdecimal():
            raise InputError(f"--input={text} names no camera: write camera:0 for the first one.")
        return Video(int(number), name=text)
    if is_image_address(text):
        return WebImage(text)
    if is_stream(text):
        return Video(text, name=text)
    if printable(text) != text:
        raise InputError(
            f"--input={printable(text)}: the name is not UTF-8 or has control characters: "
            "rename it."
        )
    try:
        return _open_path(text)
    except tf.errors.OpError as error:
        raise InputError(f"--input={text} cannot be read ({one_line(error)}): check it.") from error


def _open_path(text: str) -> PictureFiles | Video:
    if is_folder(text):
        return PictureFiles(_list_folder(text), passed_over=others_in(text))
    if tf.io.gfile.exists(text):
        return Video(text, name=text) if is_video(text) else PictureFiles([text])
    if not set("*?[") & set(text):
        raise InputError(f"--input={text} is not there: give an image, folder, glob or video.")
    return _open_glob(text)


def is_video(path: str) -> bool:
    """Whether the name ends as videos' names do."""
    return path.lower().endswith(VIDEO_ENDINGS)


def is_stream(address: str) -> bool:
    """Whether it is an address that OpenCV's ffmpeg opens and TensorFlow's file systems do not."""
    return address.lower().startswith(_STREAMS)


def is_image_address(address: str) -> bool:
    """Whether it is a web address whose path ends as images' names do."""
    path = re.split("[?#]", address)[0].lower()
    return path.startswith(("http://", "https://")) and path.endswith(PICTURE_ENDINGS)


def _title(name: str) -> str:
    """What results call a video: the end of its path; nothing of a stream's password or query."""
    if is_stream(name):
        name = re.split("[?#]", name)[0].rstrip("/").rpartition("@")[2]
    return os.path.basename(name)


def _list_folder(folder: str) -> list[str]:
    paths = pictures_in(folder)
    if not paths:
        there = count_endings(others_in(folder)) or "nothing"
        raise InputError(
            f"--input={folder} has no images ({', '.join(PICTURE_ENDINGS)}) in it, but {there}: "
            "name the folder that holds them, or quote a glob such as "
            f"'{os.path.join(folder, '**/*.jpg')}'."
        )
    return paths


def _open_glob(pattern: str) -> PictureFiles:
    local = files.is_local(pattern)
    found = glob.glob(pattern, recursive=True) if local else tf.io.gfile.glob(pattern)
    files_found = sorted(path for path in found if not is_folder(path))
    paths = [path for path in files_found if not is_video(path)]
    if not paths:
        raise InputError(f"--input={pattern} matches no image: check it, and quote it.")
    return PictureFiles(paths, passed_over=[path for path in files_found if is_video(path)])


def unique_stems(names: Sequence[str]) -> list[str]:
    """Names for output files, without ending and all different, also where case does not count.

    The file's own name where no other has it; else its whole path, `a/1.jpg` -> `a_1_jpg`, and a
    number behind it in the odd case that this is taken too.
    """
    plain = [os.path.splitext(os.path.basename(name))[0] for name in names]
    counts: dict[str, int] = {}
    for stem in plain:
        counts[stem.casefold()] = counts.get(stem.casefold(), 0) + 1
    taken = {stem for stem, count in counts.items() if count == 1}
    stems = []
    for name, stem in zip(names, plain, strict=True):
        if counts[stem.casefold()] > 1:
            stem = _free(name.replace(os.sep, "_").replace(".", "_"), taken)
            taken.add(stem.casefold())
        stems.append(stem)
    return stems


def _free(stem: str, taken: set[str]) -> str:
    candidate, number = stem, 2
    while candidate.casefold() in taken:
        candidate, number = f"{stem}_{number}", number + 1
    return candidate


def _first_line(error: Exception) -> str:
    text = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0]
