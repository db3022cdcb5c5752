"""Where images come from: files of every kind, torn ones, folders, globs and videos."""

import functools
import http.server
import os
import pathlib
import re
import struct
import threading

import cv2
import numpy as np
import pytest

from datasets.layouts import image_file
from datasets.layouts.decoding import read_picture
from detection import sources
from detection.sources import PictureFiles, Video, open_source, unique_stems
from preprocessing.ssd_vgg_preprocessing import decode
from runtime.errors import InputError

RED = (200, 30, 40)


def picture(height=40, width=60, colour=RED):
    return np.full((height, width, 3), colour, np.uint8)


def write(path, pixels, *options):
    """Writes OpenCV's pixels (grey, BGR or BGRA)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels, list(options))
    return str(path)


def write_rgb(path, pixels):
    return write(path, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))


def write_video(path, count=10, size=(48, 64), codec="MJPG"):
    """Frame k is grey of 20 k."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10.0, size[::-1])
    assert video.isOpened()
    for k in range(count):
        video.write(np.full((*size, 3), 20 * k, np.uint8))
    video.release()
    return str(path)


def pieces(source):
    return [(frame.image_name, frame.stem) for frame in source]


@pytest.mark.parametrize(
    "ending", ["jpg", "png", "bmp", "webp", "tif", "gif", "ppm", "avif", "jp2"]
)
def test_colour_pictures_are_rgb(tmp_path, ending):
    image = read_picture(write_rgb(tmp_path / f"a.{ending}", picture()))
    assert image.shape == (40, 60, 3)
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image.mean(axis=(0, 1)), RED, atol=12)


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_grey_is_repeated(tmp_path, ending):
    image = read_picture(write(tmp_path / f"a.{ending}", np.full((20, 30), 77, np.uint8)))
    assert image.shape == (20, 30, 3)
    assert (image == 77).all()


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    grey = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert read_picture(write(tmp_path / "g.png", grey))[0, :, 0].tolist() == [0, 1, 128, 255]
    colour = np.full((4, 5, 3), (0, 0, 65535), np.uint16)  # BGR
    assert read_picture(write(tmp_path / "c.png", colour))[0, 0].tolist() == [255, 0, 0]


