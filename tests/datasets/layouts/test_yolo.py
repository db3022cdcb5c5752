"""Folders in YOLO's layout as users have them."""

import pytest

from datasets.conversion import Conversion, convert
from datasets.layouts import registry
from datasets.layouts.source import Options
from datasets.layouts.yolo import open_source, recognises
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError
from tests.voc_folder import picture_bytes, with_exif

BOX = "1 0.35 0.35 0.5 0.5"  # x 4 to 24, y 2 to 12
YAML = "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\n"


@pytest.fixture
def write(tmp_path):
    """Makes a folder of files: those without text are images of 40 x 20 pixels."""

    def write(*pictures, files):
        for name in (*pictures, *files):
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[name].encode() if name in files else picture_bytes())
        return str(tmp_path / "set")

    return write


@pytest.fixture
def ultralytics(write):
    texts = {"train/labels/a.txt": BOX, "valid/labels/b.txt": "", "data.yaml": YAML}
    return write("train/images/a.jpg", "valid/images/b.jpg", "train/images/c.jpg", files=texts)


def open_folder(folder, **options):
    lines = []
    source = open_source(Options(folder, report=lines.append, **options))
    return source, [line.replace(folder, "") for line in lines]


def boxes(source):
    return {
        image_id: [(thing.name, pytest.approx(thing.box)) for thing in each.annotation.objects]
        for image_id, each in source.images.items()
    }


def test_ultralytics_folder_is_read(ultralytics):
    source, lines = open_folder(ultralytics)
    assert boxes(source) == {"train/a": [("dog", (2, 4, 12, 24))], "train/c": [], "valid/b": []}
    assert source.labels == ("cat", "dog")
    image = source.images["train/a"]
    assert image.path == f"{ultralytics}/train/images/a.jpg"
    assert image.place == f"{ultralytics}/train/labels/a.txt"
    assert (image.annotation.height, image.annotation.width) == (20, 40)
    assert source.left_out == {}
    assert lines == [
        "No --split: the images of all are taken (splits: train, val).",
        "Images without text file, taken as images without objects: 1.",
    ]
    assert source.notes == {"images_without_label_file": 1}


def test_image_in_no_split_of_the_yaml_needs_its_text_file(ultralytics, write):
    write("runs/preview.jpg", "runs/d.jpg", files={"runs/d.txt": BOX})
    source, _ = open_folder(ultralytics)
    assert list(source.images) == ["runs/d", "train/a", "train/c", "valid/b"]
    assert list(source.left_out) == [f"{ultralytics}/runs/preview.jpg"]


def test_folder_in_the_folder_is_read(ultralytics, tmp_path):
    assert recognises(str(tmp_path))
    assert list(open_folder(str(tmp_path), split="val")[0].images) == ["set/valid/b"]


@pytest.mark.parametrize(("split", "ids"), [("val", ["valid/b"]), ("valid", ["valid/b"])])
def test_split_of_the_yaml_is_taken(ultralytics, split, ids):
    assert list(open_folder(ultralytics, split=split)[0].images) == ids
    with pytest.raises(InputError, match=r"--split=x: .* \(splits there: train, val\)"):
        open_folder(ultralytics, split="x")


@pytest.mark.parametrize("name", ["", "/data.yaml"])
def test_ultralytics_folder_and_its_yaml_are_recognised(ultralytics, name):
    assert recognises(ultralytics + name)
    assert registry.recognise(ultralytics + name) == "yolo"
    assert len(open_folder(ultralytics + name)[0].images) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "path: /content/set\ntrain: images/a\nval: [images/b, images/c]",
            (["a/1"], ["b/1", "c/1"]),
        ),
        ("path: ../datasets/set\ntrain: train.txt\nval: images/b", (["c/1"], ["b/1"])),
        ("train: .\ntest:\nval: images/none", (["a/1", "b/1", "c/1"], None)),
        ("{}", (["c/1"], None)),
    ],
)
def test_paths_of_the_yaml_are_taken_as_the_folder_has_them(write, text, expected):
    pictures = [f"images/{name}/1.jpg" for name in "abc"]
    texts = {f"labels/{name}/1.txt": BOX for name in "abc"}
    yaml = {"set.yaml": f"{text}\nnames:\n  0: no\n  1: 1.0\n"} if text != "{}" else {}
    listing = {"train.txt": "/content/set/images/c/1.jpg\n", "classes.txt": "no\n1.0\n"}
    folder = write(*pictures, files=texts | listing | yaml)
    for split, ids in zip(("train", "val"), expected, strict=True):
        if ids is None:
            with pytest.raises(InputError, match=f"--split={split}"):
                open_folder(folder, split=split)
        else:
            source = open_folder(folder, split=split)[0]
            assert (list(source.images), source.labels) == (ids, ("no", "1.0"))


