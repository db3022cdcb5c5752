"""Feature keys: ours, those of SSD-Tensorflow and of the TF Object Detection API."""

import numpy as np
import pytest
import tensorflow as tf

from datasets.records.features import (
    ObjectRules,
    encode_example,
    parse_example,
    read_contents,
)
from runtime import limits

BOXES = np.array([[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0]], np.float32)


def encode(**changes):
    fields = {
        "encoded": b"picture",
        "image_format": "JPEG",
        "height": 20,
        "width": 40,
        "channels": 3,
        "filename": "a b.jpg",
        "boxes": BOXES,
        "labels": [3, 1],
        "names": ["cat", "Käfer"],
        "difficult": [False, True],
        "truncated": [True, False],
    }
    return encode_example(**(fields | changes))


def without_objects():
    return encode(boxes=np.zeros((0, 4)), labels=[], names=[], difficult=[], truncated=[])


def parse(serialized, **options):
    """Parsed inside a graph, as the input pipeline does."""
    parsed = tf.function(lambda text: parse_example(text, **options))(tf.constant(serialized))
    return {key: value.numpy() for key, value in parsed.items()}


def test_example_comes_back_as_it_went_in():
    found = parse(encode())
    assert found["encoded"] == b"picture"
    assert found["filename"] == b"a b.jpg"
    np.testing.assert_array_equal(found["boxes"], BOXES)
    np.testing.assert_array_equal(found["labels"], [3, 1])
    np.testing.assert_array_equal(found["difficult"], [False, True])
    assert [found[k].dtype for k in ("boxes", "labels", "difficult")] == [
        np.float32,
        np.int64,
        bool,
    ]


def test_example_has_the_documented_keys():
    features = tf.train.Example.FromString(encode()).features.feature
    assert sorted(features) == [
        "image/channels",
        "image/encoded",
        "image/filename",
        "image/format",
        "image/height",
        "image/object/bbox/difficult",
        "image/object/bbox/label",
        "image/object/bbox/label_text",
        "image/object/bbox/truncated",
        "image/object/bbox/xmax",
        "image/object/bbox/xmin",
        "image/object/bbox/ymax",
        "image/object/bbox/ymin",
        "image/shape",
        "image/width",
    ]
    assert list(features["image/shape"].int64_list.value) == [20, 40, 3]
    assert list(features["image/object/bbox/label_text"].bytes_list.value) == [
        b"cat",
        "Käfer".encode(),
    ]
    assert list(features["image/object/bbox/truncated"].int64_list.value) == [1, 0]


def test_equal_pictures_give_equal_bytes():
    assert encode() == encode()


def test_picture_without_objects_is_valid():
    found = parse(without_objects())
    assert found["boxes"].shape == (0, 4)
    assert found["labels"].shape == found["difficult"].shape == (0,)
    assert read_contents(without_objects()).boxes.shape == (0, 4)


