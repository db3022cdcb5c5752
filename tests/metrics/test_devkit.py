"""Devkit files: what is written reads back to the same score, and bad lines are named."""

import numpy as np
import pytest

from benchmarks import evaluation
from metrics import devkit, voc
from runtime.errors import InputError

LABELS = ("cat", "dog")
IDS = ("000010", "000003", "2008_000007")


def write_file(folder, text, label="cat"):
    path = folder / devkit.file_name(label)
    path.write_text(text)
    return path


def read(folder):
    return devkit.read(folder, image_ids=IDS, labels=LABELS)


def refused(folder, text):
    """The message about cat's file, without the folder."""
    path = write_file(folder, text)
    with pytest.raises(InputError) as error:
        read(folder)
    assert str(error.value).startswith(f"{path}, line ")
    return str(error.value).removeprefix(f"{path}, ")


def test_read_takes_the_devkits_columns(tmp_path):
    write_file(tmp_path, "2008_000007 0.25 1 2.5 30 40\n\n000010 0.5 -3 4 5e1 60\n")
    write_file(tmp_path, "", label="dog")
    detections, warnings = read(tmp_path)
    assert detections.images.tolist() == [2, 0]
    assert detections.classes.tolist() == [1, 1]
    assert detections.scores.tolist() == [0.25, 0.5]
    assert detections.boxes.tolist() == [[2.5, 1.0, 40.0, 30.0], [4.0, -3.0, 60.0, 50.0]]
    assert warnings == ()


def test_write_gives_a_file_per_class_sorted_by_picture(tmp_path):
    detections = voc.Detections(
        np.array([1, 0, 0]),
        np.array([1, 1, 1]),
        np.array([0.1, 0.2, 1 / 3], np.float32),
        np.array([[2.0, 1.0, 4.0, 3.0], [6.0, 5.0, 8.0, 7.0], [0.1, 0.0, 1 / 3, 9.0]]),
    )
    devkit.write(tmp_path / "new", detections, image_ids=IDS, labels=LABELS)
    assert (tmp_path / "new" / "comp4_det_test_cat.txt").read_text() == (
        "000010 0.2 5.0 6.0 7.0 8.0\n"
        "000010 0.33333334 0.0 0.1 9.0 0.3333333333333333\n"
        "000003 0.1 1.0 2.0 3.0 4.0\n"
    )
    assert (tmp_path / "new" / "comp4_det_test_dog.txt").read_text() == ""


def test_pictures_of_one_id_are_not_written_as_one(tmp_path):
    none = voc.Detections(*(np.zeros((0, 4)[:k]) for k in (1, 1, 1, 2)))
    with pytest.raises(InputError, match="Two images have the id '000003'"):
        devkit.write(tmp_path / "new", none, image_ids=[*IDS, IDS[1]], labels=LABELS)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_written_files_score_as_the_detections_they_came_from(tmp_path, dtype):
    detections, truth = evaluation.random_case(
        seed=3, num_pictures=20, num_objects=60, num_detections=800, num_classes=2
    )
    scores = detections.scores.astype(dtype)
    scores[:100] = scores[100:200]  # some equal ones
    scores[200:300] = np.nextafter(scores[100:200], dtype(1))  # and some that barely differ
    detections = detections._replace(scores=scores)
    ids = [f"picture_{number}" for number in range(20)]
    devkit.write(tmp_path, detections, image_ids=ids, labels=LABELS)
    read_back, _ = devkit.read(tmp_path, image_ids=ids, labels=LABELS)
    before = voc.evaluate(detections, truth, labels=LABELS)
    after = voc.evaluate(read_back, truth, labels=LABELS)
    assert 0.1 < before.mean_ap_voc12 < 0.9
    for was, now in zip(before.classes, after.classes, strict=True):
        assert (was.ap_voc07, was.ap_voc12) == (now.ap_voc07, now.ap_voc12)
        np.testing.assert_array_equal(now.precision, was.precision)


@pytest.mark.parametrize("image_id", ["my cat", ""])
def test_write_refuses_an_id_that_would_not_read_back(tmp_path, image_id):
    with pytest.raises(InputError, match=f"Image '{image_id}' cannot be in a devkit file"):
        devkit.write(tmp_path, voc.concatenate([]), image_ids=[image_id], labels=LABELS)
    assert list(tmp_path.iterdir()) == []


def test_class_with_a_slash_is_no_file_name(tmp_path):
    said = "Class 'traffic/light' cannot have a devkit file, .*: rename the class"
    labels = ("cat", "traffic/light")
    write_file(tmp_path, "000010 .5 1 2 3 4\n")
    with pytest.raises(InputError, match=said):
        devkit.read(tmp_path, image_ids=IDS, labels=labels)
    with pytest.raises(InputError, match=said):
        devkit.write(tmp_path / "new", voc.concatenate([]), image_ids=IDS, labels=labels)
    assert not (tmp_path / "new").exists()


def test_class_without_a_file_is_warned_of_and_has_no_detections(tmp_path):
    write_file(tmp_path, "000010 0.5 1 2 3 4\n")
    write_file(tmp_path, "an unrelated file\n", label="zebra")
    detections, warnings = read(tmp_path)
    assert detections.classes.tolist() == [1]
    assert warnings == (
        f"{tmp_path} has no comp4_det_test_dog.txt: class dog scored as if it had no detections.",
    )
    assert devkit.read(tmp_path, image_ids=IDS, labels=LABELS, expected={"cat"}).warnings == ()


def test_folder_without_any_file_or_none_at_all_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"for instance comp4_det_test_cat\.txt"):
        read(tmp_path)
    with pytest.raises(InputError, match="nowhere is not a folder"):
        read(tmp_path / "nowhere")


def test_missing_field_is_named_by_file_and_line(tmp_path):
    message = refused(tmp_path, "000010 .5 1 2 3 4\n\n000010 .5 1 2 3\n")
    assert message.startswith("line 3: it has 5 fields: it must have six, image_id score xmin")


def test_extra_field_is_named_by_file_and_line(tmp_path):
    assert refused(tmp_path, "cat 000010 .5 1 2 3 4\n").startswith("line 1: it has 7 fields")


@pytest.mark.parametrize("number", ["high", "nan", "inf", "0x1", "1,5"])
def test_number_that_is_none_is_named_by_file_and_line(tmp_path, number):
    message = refused(tmp_path, f"000010 .5 1 2 3 4\n000010 {number} 1 2 3 4\n")
    assert message.startswith(f"line 2: '{number} 1 2 3 4' must be five finite numbers, score xmin")


def test_unknown_picture_is_named_by_file_and_line(tmp_path):
    message = refused(tmp_path, "000010 .5 1 2 3 4\n10 .5 1 2 3 4\n")
    assert message.startswith("line 2: image '10' is not among the 3 of the split: score the")


def test_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / devkit.file_name("cat")).write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match=r"comp4_det_test_cat\.txt is no text: it must have"):
        read(tmp_path)


@pytest.mark.parametrize("box", ["100 20 30 200", "10 200 30 40"])
def test_box_that_ends_before_it_begins_is_named_by_file_and_line(tmp_path, box):
    message = refused(tmp_path, f"000010 .5 {box}\n")
    assert message == (
        f"line 1: the box {box} ends before it begins: the order is xmin ymin xmax ymax."
    )


def test_box_of_a_sliver_of_a_pixel_is_read(tmp_path):
    write_file(tmp_path, "000010 .5 500.9 3 500 4\n")
    assert read(tmp_path).detections.boxes.tolist() == [[3.0, 500.9, 4.0, 500.0]]
