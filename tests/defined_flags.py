"""Takes flags back that a test, or a script in a test's process, has defined."""

import dataclasses

from absl import flags

from runtime import settings


def forget_flags(settings_class: type) -> None:
    """Takes back `define_flags`."""
    settings._DEFINED.remove(settings_class)
    for field in dataclasses.fields(settings_class):
        delattr(flags.FLAGS, field.name)
