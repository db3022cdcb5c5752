"""Class names of a data set: `labels.txt`, one name a line; line k names class k.

Class 0 is the background of every detector and is in no list of labels.
"""

import unicodedata
from collections.abc import Sequence

import tensorflow as tf

from runtime.errors import InputError


def read_labels(path: str) -> tuple[str, ...]:
    """Reads a labels file; `labels[k - 1]` is the name of class k.

    Raises:
      InputError: the file is missing or empty, or breaks a rule of `check_labels`.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            text = file.read().decode("utf-8-sig")
    except tf.errors.OpError as error:
        raise InputError(f"The labels file {path} cannot be read ({error.message}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The labels file {path} is not UTF-8 text: save it as UTF-8.") from error
    text = unicodedata.normalize("NFC", text)  # as the layouts' class names are
    names = [line.strip() for line in text.rstrip().splitlines()]
    return check_labels(names, where=f"The labels file {path}")


def check_labels(names: Sequence[str], *, where: str) -> tuple[str, ...]:
    """Returns the names as a tuple once they are unique, non-empty and without the background.

    Raises:
      InputError: one of them is not; the message starts with `where`.
    """
    if not names:
        raise InputError(f"{where} names no class: give one name a line.")
    seen = {}
    for number, name in enumerate(names, start=1):
        if not name or len(name.splitlines()) != 1 or name != name.strip():
            raise InputError(f"{where}: class {number} is {name!r}; a class is one line of text.")
        if any(unicodedata.category(letter) == "Cc" for letter in name):
            raise InputError(
                f"{where}: class {number} is {name!r}: take the control character out."
            )
        if name.lower() == "background":
            raise InputError(
                f"{where}: class {number} is {name!r}, which is class 0: leave it out."
            )
        if name in seen:
            raise InputError(f"{where}: {name!r} is class {seen[name]} and {number}: keep one.")
        seen[name] = number
    return tuple(names)


def format_labels(labels: Sequence[str]) -> bytes:
    """The bytes of a labels file."""
    return "".join(f"{name}\n" for name in labels).encode()
