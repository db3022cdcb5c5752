"""CSV of the TensorFlow Object Detection API: boxes by hand, and what is refused or left out."""

import pytest

from datasets.conversion import Conversion, convert
from datasets.layouts import registry
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.source import Options
from datasets.layouts.tf_csv import open_source, read_table, recognises
from runtime.errors import InputError
from tests.voc_folder import picture_bytes

HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


@pytest.fixture
def write(tmp_path):
    def write(text, *, encoding="utf-8"):
        path = tmp_path / "boxes.csv"
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write


def test_lines_of_one_image_are_its_objects(write):
    path = write(
        HEADER + "b.jpg,40,20,cat,4,2,24,12.5\na.jpg,9,9,dog,0,0,9,9\nb.jpg,40,20,own,1,2,3,4"
    )
    table = read_table(path)
    cat = Object("cat", (2.0, 4.0, 12.5, 24.0), difficult=False, truncated=False)
    own = Object("own", (2.0, 1.0, 4.0, 3.0), difficult=False, truncated=False)
    dog = Object("dog", (0.0, 0.0, 9.0, 9.0), difficult=False, truncated=False)
    assert table.annotations == {
        "b.jpg": Annotation("b.jpg", 40, 20, 3, (cat, own)),
        "a.jpg": Annotation("a.jpg", 9, 9, 3, (dog,)),
    }
    assert table.left_out == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_columns_are_found_by_their_names(write, encoding, separator, end):
    lines = [" XMIN ", "ymin", "Class", "xmax", "ymax", "extra", "filename"]
    cells = ["4", "2", "caf\u00e9", "24", "12", "?", "day\\a.jpg"]
    path = write(
        end.join([separator.join(lines), separator.join(cells), "", ""]), encoding=encoding
    )
    (annotation,) = read_table(path).annotations.values()
    thing = Object("caf\u00e9", (2.0, 4.0, 12.0, 24.0), difficult=False, truncated=False)
    assert annotation == Annotation("day/a.jpg", 0, 0, 3, (thing,))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,40,20,cat,4,2,24,", "line 2: ymax is ''; it must be a number"),
        ("a.jpg,40,20,cat,4,2", "line 2: ymax is ''; it must be a number"),
        ("a.jpg,40,20,cat,4,2,24,nan", "ymax is 'nan'"),
        ("a.jpg,40,20,,4,2,24,12", "line 2 has no class"),
        ("a.jpg,wide,20,cat,4,2,24,12", "width is 'wide'"),
        ("a.jpg,-1,20,cat,4,2,24,12", "is -1; it must lie between 0 and a million"),
        ("a.jpg,40,20,cat,4,2,24,12\na.jpg,40,21,cat,4,2,24,12", r"\(40, 21\), and \(40, 20\) bef"),
        ("a.jpg,40,20,c\x1bt,4,2,24,12", r"the name 'c\\x1bt' is no text"),
    ],
)
def test_bad_line_is_an_error_of_its_image_alone(write, line, message):
    table = read_table(write(f"{HEADER}{line}\nb.jpg,40,20,cat,4,2,24,12\n"))
    with pytest.raises(InputError, match=message):
        raise table.annotations["a.jpg"]
    assert isinstance(table.annotations["b.jpg"], Annotation)


def test_lines_without_an_image_are_left_out(write):
    path = write(HEADER + ",40,20,cat,4,2,24,12\na\0.jpg,1,1,cat,4,2,24,12\n")
    table = read_table(path)
    assert table.annotations == {}
    assert table.left_out[f"{path}, line 2"] == "names no image"
    assert "control character" in table.left_out[f"{path}, line 3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is another CSV, since its first line is ''"),
        ("a.jpg,40,20,cat,4,2,24,12\n", "is another CSV, since its first line is 'a.jpg"),
        ("ImageID,Source,LabelName,XMin,XMax,YMin,YMax\n", "is the CSV of Open Images"),
        (HEADER + 'a.jpg,1,1,"' + "x" * 200_000, "line 2 is no line of CSV"),
        (HEADER + "a.jpg,40,20,cat,.1,.2,.5,1\n", "every coordinate is 1 or less"),
    ],
)
def test_what_is_no_such_file_is_named(write, text, message):
    path = write(text)
    assert recognises(path)
    with pytest.raises(InputError, match=message):
        open_source(Options("", path))


def test_other_encodings_and_absent_files_are_named(write, tmp_path):
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read_table(write(HEADER + "\u00e9.jpg,1,1,cat,0,0,1,1", encoding="latin-1"))
    with pytest.raises(InputError, match="cannot be read"):
        read_table(f"{tmp_path}/none.csv")
    with pytest.raises(InputError, match="--annotations is missing"):
        read_table("")
    with pytest.raises(InputError, match="is not a regular file"):
        read_table(str(tmp_path))


def test_conversion_and_inspection_take_it(write, tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(picture_bytes(width=40, height=20))
    path = write(HEADER + "b.jpg,40,20,own,4,2,24,12\nC:\\x\\a.jpg,40,20,cat,4,2,24,12\n")
    conversion = Conversion(
        str(tmp_path), "tfcsv", path, output_name="x_train", output_dir=f"{tmp_path}/out"
    )
    tally = convert(conversion, report=print)
    assert (tally.labels, tally.num_images, tally.num_objects) == (("cat", "own"), 2, 2)
    assert registry.recognise(path) == "tfcsv"
    source = registry.open_source("tfcsv", Options(str(tmp_path), path))
    assert [(f.kind, f.place) for f in source.findings()] == [
        ("no_annotation", f"{tmp_path}/c.jpg")
    ]
