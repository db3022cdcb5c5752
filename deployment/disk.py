"""What a full, read-only or vanished disk does to a run: one sentence, and nothing half written."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from errors import InputError, one_line

# What such a disk raises; a lost peer's errors are not among them.
DISK_ERRORS = (
    tf.errors.ResourceExhaustedError,
    tf.errors.UnknownError,
    tf.errors.InternalError,
    tf.errors.OutOfRangeError,  # of a limit on the size of files
    tf.errors.PermissionDeniedError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
    OSError,
)


@contextlib.contextmanager
def explained(what: str, *, hope: str = "") -> Iterator[None]:
    """Around whatever writes.

    Args:
      what: is written.
      hope: what the user still has; " ..." behind the sentence.

    Raises:
      InputError: it could not be written.
    """
    try:
        yield
    except DISK_ERRORS as error:
        raise InputError(
            f"{what} could not be written ({one_line(error)}): make room and run again{hope}."
        ) from error


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """Gives a path to write to; what was written there takes the place of `path` when it is whole.

    An error leaves what was there, and nothing beside it.
    """
    temporary = f"{path}.temp"
    try:
        yield temporary
        tf.io.gfile.rename(temporary, path, overwrite=True)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):
            tf.io.gfile.remove(temporary)
        raise
