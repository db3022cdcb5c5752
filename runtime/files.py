"""Whole files, and durability and locks on local folders, which remote filesystems see to.

A folder is locked by `flock` on the folder itself, so that no lock file stays behind and a killed
process frees its lock. Filesystems that cannot lock folders (some NFS) go without.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import tensorflow as tf

from runtime import limits
from runtime.errors import InputError, one_line

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


def is_local(path: str) -> bool:
    """Whether the path is one of this machine's (has no `scheme://`)."""
    return "://" not in path


def open_regular(path: str) -> int:
    """The descriptor of a local file to be read; devices and pipes would never end.

    Raises:
      OSError: it cannot be opened, or is not a regular file.
    """
    # Without O_NONBLOCK the call itself waits for somebody who writes into a pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file", path)


def check_regular(path: str) -> None:
    """Raises OSError where a library is to open a local file that is not there or not regular."""
    if is_local(path):
        os.close(open_regular(path))


def is_folder(path: str) -> bool:
    """Whether it is a folder that is there.

    Raises:
      tf.errors.OpError: an object store does not answer, which `isdir` takes for no.
    """
    return (is_local(path) or tf.io.gfile.exists(path)) and tf.io.gfile.isdir(path)


def opened(path: str, *, buffering: int = -1) -> IO[bytes]:
    """A file to be read; a local one without TensorFlow, whose files cost more, most to seek in.

    Raises:
      OSError: it cannot be opened, or is not a regular file.
      tf.errors.OpError: a remote one cannot be opened, at the latest when it is read.
    """
    if not is_local(path):
        return tf.io.gfile.GFile(path, "rb")
    return os.fdopen(open_regular(path), "rb", buffering)


def read(
    path: str,
    *,
    most: int = limits.MAX_TEXT_BYTES,
    remedy: str = "no such file is",
    pipe: bool = False,
) -> bytes:
    """All of a file, whose size is looked at first.

    Args:
      path: of the file.
      most: bytes that it may have.
      remedy: the end of the sentence where it has more.
      pipe: whether it may be a pipe, as a shell's <(...) gives.

    Raises:
      InputError: it cannot be read, or is too large.
    """
    data = read_start(path, most + 1, pipe=pipe) if size(path) <= most else None
    if data is None or len(data) > most:  # the latter of one that grows
        raise InputError(f"{path} is larger than {most} bytes: {remedy}.")
    return data


def read_start(path: str, count: int, *, pipe: bool = False) -> bytes:
    """The first `count` bytes of a file, or all that it has; see `read`.

    Raises:
      InputError: it cannot be read.
    """
    try:
        with open(path, "rb") if pipe and is_local(path) else opened(path) as file:
            return file.read(count)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"{path!r} cannot be read ({error}).") from error
    except tf.errors.OpError as error:
        raise InputError(f"{path} cannot be read ({error.message}).") from error


def read_text(path: str, *, most: int = limits.MAX_TEXT_BYTES, pipe: bool = False) -> str:
    """All of a text file, with or without a byte order mark; see `read`.

    Raises:
      InputError: as `read`, or it is not UTF-8.
    """
    try:
        return read(path, most=most, pipe=pipe).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}): save it as UTF-8.") from error


def size(path: str) -> int:
    """A file's size in bytes; 0 where it cannot be told, as for a dangling link."""
    try:
        return os.stat(path).st_size if is_local(path) else tf.io.gfile.stat(path).length
    except (OSError, ValueError, tf.errors.OpError):
        return 0


def identity(folder: str) -> tuple[int, int] | None:
    """What a local folder is known by whatever its name becomes; None where nothing has its name.

    Of a remote folder, which only has its name, it is always None.
    """
    try:
        found = os.stat(folder) if is_local(folder) else None
    except OSError:
        found = None
    return (found.st_dev, found.st_ino) if found else None


def sync(path: str) -> None:
    """Forces a file's content, or a folder's list of names, onto the disk."""
    if not is_local(path):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some filesystems sync no folders
            raise
    finally:
        os.close(descriptor)


