"""CVAT's files of many images: which shapes become which boxes."""

import pytest

from datasets.conversion import Conversion, convert
from datasets.layouts import registry
from datasets.layouts.cvat import open_source, recognises
from datasets.layouts.source import Options
from datasets.layouts.voc_xml import read_annotation
from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError
from tests.voc_folder import picture_bytes, with_exif

BOX = '<box label="cat" xtl="4" ytl="2" xbr="24" ybr="12" occluded="1"/>'
META = "<meta><task><labels><label><name>dog</name></label><label><name>cat</name></label>"
META += "</labels></task></meta>"


def image(name, *shapes, size='width="40" height="20"', more=""):
    return f'<image id="7" name="{name}" {size} {more}>{"".join(shapes)}</image>'


def document(*images, meta=""):
    return f"<annotations><version>1.1</version>{meta}{''.join(images)}</annotations>"


@pytest.fixture
def cvat(tmp_path):
    """Writes a folder: XML by its name, and images."""

    def write(*pictures, **files):
        for name in pictures:
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture_bytes())
        for name, text in files.items():
            path = tmp_path / "set" / (name.replace("__", "/") + ".xml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path / "set")

    return write


@pytest.fixture
def read_one(cvat):
    """The annotation of one image with these shapes."""

    def read_one(*shapes, **options):
        folder = cvat("a.jpg", annotations=document(image("a.jpg", *shapes, **options)))
        return open_source(Options(folder)).images["a.jpg"].annotation

    return read_one


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (BOX, (2, 4, 12, 24)),
        ('<polygon label="cat" points="4.5,9;10,2;24,12.0"/>', (2, 4.5, 12, 24)),
        (BOX.replace("<box", '<box rotation="90"'), (-3, 9, 17, 19)),
        (BOX.replace("<box", '<box rotation="180"'), (2, 4, 12, 24)),
    ],
)
def test_shape_becomes_the_box_around_it(read_one, shape, expected):
    annotation = read_one(shape)
    (thing,) = annotation.objects
    assert (thing.name, thing.difficult, thing.truncated) == ("cat", False, False)
    assert thing.box == pytest.approx(expected)
    assert (annotation.width, annotation.height) == (40, 20)


def test_attributes_of_the_user_are_read(read_one):
    given = '><attribute name="Difficult">true</attribute><attribute name="x">1</attribute></box>'
    (thing,) = read_one(BOX.replace("/>", given)).objects
    assert (thing.difficult, thing.truncated) == (True, False)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (BOX.replace('"4"', '"four"'), r"image 7 \(a.jpg\), object 1 \(cat\): xtl is 'four'"),
        (BOX.replace('"4"', '"nan"'), "xtl is 'nan'; it must be a number of pixels"),
        (BOX.replace('"cat"', '""'), "object 1 has no label"),
        ('<polygon label="cat" points="1,2;3"/>', "has the points '1,2;3'; they must be x,y"),
        ('<polygon label="cat"/>', "has the points ''"),
    ],
)
def test_shape_that_cannot_be_read_is_the_images_error(read_one, shape, message):
    error = read_one(shape)
    with pytest.raises(InputError, match=message):
        raise error


def test_size_that_is_no_number_is_the_images_error(read_one):
    assert "width is ''" in str(read_one(BOX, size='height="20"'))


def test_other_shapes_and_files_are_counted(cvat):
    points = '<points label="cat" points="1,2"/>'
    text = document(image("a.jpg", points, BOX, points, "<tag label='x'/>"), image("b.jpg"))
    folder = cvat("a.jpg", "b.jpg", "c.jpg", "more/notes.md", annotations=text)
    source = open_source(Options(folder))
    assert [len(each.annotation.objects) for each in source.images.values()] == [1, 0]
    assert source.left_out == {
        f"{folder}/annotations.xml: 2 <points>": "only boxes and polygons are read",
        f"{folder}/annotations.xml: 1 <tag>": "only boxes and polygons are read",
        f"{folder}: 1 .md file": "not part of a CVAT folder (more/notes.md)",
        f"{folder}/c.jpg": "is in no XML file",
    }


