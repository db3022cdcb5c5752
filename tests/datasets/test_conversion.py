"""The whole conversion of a VOC folder, read back through the data set factory."""

import os

import numpy as np
import pytest
import tensorflow as tf

from datasets.conversion import Conversion, convert
from datasets.dataset_factory import get_dataset
from datasets.layouts.voc import VOC_LABELS
from datasets.records.features import parse_example
from datasets.records.manifest import read_manifest
from datasets.records.reader import RecordReader
from runtime import limits
from runtime.errors import InputError
from tests.voc_folder import with_exif

BOX = (2, 4, 12, 24)  # pixels of an image of 20 x 40: relative [.1, .1, .6, .6]


@pytest.fixture
def run(voc, tmp_path):
    """Converts the folder to `tmp_path/out`, quietly."""

    def run(**changes):
        fields = {"dataset_dir": str(voc), "output_dir": str(tmp_path / "out")}
        return convert(Conversion(**(fields | changes)), report=lambda line: None)

    return run


def load(folder, name="pascalvoc"):
    """All records of a converted data set, parsed."""
    shards = get_dataset(name, "", str(folder)).shards
    with RecordReader(shards) as reader:
        records = [parse_example(tf.constant(reader.read(i))) for i in range(len(reader))]
    return [{key: value.numpy() for key, value in record.items()} for record in records]


def test_pictures_and_objects_come_back(voc, run, tmp_path):
    voc.add("b", ("cat", BOX, "<difficult>1</difficult>"), ("own", (0, 0, 20, 40)))
    voc.add("a")
    tally = run()
    first, second = load(tmp_path / "out")
    assert first["filename"] == b"a.jpg"
    assert first["boxes"].shape == (0, 4)
    assert second["encoded"] == (voc.path / "JPEGImages" / "b.jpg").read_bytes()
    np.testing.assert_allclose(second["boxes"], [[0.1, 0.1, 0.6, 0.6], [0, 0, 1, 1]])
    assert second["labels"].tolist() == [1, 2]
    assert second["difficult"].tolist() == [True, False]
    assert (tally.num_images, tally.num_objects, tally.num_difficult) == (2, 1, 1)


def test_split_order_is_record_order(voc, run, tmp_path):
    for image_id in "abcd":
        voc.add(image_id)
    voc.add_split("train", "c\na\nd\n")
    run(split="train", output_name="own_train", num_shards=2)
    found = get_dataset("own", "train", str(tmp_path / "out"))
    assert (found.num_samples, len(found.shards)) == (3, 2)
    assert [record["filename"] for record in load(tmp_path / "out", "own_train")] == [
        b"c.jpg",
        b"a.jpg",
        b"d.jpg",
    ]


def test_order_is_kept_over_more_pictures_than_are_made_at_once(voc, run, tmp_path):
    voc.add_many(150)
    run(num_shards=3)
    names = [record["filename"].decode() for record in load(tmp_path / "out")]
    assert names == [f"p{number:03d}.jpg" for number in range(150)]


def test_manifest_counts_what_was_written(voc, run, tmp_path):
    voc.add("a", ("cat", BOX), ("cat", (5, 5, 5, 9)), ("own", (0, 0, 99, 99)))
    run()
    manifest = read_manifest(str(tmp_path / "out"), "pascalvoc")
    assert manifest.labels == ("cat", "own")
    assert manifest.classes["cat"] == {"pictures": 1, "objects": 1, "difficult": 0}
    assert manifest.notes["dropped_boxes"] == {"a.jpg": 1}
    assert manifest.notes["clipped_boxes"] == {"a.jpg": 1}
    assert len(load(tmp_path / "out")[0]["labels"]) == 2


def test_voc_names_keep_their_official_ids(voc, run, tmp_path):
    voc.add("a", ("tvmonitor", BOX), ("aeroplane", BOX))
    run()
    assert load(tmp_path / "out")[0]["labels"].tolist() == [20, 1]
    assert (tmp_path / "out" / "labels.txt").read_text().split() == list(VOC_LABELS)


