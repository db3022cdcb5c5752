"""What is said of a library's error."""

from runtime.errors import one_line


def test_librarys_error_is_told_on_one_line_and_not_at_length():
    told = one_line(ValueError("first,\n  second\t" + "x" * 1000))
    assert told.startswith("first, second xxx")
    assert len(told) == 300
