"""Say which kind of code signature a file for macOS or Windows has. Nothing of it is checked: no digest, no certificate.

Layout of macOS: <kern/cs_blobs.h>, https://github.com/apple-oss-distributions/xnu/blob/main/osfmk/kern/cs_blobs.h. All numbers are big-endian.
"""

from __future__ import annotations

import struct
from typing import Literal

from attn_doctor.probes.binaries.mapped import DamagedFile, Mapped

Signature = Literal["none", "ad hoc", "of a certificate"]

_HEAD = struct.Struct(">III")  # mark, length, and in the outer blob the count of the inner ones
_ENTRY = struct.Struct(">II")  # kind, and offset from the outer blob
_DIRECTORY = struct.Struct(">IIII")  # mark, length, version, flags
_OUTER_MARK, _DIRECTORY_MARK, _CERTIFICATES_MARK = 0xFADE0CC0, 0xFADE0C02, 0xFADE0B01
_DIRECTORY_KIND, _CERTIFICATES_KIND = 0, 0x10000
_AD_HOC = 2  # CS_ADHOC of the flags
_EMPTY = 8  # bytes of a blob that holds no certificate
_MOST_BLOBS = 64


def of_macos(file: Mapped, start: int) -> Signature:
    """Return the kind of a signature: "ad hoc" (it names no signer) or "of a certificate". `start`: the offset of its first byte.

    Raises DamagedFile if no signature is there.
    """
    mark, _, count = file.unpack(_HEAD, start)
    if mark != _OUTER_MARK or count > _MOST_BLOBS:
        raise DamagedFile("has a damaged code signature")
    places = dict(file.unpack(_ENTRY, start + _HEAD.size + number * _ENTRY.size) for number in range(count))
    if _DIRECTORY_KIND not in places:
        raise DamagedFile("has a damaged code signature")
    mark, _, _, flags = file.unpack(_DIRECTORY, start + places[_DIRECTORY_KIND])
    if mark != _DIRECTORY_MARK:
        raise DamagedFile("has a damaged code signature")
    if flags & _AD_HOC or _CERTIFICATES_KIND not in places:
        return "ad hoc"
    mark, length = file.unpack(_ENTRY, start + places[_CERTIFICATES_KIND])
    return "of a certificate" if mark == _CERTIFICATES_MARK and length > _EMPTY else "ad hoc"
