"""Fetches a file over HTTP: resumable, verified, whole or not at all."""

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator

from runtime import files
from runtime.errors import InputError, one_line
from runtime.progress import Progress

_CHUNK = 1 << 18
_TIMEOUT_SECS = 60
_DIGITS = 1e6  # bytes are shown in megabytes


def read(url: str, *, limit: int, given: str) -> bytes:
    """What an address holds.

    Args:
      url: http or https.
      limit: bytes that it may have.
      given: how the user gave it, for messages.

    Raises:
      InputError: it did not arrive, or is larger.
    """
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0 (compatible)"})
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECS) as response:
            data = response.read(limit + 1)
            whole = response.headers.get("Content-Length")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it is a response, too
        raise InputError(
            f"{given} did not arrive ({one_line(error)}): check the address, or download it and "
            "give the file."
        ) from error
    if len(data) > limit:
        raise InputError(f"{given} is larger than {limit // 10**6} MB: download it, make it small.")
    if whole and whole.isdecimal() and len(data) < int(whole):
        raise InputError(f"{given} did not arrive whole, {len(data)} of {whole} bytes: try again.")
    return data


def fetch(url: str, path: str, *, sha256: str = "") -> None:
    """Brings `url` to `path`; a partial `path.part` of an interrupted run is resumed.

    Args:
      url: http or https.
      path: where the file lies afterwards; one that is there already is only verified.
      sha256: hexadecimal; "" where none is known.

    Raises:
      InputError: it did not arrive whole, or is another file; the part stays for the next run.
    """
    if not os.path.exists(path):
        part = f"{path}.part"
        with files.explain_write_errors(path):
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with _explained(url, path):
                _append(url, part)
        _verify(part, url, sha256)
        os.replace(part, path)
    _verify(path, url, sha256)


def _append(url: str, part: str) -> None:
    have = os.path.getsize(part) if os.path.exists(part) else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # the range is empty: the part is whole
            return
        raise
    with response:
        if response.status != 206:  # the server starts over
            have = 0
        rest = response.headers.get("Content-Length")
        total = have + int(rest) if rest else None
        shown = -1
        megabytes = None if total is None else max(1, round(total / _DIGITS))
        with (
            open(part, "ab" if have else "wb") as file,
            Progress(megabytes, "fetching", unit="MB", log_seconds=5.0) as progress,
        ):
            while block := response.read(_CHUNK):
                file.write(block)
                have += len(block)
                if round(have / _DIGITS) > shown:
                    shown = round(have / _DIGITS)
                    progress.update(shown)
    if total is not None and have != total:
        raise EOFError(f"{have} of {total} bytes arrived")


@contextlib.contextmanager
def _explained(url: str, path: str) -> Iterator[None]:
    try:
        yield
    except (urllib.error.URLError, http.client.HTTPException, EOFError, TimeoutError) as error:
        raise InputError(
            f"{url} did not arrive whole ({one_line(error)}): run this again to resume, or fetch "
            f"it to {path} yourself."
        ) from error


def _verify(path: str, url: str, sha256: str) -> None:
    if not sha256:
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise InputError(
            f"{path} is not the file that {url} should be (sha256 {found[:12]}..., expected "
            f"{sha256[:12]}...): remove it and run this again."
        )
