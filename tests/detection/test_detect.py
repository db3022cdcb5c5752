"""The loop of detect, with a detector made by hand: it finds bright squares."""

import io
import json
import os
import signal

import cv2
import numpy as np
import pytest

from detection import detect as detection_detect
from detection.settings import DetectSettings
from detection.sources import Frame, PictureFiles, open_source
from runtime.errors import InputError
from runtime.progress import Progress
from tests.limits import file_size_limit


class Bright:
    """Finds the bounding box of bright pixels as a `lamp`, and the whole image as a `wall`."""

    labels = ("lamp", "wall")

    def __init__(self):
        self.calls = []

    def detect(self, images, **thresholds):
        self.calls.append((len(images), thresholds))
        return [self._one(image) for image in images]

    def _one(self, image):
        rows, columns = np.nonzero(image[..., 0] > 128)
        boxes = [(0.0, 0.0, 1.0, 1.0)]
        if len(rows):
            size = np.array(image.shape[:2] * 2, np.float32)
            edges = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
            boxes.insert(0, tuple(edges / size))
        classes = np.array([1, 2][-len(boxes) :])
        return np.array(boxes, np.float32), classes, np.float32([0.9, 0.6][-len(boxes) :])


def lamp(path, *, size=(40, 80)):
    image = np.zeros((*size, 3), np.uint8)
    image[10:20, 20:40] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return str(path)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "in"
    for k in range(5):
        lamp(folder / f"{k}.png", size=(40 + k, 80))
    return folder


def settings(folder, output_dir, **given):
    return DetectSettings(
        checkpoint_path="given", input=str(folder), output_dir=str(output_dir), **given
    )


def run(given, *, detector=None, source=None):
    """Summary and what was said."""
    said = io.StringIO()
    source = open_source(given.input) if source is None else source
    with Progress(source.total, "detecting", unit="pictures", stream=said) as progress:
        summary = detection_detect.run(detector or Bright(), source, given, progress=progress)
    return summary, said.getvalue()


def read(output_dir):
    return [json.loads(line) for line in (output_dir / "detections.jsonl").read_text().splitlines()]


def test_every_picture_has_a_line_and_a_drawing(pictures, tmp_path):
    out = tmp_path / "out"
    summary, _ = run(settings(pictures, out, batch_size=2))
    lines = read(out)
    assert [line["image"] for line in lines] == [f"{k}.png" for k in range(5)]
    assert [line["height"] for line in lines] == [40, 41, 42, 43, 44]
    assert summary[:3] == (5, 0, 10)
    assert sorted(path.name for path in out.glob("*.jpg")) == [f"{k}.jpg" for k in range(5)]
    first = lines[0]["detections"][0]
    assert (first["class"], first["label"], first["score"]) == (1, "lamp", 0.9)
    assert first["box"] == pytest.approx([0.25, 0.25, 0.5, 0.5])


def test_pictures_go_to_the_detector_in_batches_with_the_thresholds(pictures, tmp_path):
    detector = Bright()
    given = {"select_threshold": 0.3, "nms_threshold": 0.6, "keep_top_k": 7}
    run(settings(pictures, tmp_path / "out", batch_size=2, **given), detector=detector)
    assert detector.calls == [(2, given), (2, given), (1, given)]


@pytest.mark.parametrize("batch_size", [1, 3, 5, 50])
def test_batch_size_does_not_change_the_results(pictures, tmp_path, batch_size):
    run(settings(pictures, tmp_path / "one", batch_size=1))
    run(settings(pictures, tmp_path / "other", batch_size=batch_size))
    assert read(tmp_path / "one") == read(tmp_path / "other")


def test_only_the_classes_asked_for_are_reported(pictures, tmp_path):
    summary, _ = run(settings(pictures, tmp_path / "out", classes=("wall",)))
    assert summary.detections == 5
    assert {each["label"] for line in read(tmp_path / "out") for each in line["detections"]} == {
        "wall"
    }


def test_unknown_class_is_refused_with_those_that_are_known(pictures, tmp_path):
    with pytest.raises(InputError, match="has no 'chair', only lamp, wall"):
        run(settings(pictures, tmp_path / "out", classes=("lamp", "chair")))


def test_broken_files_are_reported_and_passed_over(pictures, tmp_path):
    (pictures / "1.png").write_bytes(b"torn")
    (pictures / "4.png").write_bytes(b"")
    summary, said = run(settings(pictures, tmp_path / "out", batch_size=2))
    assert summary[:2] == (3, 2)
    assert "1.png: the file is truncated" in said
    assert "4.png: the file is empty; skipped" in said
    assert [line["image"] for line in read(tmp_path / "out")] == ["0.png", "2.png", "3.png"]


def test_file_whose_name_is_not_utf8_is_reported_and_passed_over(pictures, tmp_path):
    os.rename(pictures / "1.png", os.fsencode(pictures) + b"/caf\xe9.png")
    summary, said = run(settings(pictures, tmp_path / "out", format=("jsonl", "csv", "voc_xml")))
    assert summary[:2] == (4, 1)
    assert r"caf\xe9.png: its name is not UTF-8 or has control" in said
    assert [line["image"] for line in read(tmp_path / "out")] == [f"{k}.png" for k in (0, 2, 3, 4)]