def test_labels_are_the_tasks_in_its_order(cvat):
    folder = cvat(annotations=document(image("a.jpg", BOX, BOX.replace("cat", "ant")), meta=META))
    assert open_source(Options(folder)).labels() == ("dog", "cat", "ant")


def test_images_are_found_by_the_end_of_their_path(cvat):
    text = document(
        *map(image, ("a.jpg", "day1/b.jpg", "other\\c.jpg", "e.jpg", "../../etc/d.jpg"))
    )
    names = (
        "images/a.jpg",
        "images/day1/b.jpg",
        "images/day2/b.jpg",
        "c.jpg",
        "x/e.jpg",
        "y/e.jpg",
    )
    folder = cvat(*names, annotations=text)
    paths = [
        str(each.path).removeprefix(folder) for each in open_source(Options(folder)).images.values()
    ]
    assert paths[:3] == ["/images/a.jpg", "/images/day1/b.jpg", "/c.jpg"]
    assert paths[3].endswith("image 7 (e.jpg) may be any of x/e.jpg, y/e.jpg: keep one.")
    assert paths[4] == " has no image ../../etc/d.jpg: add it."


def test_splits_are_subsets_or_folders(cvat):
    text = document(
        image("a.jpg", more='subset="Train"'), image("a.jpg", more='subset="Validation"')
    )
    folder = cvat("images/Train/a.jpg", "images/Validation/a.jpg", annotations=text)
    source = open_source(Options(folder, split="val"))
    assert {i: each.path for i, each in source.images.items()} == {
        "val/a.jpg": f"{folder}/images/Validation/a.jpg"
    }
    cvat("test/a.jpg", test__annotations=document(image("a.jpg")))
    source = open_source(Options(folder, split="test"))
    assert source.images["test/a.jpg"].path == f"{folder}/test/a.jpg"
    with pytest.raises(InputError, match=r"--split=x: no image is in it \(splits there: test, tr"):
        open_source(Options(folder, split="x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document("<track/>"), "tracks of a video"),
        (document(image("a.jpg"), image("a.jpg")), "XML files twice"),
        ("<annotations><image>", "not well-formed"),
        ("<!DOCTYPE x><annotations/>", "DOCTYPE"),
        ("<annotation/>", "holds no XML file of CVAT: export"),
    ],
)
def test_files_that_cannot_be_used_are_refused(cvat, text, message):
    folder = cvat("a.jpg", annotations=text)
    with pytest.raises(InputError, match=message):
        open_source(Options(folder))


def test_cvat_is_recognised_before_voc(cvat):
    folder = cvat("JPEGImages/a.jpg", Annotations__a=document(image("a.jpg", BOX)))
    assert registry.recognise(folder) == "cvat"
    assert registry.recognise(f"{folder}/Annotations/a.xml") == "cvat"
    assert not recognises(f"{folder}/JPEGImages")
    with pytest.raises(InputError, match="is a file of CVAT, not of VOC: pass --dataset_name=cvat"):
        read_annotation(f"{folder}/Annotations/a.xml")


def test_box_of_an_image_that_exif_turns_is_turned_back(cvat, tmp_path, capsys):
    folder = cvat(annotations=document(image("a.jpg", BOX, size='width="20" height="40"')))
    (tmp_path / "set" / "a.jpg").write_bytes(with_exif(picture_bytes(), 6))
    tally = convert(Conversion(folder, "cvat", output_dir=str(tmp_path)), report=print)
    assert tally.notes["turned_back"] == {"a.jpg": 6}


@pytest.mark.parametrize("name", ["", "/Annotations/a.xml"])
def test_cvat_is_converted_and_inspected(shared, tmp_path, name, capsys):
    folder = f"{shared}/cases/cvat-images-xml/data"
    if not name:  # the image lies outside the folder of the file
        conversion = Conversion(folder, "cvat", output_dir=str(tmp_path))
        tally = convert(conversion, report=print)
        assert (tally.labels, tally.num_objects) == (("cat_x",), 1)
        inspect.run(InspectSettings(input=folder))
        assert "Nothing here would harm" in capsys.readouterr().out
    source = open_source(Options(folder + name))
    assert [thing.box for thing in source.images["a.jpg"].annotation.objects] == [(6, 5, 40, 30)]