def test_what_the_files_name_and_the_folder_lacks_is_told(write):
    texts = {"a.txt": BOX, "data.yaml": f"{YAML}test: x.txt", "x.txt": "a.jpg\n\n../../etc/b.jpg\n"}
    folder = write("a.jpg", files=texts)
    assert open_folder(folder)[0].left_out == {
        f"{folder}: 1 .txt file": "not part of a YOLO folder (x.txt)",
        f"{folder}/data.yaml, train": "../train/images: there is no image in it",
        f"{folder}/data.yaml, val": "../valid/images: there is no image in it",
        f"{folder}/x.txt, line 3": "'../../etc/b.jpg': there is no such image",
    }


def test_flat_folder_with_classes_is_read_and_all_is_accounted_for(write):
    texts = {"a.txt": BOX, "b.txt": "", "classes.txt": "cat\ndog\n", "notes.md": "", "x.txt": BOX}
    folder = write("a.jpg", "a.png", "b.jpg", "c.jpg", files=texts | {"labels/d.txt": BOX})
    source, lines = open_folder(folder)
    assert boxes(source) == {"a": [("dog", (2, 4, 12, 24))], "b": []}
    assert lines == []
    assert source.left_out == {
        f"{folder}/c.jpg": "has no text file; an image without objects has an empty one",
        f"{folder}/a.png": "has the name of a.jpg, which is used",
        f"{folder}/labels/d.txt": "has no image",
        f"{folder}: 1 .md file": "not part of a YOLO folder (notes.md)",
        f"{folder}: 1 .txt file": "not part of a YOLO folder (x.txt)",
    }


def test_folders_may_be_splits(write):
    texts = {"obj.names": "cat\ndog", "images/train/a.txt": BOX, "labels/test/b.txt": BOX}
    folder = write("images/train/a.jpg", "images/test/b.jpg", files=texts)
    source, _ = open_folder(folder, split="test")
    assert (list(source.images), source.labels) == (["test/b"], ("cat", "dog"))


def test_line_that_cannot_be_understood_is_the_images_error(write):
    folder = write("a.jpg", "b.jpg", files={"a.txt": "0 1 2", "b.txt": BOX, "classes.txt": "x\ny"})
    error = open_folder(folder)[0].images["a"].annotation
    assert str(error).startswith(f"{folder}/a.txt, line 1 has 2 numbers")


def test_classes_may_come_from_the_user(write):
    folder = write("a.jpg", files={"a.txt": BOX})
    with pytest.raises(InputError, match="does not say what its classes are called"):
        open_folder(folder)
    assert open_folder(folder, labels=("x", "y"))[0].images["a"].annotation.objects[0].name == "y"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"classes.txt": "cat"}, "has no text file for any of its 1 images"),
        ({"data.yaml": "names: [a\n", "a.txt": ""}, "data.yaml is not YAML"),
        ({"data.yaml": "names: 3\n", "a.txt": ""}, "names must be a list of class names"),
        ({"data.yaml": "names: {a: b}\n", "a.txt": ""}, "names must be a list"),
        ({"data.yaml": "names: [[a]]\n", "a.txt": ""}, "names must be a list"),
        ({"classes.txt": "a", "obj.names": "b", "a.txt": ""}, "name different classes: keep one"),
        ({"classes.txt": "a\na", "a.txt": ""}, "'a' is class 1 and 2"),
    ],
)
def test_folder_that_cannot_be_used_is_refused(write, files, message):
    with pytest.raises(InputError, match=message):
        open_folder(write("a.jpg", files=files))


@pytest.mark.parametrize("text", ["Car 0.00 0 -1.57 10", "", "1 2"])
def test_text_files_of_others_are_not_recognised(write, text):
    folder = write("images/a.jpg", files={"labels/a.txt": text})
    assert not recognises(folder)
    assert not recognises("")


def test_boxes_are_of_the_image_that_viewers_show(write, tmp_path):
    folder = write("a.jpg", "b.jpg", files={"a.txt": BOX, "b.txt": BOX, "classes.txt": "x\ny"})
    (tmp_path / "set" / "a.jpg").write_bytes(with_exif(picture_bytes(), 6))
    annotation = open_folder(folder)[0].images["a"].annotation
    assert (annotation.height, annotation.width) == (40, 20)
    tally = convert(Conversion(folder, "yolo", output_dir=str(tmp_path)), report=print)
    assert tally.notes["turned_back"] == {"a.jpg": 6}


def test_broken_image_is_found_by_the_conversion(write, tmp_path):
    folder = write(files={"a.jpg": "no image", "a.txt": BOX, "classes.txt": "x\ny"})
    with pytest.raises(InputError, match=r"a\.jpg is neither JPEG nor PNG"):
        convert(Conversion(folder, "yolo", output_dir=str(tmp_path)), report=print)


def test_yolo_is_counted_converted_and_inspected(ultralytics, tmp_path, capsys):
    place = {"output_dir": str(tmp_path), "dataset_name": "yolo"}
    for options in ({"dry_run": True}, {}):
        tally = convert(Conversion(ultralytics, **place, **options), report=print)
        assert (tally.num_images, tally.num_objects) == (3, 1)
        assert tally.notes["clipped_boxes"] == {}
    inspect.run(InspectSettings(input=ultralytics))
    assert "Nothing here would harm" in capsys.readouterr().out
