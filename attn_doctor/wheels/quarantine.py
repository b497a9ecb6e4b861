"""Download one wheel into a folder of its own, from which nothing is imported, and store its digest.

The digest of the first file from an address is stored (`digests.jsonl`). If a later file from the same address has another digest,
`Fetched.changed` says so.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import re
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from attn_doctor.errors import Refused
from attn_doctor.model.facts import Record
from attn_doctor.system.agent import AGENT
from attn_doctor.system.cache_folder import cache_folder
from attn_doctor.wheels.online import NotReached, Say, open_address

_LARGEST = 4 << 30  # bytes; the largest wheel of flash-attn has 0.5 GB
_LONGEST = 3 * 3600.0  # seconds: half a gigabyte over a slow line
_BLOCK = 1 << 20


class Digest(Record, frozen=True, kw_only=True):
    """Hold the digest of the first file that an address gave."""

    url: str
    sha256: str
    size: int  # bytes
    fetched: str  # UTC, "2026-11-29T20:15:00+00:00"


class Fetched(NamedTuple):
    """Describe a downloaded file.

    `earlier`: the digest of the first file from its address, if that was another file; else None.
    """

    path: Path
    sha256: str
    earlier: Digest | None = None

    @property
    def changed(self) -> str | None:
        """Return a sentence for the user if the first download from this address had another digest.

        None if the digest is the same, or if this is the first download.
        """
        if self.earlier is None:
            return None
        return (
            f"its address gave another file before: SHA-256 {self.earlier.sha256} on {self.earlier.fetched[:10]}, now {self.sha256}; "
            f"if its builder says that it was replaced, take its line out of {_ledger()}"
        )


def fetch(url: str, say: Say) -> Fetched:
    """Download the wheel at an https address, under its own name, into a folder that only the user can read (mode 0700).

    `say` gets the progress. Raises Refused if the address is not that of a wheel or the folder cannot be written, NotReached if
    the wheel cannot be downloaded.
    """
    path = _place(url)
    try:
        _folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    except OSError as error:
        raise Refused(f"{path.parent} cannot be written: {error.strerror or error}") from error
    request = urllib.request.Request(url, headers={"User-Agent": AGENT})  # noqa: S310 - https alone, see open_address
    digest = hashlib.sha256()
    try:
        with open(handle, "wb") as file, open_address(request) as answer:  # noqa: PTH123 - a descriptor
            for block in _blocks(answer):
                file.write(block)
                digest.update(block)
                say(f"{path.name}: {file.tell() >> 20} MB")
        size = os.stat(temporary).st_size  # noqa: PTH116
        os.replace(temporary, path)  # noqa: PTH105 - both are on one file system
        return _compared(url, path, digest.hexdigest(), size)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        if isinstance(error, OSError):
            raise NotReached(f"{url} was not read to its end ({error})") from error
        raise


def held(url: str) -> Fetched | None:
    """Return the file that was downloaded from this address, without a new download.

    None if there is none, or if its digest is not that of the first file from this address.
    Raises Refused if the address is not that of a wheel.
    """
    path, known = _place(url), _first(url)
    if known is None or sha256(path) != known.sha256:
        return None
    return Fetched(path, known.sha256)


def sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file as 64 hexadecimal digits; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def _place(url: str) -> Path:
    """Return the path for the file from an address.

    The path depends on the whole address, because two builders may use one file name.
    """
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    if not re.fullmatch(r"[\w.+!-]+\.whl", name):
        raise Refused(f"{url} is not the address of a wheel")
    return _folder() / hashlib.sha256(url.encode()).hexdigest()[:16] / name


def _folder() -> Path:
    return cache_folder() / "quarantine"


def _ledger() -> Path:
    return _folder() / "digests.jsonl"


def _first(url: str) -> Digest | None:
    """Return the record of the first file from an address; None if nothing was downloaded from it.

    Unreadable lines are skipped.
    """
    with contextlib.suppress(OSError):
        for line in _ledger().read_text("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError):
                kept = json.loads(line)
                if kept["url"] == url:
                    return Digest(**kept)
    return None


def _compared(url: str, path: Path, digest: str, size: int) -> Fetched:
    known = _first(url)
    if known is None:
        now = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
        line = json.dumps({"url": url, "sha256": digest, "size": size, "fetched": now}) + "\n"
        descriptor = os.open(_ledger(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(line.encode("ascii"))
    return Fetched(path, digest, None if known is None or known.sha256 == digest else known)


def _blocks(answer: Any) -> Iterator[bytes]:
    """Yield the file block by block.

    Raises NotReached if it is too large, takes too long, or was redirected away from https.
    """
    if urlsplit(answer.geturl()).scheme != "https":
        raise NotReached("its address leads to one that is not https")
    size, began = 0, time.monotonic()
    while block := answer.read(_BLOCK):
        size += len(block)
        if size > _LARGEST:
            raise NotReached(f"it is larger than {_LARGEST >> 30} GB")
        if time.monotonic() - began > _LONGEST:
            raise NotReached(f"it is not read to its end after {_LONGEST / 3600:.0f} hours")
        yield block