def test_nothing_readable_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"torn")
    with pytest.raises(InputError, match="not one image"):
        run(settings(tmp_path / "in", tmp_path / "out"))
    assert not (tmp_path / "out" / "detections.jsonl").exists()


def test_pictures_of_one_name_keep_apart(tmp_path):
    for name in ("x/1.png", "y/1.png", "y/1.jpg"):
        lamp(tmp_path / "in" / name)
    run(settings(tmp_path / "in" / "**" / "1.*", tmp_path / "out", format=("voc_xml", "jsonl")))
    drawn = sorted(path.stem for path in (tmp_path / "out").glob("*.jpg"))
    assert drawn == ["x_1_png", "y_1_jpg", "y_1_png"]
    assert sorted(p.stem for p in (tmp_path / "out" / "Annotations").iterdir()) == drawn
    assert [line["image"] for line in read(tmp_path / "out")] == ["x/1.png", "y/1.jpg", "y/1.png"]


def test_formats_and_drawing_are_chosen(pictures, tmp_path):
    run(settings(pictures, tmp_path / "out", format=("csv", "voc_xml"), draw=False))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "Annotations",
        "detections.csv",
    ]


def test_output_among_the_input_is_refused(pictures):
    with pytest.raises(InputError, match=r"holds the input .*0\.png"):
        run(settings(pictures, pictures / ".." / "in"))


def test_output_among_links_to_the_input_is_refused(pictures, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    original = lamp(tmp_path / "originals" / "1.jpg")
    (links / "1.jpg").symlink_to(original)
    for output_dir in (links, tmp_path / "originals"):
        with pytest.raises(InputError, match=r"holds the input 1\.jpg"):
            run(settings(links, output_dir))
    (tmp_path / "by_another_name").symlink_to(links)
    with pytest.raises(InputError, match=r"holds the input 1\.jpg"):
        run(settings(links, tmp_path / "by_another_name"))


def test_drawn_pictures_never_replace_those_of_a_person(tmp_path):
    original = tmp_path / "ph" / "1.jpg"
    lamp(original)
    lamp(tmp_path / "ph" / "crops" / "1.png")
    os.rename(lamp(tmp_path / "ph" / "2.jpg"), os.fsencode(tmp_path) + b"/ph/caf\xe9.jpg")
    given = settings(tmp_path / "ph" / "crops", tmp_path / "ph")
    before = original.read_bytes()
    with pytest.raises(InputError, match=r"--output_dir=.* has 1\.jpg already, which the drawn"):
        run(given)
    assert original.read_bytes() == before
    assert not (tmp_path / "ph" / "detections.jsonl").exists()
    summary, _ = run(settings(tmp_path / "ph" / "crops", tmp_path / "ph", draw=False))
    assert summary.pictures == 1


@pytest.mark.parametrize("left", ["detections.jsonl", "detections.csv.partial"])
def test_run_may_be_repeated_also_after_it_was_cut_short(pictures, tmp_path, left):
    given = settings(pictures, tmp_path / "out")
    run(given)
    os.rename(tmp_path / "out" / "detections.jsonl", tmp_path / "out" / left)
    assert run(given)[0].pictures == 5


def test_annotations_of_a_person_are_never_overwritten(pictures, tmp_path):
    """The folder of a VOC data set, whose images are the input."""
    folder = tmp_path / "voc"
    (folder / "Annotations").mkdir(parents=True)
    pictures = pictures.rename(folder / "JPEGImages")
    (folder / "Annotations" / "0.xml").write_text("by hand")
    given = settings(pictures, folder, format=("jsonl", "voc_xml"))
    with pytest.raises(InputError, match=r"--output_dir=.* has Annotations already \(0\.xml and"):
        run(given)
    assert (folder / "Annotations" / "0.xml").read_text() == "by hand"
    assert sorted(path.name for path in folder.iterdir()) == ["Annotations", "JPEGImages"]
    (folder / "Annotations" / "0.xml").unlink()
    run(given)
    assert len(list((folder / "Annotations").iterdir())) == 5
    with pytest.raises(InputError, match="has Annotations already"):
        run(given)


def test_frames_of_a_video_never_overwrite_pictures(tmp_path):
    path = make_video(tmp_path / "clip.avi", count=1)
    mine = tmp_path / "voc" / "JPEGImages" / "clip_000000.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(InputError, match=r"has JPEGImages already \(clip_000000\.jpg"):
        run(settings(path, tmp_path / "voc", format=("voc_xml",)))
    assert mine.read_text() == "mine"


def test_output_that_is_a_file_is_refused(pictures, tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InputError, match=r"--output_dir=.*cannot be written"):
        run(settings(pictures, tmp_path / "out"))


def test_full_disk_is_bad_input(pictures, tmp_path):
    said = r"/out could not be written \(.*: make room"
    with pytest.raises(InputError, match=said), file_size_limit(100):
        run(settings(pictures, tmp_path / "out", draw=False))
    assert not (tmp_path / "out" / "detections.jsonl").exists()


def make_video(path, count=9):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (96, 64))
    for k in range(count):
        image = np.zeros((64, 96, 3), np.uint8)
        image[16:32, 8 * k : 8 * k + 16] = 255
        writer.write(image)
    writer.release()
    return str(path)


def count_frames(path):
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    return count


def test_video_goes_in_and_a_drawn_video_comes_out(tmp_path):
    path = make_video(tmp_path / "clip.avi")
    summary, said = run(settings(path, tmp_path / "out", batch_size=4))
    lines = read(tmp_path / "out")
    assert summary.pictures == 9
    drawn = cv2.VideoCapture(str(tmp_path / "out" / "clip_detections.mp4"))
    codec = int(drawn.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert ("is MPEG-4 Part 2, which few browsers play" in said) == (codec == b"FMP4")
    assert codec in (b"FMP4", b"h264", b"avc1")
    assert [line["frame"] for line in lines] == list(range(9))
    lefts = [line["detections"][0]["box"][1] * 96 for line in lines]
    np.testing.assert_allclose(lefts, range(0, 72, 8), atol=2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clip_detections.mp4",
        "detections.jsonl",
    ]
    assert count_frames(tmp_path / "out" / "clip_detections.mp4") == 9


def test_video_out_names_the_drawn_video(tmp_path):
    path = make_video(tmp_path / "clip.avi")
    run(settings(path, tmp_path / "out", video_out=str(tmp_path / "drawn.avi")))
    assert count_frames(tmp_path / "drawn.avi") == 9
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["detections.jsonl"]


def test_video_out_that_cannot_be_meant_is_refused(pictures, tmp_path):
    path = make_video(tmp_path / "clip.avi")
    with pytest.raises(InputError, match="is the input"):
        run(settings(path, tmp_path / "out", video_out=path))
    with pytest.raises(InputError, match="remove it, or --draw=False"):
        run(settings(path, tmp_path / "out", video_out="x.mp4", draw=False))
    with pytest.raises(InputError, match="is for a video or camera"):
        run(settings(pictures, tmp_path / "out", video_out="x.mp4"))
    with pytest.raises(InputError, match="local file ending in"):
        run(settings(path, tmp_path / "out", video_out="True"))


class Stopped(PictureFiles):
    """Gives two images, then a signal comes, as Ctrl-C or docker stop send it."""

    def __init__(self, paths, number):
        super().__init__(paths)
        self._number = number

    def __iter__(self):
        image = np.zeros((40, 80, 3), np.uint8)
        yield Frame("0.png", "0", image)
        yield Frame("1.png", "1", image)
        signal.raise_signal(self._number)


class StoppedCamera(Stopped):
    """And other signals while the run ends."""

    def __init__(self, number, *others):
        super().__init__(["camera"], number)
        self._others = others

    @property
    def is_live(self):
        for number in self._others:
            signal.raise_signal(number)
        return True


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGHUP], [signal.SIGHUP, signal.SIGTERM]]
)
def test_stopped_camera_ends_in_good_order(tmp_path, signals):
    source = StoppedCamera(*signals)
    summary, _ = run(settings("camera:0", tmp_path / "out", batch_size=1), source=source)
    assert summary.pictures == 2
    assert len(read(tmp_path / "out")) == 2
    assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


