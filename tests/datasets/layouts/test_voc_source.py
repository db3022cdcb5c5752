"""Which classes and images a conversion starts from."""

import pytest

from datasets.layouts.voc import VOC_LABELS, Annotation
from datasets.layouts.voc_source import find_source
from runtime.errors import InputError

BOX = (1, 1, 9, 9)


@pytest.fixture
def find(voc):
    """find_source on the folder; returns the source and the lines reported."""

    def find(*, split="", labels_file="", with_pictures=True, path=None):
        lines = []
        source = find_source(
            str(path or voc),
            split=split,
            labels_file=labels_file,
            with_pictures=with_pictures,
            report=lines.append,
        )
        return source, lines

    return find


def test_folder_of_voc_names_has_all_twenty_labels(voc, find):
    voc.add("a", ("dog", BOX), ("person", BOX))
    assert find()[0].labels == VOC_LABELS


def test_one_own_name_among_vocs_makes_all_labels_the_folders_own(voc, find):
    voc.add("a", ("dog", BOX), ("person", BOX), ("zebra", BOX), ("Ant", BOX))
    assert find()[0].labels == ("Ant", "dog", "person", "zebra")


def test_classes_come_from_the_whole_folder_not_the_split(voc, find):
    voc.add("a", ("cat", BOX))
    voc.add("b", ("zebra", BOX))
    voc.add_split("train", "a\n")
    voc.add_split("test", "b\n")
    train, test = find(split="train")[0], find(split="test")[0]
    assert train.ids == ["a"]
    assert train.labels == test.labels == ("cat", "zebra")


def test_labels_file_overrides(voc, find, tmp_path):
    voc.add("a", ("dog", BOX))
    (tmp_path / "names").write_text("emu\ndog\n")
    assert find(labels_file=str(tmp_path / "names"))[0].labels == ("emu", "dog")


def test_class_that_is_no_label_names_file_object_and_remedy(voc, find, tmp_path):
    voc.add("a", ("dog", BOX), ("cat", BOX))
    (tmp_path / "names").write_text("dog\n")
    with pytest.raises(
        InputError, match=r"a\.xml, object 2: class 'cat' is not among the 1 labels"
    ):
        find(labels_file=str(tmp_path / "names"))


def test_class_outside_the_split_does_not_matter_to_a_labels_file(voc, find, tmp_path):
    voc.add("a", ("dog", BOX))
    voc.add("b", ("cat", BOX))
    voc.add_split("train", "a\n")
    (tmp_path / "names").write_text("dog\n")
    assert find(labels_file=str(tmp_path / "names"), split="train")[0].ids == ["a"]


def test_class_called_background_is_refused(voc, find):
    voc.add("a", ("background", BOX))
    with pytest.raises(InputError, match="which is class 0"):
        find()


def test_taking_everything_is_said_where_splits_exist(voc, find):
    voc.add("a")
    assert find()[1] == []
    voc.add_split("train", "a\n")
    assert find()[1] == ["No --split: all 1 annotated images are taken (splits: train)."]
    assert find(split="train")[1] == []


def test_broken_annotation_is_kept_as_its_error(voc, find):
    voc.add("a", ("dog", BOX))
    voc.add_xml("b", "<annotation>")
    source, lines = find()
    assert isinstance(source.annotations["a"], Annotation)
    assert isinstance(source.annotations["b"], InputError)
    assert lines == []


def test_broken_annotation_outside_the_split_is_said(voc, find):
    voc.add("a", ("dog", BOX))
    voc.add_xml("b", "<annotation>")
    voc.add_split("train", "a\n")
    (line,) = find(split="train")[1]
    assert line.startswith("outside the split")
    assert "b.xml" in line


def test_pictures_are_found_by_id(voc, find):
    voc.add("a")
    voc.add("b")
    (voc.path / "JPEGImages" / "b.jpg").unlink()
    assert find()[0].pictures == {"a": str(voc.path / "JPEGImages" / "a.jpg")}


def test_counting_needs_no_picture_folder(voc, find):
    voc.add("a")
    (voc.path / "JPEGImages" / "a.jpg").unlink()
    (voc.path / "JPEGImages").rmdir()
    assert find(with_pictures=False)[0].pictures == {}
    with pytest.raises(InputError, match="no JPEGImages"):
        find()


def test_devkit_is_entered(voc, find):
    voc.add("a")
    assert find(path=voc.path.parent)[0].ids == ["a"]
