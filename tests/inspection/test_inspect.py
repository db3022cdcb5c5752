"""The whole inspection: what is printed and written, and when it says that harm is done."""

import json

import cv2
import numpy as np
import pytest

from inspection import inspect
from inspection.settings import InspectSettings
from runtime.errors import InputError
from tests.limits import file_size_limit

EVIL = "<script>alert(1)</script>"
XML = (
    "<annotation><size><width>40</width><height>20</height></size>{}</annotation>",
    "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
    "</bndbox></object>",
)


@pytest.fixture
def folder(tmp_path):
    """A VOC folder of four images with two objects each, one class of an evil name."""
    for name in ("Annotations", "JPEGImages"):
        (tmp_path / "voc" / name).mkdir(parents=True)
    evil = EVIL.replace("<", "&lt;")
    for k in range(4):
        objects = XML[1].format("cat", 4, 2, 24, 12) + XML[1].format(evil, 0, 0, 40, 20)
        (tmp_path / "voc" / "Annotations" / f"{k}.xml").write_text(XML[0].format(objects))
        pixels = np.random.default_rng(k).integers(0, 256, (20, 40, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "voc" / "JPEGImages" / f"{k}.jpg"), pixels)
    return tmp_path / "voc"


def summarise(settings):
    found = inspect.read(inspect.open_input(settings), settings)
    return inspect.summarise(found, settings)


def test_clean_folder_does_no_harm(folder, capsys):
    inspect.run(InspectSettings(input=str(folder)))
    text = capsys.readouterr().out
    assert "4 images, 8 objects and 0 difficult ones" in text
    assert text.endswith("Nothing here would harm a training.\n")


def test_inverted_box_does_harm_and_is_named(folder, capsys):
    bad = XML[1].format("cat", 30, 2, 3, 12)
    (folder / "Annotations" / "2.xml").write_text(XML[0].format(bad))
    with pytest.raises(InputError, match=r"would be harmed: inverted box\. Correct"):
        inspect.run(InspectSettings(input=str(folder)))
    text = capsys.readouterr().out
    assert "Annotations/2.xml, object 1: cat at x 30 to 3, y 2 to 12: its ends are swapped" in text
    assert "A training would be harmed: inverted box." in text


def test_numbers_are_those_of_the_boxes(folder):
    settings = InspectSettings(input=str(folder), propose_anchors=2)
    facts = summarise(settings)
    assert facts["classes"]["cat"] == {"pictures": 4, "objects": 4, "difficult": 0}
    # cat is 150 x 150 of 300 pixels, the other one the whole image.
    assert facts["object_sizes"] == {
        "0-16 px": 0,
        "16-32 px": 0,
        "32-64 px": 0,
        "64-128 px": 0,
        "128-300 px": 8,
    }
    assert facts["proposed_shapes"] == [
        {"width": 150.0, "height": 150.0, "share": 0.5},
        {"width": 300.0, "height": 300.0, "share": 0.5},
    ]
    assert facts["anchor_recall"]["warped"][EVIL] == 1.0
    assert facts["anchor_recall"]["warped"]["0-16 px"] is None
    assert facts["picture_sizes"] == {"40 x 20": 4}


def test_sizes_are_those_of_the_network(folder, tmp_path, capsys):
    """1.5 pixels of 300 are 2.56 of 512: tiny for one network and not for the other."""
    speck = XML[1].format("cat", 4, 2, 24, 2.1)
    (folder / "Annotations" / "0.xml").write_text(XML[0].format(speck))
    out = {"format": ("text", "html"), "output_dir": str(tmp_path)}
    for name, side, tiny in (("ssd_300_vgg", 300, True), ("ssd_512_vgg", 512, False)):
        inspect.run(InspectSettings(input=str(folder), model_name=name, **out))
        text, page = capsys.readouterr().out, (tmp_path / "index.html").read_text()
        assert f"size at {side} x {side}  objects" in text
        assert f"128-{side} px" in text
        assert f"area at {side} x {side}." in page
        assert ("1.5 pixels of the 300" in text) == tiny == ("tiny box" in text)


