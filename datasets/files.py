"""Durability and locks on local folders; on remote filesystems both are left to the filesystem.

A folder is locked by `flock` on the folder itself, so that no lock file stays behind and a killed
process frees its lock. Filesystems that cannot lock folders (some NFS) go without.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator


def is_local(path: str) -> bool:
    """Whether the path is one of this machine's (has no `scheme://`)."""
    return "://" not in path


def sync(path: str) -> None:
    """Forces a file's content, or a folder's list of names, onto the disk."""
    if not is_local(path):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
        _lock(descriptor, wait=wait)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:
        pass
