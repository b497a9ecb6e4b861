"""Name the package that provides a missing shared library, from the table of sonames. Pure."""

from __future__ import annotations

import functools
import re
from typing import ClassVar

import msgspec

from attn_doctor.knowledge.rows import Row
from attn_doctor.knowledge.tables import load


class Soname(Row, frozen=True, kw_only=True):
    """Hold the packages that provide one shared library."""

    TABLE: ClassVar[str] = "sonames"

    soname: str  # "libcudnn.so.9"
    pip: dict[str, str] = msgspec.field(default_factory=dict)  # CUDA major of torch -> requirement
    apt: str | None = None  # package of Debian and Ubuntu
    words: str | None = None  # the provider in words, if it is not a package


@functools.cache
def _by_name() -> dict[str, Soname]:
    return {row.soname: row for row in load(Soname)}


def package_of(soname: str, cuda: str | None = None) -> str | None:
    """Return the package that provides a library: a requirement for pip, "apt: libgl1", or a description.

    None if the table lacks the library. `cuda`: the CUDA major of the target's torch ("13"). It decides if several packages
    contain the library, such as libcudnn.so.9. If it is not known, the package for the newest CUDA is returned.
    """
    row = _by_name().get(soname)
    if row is None:
        match = re.fullmatch(r"libpython(3\.\d+)t?\.so\.1\.0", soname)
        return f"the shared library of Python {match[1]}" if match else None
    if row.pip:
        return row.pip.get(cuda or "") or row.pip[max(row.pip, key=int)]
    return f"apt: {row.apt}" if row.apt else row.words
