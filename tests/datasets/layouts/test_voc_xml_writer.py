"""VOC XML as it is written, and that the reader gives it back."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.voc_xml import read_annotation
from datasets.layouts.voc_xml_writer import format_annotation

DEVKIT = """\
<annotation>
	<folder>VOC2007</folder>
	<filename>000001.jpg</filename>
	<source>
		<database>Mine</database>
	</source>
	<size>
		<width>40</width>
		<height>20</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
	<object>
		<name>käse &amp; &lt;b&gt;</name>
		<pose>Unspecified</pose>
		<truncated>1</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>4</xmin>
			<ymin>2.5</ymin>
			<xmax>24</xmax>
			<ymax>12</ymax>
		</bndbox>
	</object>
</annotation>
"""
NUMBERS = st.floats(-1e6, 1e6).map(lambda value: value + 0.0)
# Boxes from 0 to 1 are refused, as shares of the image.
BOXES = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS).filter(lambda box: max(box) > 1)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


def test_file_looks_as_the_devkits():
    thing = Object("käse & <b>", (2.5, 4, 12, 24), difficult=False, truncated=True)
    annotation = Annotation("000001.jpg", 40, 20, 3, (thing,))
    written = format_annotation(annotation, folder="VOC2007", source={"database": "Mine"})
    assert written.decode() == DEVKIT


@settings(deadline=None)  # the first example may fall into a busy second
@given(box=BOXES, name=NAMES, truncated=st.booleans(), crowd=st.booleans())
def test_reader_gives_back_what_was_written(tmp_path_factory, box, name, truncated, crowd):
    thing = Object(name, box, difficult=crowd, truncated=truncated, crowd=crowd)
    annotation = Annotation("a.jpg", 40, 20, 1, (thing, thing))
    path = tmp_path_factory.getbasetemp() / "a.xml"
    path.write_bytes(format_annotation(annotation))
    assert read_annotation(str(path)) == annotation


def test_numbers_keep_every_digit():
    box = (0.1, math.pi, 1e-7, 123456.75)
    written = format_annotation(Annotation("a", 1, 1, 3, (Object("b", box, False, False),)))
    assert b"<xmin>3.141592653589793</xmin>" in written
    assert b"<ymax>1e-07</ymax>" in written