def unused_name(path: str, kind: str) -> str:
    """A name beside `path` that nothing has; `kind` says what has it while it is there."""
    return f"{path.rstrip('/')}.{kind}-{uuid.uuid4().hex}"


@contextlib.contextmanager
def locked(folder: str, *, wait: bool = True) -> Iterator[None]:
    """Holds the folder's lock.

    Raises:
      BlockingIOError: another process holds it and `wait` is False.
    """
    if not is_local(folder):
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        lock(descriptor, wait=wait)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, *, wait: bool) -> None:
    """Locks an open file or folder until it is closed, where the filesystem can.

    Raises:
      BlockingIOError: another process holds it and `wait` is False.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        pass  # no locks here, such as on NFS without its lock service


@contextlib.contextmanager
def explain_write_errors(what: str, *, hope: str = "") -> Iterator[None]:
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


def remove_tree(path: str) -> None:
    """Removes a file or folder, if there is one; a link goes, and what it leads to stays.

    TensorFlow's own rmtree enters links.
    """
    local = path.removeprefix("file://").rstrip("/")
    if not is_local(local):
        if tf.io.gfile.exists(path):
            (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)
    elif os.path.isdir(local) and not os.path.islink(local):
        shutil.rmtree(local)
    elif os.path.lexists(local):
        os.remove(local)


def put_in_place(temporary: str, path: str) -> None:
    """Renames a file that is whole, once it is on the disk; an older one is replaced."""
    sync(temporary)
    tf.io.gfile.rename(temporary, path, overwrite=True)


@contextlib.contextmanager
def replacing(path: str, *, ending: str = ".temp") -> Iterator[str]:
    """Gives a path to write to; what was written there takes the place of `path` when it is whole.

    An error leaves what was there, and nothing beside it. Where several processes may write `path`
    at once, each needs an `ending` of its own.
    """
    temporary = path + ending
    if os.path.islink(temporary) and os.path.isfile(temporary):
        os.remove(temporary)  # writing would go through it
    try:
        yield temporary
        put_in_place(temporary, path)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):
            tf.io.gfile.remove(temporary)
        raise


@contextlib.contextmanager
def replacing_folder(folder: str, *, check: Callable[[str], None]) -> Iterator[str]:
    """As `replacing`, for a folder, which the caller makes; an earlier one steps aside first.

    Args:
      folder: there already or not.
      check: raises where what is there must stay; asked at once, and again when the new one is
        whole, since that took its time.

    Raises:
      InputError: it could not be renamed.
    """
    folder = folder.rstrip("/")
    check(folder)
    partial, earlier = unused_name(folder, "partial"), unused_name(folder, "earlier")
    try:
        yield partial
        check(folder)
        with explain_write_errors(folder):
            if tf.io.gfile.exists(folder):
                tf.io.gfile.rename(folder, earlier)
            tf.io.gfile.rename(partial, folder)
            remove_tree(earlier)
    finally:
        remove_tree(partial)


def write(path: str, data: bytes, *, ending: str = ".temp") -> None:
    """Writes a file whole or not at all, in place of an older one; see `replacing`."""
    with (
        replacing(path, ending=ending) as temporary,
        tf.io.gfile.GFile(temporary, "wb") as file,
    ):
        file.write(data)


def write_text(train_dir: str, name: str, lines: Sequence[str]) -> None:
    """Writes a text file whole or not at all.

    Raises:
      InputError: it could not be written, such as on a full disk; what was there stays.
    """
    path = tf.io.gfile.join(train_dir, name)
    with explain_write_errors(path):
        write(path, "".join(f"{line}\n" for line in lines).encode())


def keep_beside(path: str, data: bytes) -> bool:
    """Writes a cache file, whole or not at all; False where the folder refuses it."""
    try:
        write(path, data, ending=f".{os.getpid()}.tmp")
    except (tf.errors.OpError, OSError):
        return False
    return True
