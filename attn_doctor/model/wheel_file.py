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
    leaving: tuple[str, ...] = ()  # links, and members or programs whose path leads out of the folder of installation
    at_startup: tuple[str, ...] = ()  # .pth and .start files, and sitecustomize: they run whenever Python starts
    scripts: tuple[str, ...] = ()  # programs that it would install
    hooks: tuple[str, ...] = ()  # entry points that other programs run: "torch.backends: name = module:function"
    elsewhere: tuple[str, ...] = ()  # files that go neither to site-packages nor to the folder of programs
    compiled: tuple[str, ...] = ()  # members that are libraries or extension modules, for any system
    infos: tuple[str, ...] = ()  # its .dist-info folders
    twice: tuple[str, ...] = ()  # names that two members have
    altered: tuple[str, ...] = ()  # members that are not what RECORD says of them
    unlisted: tuple[str, ...] = ()  # members that RECORD does not list
    unhashed: tuple[str, ...] = ()  # members that RECORD lists without a digest; all, if it has no RECORD
    absent: tuple[str, ...] = ()  # files that RECORD lists and the archive does not contain
    requires: tuple[str, ...] = ()  # the names of the packages that it asks for, of extras too