def test_every_value_of_sixteen_bits_is_rounded():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.round(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(image_file.to_rgb(values)[..., 0], expected)


def test_picture_with_too_many_pixels_is_skipped_before_it_is_decoded(tmp_path):
    """Black compresses to little: a PNG of 0.1 MB decodes to 0.3 GB."""
    write(tmp_path / "a.png", np.zeros((10_001, 10_001), np.uint8))
    (tmp_path / "b.ppm").write_bytes(b"P6 # a comment\n10001 10001 255\n")
    bomb = bytearray(cv2.imencode(".bmp", picture())[1].tobytes())
    bomb[18:26] = struct.pack("<ii", 10_001, -10_001)
    (tmp_path / "c.bmp").write_bytes(bomb)
    write_rgb(tmp_path / "d.png", picture())
    *bad, good = open_source(str(tmp_path))
    told = "claims 10001 x 10001 pixels, more than 100000000: scale it down"
    assert [frame.problem for frame in bad] == [told] * 3
    assert good.image is not None


def test_pipes_and_endless_files_are_skipped(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("/dev/zero")
    with (tmp_path / "c.jpg").open("wb") as file:
        file.truncate(30_000_000_000)
    write_rgb(tmp_path / "d.png", picture())
    *bad, good = open_source(str(tmp_path))
    expected = ["cannot be read (not a regular file)"] * 2 + ["is larger than 500000000 bytes"]
    for frame, what in zip(bad, expected, strict=True):
        assert what in frame.problem
    assert good.image is not None


def test_transparency_is_dropped_as_in_training(tmp_path):
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0] = [[0, 0, 255, 255], [10, 20, 30, 0], [0, 0, 0, 128]]  # BGRA
    path = write(tmp_path / "a.png", pixels)
    image = read_picture(path)
    assert image[0].tolist() == [[255, 0, 0], [30, 20, 10], [0, 0, 0]]
    np.testing.assert_array_equal(image, decode(pathlib.Path(path).read_bytes()))


def test_transparency_of_grey_is_dropped():
    pixels = np.array([[[7, 0], [9, 255]]], np.uint8)
    assert image_file.to_rgb(pixels).tolist() == [[[7, 7, 7], [9, 9, 9]]]


def test_jpeg_is_turned_upright(tmp_path):
    pixels = picture(40, 60)
    pixels[:, :30] = 0
    path = tmp_path / "a.jpg"
    write(path, pixels)
    data = path.read_bytes()
    # An APP1 segment that holds one EXIF entry: orientation 6, turn clockwise.
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path.write_bytes(data[:2] + segment + data[2:])
    image = read_picture(str(path))
    assert image.shape == (60, 40, 3)
    assert image[:25].max() < 30
    assert image[35:].max() > 150


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_torn_file_is_refused(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    path = tmp_path / f"a.{ending}"
    write(path, noise)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match="truncated or not a supported image"):
        read_picture(str(path))


def test_empty_file_and_text_are_refused(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(ValueError, match="empty"):
        read_picture(str(tmp_path / "empty.jpg"))
    with pytest.raises(ValueError, match="truncated or not a supported image"):
        read_picture(str(tmp_path / "text.jpg"))


def test_floating_point_pixels_are_refused(tmp_path):
    path = write(tmp_path / "a.tiff", np.zeros((4, 5), np.float32))
    with pytest.raises(ValueError, match="float32"):
        read_picture(path)


def test_broken_file_comes_out_with_its_reason(tmp_path):
    good = write_rgb(tmp_path / "b.png", picture())
    (tmp_path / "a.png").write_bytes(b"nothing")
    (tmp_path / "c.png").mkdir()
    frames = list(PictureFiles([str(tmp_path / "a.png"), good, str(tmp_path / "c.png")]))
    assert [frame.image is None for frame in frames] == [True, False, True]
    assert all(frame.problem for frame in (frames[0], frames[2]))
    assert frames[1].problem is None


def test_one_picture_is_called_by_its_file_name(tmp_path):
    source = open_source(write_rgb(tmp_path / "x.png", picture()))
    assert source.total == 1
    assert pieces(source) == [("x.png", "x")]


def test_folder_gives_its_pictures_in_order_and_nothing_else(tmp_path):
    for name in ("b.png", "a.JPG", "deep/c.png"):
        write_rgb(tmp_path / name, picture())
    (tmp_path / "notes.txt").write_text("no image")
    source = open_source(str(tmp_path))
    assert pieces(source) == [("a.JPG", "a"), ("b.png", "b")]
    assert not source.is_video


def test_hidden_files_of_a_folder_are_left_out(tmp_path):
    write_rgb(tmp_path / "a.png", picture())
    (tmp_path / "._a.png").write_text("a Mac's leftover")
    assert pieces(open_source(str(tmp_path))) == [("a.png", "a")]


@pytest.mark.parametrize("pattern", ["", "*.png", "**/*.png"])
def test_name_that_is_not_utf8_is_reported(tmp_path, pattern):
    path = write_rgb(tmp_path / "a.png", picture())
    os.rename(path, os.fsencode(tmp_path) + b"/caf\xe9.png")
    write_rgb(tmp_path / "b.png", picture())
    good, bad = open_source(str(tmp_path / pattern))
    assert (bad.image_name, bad.image) == (r"caf\xe9.png", None)
    assert bad.problem == "its name is not UTF-8 or has control characters: rename it"
    assert (good.image_name, good.problem) == ("b.png", None)


def test_input_whose_name_is_not_utf8_is_refused(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.png"
    os.rename(write_rgb(tmp_path / "a.png", picture()), path)
    with pytest.raises(
        InputError,
        match=r"caf\\xe9\.png: the name is not UTF-8 or has control",
    ):
        open_source(os.fsdecode(path))


def test_folder_tells_what_is_no_image(tmp_path):
    for name in ("a.jpg", "b.JPE", "c.png", "below/d.jpg"):
        write_rgb(tmp_path / name, picture())
    os.rename(tmp_path / "c.png", tmp_path / "c.jfif")
    for name in ("1.HEIC", "2.heic", "noending", "clip.mp4", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    source = open_source(str(tmp_path))
    assert [name for name, _ in pieces(source)] == ["a.jpg", "b.JPE", "c.jfif"]
    assert sorted(source.passed_over) == ["1.HEIC", "2.heic", "below/", "clip.mp4", "noending"]
    assert image_file.count_endings(source.passed_over) == (
        "2 .heic, 1 folder, 1 .mp4, 1 without ending"
    )


def test_folder_without_images_tells_what_is_there(tmp_path):
    (tmp_path / "1.heic").write_bytes(b"x")
    with pytest.raises(InputError, match=r"has no images .* in it, but 1 \.heic: name the folder"):
        open_source(str(tmp_path))


def test_glob_looks_into_folders(tmp_path):
    for name in ("one/a.png", "two/b.png", "two/c.jpg"):
        write_rgb(tmp_path / name, picture())
    source = open_source(str(tmp_path / "**" / "*.png"))
    assert pieces(source) == [("one/a.png", "a"), ("two/b.png", "b")]


def test_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path):
    path = write_rgb(tmp_path / "x[1].png", picture())
    assert pieces(open_source(path)) == [("x[1].png", "x[1]")]


def test_relative_paths_keep_their_names(tmp_path, monkeypatch):
    write_rgb(tmp_path / "a.png", picture())
    write_rgb(tmp_path / "sub" / "b.png", picture())
    monkeypatch.chdir(tmp_path)
    assert pieces(open_source("a.png")) == [("a.png", "a")]
    assert pieces(open_source("**/*.png")) == [("a.png", "a"), ("sub/b.png", "b")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent.jpg", "is not there"),
        ("empty", "has no images"),
        ("*.gif", "matches no image"),
        ("camera:", "names no camera"),
        ("camera:front", "names no camera"),
    ],
)
def test_input_that_gives_nothing_is_refused(tmp_path, name, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=said):
        open_source(name if name.startswith("camera:") else str(tmp_path / name))


def test_camera_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="camera:97 cannot be opened as a camera"):
        open_source("camera:97")


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["a.jpg", "a.png"], ["a_jpg", "a_png"]),
        (["x/1.jpg", "y/1.jpg", "y/2.jpg"], ["x_1_jpg", "y_1_jpg", "2"]),
        (["A.jpg", "a.jpg"], ["A_jpg", "a_jpg_2"]),
        (["a.jpg", "a.png", "a_jpg.png"], ["a_jpg_2", "a_png", "a_jpg"]),
        ([], []),
    ],
)
def test_output_names_never_collide(names, stems):
    assert unique_stems(names) == stems
    assert len({stem.casefold() for stem in unique_stems(names)}) == len(names)