def test_real_size_counts_where_the_annotation_tells_none(voc, run, tmp_path):
    voc.add("a", ("own", BOX), width=0, height=0)
    run()
    np.testing.assert_allclose(load(tmp_path / "out")[0]["boxes"], [[0.1, 0.1, 0.6, 0.6]])


def test_contradicted_size_is_refused_or_skipped(voc, run, tmp_path):
    voc.add("a", ("own", BOX), width=20, height=40)  # swapped, but no EXIF tag turns the image
    voc.add("b", ("own", BOX))
    said = r"JPEGImages/a\.jpg: its annotation says 20 x 40, the image is 40 x 20: sides swapped"
    with pytest.raises(InputError, match=said):
        run()
    run(skip_bad=1)
    assert [record["filename"] for record in load(tmp_path / "out")] == [b"b.jpg"]


def test_boxes_of_the_turned_picture_are_turned_back(voc, run, tmp_path):
    """Shown with its left side on top (6), and upside down (3), which its size does not tell."""
    upright = (16, 2, 36, 12)  # of 20 x 40; below its top 16 of 40, so from 16 of the stored width
    voc.add("a", ("own", upright), width=20, height=40)
    voc.add("b", ("own", BOX))
    for name, turn in (("a", 6), ("b", 3)):
        path = voc.path / "JPEGImages" / f"{name}.jpg"
        path.write_bytes(with_exif(path.read_bytes(), turn))
    tally = run()
    turned, doubtful = load(tmp_path / "out")
    np.testing.assert_allclose(turned["boxes"], [[8 / 20, 16 / 40, 18 / 20, 36 / 40]])
    np.testing.assert_allclose(doubtful["boxes"], [[0.1, 0.1, 0.6, 0.6]])
    assert tally.notes["turned_back"] == {"a.jpg": 6}
    assert read_manifest(str(tmp_path / "out"), "pascalvoc").notes["maybe_turned"] == {"b.jpg": 3}


def test_filename_in_the_xml_is_not_followed(voc, run, tmp_path):
    voc.add("a", ("own", BOX))
    path = voc.path / "Annotations" / "a.xml"
    path.write_text(path.read_text().replace(">x<", ">../../../etc/passwd<"))
    run()
    assert load(tmp_path / "out")[0]["filename"] == b"a.jpg"


def test_png_goes_in_as_it_is(voc, run, tmp_path):
    voc.add("a")
    png = tf.io.encode_png(np.zeros((20, 40, 3), np.uint8)).numpy()
    (voc.path / "JPEGImages" / "a.jpg").unlink()
    (voc.path / "JPEGImages" / "a.PNG").write_bytes(png)
    run()
    (record,) = load(tmp_path / "out")
    assert (record["encoded"], record["filename"]) == (png, b"a.PNG")


def truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def make_text(path):
    path.write_text("not an image")


def dangle(path):
    path.unlink()
    path.symlink_to("nowhere.jpg")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (truncate, r"JPEGImages/b\.jpg was cut off"),
        (make_text, r"JPEGImages/b\.jpg is neither JPEG nor PNG"),
        (dangle, r"JPEGImages/b\.jpg cannot be read"),
        (os.remove, "no image of b"),
    ],
)
def test_bad_picture_is_named_or_skipped(voc, run, tmp_path, spoil, message):
    voc.add_split("train", "a\nb\nc\n")
    for image_id in "abc":
        voc.add(image_id, ("own", BOX))
    spoil(voc.path / "JPEGImages" / "b.jpg")
    with pytest.raises(InputError, match=message):
        run(split="train")
    assert list((tmp_path / "out").iterdir()) == []
    tally = run(split="train", skip_bad=1)
    assert list(tally.notes["skipped"]) == ["b"]
    assert [record["filename"] for record in load(tmp_path / "out")] == [b"a.jpg", b"c.jpg"]


