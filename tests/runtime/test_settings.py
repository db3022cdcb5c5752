"""Settings to flags and back, through absl's real parser."""

import dataclasses
import re

import hypothesis
import hypothesis.strategies as st
import pytest
from absl import flags

from runtime import settings
from runtime.errors import InputError
from runtime.settings import OnlyWith, setting
from tests.defined_flags import forget_flags


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One of every kind."""

    folder: str = setting("", "A text.")
    note: str | None = setting(None, "A text that may be absent.")
    steps: int = setting(10, "A number.")
    limit: int | None = setting(None, "A number that may be absent.")
    rate: float = setting(0.1, "A fraction.")
    epsilon: float | None = setting(None, "A fraction that may be absent.")
    fast: bool = setting(False, "Yes or no.")
    safe: bool = setting(True, "Yes or no.")
    kind: str = setting("linear", "One of two.", choices=("linear", "constant"))
    names: tuple[str, ...] = setting((), "Texts.")
    boundaries: tuple[int, ...] = setting((80, 100), "Numbers.")
    sizes: tuple[float, ...] = setting((), "Fractions.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounded:
    """Numbers with bounds."""

    steps: int = setting(1, "A number.", minimum=1)
    limit: int | None = setting(None, "A number that may be absent.", minimum=1)
    rate: float = setting(1.0, "A number.", minimum=1)
    power: float = setting(-1.0, "A number.", maximum=0)
    share: float = setting(0.5, "A share.", minimum=0, below=1)
    epochs: float | None = setting(None, "A number that may be absent.", above=0)
    factor: float = setting(1.0, "A factor.", above=0, maximum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Together:
    """Settings that mean nothing alone."""

    source: str = setting("", "A text.")
    scope: str | None = setting(None, "A text.", only_with=OnlyWith("source"))
    average: bool = setting(True, "Yes or no.", only_with=OnlyWith("source", refused=False))
    every: int | None = setting(
        None, "A number.", only_with=OnlyWith("source", said="needs X: add it")
    )
    kind: str = setting("flat", "One of some.")
    power: float = setting(1.0, "A number.", only_with=OnlyWith("kind", ("poly",), refused=False))
    format: tuple[str, ...] = setting(("slim",), "Some.")
    top_k: int = setting(9, "A number.", only_with=OnlyWith("format", ("a", "b", "c")))
    bits: int = setting(32, "A number.", only_with=OnlyWith("format", ("b",)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataGroup:
    """Data."""

    folder: str = setting("here", "Where the images are.", common=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleGroup:
    """Schedule."""

    order: str = setting("up", "What comes first.", choices=("up", "down"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined(ScheduleGroup, DataGroup):
    """Both, the last base first."""


def help_of(settings_class: type, *, full: bool) -> str:
    """What a script with these flags prints; takes the flags away again."""
    settings.define_flags(settings_class)
    try:
        return settings.help_text(full=full)
    finally:
        forget_flags(settings_class)


def parse(*arguments: str) -> Example:
    """What `script ARGUMENTS` gives; takes the flags away again."""
    settings.define_flags(Example)
    try:
        flags.FLAGS(["script", *arguments])
        return settings.from_flags(Example)
    finally:
        forget_flags(Example)
        flags.FLAGS.unparse_flags()


def test_no_flags_give_the_defaults():
    assert parse() == Example()


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--folder=a b/c=d", "folder", "a b/c=d"),
        ("--folder=", "folder", ""),
        ("--note=x", "note", "x"),
        ("--steps=-3", "steps", -3),
        ("--limit=7", "limit", 7),
        ("--rate=1e-3", "rate", 0.001),
        ("--rate=2", "rate", 2.0),
        ("--epsilon=1e-10", "epsilon", 1e-10),
        ("--fast", "fast", True),
        ("--fast=True", "fast", True),
        ("--nosafe", "safe", False),
        ("--safe=False", "safe", False),
        ("--kind=constant", "kind", "constant"),
        ("--names=cat,dog", "names", ("cat", "dog")),
        ("--names=cat, big dog", "names", ("cat", "big dog")),
        ("--names=", "names", ()),
        ("--boundaries=1,2,3", "boundaries", (1, 2, 3)),
        ("--boundaries= 5 , 6 ", "boundaries", (5, 6)),
        ("--boundaries=", "boundaries", ()),
        ("--sizes=.5,1e3", "sizes", (0.5, 1000.0)),
    ],
)
def test_flag_sets_its_field_and_no_other(argument, name, value):
    found = parse(argument)
    assert found == dataclasses.replace(Example(), **{name: value})
    assert type(getattr(found, name)) is type(value)


@pytest.mark.parametrize("argument", ["--boundaries=10,x", "--boundaries=1.5", "--sizes=1,two"])
def test_list_of_numbers_with_something_else_in_it_is_refused(argument):
    name, _, value = argument.partition("=")
    with pytest.raises(InputError, match=f"{name}={value}: give numbers with commas between them"):
        parse(argument)


@pytest.mark.parametrize("argument", ["--steps=x", "--rate=fast", "--kind=cubic", "--fast=maybe"])
def test_malformed_value_is_absls_error(argument):
    with pytest.raises(flags.IllegalFlagValueError):
        parse(argument)


def test_unknown_flag_is_absls_error():
    with pytest.raises(flags.UnrecognizedFlagError):
        parse("--batch_size=3")


def test_help_stands_with_the_flag():
    settings.define_flags(Example)
    try:
        found = {f.name: flags.FLAGS[f.name].help for f in dataclasses.fields(Example)}
    finally:
        for name in found:
            delattr(flags.FLAGS, name)
    assert found["steps"] == "A number."
    assert "One of two." in found["kind"]
    assert all(found.values())


def test_flagfile_has_a_line_for_every_setting_that_is_set():
    lines = settings.to_flagfile(Example(rate=1e-4, names=("a", "b"), fast=True))
    assert lines == [
        "--folder=",
        "--steps=10",
        "--rate=0.0001",
        "--fast=True",
        "--safe=True",
        "--kind=linear",
        "--names=a,b",
        "--boundaries=80,100",
        "--sizes=",
    ]


WORDS = st.text("abcXYZ09_-./=: äß", max_size=12).map(str.strip)
FLOATS = st.floats(allow_nan=False)
EXAMPLES = st.builds(
    Example,
    folder=WORDS,
    note=st.none() | WORDS,
    steps=st.integers(),
    limit=st.none() | st.integers(),
    rate=FLOATS,
    epsilon=st.none() | FLOATS,
    fast=st.booleans(),
    safe=st.booleans(),
    kind=st.sampled_from(["linear", "constant"]),
    names=st.lists(WORDS.filter(bool), max_size=3).map(tuple),
    boundaries=st.lists(st.integers(), max_size=4).map(tuple),
    sizes=st.lists(FLOATS, max_size=4).map(tuple),
)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(EXAMPLES)
def test_flagfile_gives_the_same_settings_again(tmp_path_factory, example):
    path = tmp_path_factory.getbasetemp() / "example.flags"
    path.write_text("\n".join(["# Made by a test.", *settings.to_flagfile(example)]) + "\n")
    assert parse(f"--flagfile={path}") == example


def test_flag_after_a_flagfile_wins(tmp_path):
    path = tmp_path / "example.flags"
    path.write_text("\n".join(settings.to_flagfile(Example(steps=5, names=("a",)))))
    found = parse(f"--flagfile={path}", "--steps=6", "--names=b")
    assert (found.steps, found.names) == (6, ("b",))


def test_changed_lists_what_is_not_at_its_default():
    assert settings.changed(Example()) == []
    lines = settings.changed(Example(steps=11, names=("a",), epsilon=0.1, rate=0.1))
    assert lines == ["--steps=11", "--epsilon=0.1", "--names=a"]


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().steps = 3


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_score_that_nothing_exceeds_is_refused(value):
    settings.check(Bounded(share=0.0))
    settings.check(Bounded(share=0.999))
    with pytest.raises(InputError, match=rf"--share={value} must lie in \[0, 1\)"):
        settings.check(Bounded(share=value))


def test_require_names_the_first_that_is_missing():
    settings.require(Example(folder="a", note="b"), "folder", "note")
    with pytest.raises(InputError, match=r"--folder is missing: give --folder=PATH"):
        settings.require(Example(note="b"), "note", "folder")
    with pytest.raises(InputError, match="--note is missing"):
        settings.require(Example(folder="a"), "folder", "note")


def test_setting_that_would_do_nothing_is_refused():
    given = Example(names=("a", "b"), safe=False)
    settings.refuse_unless(True, given, "names", "safe", needs="--folder")
    settings.refuse_unless("", given, "steps", "kind", needs="--folder")
    settings.refuse_unless("", Example(note=""), "note", needs="--folder")
    said = "--names=a,b does nothing without --folder: give that, or remove the flag"
    with pytest.raises(InputError, match=said):
        settings.refuse_unless("", given, "steps", "names", "safe", needs="--folder")
    with pytest.raises(InputError, match="--safe=False does nothing"):
        settings.refuse_unless("", given, "safe", needs="--folder")


@pytest.mark.parametrize(
    "values",
    [
        *({"steps": 1}, {"limit": None}, {"rate": float("inf")}, {"power": 0.0}),
        *({"epochs": None}, {"epochs": 0.1}, {"factor": 1.0}),
    ],
)
def test_numbers_within_their_bounds_pass_and_so_do_absent_ones(values):
    settings.check(Bounded(**values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "--steps=0 must be 1 or more"),
        ({"limit": -2}, "--limit=-2 must be 1 or more"),
        ({"rate": 0.999}, "--rate=0.999 must be 1 or more"),
        ({"rate": float("nan")}, "--rate=nan must be 1 or more"),
        ({"power": 0.1}, "--power=0.1 must be 0 or less"),
        ({"epochs": 0.0}, "--epochs=0.0 must be above 0"),
        ({"epochs": float("nan")}, "--epochs=nan must be above 0"),
        ({"factor": 0.0}, r"--factor=0.0 must lie in \(0, 1\]"),
        ({"factor": 1.1}, r"--factor=1.1 must lie in \(0, 1\]"),
        ({"factor": float("nan")}, r"--factor=nan must lie in \(0, 1\]"),
    ],
)
def test_number_outside_its_bounds_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        settings.check(Bounded(**values))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"scope": ""},  # takes back what a flagfile gave
        {"source": "a", "scope": "b", "average": False, "every": 3},
        {"average": False, "power": 2.0},  # told, not refused
        {"format": ("slim", "b"), "top_k": 1, "bits": 8},
    ],
)
def test_setting_passes_beside_what_it_needs(values):
    settings.check(Together(**values))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scope": "b"}, "--scope=b does nothing without --source: give that, or remove the flag."),
        ({"every": 3}, "--every=3 needs X: add it."),
        (
            {"top_k": 1},
            "--top_k=1 does nothing without --format=a, b or c: give that, or remove the flag.",
        ),
        (
            {"bits": 8, "format": ("a",)},
            "--bits=8 does nothing without --format=b: give that, or remove the flag.",
        ),
    ],
)
def test_setting_without_what_it_needs_is_refused(values, said):
    with pytest.raises(InputError, match=f"^{re.escape(said)}$"):
        settings.check(Together(**values))


def test_settings_that_do_nothing_and_are_not_refused_are_told():
    assert settings.idle(Together(source="a", average=False, kind="poly", power=2.0)) == []
    assert settings.idle(Together(average=False, power=2.0, kind="step")) == [
        "WARNING: --average=False does nothing without --source.",
        "WARNING: --power=2.0 does nothing with --kind=step.",
    ]


def test_help_has_the_common_flags_by_group_and_full_help_all():
    common, full = (help_of(Joined, full=full) for full in (False, True))
    assert "Data:\n  --folder\n      Where the images are. [here]\n" in common
    assert "--order" not in common
    assert "1 more flags: --helpfull lists them all." in common
    assert "Schedule:\n  --order\n      What comes first. One of up, down. [up]\n" in full
    assert "more flags" not in full
    assert full.index("--folder") < full.index("--order")
