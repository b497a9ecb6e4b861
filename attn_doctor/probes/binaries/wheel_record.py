"""Compare the members of a wheel with its RECORD, the list of its files with their digests.

https://packaging.python.org/specifications/recording-installed-packages/#the-record-file. pip compares nothing: it installs a wheel whose
files were changed after it was built.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import zipfile
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

_BLOCK = 4 << 20
_STRONG = ("sha256", "sha384", "sha512")  # weaker digests are not allowed in RECORD
_ITS_OWN = ("RECORD", "RECORD.jws", "RECORD.p7s")  # RECORD has no digest of itself and of its signatures


class Compared(NamedTuple):
    """Hold the names of the members that disagree with RECORD, in the order of the archive."""

    altered: tuple[str, ...]  # another digest or size
    unlisted: tuple[str, ...]  # RECORD does not list them
    unhashed: tuple[str, ...]  # RECORD lists them without a digest, or there is no RECORD
    absent: tuple[str, ...]  # RECORD lists them, and the archive does not contain them


def rows_of(text: str) -> dict[str, tuple[str, str]]:
    """Return the digest ("sha256=...") and the size of each file in a RECORD; a row without them has empty texts.

    Lines that are no row of a table are skipped.
    """
    found = {}
    for line in text.splitlines():
        with contextlib.suppress(csv.Error):
            name, digest, size = [*next(csv.reader([line]), ()), "", "", ""][:3]
            if name:
                found[name] = (digest, size)
    return found


def compared(archive: zipfile.ZipFile, info: str | None, rows: Mapping[str, tuple[str, str]]) -> Compared:
    """Compare the members of a wheel with its RECORD. Each member with a digest there is unpacked in memory, block by block.

    `info`: the name of the .dist-info folder. `rows`: as `rows_of` returns them; empty: there is no RECORD. Raises what zipfile raises
    for a member that cannot be unpacked.
    """
    own = {f"{info}/{name}" for name in _ITS_OWN}
    members = [member for member in archive.infolist() if not member.is_dir() and member.filename not in own]
    names = {member.filename for member in members}
    listed = [(member, rows[member.filename]) for member in members if member.filename in rows]
    return Compared(
        altered=tuple(member.filename for member, row in listed if not _agrees(archive, member, row)),
        unlisted=_without(names, rows) if rows else (),
        unhashed=tuple(member.filename for member in members if not rows or not rows.get(member.filename, ("x",))[0]),
        absent=_without(rows, names | own),
    )


def _without(names: Iterable[str], others: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if name not in others))


def _agrees(archive: zipfile.ZipFile, member: zipfile.ZipInfo, row: tuple[str, str]) -> bool:
    """Return whether a member has the digest and the size of its row. True if the row has neither."""
    stated, size = row
    if size and size != str(member.file_size):
        return False
    if not stated:
        return True
    kind, _, expected = stated.partition("=")
    if kind not in _STRONG:
        return False
    digest = hashlib.new(kind)
    with archive.open(member) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() == expected.rstrip("=")
