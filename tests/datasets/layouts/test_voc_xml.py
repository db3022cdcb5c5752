"""Annotations: what is read, and hostile or broken XML."""

import pytest

from datasets.layouts.annotations import Object
from datasets.layouts.voc_xml import read_annotation
from runtime import limits
from runtime.errors import InputError

BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>15</ymax></bndbox>"
SIZE = "<size><width>40</width><height>20</height></size>"


@pytest.fixture
def read(tmp_path):
    """Reads an annotation from the text (or bytes) of its root's content."""

    def read(content, *, head="<annotation>", tail="</annotation>"):
        path = tmp_path / "a.xml"
        text = content if isinstance(content, bytes) else (head + content + tail).encode()
        path.write_bytes(text)
        return read_annotation(str(path))

    return read


def test_annotation_is_read_in_our_order_of_sides(read):
    flags = "<truncated>1</truncated><difficult>1</difficult>"
    found = read(f"<filename>a.jpg</filename>{SIZE}<object><name> cat </name>{flags}{BOX}</object>")
    assert found.filename == "a.jpg"
    assert (found.width, found.height, found.depth) == (40, 20, 3)
    assert found.objects == (Object("cat", (2.0, 1.0, 15.0, 30.0), difficult=True, truncated=True),)


def test_missing_flags_mean_false(read):
    (item,) = read(f"{SIZE}<object><name>cat</name>{BOX}</object>").objects
    assert item.difficult is False
    assert item.truncated is False


@pytest.mark.parametrize("text, expected", [("0", False), ("1", True), (" 1 ", True), ("", False)])
def test_difficult_is_told_by_its_text(read, text, expected):
    flag = f"<difficult>{text}</difficult>"
    (item,) = read(f"{SIZE}<object><name>cat</name>{flag}{BOX}</object>").objects
    assert item.difficult is expected


def test_parts_of_a_person_are_no_objects(read):
    part = (
        "<part><name>head</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>6</xmax></bndbox></part>"
    )
    found = read(f"{SIZE}<object><name>person</name>{BOX}{part}</object>")
    assert [item.name for item in found.objects] == ["person"]


def test_part_before_the_box_does_not_give_the_box(read):
    part = f"<part><name>head</name>{BOX.replace('30', '7')}</part>"
    (item,) = read(f"{SIZE}<object><name>person</name>{part}{BOX}</object>").objects
    assert item.box[3] == 30


def test_coordinates_may_be_fractions(read):
    (item,) = read(f"{SIZE}<object><name>cat</name>{BOX.replace('15', '15.25')}</object>").objects
    assert item.box == (2.0, 1.0, 15.25, 30.0)


def test_picture_without_objects_is_valid(read):
    assert read(SIZE).objects == ()


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "has no <filename>, <size> or <object>: it is not a VOC annotation"),
        (f"{SIZE}<boxes>{BOX}</boxes>", "has a <bndbox> in <boxes>, which is no <object>"),
        (
            f"{SIZE}<object><name>a</name><bndbox><xmin>0.1</xmin><ymin>0.2</ymin>"
            "<xmax>1</xmax><ymax>0.9</ymax></bndbox></object>",
            "has boxes from 0 to 1, shares of the image",
        ),
        (f"{SIZE}<object>{BOX}</object>", "object 1 has no <name>"),
        (f"{SIZE}<object><name> </name>{BOX}</object>", "object 1 has no <name>"),
        (f"{SIZE}<object><name>a</name></object>", r"object 1 \(a\) has no <bndbox>"),
        (
            f"{SIZE}<object><name>a</name>{BOX}</object><object><name>b</name>"
            "<bndbox><xmin>1</xmin></bndbox></object>",
            r"object 2 \(b\): <ymin> is ''",
        ),
        (f"{SIZE}<object><name>a</name>{BOX.replace('30', 'x')}</object>", "<xmax> is 'x'"),
        (f"{SIZE}<object><name>a</name>{BOX.replace('30', 'nan')}</object>", "<xmax> is 'nan'"),
        (f"{SIZE}<object><name>a</name>{BOX.replace('30', '1e999')}</object>", "<xmax> is '1e999'"),
        ("<size><width>-1</width><height>2</height></size>", "<width> is -1"),
        (f"{SIZE}<object><name>a</name><difficult>?</difficult>{BOX}</object>", "must be 0 or 1"),
    ],
)
def test_broken_rule_names_file_and_object(read, content, message):
    with pytest.raises(InputError, match=rf"a\.xml.*{message}"):
        read(content)


