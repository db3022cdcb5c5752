"""What a full, read-only or vanished disk does to a run: one sentence, and nothing half written."""

import contextlib
import errno
import uuid
from collections.abc import Iterator

import tensorflow as tf

from errors import InputError, one_line

_NO_ROOM = (
    tf.errors.ResourceExhaustedError,
    tf.errors.OutOfRangeError,  # of a limit on the size of files
)
_NO_ROOM_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What such a disk raises; a lost peer's errors (`cluster.PEER_ERRORS`) are not among them.
DISK_ERRORS = (
    *_NO_ROOM,
    tf.errors.UnknownError,
    tf.errors.PermissionDeniedError,
    tf.errors.NotFoundError,
    tf.errors.FailedPreconditionError,
    OSError,
)


@contextlib.contextmanager
def explained(what: str, *, hope: str = "") -> Iterator[None]:
    """Around what writes and nothing else: memory that ends is told like a disk that is full.

    Args:
      what: is written.
      hope: what the user still has; " ..." behind the sentence.

    Raises:
      InputError: it could not be written.
    """
    try:
        yield
    except DISK_ERRORS as error:
        no_room = isinstance(error, _NO_ROOM) or getattr(error, "errno", None) in _NO_ROOM_NUMBERS
        remedy = "make room" if no_room else "see that its folder is there and may be written"
        raise InputError(
            f"{what} could not be written ({one_line(error)}): {remedy} and run again{hope}."
        ) from error


def make_folder(folder: str, *, given: str) -> None:
    """Makes a folder and writes into it: whether that goes is known before hours of work.

    Args:
      folder: there already or not.
      given: the flag with its value, such as "--eval_dir=eval".

    Raises:
      InputError: it cannot be written.
    """
    probe = tf.io.gfile.join(folder, f".probe-{uuid.uuid4().hex}")
    try:
        tf.io.gfile.makedirs(folder)
        with tf.io.gfile.GFile(probe, "w") as file:
            file.write("")
        tf.io.gfile.remove(probe)
    except (tf.errors.OpError, OSError) as error:
        raise InputError(
            f"{given} cannot be written ({one_line(error)}): choose another folder."
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
