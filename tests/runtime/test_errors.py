"""What is said of a library's error."""

from runtime.errors import InputError, one_line


def test_librarys_error_is_told_on_one_line_and_not_at_length():
    told = one_line(ValueError("first,\n  second\t" + "x" * 1000))
    assert told.startswith("first, second xxx")
    assert len(told) == 300


def test_control_characters_of_a_name_do_not_reach_the_terminal():
    told = str(InputError("\x1b]0;title\x07 of\tcafé\n\x9b"))
    assert told == "\\x1b]0;title\\x07 of\tcafé\n\\x9b"
