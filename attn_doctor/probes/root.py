"""Read the file tree of the machine: `/`, or a folder with a simulated machine.

Arguments and results are paths as the machine names them; links are followed without leaving the tree.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from attn_doctor.system import files, platforms

PACKAGES = 64 << 20  # bytes that are read of a distribution's list of packages; one of Ubuntu has 2 to 5 million
_MOST_LINKS = 40  # Linux, too, follows at most 40 symbolic links in one path


class Root:
    """Read a file tree: `/`, or a folder with a simulated machine.

    `outside`: real folders that are read if this tree lacks them, such as the folder of the target.
    """

    def __init__(self, top: Path = Path("/"), outside: Iterable[str] = ()) -> None:
        self.real = str(top) in ("/", "\\")  # "\\": Path("/") on Windows
        self._top = "" if self.real else os.path.realpath(top)
        beside = (str(Path(p).absolute()) for p in outside if p)
        self._outside = tuple(p for p in beside if self.name(p) == p and not os.path.exists(self._top + p))

    def name(self, path: str) -> str:
        """Return a path as the machine itself writes it: without the folder of this tree at its beginning."""
        inside = path == self._top or path.startswith(self._top + os.sep)
        return path[len(self._top) :] or "/" if self._top and inside else path

    def at(self, path: str) -> Path:
        """Return the real location of a path of the machine, its links followed."""
        name = self.name(path)
        if self.real or _below(name, self._outside):
            return Path(name)
        return Path(self._top + self.resolve(name))

    def resolve(self, path: str) -> str:
        """Return the path with its links followed, as the machine names it."""
        name = self.name(path)
        if self.real or _below(name, self._outside):
            return os.path.realpath(name)
        done, parts, links = "", _parts(name), 0
        while parts:
            part = parts.pop()
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            here = f"{done}/{part}"
            link = Path(self._top + here)
            if links < _MOST_LINKS and os.path.islink(link):
                links += 1
                target = self.name(str(link.readlink()))
                if target.startswith("/"):
                    done = ""
                parts.extend(_parts(target))
            else:
                done = here
        return done or "/"

    # os.path, not Path: until Python 3.14 the methods of Path raise for a folder without search permission.
    def exists(self, path: str) -> bool:
        return os.path.exists(self.at(path))

    def is_file(self, path: str) -> bool:
        return os.path.isfile(self.at(path))

    def is_dir(self, path: str) -> bool:
        return os.path.isdir(self.at(path))

    def text(self, path: str, most: int = files.MOST) -> str | None:
        """Return the text of the first `most` bytes of a file, stripped; None if it does not exist or cannot be read."""
        raw = self.bytes(path, most)
        return None if raw is None else raw.decode("utf-8", "replace").strip(" \t\r\n\0")

    def bytes(self, path: str, most: int = files.MOST) -> bytes | None:
        """Return the first `most` bytes of a regular file; None if there is none, or it cannot be read."""
        try:
            return files.head(self.at(path), most)
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
            files.raise_if_exhausted(error)
            return None

    def entries(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; empty if it does not exist or cannot be read."""
        try:
            return sorted(entry.name for entry in self.at(folder).iterdir())
        except (OSError, ValueError) as error:
            files.raise_if_exhausted(error)
            return []

    def matching(self, folder: str, prefix: str) -> Iterator[str]:
        """Yield the paths in a folder whose names have this prefix."""
        return (f"{folder}/{name}" for name in self.entries(folder) if name.startswith(prefix))

    def program(self, name: str, search: str) -> str | None:
        """Return the first executable file of this name on a search path ("/usr/bin:/bin"), as a shell finds it; None if there is none."""
        return next(self.programs(name, search), None)

    def programs(self, name: str, search: str) -> Iterator[str]:
        """Yield every executable file of this name on a search path, in its order."""
        for folder in dict.fromkeys(search.split(os.pathsep)):
            for suffix in (".exe", ".bat", ".cmd") if platforms.WINDOWS else ("",):
                path = f"{folder}/{name}{suffix}"
                if folder and self.is_file(path) and os.access(self.at(path), os.X_OK):
                    yield self.name(path)


def _parts(path: str) -> list[str]:
    """Return the parts of a path in reverse order."""
    return [p for p in reversed(path.split("/")) if p not in ("", ".")]


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == f or path.startswith(f + os.sep) for f in folders)
