"""Images that are neither JPEG nor PNG: their sizes by their headers, and the same as PNG."""

import struct

import cv2
import numpy as np
import pytest

from datasets.conversion import Conversion, convert
from datasets.layouts.image_file import check_picture
from datasets.layouts.orientation import shown_size
from datasets.layouts.other_formats import as_png, format_of, read_size
from inspection import inspect
from inspection.settings import InspectSettings
from runtime import limits
from tests.voc_folder import annotation_xml, with_exif

PIXELS = np.random.default_rng(3).integers(0, 256, (20, 40, 3), np.uint8)
FORMATS = {".bmp": "BMP", ".gif": "GIF", ".webp": "WebP", ".tiff": "TIFF", ".avif": "AVIF"}
FORMATS |= {".jp2": "JPEG 2000", ".ppm": "PNM", ".pam": "PNM", ".ras": "Sun raster"}
LOSSY = (".gif", ".avif", ".jp2")
SMALL = [ending for ending in FORMATS if ending != ".jp2"]  # which takes no images of 20 pixels


def encode(ending, pixels=PIXELS, *options):
    return cv2.imencode(ending, pixels, options)[1].tobytes()


def webp(kind):
    """A WebP file in each of its three forms."""
    if kind == "lossy":
        return encode(".webp", PIXELS, cv2.IMWRITE_WEBP_QUALITY, 80)
    if kind == "lossless":
        return encode(".webp", PIXELS, cv2.IMWRITE_WEBP_QUALITY, 101)
    return encode(".webp", np.dstack([PIXELS, PIXELS[..., 0]]), cv2.IMWRITE_WEBP_QUALITY, 80)


@pytest.mark.parametrize("ending", FORMATS)
def test_file_becomes_a_png_of_its_pixels(ending):
    lossless = (cv2.IMWRITE_WEBP_QUALITY, 101) if ending == ".webp" else ()
    pixels = np.tile(PIXELS, (2, 2, 1))
    data = encode(ending, pixels, *lossless)
    assert (format_of(data), read_size(data)) == (FORMATS[ending], (40, 80))
    found = cv2.imdecode(np.frombuffer(as_png(data), np.uint8), cv2.IMREAD_UNCHANGED)
    assert check_picture(as_png(data)).format == "PNG"
    if ending not in LOSSY:
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("ending", [".pgm", ".pbm"])
def test_grey_file_becomes_a_png(ending):
    data = encode(ending, PIXELS[..., 0])
    assert (format_of(data), read_size(data)) == ("PNM", (20, 40))
    assert check_picture(as_png(data)).channels == 3


def test_size_of_pnm_is_read_behind_comments():
    assert read_size(b"P6\n# by a tool\n40 20\n255\n" + bytes(2400)) == (20, 40)
    with pytest.raises(ValueError, match="cut off inside its header"):
        read_size(b"P6\n# by")


@pytest.mark.parametrize("kind", ["lossy", "lossless", "transparent"])
def test_size_of_every_form_of_webp_is_read(kind):
    assert read_size(webp(kind)) == (20, 40)


def test_sixteen_bits_and_transparency_are_left_out():
    pixels = np.full((20, 40, 4), 257 * 9, np.uint16)
    found = cv2.imdecode(np.frombuffer(as_png(encode(".tiff", pixels)), np.uint8), -1)
    assert (found.dtype, found.shape, found.min(), found.max()) == (np.uint8, (20, 40, 3), 9, 9)


@pytest.mark.parametrize("data", [b"", b"RIFF", encode(".png"), encode(".jpg"), b"<html>"])
def test_other_files_are_none_of_them(data):
    assert format_of(data) == ""


@pytest.mark.parametrize("ending", SMALL)
@pytest.mark.parametrize("length", [7, 13, 20])
def test_file_cut_inside_its_header_is_refused(ending, length):
    data = encode(ending)[:length] if ending != ".tiff" else encode(ending)[:8]
    with pytest.raises(ValueError, match=r"cut off|does not decode|0 x|x 0"):
        as_png(data)


def test_file_that_does_not_decode_is_refused():
    with pytest.raises(ValueError, match="does not decode as WebP: copy or export it anew"):
        as_png(webp("lossy")[:60])


def test_too_many_pixels_are_refused_before_decoding():
    bomb = bytearray(encode(".bmp"))
    struct.pack_into("<ii", bomb, 18, 40_000, 40_000)
    with pytest.raises(ValueError, match=f"more than {limits.MAX_PIXELS}"):
        as_png(bytes(bomb))


def test_shown_size_is_that_of_viewers():
    assert [shown_size(encode(ending)) for ending in (".png", ".webp")] == [(20, 40)] * 2
    assert [shown_size(with_exif(encode(".jpg"), turn)) for turn in (3, 6)] == [(20, 40), (40, 20)]


def test_files_of_all_formats_are_converted_and_inspected(voc, tmp_path, capsys):
    xml = annotation_xml(width=40, height=20, objects=[("cat", (2, 4, 12, 24))])
    for number, ending in enumerate([*SMALL, ".jfif"]):
        voc.add_xml(f"a{number}", xml)
        data = encode(".jpg" if ending == ".jfif" else ending)
        (voc.path / "JPEGImages" / f"a{number}{ending}").write_bytes(data)
    lines = []
    tally = convert(Conversion(str(voc), output_dir=str(tmp_path)), report=lines.append)
    assert lines[0] == "a0.bmp is BMP: encoded anew as PNG"
    assert tally.summary() == ["images encoded anew as PNG: 8"]
    assert tally.notes["encoded_anew"]["a2.webp"] == "WebP"
    inspect.run(InspectSettings(input=str(voc)))
    said = capsys.readouterr().out
    assert "note: other format: 8" in said
    assert "mislabelled" not in said


def test_files_that_users_had_are_converted(shared, tmp_path):
    folder = f"{shared}/cases/webp-bmp-tif/data"
    tally = convert(Conversion(folder, output_dir=str(tmp_path)), report=print)
    assert (tally.num_images, len(tally.notes["encoded_anew"])) == (6, 3)
