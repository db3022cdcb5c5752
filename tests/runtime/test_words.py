"""Numbers of things in messages."""

import pytest

from runtime.words import counted


@pytest.mark.parametrize(
    "count, noun, text",
    [
        (1, "image", "1 image"),
        (0, "image", "0 images"),
        (2, "box", "2 boxes"),
        (3, "class", "3 classes"),
    ],
)
def test_plural_is_that_of_the_number(count, noun, text):
    assert counted(count, noun) == text