@pytest.mark.parametrize(
    "content", [b"", b"<annotation>", b"no XML", b"<a>&undefined;</a>", b"\0" * 9]
)
def test_malformed_xml_is_bad_input(read, content):
    with pytest.raises(InputError, match=r"a\.xml is not well-formed XML"):
        read(content)


OBJECT = f"<object><name>cat</name>{BOX}</object>"


@pytest.mark.parametrize(
    "content",
    [
        f"{SIZE}<objects>{OBJECT}</objects>",
        f"{SIZE}{OBJECT.replace('object>', 'Object>').replace('bndbox', 'BndBox')}",
        OBJECT,
        f"<size><width></width><height/></size>{OBJECT}",
    ],
)
def test_object_is_read_in_the_dialects_of_tools(read, content):
    found = read(content)
    assert [(one.name, one.box) for one in found.objects] == [("cat", (2.0, 1.0, 15.0, 30.0))]
    assert (found.width, found.height) == ((40, 20) if SIZE in content else (0, 0))


def test_namespace_is_no_part_of_a_tag(read):
    found = read(f"{SIZE}{OBJECT}", head='<annotation xmlns="http://example.org/voc">')
    assert [one.name for one in found.objects] == ["cat"]


@pytest.mark.parametrize(("text", "expected"), [("0.06", True), ("0.0", False), ("-1", True)])
def test_any_number_but_0_is_truncated(read, text, expected):
    (one,) = read(
        f"{SIZE}{OBJECT.replace('</name>', f'</name><truncated>{text}</truncated>')}"
    ).objects
    assert one.truncated is expected


def test_difficult_is_read_in_capitals(read):
    (one,) = read(f"{SIZE}{OBJECT.replace('</name>', '</name><Difficult>1</Difficult>')}").objects
    assert one.difficult


@pytest.mark.parametrize("encoding", ["gb2312", "shift_jis", "windows-1251", "utf-8"])
def test_declared_encoding_is_read_also_where_expat_does_not_know_it(read, encoding):
    name = {"gb2312": "汽车", "shift_jis": "くるま", "windows-1251": "машина"}.get(encoding, "é")
    text = f'\n <?xml version="1.0" encoding="{encoding}"?><annotation>{SIZE}'
    text += f"{OBJECT.replace('cat', name)}</annotation>"
    assert read(text.encode(encoding)).objects[0].name == name


def test_undeclared_encoding_is_told_as_such(read):
    with pytest.raises(InputError, match=r"declares no encoding and is not in UTF-8: save it"):
        read(f"<annotation>{OBJECT.replace('cat', 'é')}</annotation>".encode("latin-1"))


def test_codec_that_is_no_encoding_is_refused(read):
    with pytest.raises(InputError, match="not well-formed XML"):
        read(b'<?xml version="1.0" encoding="bz2"?><annotation/>')


def test_entity_bomb_in_a_foreign_encoding_is_refused(read):
    text = '<?xml version="1.0" encoding="gb2312"?>' + BOMB
    with pytest.raises(InputError, match="DOCTYPE"):
        read(text.encode("gb2312"))


BOMB = (
    '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]>'
    "<annotation><filename>&y;</filename></annotation>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entity_bomb_is_refused_at_its_doctype(read, encoding):
    with pytest.raises(InputError, match=r"a\.xml: it declares a DOCTYPE"):
        read(BOMB.encode(encoding))


def test_external_entity_is_refused(read):
    xml = b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation>&f;</annotation>'
    with pytest.raises(InputError, match="DOCTYPE"):
        read(xml)


def test_endless_file_is_refused(read):
    with pytest.raises(InputError, match="larger than"):
        read(b"<annotation>" + b" " * limits.MAX_XML_BYTES)


def test_missing_file_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"b\.xml cannot be read"):
        read_annotation(str(tmp_path / "b.xml"))