@pytest.mark.usefixtures("hangup")
def test_signal_that_is_ignored_does_not_stop_a_run(tmp_path):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stopped = Stopped(["in/0.png"], signal.SIGHUP)
    summary, _ = run(settings("in", tmp_path / "out"), source=stopped)
    assert summary.pictures == 2
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_stopped_run_over_files_leaves_an_unfinished_name(tmp_path):
    stopped = Stopped(["in/0.png"], signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run(settings("in", tmp_path / "out", batch_size=1), source=stopped)
    assert not (tmp_path / "out" / "detections.jsonl").exists()
    assert len((tmp_path / "out" / "detections.jsonl.partial").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"select_threshold": 1.0}, "--select_threshold=1.0 must be auto, or"),
        ({"nms_threshold": -0.1}, "--nms_threshold=-0.1 must lie in"),
        ({"batch_size": 0}, "--batch_size=0 must be 1 or more"),
        ({"keep_top_k": 0}, "--keep_top_k=0 must be"),
        ({"format": ("jsonl", "xml")}, "--format=xml is not known"),
        ({"output_dir": ""}, "--output_dir is missing"),
        ({"input": ""}, "--input is missing"),
        ({"checkpoint_path": ""}, "--checkpoint_path is missing"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong, said):
    fine = {"checkpoint_path": "c", "input": "i", "output_dir": "o"}
    with pytest.raises(InputError, match=said):
        DetectSettings(**{**fine, **wrong})


def test_files_that_are_no_images_are_counted(pictures, tmp_path):
    for name in ("a.heic", "b.heic", "list.txt"):
        (pictures / name).write_bytes(b"x")
    _, said = run(settings(pictures, tmp_path / "out"))
    assert "3 files passed over: 2 .heic, 1 .txt" in said
