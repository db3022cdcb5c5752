"""Reading, checking and writing class names."""

import pytest

from datasets.layouts.labels import check_labels, format_labels, read_labels
from runtime.errors import InputError


def test_labels_are_written_and_read_back(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(format_labels(("cat", "guinea pig", "Käfer")))
    assert path.read_text(encoding="utf-8") == "cat\nguinea pig\nKäfer\n"
    assert read_labels(str(path)) == ("cat", "guinea pig", "Käfer")


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb\r\n", "\ufeffa\nb\n\n", " a \nb\n"])
def test_line_ends_and_blanks_do_not_matter(tmp_path, text):
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode())
    assert read_labels(str(path)) == ("a", "b")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "names no class"),
        ("\n\n", "names no class"),
        ("a\n\nb\n", "class 2 is ''"),
        ("a\nb\na\n", "'a' is class 1 and 3"),
        ("background\na\n", "class 1 is 'background', which is class 0"),
        ("a\nBackground\n", "class 2 is 'Background'"),
    ],
)
def test_broken_rule_names_the_file_and_the_class(tmp_path, text, message):
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"labels\.txt.*({message})"):
        read_labels(str(path))


def test_missing_file_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.txt cannot be read"):
        read_labels(str(tmp_path / "nothing.txt"))


def test_file_that_is_no_text_is_bad_input(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="is not UTF-8"):
        read_labels(str(path))


@pytest.mark.parametrize("name", ["two\nlines", " padded", "tail\n"])
def test_label_must_be_one_line(name):
    with pytest.raises(InputError, match="one line of text"):
        check_labels([name], where="x")
