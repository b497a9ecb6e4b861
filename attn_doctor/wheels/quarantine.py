"""Download one wheel into a separate folder, from which nothing is imported."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from attn_doctor.errors import Refused
from attn_doctor.system.cache_folder import cache_folder
from attn_doctor.wheels.online import AGENT, NotReached, Say, open_address

_LARGEST = 4 << 30  # bytes: a larger file is refused; the largest wheel of flash-attn has 0.5 GB
_BLOCK = 1 << 20


def fetch(url: str, say: Say) -> Path:
    """Return the wheel at an https address, under its own name. Raises NotReached, and Refused if the address is not that of a wheel.

    The folder belongs to the user alone (0700). A file from an earlier run is fetched again: it is not trusted.
    """
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    if not re.fullmatch(r"[\w.+!-]+\.whl", name):
        raise Refused(f"{url} is not the address of a wheel")
    folder = cache_folder() / "quarantine"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    request = urllib.request.Request(url, headers={"User-Agent": AGENT})  # noqa: S310 - https alone, see open_address
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with open_address(request) as answer, open(handle, "wb") as file:  # noqa: PTH123 - a descriptor
            for size in _copied(answer, file):
                say(f"{name}: {size >> 20} MB")
        os.replace(temporary, folder / name)  # noqa: PTH105 - both are on one file system
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        if isinstance(error, OSError):
            raise NotReached(f"{url} was not read to its end ({error})") from error
        raise
    return folder / name


def _copied(answer: BinaryIO, file: BinaryIO) -> Iterator[int]:
    """Copy block by block, and yield the bytes copied so far. Raises NotReached for a file that is too large."""
    size = 0
    while block := answer.read(_BLOCK):
        size += len(block)
        if size > _LARGEST:
            raise NotReached(f"it is larger than {_LARGEST >> 30} GB")
        file.write(block)
        yield size
