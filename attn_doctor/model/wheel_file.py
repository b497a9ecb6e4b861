"""A wheel file as an archive, as values."""

from __future__ import annotations

from attn_doctor.model.facts import Record


class WheelContents(Record, frozen=True, kw_only=True):
    """Describe one wheel file. Members are named as in the archive."""

    path: str
    size: int  # bytes
    sha256: str
    unpacked: int  # bytes that its members say they have
    name: str | None = None  # of METADATA
    version: str | None = None
    tags: tuple[str, ...] = ()  # of WHEEL
    packages: tuple[str, ...] = ()  # top-level folders and modules that it would install
    leaving: tuple[str, ...] = ()  # members whose path leaves the archive, and links
    at_startup: tuple[str, ...] = ()  # .pth files and sitecustomize: they run whenever Python starts
    scripts: tuple[str, ...] = ()  # programs that it would install
    elsewhere: tuple[str, ...] = ()  # files that go neither to site-packages nor to the folder of programs
    unlisted: tuple[str, ...] = ()  # members that RECORD does not list
