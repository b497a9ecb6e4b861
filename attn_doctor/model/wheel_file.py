"""Define the record of a wheel file, read as an archive."""

from __future__ import annotations

from attn_doctor.model.facts import Record


class WheelContents(Record, frozen=True, kw_only=True):
    """Describe one wheel file. Its members keep the names that they have in the archive."""

    path: str
    size: int  # bytes
    sha256: str
    unpacked: int  # bytes of all members, as the archive states them
    name: str | None = None  # from METADATA
    version: str | None = None
    tags: tuple[str, ...] = ()  # from WHEEL
    packages: tuple[str, ...] = ()  # top-level folders and modules that it would install
    leaving: tuple[str, ...] = ()  # links, and members whose path leads out of the folder of installation
    at_startup: tuple[str, ...] = ()  # .pth files and sitecustomize: they run whenever Python starts
    scripts: tuple[str, ...] = ()  # programs that it would install
    elsewhere: tuple[str, ...] = ()  # files that go neither to site-packages nor to the folder of programs
    unlisted: tuple[str, ...] = ()  # members that RECORD does not list
    requires: tuple[str, ...] = ()  # the names of the packages that it asks for, of extras too
