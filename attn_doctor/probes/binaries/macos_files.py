"""Find and open files of macOS by their paths: the files of this machine, and the files of a wheel as if it were installed."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

from attn_doctor.probes.binaries.macho import MachFile, MachO
from attn_doctor.probes.binaries.mapped import DamagedFile, Mapped


class Image:
    """Describe one file. Its content is read when it is first asked for."""

    def __init__(self, path: str, opener: Callable[[], Mapped]) -> None:
        self.path = path
        self._opener = opener

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)

    @cached_property
    def file(self) -> MachFile:
        """Return the content. Raises OSError if the file cannot be opened, DamagedFile if it is damaged."""
        return MachFile(self._opener())

    def code(self, machine: str) -> MachO | None:
        """Return the code for an architecture ("arm64"); None if the file has none for it.

        Raises OSError and DamagedFile as `file` does.
        """
        slices = self.file.slices
        return slices.get(machine) or slices.get({"arm64": "arm64e", "x86_64": "x86_64h"}.get(machine, ""))

    def fits(self, machine: str) -> bool:
        """Return whether dyld could load the file into a process of this architecture."""
        try:
            return self.code(machine) is not None
        except (OSError, DamagedFile):
            return False

    def install_name(self, machine: str) -> str | None:
        """Return the install name ("@rpath/libc10.dylib"); None if the file has none, or cannot be read."""
        try:
            code = self.code(machine)
        except (OSError, DamagedFile):
            return None
        return code.install_name if code else None


class Disk:
    """Hold files by their paths: the files of this machine, and the files of a wheel as if it were installed."""

    def __init__(self, laid_over: Mapping[str, Callable[[], Mapped]] | None = None) -> None:
        self._laid_over = laid_over or {}
        self._known: dict[str, Image | None] = {}

    def get(self, path: str) -> Image | None:
        """Return a file; None if there is none."""
        plain = posixpath.normpath(path)
        if plain not in self._known:
            over = self._laid_over.get(plain)
            self._known[plain] = Image(plain, over) if over else self._on_disk(plain)
        return self._known[plain]

    @staticmethod
    def _on_disk(path: str) -> Image | None:
        try:
            return Image(path, partial(Mapped.open, Path(path))) if Path(path).is_file() else None
        except (OSError, ValueError):  # a folder without permission, or a name that no file can have
            return None

    @staticmethod
    def libraries(folder: str) -> list[str]:
        """Return the paths of all libraries in a folder, sorted; empty if the folder cannot be read."""
        try:
            return sorted(str(entry) for entry in Path(folder).iterdir() if entry.suffix in (".dylib", ".so"))
        except OSError:
            return []


def before(folders: Sequence[str], disk: Disk) -> Iterator[Image]:
    """Yield all libraries in these folders.

    For folders such as torch/lib, whose libraries the process has loaded already.
    """
    for folder in folders:
        for path in disk.libraries(folder):
            image = disk.get(path)
            if image is not None:
                yield image
