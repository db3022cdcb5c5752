"""Outputs of detect, read back with other means."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.conversion import Conversion, convert
from datasets.dataset_factory import get_dataset
from datasets.layouts import voc
from datasets.layouts.decoding import read_picture
from datasets.records.features import parse_example
from datasets.records.reader import RecordReader
from detection import writers
from detection.sources import Frame
from detection.writers import FrameDetections
from preprocessing.ssd_vgg_preprocessing import preprocess_without_augmentation
from runtime.errors import InputError
from tests.voc_folder import with_exif

LABELS = ("cat", "<dog> & co")


def found(name="a/b.png", stem="b", *, number=None, size=(40, 80), count=2):
    image = np.full((*size, 3), 200, np.uint8)
    boxes = np.array([[0.25, 0.125, 0.75, 0.5], [0.0, 0.0, 1.0, 1.0]], np.float32)
    return FrameDetections(
        Frame(name, stem, image, None, number),
        boxes[:count],
        np.array([2, 1])[:count],
        (LABELS[1], LABELS[0])[:count],
        np.array([0.9, 0.6], np.float32)[:count],
    )


def write(writer, *items, whole=True):
    for item in items:
        writer.write(item)
    writer.flush()
    writer.close(whole=whole)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_json_line_has_the_promised_keys(tmp_path):
    write(writers.JsonLines(str(tmp_path)), found(), found("c.png", "c", count=0))
    first, second = map(json.loads, (tmp_path / "detections.jsonl").read_text().splitlines())
    assert first == {
        "image": "a/b.png",
        "width": 80,
        "height": 40,
        "detections": [
            {"class": 2, "label": LABELS[1], "score": 0.9, "box": [0.25, 0.125, 0.75, 0.5]},
            {"class": 1, "label": "cat", "score": 0.6, "box": [0.0, 0.0, 1.0, 1.0]},
        ],
    }
    assert second["detections"] == []


def test_json_line_of_a_video_has_the_frame_number(tmp_path):
    write(writers.JsonLines(str(tmp_path)), found("clip.mp4#7", "clip_000007", number=7))
    assert json.loads((tmp_path / "detections.jsonl").read_text())["frame"] == 7


def test_names_beyond_ascii_stay_readable(tmp_path):
    write(writers.JsonLines(str(tmp_path)), found("Käse.png"))
    assert "Käse.png" in (tmp_path / "detections.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_unfinished_text_keeps_another_name(tmp_path, kind):
    writer = writers.FORMATS[kind](str(tmp_path))
    writer.write(found())
    writer.flush()
    assert "cat" in (tmp_path / f"detections.{kind}.partial").read_text()
    writer.close(whole=False)
    assert names(tmp_path) == [f"detections.{kind}.partial"]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_finished_text_takes_the_place_of_an_older_one(tmp_path, kind):
    (tmp_path / f"detections.{kind}").write_text("old")
    write(writers.FORMATS[kind](str(tmp_path)), found())
    assert names(tmp_path) == [f"detections.{kind}"]
    assert "old" not in (tmp_path / f"detections.{kind}").read_text()


def test_csv_has_a_line_for_every_detection(tmp_path):
    write(writers.Csv(str(tmp_path)), found('odd, "name".png'), found(count=0))
    with (tmp_path / "detections.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [list(row) for row in rows] == [list(writers.Csv.COLUMNS)] * 2
    assert [",".join(list(row.values())[1:]) for row in rows] == [
        "80,40,2,<dog> & co,0.9,0.25,0.125,0.75,0.5",
        "80,40,1,cat,0.6,0.0,0.0,1.0,1.0",
    ]
    assert {row["image"] for row in rows} == {'odd, "name".png'}


def test_voc_xml_is_read_by_the_converters_reader(tmp_path):
    write(writers.VocXml(str(tmp_path)), found())
    read = voc.read_annotation(str(tmp_path / "Annotations" / "b.xml"))
    assert (read.filename, read.height, read.width) == ("b.png", 40, 80)
    assert [each.name for each in read.objects] == [LABELS[1], "cat"]
    assert read.objects[0].box == (10, 10, 30, 40)
    assert read.objects[1].box == (1, 1, 40, 80)


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        ((0.0, 0.0, 0.025, 0.0125), (1, 1, 2, 2)),  # one pixel at the top and left
        ((0.5, 0.0, 1.0, 0.0), (20, 1, 40, 2)),
        ((1.0, 1.0, 1.0, 1.0), (39, 79, 40, 80)),
        ((0.5, 0.25, 0.501, 0.251), (20, 20, 21, 21)),
    ],
)
def test_thin_boxes_of_voc_xml_have_an_area_inside_the_picture(tmp_path, box, corners):
    thin = found(count=1)._replace(boxes=np.array([box], np.float32))
    write(writers.VocXml(str(tmp_path)), thin)
    (item,) = voc.read_annotation(str(tmp_path / "Annotations" / "b.xml")).objects
    assert item.box == corners


def test_voc_xml_of_a_picture_of_one_row_has_no_object(tmp_path):
    write(writers.VocXml(str(tmp_path)), found(size=(1, 80)))
    assert voc.read_annotation(str(tmp_path / "Annotations" / "b.xml")).objects == ()


@pytest.mark.parametrize("turn", [1, 5, 6, 7, 8])
def test_annotated_phone_picture_is_trained_on_with_its_box_on_its_object(tmp_path, turn):
    """Detected upright, written as XML, converted, preprocessed as it is stored."""
    (tmp_path / "JPEGImages").mkdir()
    path = tmp_path / "JPEGImages" / "phone.jpg"
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[8:24, 40:80] = 255
    path.write_bytes(with_exif(cv2.imencode(".jpg", pixels)[1].tobytes(), turn))
    image = read_picture(str(path))
    rows, columns = np.nonzero(image[..., 0] > 128)
    box = np.array([[rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]], np.float32)
    relative = box / np.tile(image.shape[:2], 2)
    frame = Frame("phone.jpg", "phone", image)
    write(writers.VocXml(str(tmp_path)), FrameDetections(frame, relative, [1], ("cat",), [0.9]))

    conversion = Conversion(str(tmp_path), output_dir=str(tmp_path / "out"))
    convert(conversion, report=lambda line: None)
    with RecordReader(get_dataset("pascalvoc", "", str(tmp_path / "out")).shards) as reader:
        record = parse_example(tf.constant(reader.read(0)))
    objects = record["encoded"], record["boxes"], record["labels"]
    shown, boxes, _ = preprocess_without_augmentation(*objects, image_size=(320, 480))
    np.testing.assert_allclose(boxes, [[40 / 320, 200 / 480, 120 / 320, 400 / 480]])
    assert shown[45:115, 205:395].numpy().min() > 100  # white, less the mean
    assert shown[:35].numpy().max() < -80


def test_voc_xml_of_a_video_has_its_picture_beside_it(tmp_path):
    write(writers.VocXml(str(tmp_path)), found("clip.mp4#7", "clip_000007", number=7))
    root = ElementTree.parse(tmp_path / "Annotations" / "clip_000007.xml").getroot()
    picture = cv2.imread(str(tmp_path / "JPEGImages" / root.findtext("filename")))
    assert picture.shape == (40, 80, 3)


def test_voc_xml_of_an_empty_picture_has_no_object(tmp_path):
    write(writers.VocXml(str(tmp_path)), found(count=0))
    assert voc.read_annotation(str(tmp_path / "Annotations" / "b.xml")).objects == ()


def test_drawn_picture_has_the_size_of_the_original_and_boxes_on_it(tmp_path):
    write(writers.DrawnPictures(str(tmp_path), LABELS), found(size=(200, 300)))
    drawn = cv2.imread(str(tmp_path / "b.jpg"))
    assert drawn.shape == (200, 300, 3)
    assert (np.abs(drawn.astype(int) - 200) > 40).any()


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv"])
def test_drawn_video_plays_every_frame(tmp_path, ending):
    path = tmp_path / "new" / f"out{ending}"
    writer = writers.DrawnVideo(str(path), LABELS, frames_per_second=12.0)
    write(writer, *(found(number=k, size=(96, 128)) for k in range(6)))
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(12.0)
    frames = [capture.read() for _ in range(7)]
    assert [done for done, _ in frames] == [True] * 6 + [False]
    assert frames[0][1].shape == (96, 128, 3)
    assert names(path.parent) == [f"out{ending}"]


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv"])
@pytest.mark.parametrize(
    ("rate", "written"),
    [
        *((119.993, 120.0), (90.013, 90.0), (999.99, 1000.0), (65.536, 65.5)),
        *((59.94, 59.94), (0.5, 0.5), (0.0004, 0.01)),
    ],
)
def test_drawn_video_of_any_rate_can_be_written(tmp_path, ending, rate, written):
    path = str(tmp_path / f"out{ending}")
    writer = writers.DrawnVideo(path, LABELS, frames_per_second=rate)
    write(writer, *(found(number=k, size=(96, 128)) for k in range(3)))
    capture = cv2.VideoCapture(path)
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(written, rel=1e-3)
    assert [capture.read()[0] for _ in range(4)] == [True, True, True, False]


def test_drawn_video_takes_frames_of_odd_and_of_other_sizes(tmp_path):
    path = tmp_path / "out.mp4"
    writer = writers.DrawnVideo(str(path), LABELS, frames_per_second=10.0)
    write(writer, found(number=0, size=(97, 131)), found(number=1, size=(60, 50)))
    capture = cv2.VideoCapture(str(path))
    assert [capture.read()[0] for _ in range(3)] == [True, True, False]


def test_unfinished_video_keeps_another_name(tmp_path):
    writer = writers.DrawnVideo(str(tmp_path / "out.mp4"), LABELS, frames_per_second=10.0)
    write(writer, found(number=0, size=(96, 128)), whole=False)
    assert names(tmp_path) == ["out.partial.mp4"]


def test_video_without_a_frame_is_no_file(tmp_path):
    path = str(tmp_path / "out.mp4")
    write(writers.DrawnVideo(path, LABELS, frames_per_second=10.0))
    assert names(tmp_path) == []


@pytest.mark.parametrize("path", ["True", "out.txt", "gs://bucket/out.mp4"])
def test_video_needs_a_local_name_with_a_known_ending(path):
    with pytest.raises(InputError, match="--video_out="):
        writers.DrawnVideo(path, LABELS, frames_per_second=10.0)