def test_proposed_anchors_can_be_given_to_the_next_inspection(folder, capsys):
    """Objects of 45 x 22 pixels of 300, which no square of VOC's sizes overlaps by half."""
    for path in (folder / "Annotations").iterdir():
        path.write_text(XML[0].format(XML[1].format("cat", 4, 2, 7, 5) * 2))
    settings = InspectSettings(input=str(folder), propose_anchors=2)
    facts = summarise(settings)
    inspect.run(settings)
    lines = capsys.readouterr().out.splitlines()
    value = next(line for line in lines if line.startswith("--anchors="))
    again = InspectSettings(input=str(folder), anchors=value.removeprefix("--anchors="))
    seen = summarise(again)
    assert seen["anchor_recall"]["warped"] == facts["anchor_recall"]["proposed"]
    assert seen["mean_overlap"]["warped"] > facts["mean_overlap"]["warped"]
    inspect.run(again)
    assert f"would fit no better than {again.anchors}" in capsys.readouterr().out


def test_json_is_printed_or_written(folder, tmp_path, capsys):
    inspect.run(InspectSettings(input=str(folder), format=("json",)))
    printed = json.loads(capsys.readouterr().out)
    out = {"output_dir": str(tmp_path / "out")}
    inspect.run(InspectSettings(input=str(folder), format=("json",), **out))
    assert json.loads((tmp_path / "out" / "inspection.json").read_text()) == printed
    assert printed["harm"] == []


def test_annotations_are_read_once(folder, tmp_path):
    """For --view too: they are gone once the data set was looked at."""
    settings = InspectSettings(input=str(folder), view=2, output_dir=str(tmp_path))
    opened = inspect.open_input(settings)
    for path in (folder / "Annotations").iterdir():
        path.unlink()
    found = inspect.read(opened, settings)
    assert found.num_pictures == len(list(opened.items())) == 4


def test_page_escapes_names_and_shows_offenders(folder, tmp_path):
    bad = XML[1].format("cat", 4, 2, 24, 12) * 2
    (folder / "Annotations" / "2.xml").write_text(XML[0].format(bad))
    out = str(tmp_path / "out")
    inspect.run(InspectSettings(input=str(folder), format=("html",), output_dir=out))
    page = (tmp_path / "out" / "index.html").read_text()
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert "duplicate box" in page
    assert "<b>Nothing here would harm a training.</b>" in page
    assert page.count("data:image/png;base64,") == 4  # three charts, one offender


def test_view_draws_what_the_network_sees(folder, tmp_path):
    out = str(tmp_path / "out")
    inspect.run(InspectSettings(input=str(folder), view=3, output_dir=out, format=("json",)))
    sheet = cv2.imread(f"{out}/view.png")
    assert sheet.shape[1] > 4 * 300  # two pairs beside each other
    assert sheet.std() > 20


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "Give either --input"),
        ({"input": "a", "dataset_name": "b"}, "Give either --input"),
        ({"dataset_name": "b"}, "needs its --dataset_dir"),
        ({"input": "a", "extract": "x"}, "--extract=x is for records"),
        ({"input": "a", "format": ("pdf",)}, "--format=pdf is none of"),
        ({"input": "a", "format": ("html",)}, "give --output_dir"),
        ({"input": "a", "view": -1}, "--view=-1 must be 0 or more"),
        ({"input": "a", "seed": 2**63}, "--seed=9223372036854775808 must be 23058"),
        ({"input": "a", "anchors": "x"}, "--anchors=x is not a preset"),
    ],
)
def test_settings_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        InspectSettings(**fields)


def test_missing_records_are_called_by_the_flags_of_this_script(tmp_path):
    with pytest.raises(InputError, match="check --dataset_name, --split and --dataset_dir"):
        inspect.run(InspectSettings(dataset_name="a", split="x", dataset_dir=str(tmp_path)))


def test_output_dir_is_tried_before_anything_is_read(tmp_path):
    (tmp_path / "file").write_text("in the way")
    settings = InspectSettings(input=str(tmp_path / "none"), output_dir=str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"--output_dir=.*/file cannot be written"):
        inspect.run(settings)


def test_full_disk_is_bad_input(folder, tmp_path):
    out = str(tmp_path / "out")
    said = r"/out could not be written \(.*: make room"
    with pytest.raises(InputError, match=said), file_size_limit(100):
        inspect.run(InspectSettings(input=str(folder), format=("json",), output_dir=out))


def test_folder_to_extract_to_is_looked_at_before_anything_is_read(folder, tmp_path):
    settings = InspectSettings(dataset_name="a", dataset_dir="none", extract=str(tmp_path))
    with pytest.raises(InputError, match=r"--extract=.* is not empty"):
        inspect.run(settings)


def test_absent_folder_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"--input=.*/none is not a folder"):
        inspect.run(InspectSettings(input=str(tmp_path / "none")))
