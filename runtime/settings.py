"""Settings: frozen dataclasses whose fields are also command-line flags.

A setting's name, type, default and help stand once, in the dataclass. Scripts turn it into absl
flags (`define_flags`) and back (`from_flags`); library code gets the dataclass and never sees a
flag.
"""

import dataclasses
import re
import shlex
import textwrap
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from absl import flags

from runtime.errors import InputError

_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}
# The classes whose fields are flags of this process.
_DEFINED: list[type] = []


class OnlyWith(NamedTuple):
    """What a setting needs beside it to have a meaning.

    Attributes:
      name: of another setting.
      values: of that one, or of an item of it; () is whatever is not empty.
      said: of the setting alone, such as "is for records: give --dataset_name"; by default that it
        does nothing.
      refused: whether the setting is refused alone. Flagfiles and old scripts name those of several
        optimizers: of such, `idle` tells.
    """

    name: str
    values: tuple[str, ...] = ()
    said: str = ""
    refused: bool = True

    def holds(self, settings: Any) -> bool:
        """Whether the other setting is there."""
        value = getattr(settings, self.name)
        if not self.values:
            return bool(value)
        return not {*self.values}.isdisjoint(value if isinstance(value, tuple) else (value,))


def setting(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    common: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    only_with: OnlyWith | None = None,
) -> Any:
    """A field of a settings dataclass.

    Args:
      default: where the flag is not given.
      help: the flag's line in --help, to be understood alone.
      choices: the values allowed; any when empty.
      common: whether --help lists the flag where it does not list all.
      minimum: the least value allowed.
      maximum: the greatest value allowed.
      above: the greatest value that is too small.
      below: the least value that is too large.
      only_with: what the setting has no meaning without.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "common": common,
        "minimum": minimum,
        "maximum": maximum,
        "above": above,
        "below": below,
        "only_with": only_with,
    }
    return dataclasses.field(default=default, metadata=metadata)


def define_flags(settings_class: type) -> None:
    """Defines an absl flag for every field; a tuple becomes a comma list."""
    _DEFINED.append(settings_class)
    _define_in(flags.FLAGS, settings_class)


def _define_in(values: flags.FlagValues, settings_class: type) -> None:
    hints = typing.get_type_hints(settings_class)
    for field in dataclasses.fields(settings_class):
        kind = _kind(hints[field.name])
        if typing.get_origin(kind) is tuple:
            items = [str(item) for item in typing.cast(tuple, field.default)]
            flags.DEFINE_list(field.name, items, field.metadata["help"], flag_values=values)
        elif field.metadata["choices"]:
            choices = field.metadata["choices"]
            flags.DEFINE_enum(
                field.name, field.default, choices, field.metadata["help"], flag_values=values
            )
        else:
            _DEFINE[kind](field.name, field.default, field.metadata["help"], flag_values=values)


_NO_FILESYSTEMS = {"grpc", "http", "https", "rtmp", "rtmps", "rtp", "rtsp", "srt", "tcp", "udp"}


def from_flags(settings_class: type) -> Any:
    """The settings that the command line gives.

    Raises:
      InputError: a value has the wrong form.
    """
    names = [field.name for field in dataclasses.fields(settings_class)]
    values = _read_all(flags.FLAGS, settings_class, names)
    for name, value in values.items():
        for each in value if isinstance(value, tuple) else (value,):
            _refuse_unknown_filesystem(name, each)
    return settings_class(**values)


def given_in(settings_class: type, text: str, *, flag: str) -> dict[str, Any]:
    """The settings that a text of flags gives, such as "--batch_size=16 --augment=False", by name.

    Args:
      settings_class: whose fields the flags are.
      text: as a shell would read it.
      flag: what messages call it.

    Raises:
      InputError: a flag is unknown or has a wrong value, or there is something else in the text.
    """
    values = flags.FlagValues()
    _define_in(values, settings_class)
    try:
        rest = values(["", *shlex.split(text)])
    except (flags.Error, ValueError) as error:
        raise InputError(f"{flag}={text}: {str(error).strip().rstrip('.')}.") from error
    if len(rest) > 1:
        raise InputError(f"{flag}={text}: {rest[1]!r} is no --flag=value.")
    names = [f.name for f in dataclasses.fields(settings_class) if values[f.name].present]
    return _read_all(values, settings_class, names)


def _read_all(
    values: flags.FlagValues, settings_class: type, names: Sequence[str]
) -> dict[str, Any]:
    hints = typing.get_type_hints(settings_class)
    return {name: _read(name, _kind(hints[name]), values[name].value) for name in names}


def _refuse_unknown_filesystem(name: str, value: Any) -> None:
    """TensorFlow says of such a folder that it is none, or raises an error from deep inside."""
    scheme = re.match(r"([a-z][a-z0-9+.-]*)://", value) if isinstance(value, str) else None
    if not scheme or scheme[1] in _NO_FILESYSTEMS:
        return
    import tensorflow as tf

    if scheme[1] not in tf.io.gfile.get_registered_schemes():
        raise InputError(
            f"--{name}={value}: {scheme[1]}:// needs a TensorFlow file-system plugin, and none is "
            "loaded here: use gs://, or a folder into which the bucket is mounted."
        )


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


def check(settings: Any) -> None:
    """Checks every value against what its field declares: bounds, and what it needs beside it.

    Raises:
      InputError: a value is outside, or does nothing.
    """
    for field in dataclasses.fields(settings):
        _check_bounds(field, getattr(settings, field.name))
    for line, needs in _without_effect(settings):
        if needs.refused:
            raise InputError(_refusal(line, needs))


def idle(settings: Any) -> list[str]:
    """Sentences about settings that do nothing and are not refused for it."""
    return [
        f"WARNING: {line} does nothing with --{needs.name}={_text(getattr(settings, needs.name))}."
        if needs.values
        else f"WARNING: {line} does nothing without --{needs.name}."
        for line, needs in _without_effect(settings)
        if not needs.refused
    ]


def _without_effect(settings: Any) -> Iterator[tuple[str, OnlyWith]]:
    """Settings that were given without what they need: as `--name=value`, with that."""
    given = changed_by_name(settings)
    for field in dataclasses.fields(settings):
        needs = field.metadata["only_with"]
        line = given.get(field.name, f"--{field.name}=")
        # An empty value takes back what a flagfile gave.
        if needs and line != f"--{field.name}=" and not needs.holds(settings):
            yield line, needs


def _refusal(line: str, needs: OnlyWith) -> str:
    if needs.said:
        return f"{line} {needs.said}."
    *others, last = needs.values or ("",)
    value = f"={', '.join(others)} or {last}" if others else f"={last}" if last else ""
    return f"{line} does nothing without --{needs.name}{value}: give that, or remove the flag."


def check_flags() -> None:
    """Checks the bounds of the flags that were parsed, before any settings are made of them.

    Raises:
      InputError: one is outside.
    """
    for settings_class in _DEFINED:
        for field in dataclasses.fields(settings_class):
            if field.name in flags.FLAGS:
                _check_bounds(field, flags.FLAGS[field.name].value)


def _check_bounds(field: dataclasses.Field, value: Any) -> None:
    minimum, maximum, above, below = (
        field.metadata[key] for key in ("minimum", "maximum", "above", "below")
    )
    if value is None:
        return
    if above is not None and maximum is not None:
        if not above < value <= maximum:
            raise InputError(f"--{field.name}={value} must lie in ({above}, {maximum}].")
    elif above is not None and below is not None:
        if not above < value < below:
            raise InputError(f"--{field.name}={value} must lie in ({above}, {below}).")
    elif above is not None:
        if not value > above:
            raise InputError(f"--{field.name}={value} must be above {above}.")
    elif below is not None:
        if not (minimum or 0) <= value < below:
            raise InputError(f"--{field.name}={value} must lie in [{minimum or 0}, {below}).")
    elif minimum is not None and not value >= minimum:
        raise InputError(f"--{field.name}={value} must be {minimum} or more.")
    elif maximum is not None and not value <= maximum:
        raise InputError(f"--{field.name}={value} must be {maximum} or less.")


def help_text(*, full: bool, width: int = 80) -> str:
    """The flags of this process by their groups, as --help and --helpfull print them.

    A group is the class that declares a field, and called as its docstring's first line; the fields
    that a class declares besides its groups come first. Without `full`, classes that mark some
    fields as common list these alone.

    Args:
      full: all flags.
      width: columns of the terminal.
    """
    lines, hidden = [], 0
    for settings_class in _DEFINED:
        fields = dataclasses.fields(settings_class)
        some = not full and any(field.metadata["common"] for field in fields)
        groups: dict[type, list[dataclasses.Field]] = {}
        for field in fields:
            if some and not field.metadata["common"]:
                hidden += 1
                continue
            groups.setdefault(_declares(settings_class, field.name), []).append(field)
        for owner, members in groups.items():
            alone = owner is settings_class
            title = "Flags" if alone else (owner.__doc__ or "").splitlines()[0].rstrip(".")
            lines += ["", f"{title}:", *(line for f in members for line in _help_lines(f, width))]
    if hidden:
        lines += ["", f"{hidden} more flags: --helpfull lists them all."]
    lines += ["", "A --flagfile=FILE holds one flag a line."]
    return "\n".join(lines)


def _declares(settings_class: type, name: str) -> type:
    """The class of the hierarchy that declares a field."""
    return next(
        c for c in reversed(settings_class.__mro__) if name in vars(c).get("__annotations__", {})
    )


def _help_lines(field: dataclasses.Field, width: int) -> list[str]:
    default = "" if field.default in (None, "", ()) else f" [{_text(field.default)}]"
    choices = (
        f" One of {', '.join(field.metadata['choices'])}." if field.metadata["choices"] else ""
    )
    text = f"{field.metadata['help']}{choices}{default}"
    indent = " " * 6
    body = textwrap.wrap(text, max(40, width - 1), initial_indent=indent, subsequent_indent=indent)
    return [f"  --{field.name}", *body]


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
            raise InputError(f"{line} does nothing without {needs}: give that, or remove the flag.")


def _kind(hint: Any) -> Any:
    """The type of a setting without its `| None`."""
    if isinstance(hint, types.UnionType):
        return next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    return hint


def _read(name: str, kind: Any, value: Any) -> Any:
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
