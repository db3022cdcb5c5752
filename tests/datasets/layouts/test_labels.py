"""Reading, checking and writing class names."""

import os
import threading

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


@pytest.mark.parametrize(
    "text",
    [
        "item {\n name: \"cat\"\n id: 1\n}\nitem {\n  id: 2\n  name: 'a } dog'\n}\n",
        '# mine\nitem: { id: 2, name: "a } dog" } item{id:1 name:"cat"} item{id:0 name:"none"}',
        'item{name:"/m/01yrx" id:1 display_name:"cat"} item{name:"a } dog" id:2 display_name:"x"}',
    ],
)
def test_label_map_is_read(tmp_path, text):
    path = tmp_path / "labels.pbtxt"
    path.write_text(text)
    assert read_labels(str(path)) == ("cat", "a } dog")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.pbtxt", 'item{name:"cat" id:2}', "has no id 1 and larger ones"),
        (
            "a.pbtxt",
            'item{name:"cat" id:1} item{name:"dog" id:1}',
            "item 'dog' has the id '1': give",
        ),
        ("a.pbtxt", 'item{name:"cat"}', "item 'cat' has the id ''"),
        ("a.pbtxt", "item{}", "item '' has the id ''"),
        ("a.pbtxt", "model {}", "is no label map"),
        ("data.yaml", "names: [a, b]", "is YAML: write the class names into a text file"),
        ("a.JSON", "[]", "is JSON"),
        ("a.txt", "a\x1b[31m", "take the control character out"),
    ],
)
def test_other_formats_are_refused_by_their_names(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_labels(str(tmp_path / name))


def test_huge_label_map_takes_linear_time(tmp_path):
    path = tmp_path / "a.pbtxt"
    path.write_text("item {" * 20_000 + "x" * 20_000)
    with pytest.raises(InputError, match="names no class"):
        read_labels(str(path))


def test_labels_may_come_through_a_pipe_that_the_user_made(tmp_path):
    os.mkfifo(tmp_path / "labels.txt")
    give = threading.Thread(target=(tmp_path / "labels.txt").write_text, args=["cat\ndog\n"])
    give.start()
    assert read_labels(str(tmp_path / "labels.txt")) == ("cat", "dog")
    give.join()
    with pytest.raises(InputError, match="not a regular file"):
        read_labels(str(tmp_path / "labels.txt"), is_given=False)