def test_boxes_are_clipped_and_those_without_area_dropped():
    boxes = [[-0.1, 0.2, 0.5, 1 + 1e-6], [0.3, 0.5, 0.3, 0.9], [0.9, 0.1, 0.2, 0.2], [1.1, 0, 2, 1]]
    serialized = encode(
        boxes=boxes,
        labels=[1, 2, 3, 4],
        names=list("abcd"),
        difficult=[0] * 4,
        truncated=[0] * 4,
    )
    found = parse(serialized)
    np.testing.assert_allclose(found["boxes"], [[0, 0.2, 0.5, 1]])
    assert found["labels"].tolist() == [1]
    assert found["difficult"].tolist() == [False]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_box_that_is_no_number_makes_a_bad_record(value):
    serialized = encode(boxes=[[0.1, 0.2, 0.5, 0.6], [0.0, value, 1.0, 1.0]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="a box that is no number"):
        parse(serialized)
    with pytest.raises(ValueError, match="the box of its object 2 is"):
        read_contents(serialized)


@pytest.mark.parametrize("label", [0, 4, 2**33 + 1, -(2**40)])
def test_label_of_no_class_is_refused(label):
    serialized = encode(labels=[label, 1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="an object of no class"):
        parse(serialized, num_classes=3)
    with pytest.raises(ValueError, match=f"object 1 is of class {label}, and there are 3 classes"):
        ObjectRules(3).check(read_contents(serialized))
    ObjectRules(3).check(read_contents(encode(labels=[3, 1])))
    with pytest.raises(ValueError, match=r"object 2 is of class 0"):
        ObjectRules(3, labels_offset=1).check(read_contents(encode(labels=[4, 1])))


def test_number_of_objects_is_limited():
    def crowded(count):
        return encode(
            boxes=[[0, 0, 1, 1]] * count,
            **{key: [1] * count for key in ("labels", "difficult", "truncated")},
            names=["x"] * count,
        )

    ObjectRules(1, max_objects=5).check(read_contents(crowded(5)))
    with pytest.raises(ValueError, match="6 objects, and the network has anchors for 5"):
        ObjectRules(1, max_objects=5).check(read_contents(crowded(6)))
    with pytest.raises(ValueError, match=f"more than {limits.MAX_OBJECTS}"):
        read_contents(crowded(limits.MAX_OBJECTS + 1))


@pytest.mark.parametrize("offset, expected", [(0, [3, 1]), (1, [2, 0]), (-1, [4, 2])])
def test_labels_offset_is_subtracted(offset, expected):
    assert parse(encode(), labels_offset=offset)["labels"].tolist() == expected


def test_record_of_ssd_tensorflow_is_read(ssd_tensorflow_record):
    found = parse(ssd_tensorflow_record([(8, b"cat"), (12, b"dog")]))
    assert found["filename"] == b""
    assert found["labels"].tolist() == [8, 12]
    np.testing.assert_allclose(found["boxes"], [[0.1, 0.2, 0.5, 0.6]] * 2)
    assert found["difficult"].tolist() == [False, False]


@pytest.fixture
def detection_api_record(make_example):
    """A record with the TF Object Detection API's keys."""

    def make(**extra):
        features = {
            "image/encoded": [b"picture"],
            "image/filename": [b"x.jpg"],
            "image/source_id": [b"x.jpg"],
            "image/object/bbox/xmin": [0.2, 0.0],
            "image/object/bbox/xmax": [0.6, 1.0],
            "image/object/bbox/ymin": [0.1, 0.0],
            "image/object/bbox/ymax": [0.5, 1.0],
            "image/object/class/label": [3, 1],
            "image/object/class/text": [b"cat", b"ant"],
        }
        return make_example(features | extra)

    return make


def test_record_of_the_object_detection_api_is_read(detection_api_record):
    found = parse(detection_api_record(**{"image/object/difficult": [0, 1]}))
    assert found["filename"] == b"x.jpg"
    assert found["labels"].tolist() == [3, 1]
    assert found["difficult"].tolist() == [False, True]
    np.testing.assert_array_equal(found["boxes"], BOXES)


def test_absent_difficult_means_false(detection_api_record):
    assert parse(detection_api_record())["difficult"].tolist() == [False, False]
    assert read_contents(detection_api_record()).difficult == (False, False)


def test_record_without_a_picture_is_refused(make_example):
    record = make_example({"image/height": [4]})
    with pytest.raises(tf.errors.InvalidArgumentError, match="image/encoded"):
        parse(record)
    with pytest.raises(ValueError, match="no image"):
        read_contents(record)


@pytest.mark.parametrize(
    "extra", [{"image/object/class/label": [3]}, {"image/object/difficult": [1, 0, 1]}]
)
def test_lists_of_different_lengths_are_refused(detection_api_record, extra):
    record = detection_api_record(**extra)
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in number"):
        parse(record)
    with pytest.raises(ValueError, match="differ in number"):
        read_contents(record)


def test_contents_are_read_without_a_graph(detection_api_record):
    found = read_contents(detection_api_record())
    assert found.filename == "x.jpg"
    assert found.labels == (3, 1)
    assert found.names == ("cat", "ant")
    np.testing.assert_array_equal(found.boxes, BOXES)


def test_contents_agree_with_parsing():
    found, parsed = read_contents(encode()), parse(encode())
    np.testing.assert_array_equal(found.boxes, parsed["boxes"])
    assert list(found.labels) == parsed["labels"].tolist()
    assert list(found.difficult) == parsed["difficult"].tolist()
    assert found.names == ("cat", "Käfer")


def test_bytes_that_are_no_example_are_refused():
    with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
        read_contents(b"\xff\xff\xff")


def test_parsing_maps_over_a_data_set():
    records = tf.data.Dataset.from_tensor_slices([encode(), without_objects()])
    counts = [len(parsed["labels"]) for parsed in records.map(parse_example).as_numpy_iterator()]
    assert counts == [2, 0]


def test_control_characters_of_a_file_name_are_spelt_out():
    assert read_contents(encode(filename="a\x1b[2J.jpg")).filename == r"a\x1b[2J.jpg"