def test_video_gives_its_frames(tmp_path):
    source = open_source(write_video(tmp_path / "clip.avi"))
    frames = list(source)
    assert source.is_video
    assert not source.is_live
    assert source.total == 10
    assert source.frames_per_second == pytest.approx(10.0)
    assert [frame.number for frame in frames] == list(range(10))
    assert pieces(frames)[3] == ("clip.avi#3", "clip_000003")
    np.testing.assert_allclose([frame.image.mean() for frame in frames], range(0, 200, 20), atol=4)


@pytest.mark.parametrize("rate", [0.5, 0.1, 1000.0])
def test_rates_from_time_lapse_to_slow_motion_are_kept(tmp_path, rate):
    path = str(tmp_path / "clip.mp4")
    video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), rate, (64, 48))
    video.write(picture(48, 64))
    video.release()
    assert open_source(path).frames_per_second == pytest.approx(rate)


def test_video_that_ends_early_says_so(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    path = tmp_path / "clip.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (160, 120))
    for _ in range(40):
        video.write(noise)
    video.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = list(Video(str(path), name=str(path)))
    good = [frame for frame in frames if frame.image is not None]
    assert 10 < len(good) < 30
    assert [frame.problem for frame in frames if frame.image is None] in (
        [],
        [f"it ends after {len(good)} of 40 frames"],
    )


def test_broken_frames_of_a_video_are_reported_and_passed_over(tmp_path):
    path = tmp_path / "clip.avi"
    content = bytearray(pathlib.Path(write_video(path)).read_bytes())
    pictures = re.compile(b"00dc").finditer(content, content.index(b"movi"))
    chunks = [match.end() for match in pictures]
    for start in chunks[4:6]:
        size = int.from_bytes(content[start : start + 4], "little")
        content[start + 4 : start + 4 + size] = bytes(size)
    path.write_bytes(content)
    frames = list(Video(str(path), name=str(path)))
    assert [frame.number for frame in frames] == list(range(10))
    broken = [frame.number for frame in frames if frame.problem == "the frame cannot be read"]
    assert broken == [4, 5]
    assert frames[6].image.mean() == pytest.approx(120, abs=4)


def test_file_that_is_no_video_is_refused(tmp_path):
    (tmp_path / "clip.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"clip\.mp4 cannot be opened as a video"):
        open_source(str(tmp_path / "clip.mp4"))


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The address at which the files of tmp_path are to be had."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_address_is_a_live_video(tmp_path, served):
    write_video(tmp_path / "clip.avi")
    source = open_source(f"{served}/clip.avi?token=secret")
    assert (source.is_live, source.total) == (True, None)
    frames = list(source)
    assert pieces(frames)[3] == ("clip.avi#3", "clip_000003")
    np.testing.assert_allclose([frame.image.mean() for frame in frames], range(0, 200, 20), atol=4)


def test_password_of_a_stream_stays_out_of_the_results():
    assert sources._title("rtsp://me:secret@cam:554/live/?key=1") == "live"
    assert sources._title("rtsp://me:secret@cam:554/") == "cam:554"


def test_address_that_cannot_be_opened_is_refused(served):
    with pytest.raises(InputError, match=r"/clip\.avi cannot be opened as a video: give a file"):
        open_source(f"{served}/clip.avi")
    with pytest.raises(InputError, match=r"--input=nosuch://cam/1 cannot be read \("):
        open_source("nosuch://cam/1")


def test_videos_are_known_by_their_ending():
    assert sources.is_video("a/B.MP4")
    assert not sources.is_video("a/mp4.png")
