"""Settings: frozen dataclasses whose fields are also command-line flags.

A setting's name, type, default and help stand once, in the dataclass. Scripts turn it into absl
flags (`define_flags`) and back (`from_flags`); library code gets the dataclass and never sees a
flag.
"""

import dataclasses
import types
import typing
from typing import Any

from absl import flags

from runtime.errors import InputError

# --help lists the main module's flags: those defined here belong to the script that asks for them.
flags.disclaim_key_flags()

_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def setting(default: Any, help: str, *, choices: tuple[str, ...] = ()) -> Any:
    """A field of a settings dataclass; `choices` are the values allowed."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


def define_flags(settings_class: type) -> None:
    """Defines an absl flag for every field; a tuple becomes a comma list."""
    hints = typing.get_type_hints(settings_class)
    for field in dataclasses.fields(settings_class):
        kind = _kind(hints[field.name])
        if typing.get_origin(kind) is tuple:
            items = [str(item) for item in typing.cast(tuple, field.default)]
            flags.DEFINE_list(field.name, items, field.metadata["help"])
        elif field.metadata["choices"]:
            choices = field.metadata["choices"]
            flags.DEFINE_enum(field.name, field.default, choices, field.metadata["help"])
        else:
            _DEFINE[kind](field.name, field.default, field.metadata["help"])


def from_flags(settings_class: type) -> Any:
    """The settings that the command line gives.

    Raises:
      InputError: a value has the wrong form.
    """
    hints = typing.get_type_hints(settings_class)
    names = [field.name for field in dataclasses.fields(settings_class)]
    return settings_class(**{name: _read(name, _kind(hints[name])) for name in names})


def to_flagfile(settings: Any) -> list[str]:
    """Lines `--name=value` that give these settings again; unset ones are left out."""
    values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    return [f"--{name}={_text(value)}" for name, value in values.items() if value is not None]


def changed(settings: Any) -> list[str]:
    """Lines `--name=value` of the settings that are not at their defaults."""
    defaults = {f"--{f.name}={_text(f.default)}" for f in dataclasses.fields(settings)}
    return [line for line in to_flagfile(settings) if line not in defaults]


def changed_by_name(settings: Any) -> dict[str, str]:
    """The lines of `changed`, by the name of the setting."""
    return {line.removeprefix("--").partition("=")[0]: line for line in changed(settings)}


def require(settings: Any, *names: str) -> None:
    """Checks that settings without a usable default were given.

    Raises:
      InputError: one is missing.
    """
    for name in names:
        if not getattr(settings, name):
            raise InputError(f"--{name} is missing: give --{name}=PATH.")


def check_below_one(settings: Any, *names: str) -> None:
    """Checks shares of something: what has to exceed a score or an overlap, or fade by a momentum.

    Raises:
      InputError: one is none, or is 1, the whole.
    """
    for name in names:
        if not 0 <= getattr(settings, name) < 1:
            raise InputError(f"--{name}={getattr(settings, name)} must lie in [0, 1).")


def check_at_least(settings: Any, minimum: float, *names: str) -> None:
    """Checks numbers that are given.

    Raises:
      InputError: one is below `minimum`.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value >= minimum:
            raise InputError(f"--{name}={value} must be {minimum} or more.")


def check_at_most(settings: Any, maximum: float, *names: str) -> None:
    """Checks numbers that are given.

    Raises:
      InputError: one is above `maximum`.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not value <= maximum:
            raise InputError(f"--{name}={value} must be {maximum} or less.")


def refuse_unless(condition: Any, settings: Any, *names: str, needs: str) -> None:
    """Checks settings that act together with others only.

    Args:
      condition: whether the others are there.
      settings: a dataclass of settings.
      names: of those that would do nothing.
      needs: the others, as the user would give them.

    Raises:
      InputError: one is neither at its default nor empty, and the condition does not hold.
    """
    given = changed_by_name(settings)
    for name in names:
        line = given.get(name, f"--{name}=")
        if not condition and line != f"--{name}=":  # which takes back what a flagfile gave
            raise InputError(f"{line} does nothing without {needs}: give that, or drop the flag.")


def _kind(hint: Any) -> Any:
    """The type of a setting without its `| None`."""
    if isinstance(hint, types.UnionType):
        return next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    return hint


def _read(name: str, kind: Any) -> Any:
    value = flags.FLAGS[name].value
    if typing.get_origin(kind) is not tuple:
        return value
    try:
        return tuple(typing.get_args(kind)[0](item.strip()) for item in value or ())
    except ValueError as error:
        raise InputError(
            f"--{name}={','.join(value)}: give numbers with commas between them."
        ) from error


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
