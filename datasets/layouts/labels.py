"""Class names of a data set: `labels.txt`, one name a line; line k names class k.

Class 0 is the background of every detector and is in no list of labels. A label map of the Object
Detection API (`.pbtxt`) is read too.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from runtime import files, limits
from runtime.errors import InputError

BACKGROUND = "background"  # in whatever case, the name of class 0
_LABEL_MAP = re.compile(r"(\s|#[^\n]*\n)*item\s*:?\s*\{")
# Control characters, halves of characters, and what XML, such as of detections, cannot hold.
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_TOKEN = re.compile(r"""#[^\n]*|"([^"\n]*)"|'([^'\n]*)'|[{}]|\w+""")
_OTHERS = {
    ".json": "JSON",
    ".yaml": "YAML",
    ".yml": "YAML",
    ".xml": "XML",
    ".pbtxt": "no label map, since it does not begin with an item {...}",
}


def read_labels(path: str, *, is_given: bool = True) -> tuple[str, ...]:
    """Reads a labels file; `labels[k - 1]` is the name of class k.

    Args:
      path: of the file.
      is_given: whether the user named it, and so may have made it a pipe.

    Raises:
      InputError: the file is missing or empty, or breaks a rule of `check_labels`.
    """
    text = files.read_text(path, pipe=is_given)
    text = unicodedata.normalize("NFC", text)  # as the layouts' class names are
    where = f"The labels file {path}"
    if _LABEL_MAP.match(text):
        return check_labels(_read_label_map(text, where=where), where=where)
    told = next((kind for ending, kind in _OTHERS.items() if path.lower().endswith(ending)), None)
    if told:
        raise InputError(f"{where} is {told}: write the class names into a text file, one a line.")
    return check_labels([line.strip() for line in text.rstrip().splitlines()], where=where)


def _read_label_map(text: str, *, where: str) -> list[str]:
    """The names of a label map by their ids, which have to be 1, 2 and so on; 0 is no class."""
    names: dict[int, str] = {}
    for fields in _items(text):
        name, number = fields.get("name", ""), fields.get("id", "")
        if not name or name.startswith("/m/"):  # a key of Freebase, which display_name explains
            name = fields.get("display_name", name)
        if not re.fullmatch("[0-9]{1,9}", number) or int(number) in names:
            raise InputError(f"{where}: item {name!r} has the id {number!r}: give each its own.")
        names[int(number)] = name.strip()
    ids = sorted(names.keys() - {0})
    gap = next((k for k, number in enumerate(ids, start=1) if k != number), 0)
    if gap:
        raise InputError(f"{where} has no id {gap} and larger ones: number them 1, 2 and so on.")
    return [names[k] for k in ids]


def _items(text: str) -> Iterator[dict[str, str]]:
    """The fields of each `item { ... }`."""
    fields: dict[str, str] = {}
    key = ""
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word == "{":
            fields = {}
        elif word == "}":
            yield fields
        elif word[0] in "\"'" or key == "id":
            fields.setdefault(key, word[1:-1] if word[0] in "\"'" else word)
            key = ""
        elif word[0] != "#":
            key = word


def check_labels(names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """As `check_names`, of the classes of a detector, which the background is none of."""
    for number, name in enumerate(names, start=1):
        if isinstance(name, str) and name.lower() == BACKGROUND:
            raise InputError(
                f"{where}: class {number} is {name!r}, which is class 0 of every detector: leave "
                "it out, or rename it; a conversion does both by --classes, such as "
                f"--classes='thing={name}'."
            )
    return check_names(names, where=where)


def check_names(names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Returns the names that annotations have as a tuple once they are unique and not empty.

    Raises:
      InputError: one of them is not; the message starts with `where`.
    """
    if not names:
        raise InputError(f"{where} names no class: give one name a line.")
    if len(names) > limits.MAX_CLASSES:
        raise InputError(f"{where} names {len(names)} classes, more than {limits.MAX_CLASSES}.")
    seen = {}
    for number, name in enumerate(names, start=1):
        if (
            not isinstance(name, str)
            or not name
            or len(name.splitlines()) != 1
            or name != name.strip()
        ):
            raise InputError(f"{where}: class {number} is {name!r}; a class is one line of text.")
        if _NO_TEXT.search(name):
            raise InputError(
                f"{where}: class {number} is {name!a}: take the control character out."
            )
        if name in seen:
            raise InputError(f"{where}: {name!r} is class {seen[name]} and {number}: keep one.")
        seen[name] = number
    return tuple(names)


def format_labels(labels: Sequence[str]) -> bytes:
    """The bytes of a labels file."""
    return "".join(f"{name}\n" for name in labels).encode()
