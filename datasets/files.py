"""Whole files, and durability and locks on local folders, which remote filesystems see to.

A folder is locked by `flock` on the folder itself, so that no lock file stays behind and a killed
process frees its lock. Filesystems that cannot lock folders (some NFS) go without.
"""

import contextlib
import errno
import fcntl
import os
import uuid
from collections.abc import Iterator
from typing import IO

import tensorflow as tf

from errors import InputError


def is_local(path: str) -> bool:
    """Whether the path is one of this machine's (has no `scheme://`)."""
    return "://" not in path


def opened(path: str, *, buffering: int = -1) -> IO[bytes]:
    """A file to be read; a local one without TensorFlow, whose files cost more, most to seek in."""
    return open(path, "rb", buffering) if is_local(path) else tf.io.gfile.GFile(path, "rb")


def read(path: str, limit: int = -1) -> bytes:
    """A file's bytes, or the first `limit` of them.

    Raises:
      InputError: it cannot be read.
    """
    try:
        with opened(path) as file:
            return file.read(limit)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except tf.errors.OpError as error:
        raise InputError(f"{path} cannot be read ({error.message}).") from error


def size(path: str) -> int:
    """A file's size in bytes; 0 where it cannot be told, as for a dangling link."""
    try:
        return os.stat(path).st_size if is_local(path) else tf.io.gfile.stat(path).length
    except (OSError, tf.errors.OpError):
        return 0


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