@pytest.mark.parametrize("text", ["<annotation>", None])
def test_bad_or_missing_annotation_is_named_or_skipped(voc, run, text):
    voc.add_split("train", "a\nb\n")
    voc.add("a", ("own", BOX))
    if text:
        voc.add_xml("b", text)
    with pytest.raises(InputError, match=r"Annotations/b\.xml"):
        run(split="train")
    assert run(split="train", skip_bad=1).num_images == 1


def test_more_bad_pictures_than_allowed_are_bad_input(voc, run):
    voc.add_many(4)
    for number in (0, 2):
        truncate(voc.path / "JPEGImages" / f"p{number:03d}.jpg")
    with pytest.raises(InputError, match=r"p002\.jpg .*bad image number 2, --skip_bad=1"):
        run(skip_bad=1)


def test_only_bad_pictures_are_bad_input(voc, run):
    voc.add("a")
    truncate(voc.path / "JPEGImages" / "a.jpg")
    with pytest.raises(InputError, match="no image that could be written"):
        run(skip_bad=5)


def test_dry_run_counts_without_pictures_and_writes_nothing(voc, run, tmp_path):
    voc.add("a", ("own", BOX), ("own", (5, 5, 5, 9)))
    (voc.path / "JPEGImages" / "a.jpg").unlink()
    (voc.path / "JPEGImages").rmdir()
    tally = run(dry_run=True)
    assert (tally.num_images, tally.num_objects) == (1, 1)
    assert tally.notes["dropped_boxes"] == {"a": 1}
    assert not (tmp_path / "out").exists()


def test_dry_run_of_unknown_sizes_clips_nothing(voc, run):
    voc.add("a", ("own", BOX), width=0, height=0)
    tally = run(dry_run=True)
    assert tally.num_objects == 1
    assert tally.notes["clipped_boxes"] == {}


def test_dry_run_refuses_broken_annotations_like_a_conversion(voc, run):
    voc.add_xml("a", "<annotation>")
    with pytest.raises(InputError, match="not well-formed"):
        run(dry_run=True)
    assert run(dry_run=True, skip_bad=1).num_images == 0


@pytest.mark.parametrize("num_shards", [-1, 3])
def test_impossible_number_of_shards_is_bad_input(voc, run, num_shards):
    voc.add_many(2)
    with pytest.raises(InputError, match="--num_shards"):
        run(num_shards=num_shards)


def test_progress_is_shown_for_every_picture(voc, tmp_path):
    voc.add_many(3)
    seen = []

    def progress(ids):
        for image_id in ids:
            seen.append(image_id)
            yield image_id

    conversion = Conversion(dataset_dir=str(voc), output_dir=str(tmp_path / "out"))
    convert(conversion, report=lambda line: None, progress=progress)
    assert seen == ["p000", "p001", "p002"]


def test_labels_file_overrides(voc, run, tmp_path):
    voc.add("a", ("dog", BOX))
    (tmp_path / "names").write_text("emu\ndog\n")
    run(labels_file=str(tmp_path / "names"))
    assert load(tmp_path / "out")[0]["labels"].tolist() == [2]


def test_class_that_is_no_label_names_file_object_and_remedy(voc, run, tmp_path):
    voc.add("a", ("dog", BOX), ("cat", BOX))
    (tmp_path / "names").write_text("dog\n")
    said = r"a\.xml, object 2: class 'cat' is not among the 1 labels \(dog\): add it"
    with pytest.raises(InputError, match=said):
        run(labels_file=str(tmp_path / "names"))


def test_class_outside_the_split_does_not_matter_to_a_labels_file(voc, run, tmp_path):
    voc.add("a", ("dog", BOX))
    voc.add("b", ("cat", BOX))
    voc.add_split("train", "a\n")
    (tmp_path / "names").write_text("dog\n")
    assert run(labels_file=str(tmp_path / "names"), split="train").num_images == 1


def test_more_objects_than_records_may_have_are_refused(voc, run):
    voc.add("a", *[("cat", BOX)] * (limits.MAX_OBJECTS + 1))
    with pytest.raises(InputError, match=r"a\.xml: 20001 objects are more than 20000"):
        run()
