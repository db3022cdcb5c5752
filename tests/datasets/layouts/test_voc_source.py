"""Which classes and images a conversion starts from."""

import pytest

from datasets.layouts.source import Finding, Options
from datasets.layouts.voc import VOC_LABELS, Annotation
from datasets.layouts.voc_source import open_source, recognises
from runtime.errors import InputError

BOX = (1, 1, 9, 9)


@pytest.fixture
def find(voc):
    """Opens the folder; returns the source and the lines reported."""

    def find(*, path=None, **options):
        lines = []
        source = open_source(Options(str(path or voc), report=lines.append, **options))
        return source, lines

    return find


@pytest.fixture
def learn(find):
    """Opens the folder; returns the labels and the lines reported."""

    def learn(**options):
        source, lines = find(**options)
        return source.labels(), lines

    return learn


def test_folder_of_voc_names_has_all_twenty_labels(voc, learn):
    voc.add("a", ("dog", BOX), ("person", BOX))
    assert learn()[0] == VOC_LABELS


def test_one_own_name_among_vocs_makes_all_labels_the_folders_own(voc, learn):
    voc.add("a", ("dog", BOX), ("person", BOX), ("zebra", BOX), ("Ant", BOX))
    assert learn()[0] == ("Ant", "dog", "person", "zebra")


def test_classes_come_from_the_whole_folder_not_the_split(voc, find):
    voc.add("a", ("cat", BOX))
    voc.add("b", ("zebra", BOX))
    voc.add_split("train", "a\n")
    voc.add_split("test", "b\n")
    train, test = find(split="train")[0], find(split="test")[0]
    assert list(train.images) == ["a"]
    assert train.labels() == test.labels() == ("cat", "zebra")


def test_class_called_background_is_one_for_the_conversion_to_refuse_or_rename(voc, learn):
    voc.add("a", ("background", BOX))
    assert learn()[0] == ("background",)


def test_taking_everything_is_said_where_splits_exist(voc, find):
    voc.add("a")
    assert find()[1] == []
    voc.add_split("train", "a\n")
    assert find()[1] == ["No --split: the annotated image is taken (splits: train)."]
    assert find(split="train")[1] == []


def test_broken_annotation_is_kept_as_its_error(voc, find):
    voc.add("a", ("dog", BOX))
    voc.add_xml("b", "<annotation>")
    source, lines = find()
    assert isinstance(source.images["a"].annotation, Annotation)
    assert isinstance(source.images["b"].annotation, InputError)
    assert lines == []


def test_broken_annotation_outside_the_split_is_said(voc, learn):
    voc.add("a", ("dog", BOX))
    voc.add_xml("b", "<annotation>")
    voc.add_split("train", "a\n")
    (line,) = learn(split="train")[1]
    assert line.startswith("outside the split")
    assert "b.xml" in line


def test_pictures_are_found_by_id(voc, find):
    voc.add("a")
    voc.add("b")
    (voc.path / "JPEGImages" / "b.jpg").unlink()
    images = find()[0].images
    assert images["a"].path == str(voc.path / "JPEGImages" / "a.jpg")
    assert str(images["b"].path) == f"{voc}/JPEGImages has no image of b: add it."


def test_counting_needs_no_picture_folder(voc, find):
    voc.add("a")
    (voc.path / "JPEGImages" / "a.jpg").unlink()
    (voc.path / "JPEGImages").rmdir()
    assert list(find(with_images=False)[0].images) == ["a"]
    with pytest.raises(InputError, match="no JPEGImages"):
        find()


def test_devkit_is_entered(voc, find):
    voc.add("a")
    assert list(find(path=voc.path.parent)[0].images) == ["a"]


def test_voc_folder_and_devkit_are_recognised(voc, tmp_path):
    assert recognises(str(voc))
    assert recognises(str(voc.path.parent))
    assert not recognises(str(voc.path / "JPEGImages"))
    assert not recognises(f"{tmp_path}/none")


def test_lists_of_the_folder_are_told(voc, find):
    voc.add("a")
    voc.add("b")
    (voc.path / "Annotations" / "b.xml").unlink()
    voc.add_split("train", "a\n")
    voc.add_split("test", "a\n")
    voc.add_split("val", "../a\n")
    bad, shared, alone = find()[0].findings()
    assert (bad.kind, bad.place) == ("bad_split", f"{voc}/ImageSets/Main")
    assert (shared.kind, shared.place) == ("shared_by_splits", f"{voc}/Annotations/a.xml")
    assert alone == Finding("no_annotation", f"{voc}/JPEGImages/b.jpg", "has no annotation")
    assert [each.kind for each in find(split="test")[0].findings()] == [
        "bad_split",
        "shared_by_splits",
    ]
