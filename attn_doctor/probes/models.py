"""Read files of model weights (.pt) without loading them: the classes in them, and the layout of their YOLO12 attention.

Only the pickle of a file is read, never its tensors. A file that the user names is always read. Of the files in the current folder, in
weights/ and in the weights/ folders of runs/, the four newest are read, until 0.3 s are over.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from attn_doctor.model.facts import ModelFile, ModelFormat, Unknown, Yolo, YoloLayout, all_unknown
from attn_doctor.probes import pickle_tree
from attn_doctor.probes.pickle_tree import NoPickle, PickleStream, Thing
from attn_doctor.system import files

_MOST_FILES = 4  # the newest
_MOST_NAMES = 500  # at most so many names in a folder are looked at
_MOST_FOLDERS = 100
_MOST_SECONDS = 0.3  # after this time no further file is read, except the file that the user named
_LARGEST = 512 << 20  # bytes: larger files are not read, unless the user named them; the largest YOLO12 has 120 MB
_LARGEST_PICKLE = 16 << 20  # bytes: a larger pickle is not read; the pickle of YOLO12x has 0.3 MB
_MOST_CLASSES = 200
_MOST_INSTRUCTIONS = 300_000  # in a pickle of a file that the user did not name; YOLO12x has 130,000
_MAGIC = 0x1950A86A20F9469CFC6C  # the first number in a file of torch.save before 1.6
_ATTENTION = "AAttn"
_OURS = "ultralytics."


def models(folder: Path, asked: str | None = None) -> tuple[ModelFile, ...]:
    """Return the records of the weights file that the user named (`asked`, a path), and of the newest weights files in a folder.

    Of the folder at most four files are read, and none after 0.3 seconds.
    """
    started = time.monotonic()
    found = [model_file(folder / asked, asked, asked=True)] if asked else []
    listed = {os.path.realpath(folder / asked)} if asked else set[str]()
    for path in _beside(folder):
        if time.monotonic() - started > _MOST_SECONDS:
            break
        if os.path.realpath(folder / path) not in listed:
            found.append(model_file(folder / path, path))
    return tuple(found)


def here(asked: str | None = None) -> tuple[ModelFile, ...] | Unknown:
    """Return what `models` returns for the current folder. Unknown if the current folder was deleted."""
    try:
        return models(Path.cwd(), asked)
    except OSError as error:
        return Unknown(f"the current folder cannot be read: {error.strerror}")


def against(found: tuple[ModelFile, ...] | Unknown, yolo: Yolo) -> tuple[ModelFile, ...] | Unknown:
    """Return the files, each with the names of those of its classes that the installed ultralytics lacks (`absent`).

    The source files of ultralytics are read as text. Without an ultralytics `absent` is empty; if its folder is not known, the files
    are returned unchanged.
    """
    if isinstance(found, Unknown) or not found:
        return found
    if yolo.version is None:
        return tuple(msgspec.structs.replace(file, absent=()) for file in found)
    if not isinstance(yolo.location, str):
        return found
    installed = _Installed(Path(yolo.location))
    return tuple(
        file
        if isinstance(file.classes, Unknown)
        else msgspec.structs.replace(file, absent=tuple(c for c in file.classes if not installed.has(c)))
        for file in found
    )


# --- where the files are


def _beside(folder: Path) -> list[str]:
    """Return the paths of the newest files of weights in a project, relative to its folder."""
    runs = [f"runs/{name}" for name in _folders(folder / "runs")]
    runs += [f"{run}/{name}" for run in runs for name in _folders(folder / run)]
    places = ["", "weights/", *(f"{run}/weights/" for run in runs[:_MOST_FOLDERS])]
    found: list[tuple[float, str]] = []
    for place in places:
        for entry in _entries(folder / place):
            status = _status(entry) if entry.name.endswith(".pt") else None
            if status is not None and stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST:
                found.append((status.st_mtime, place + entry.name))
    return [path for _, path in sorted(found, reverse=True)[:_MOST_FILES]]


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the first entries of a folder, without names that cannot be printed: such a name would appear in a command."""
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(_MOST_NAMES), entries, strict=False):
                if entry.name.isprintable():
                    yield entry
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(folder) if _is_folder(entry))[:_MOST_FOLDERS]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    status = _status(entry)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the status of the file that a path or link leads to; None for a broken link or a circle of links."""
    try:
        return entry.stat()
    except OSError:
        return None


# --- one file


class _Read(NamedTuple):
    format: ModelFormat
    root: object = None
    classes: tuple[str, ...] = ()


def model_file(path: Path, shown: str, *, asked: bool = False) -> ModelFile:
    """Return the record of one file of weights. If it cannot be read, `problem` says why and the other fields are unknown.

    `shown`: the path in the record. `asked`: the user named the file; then a longer pickle is read.
    """
    try:
        # O_NONBLOCK: if the file is a pipe, open would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:  # noqa: PTH123 - an open descriptor has no path
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return _unread(shown, "it is no file", asked=asked)
            return _described(
                _read(file, pickle_tree.MOST if asked else _MOST_INSTRUCTIONS), shown, status.st_size, asked=asked
            )
    except OSError as error:
        return _unread(shown, error.strerror or str(error), asked=asked)
    except NoPickle as error:
        return _unread(shown, str(error), asked=asked)
    except Exception as error:  # noqa: BLE001 - zipfile and zlib raise a dozen kinds for a damaged archive
        return _unread(shown, f"its archive is cut off or damaged ({error or type(error).__name__})", asked=asked)


def _unread(shown: str, why: str, *, asked: bool) -> ModelFile:
    said = f"{shown} cannot be read: {why}"
    return all_unknown(ModelFile, said, path=shown, asked=asked, problem=why)


def _described(read: _Read, shown: str, size: int, *, asked: bool) -> ModelFile:
    top = read.root.entries() if isinstance(read.root, Thing) else {}
    version, date = top.get("version"), top.get("date")
    return ModelFile(
        path=shown,
        asked=asked,
        size_bytes=size,
        format=read.format,
        classes=read.classes[:_MOST_CLASSES],
        layout=_layout(read.root) if any(c.endswith(f".{_ATTENTION}") for c in read.classes) else None,
        written_by=version[:40] if isinstance(version, str) else None,
        date=date[:40] if isinstance(date, str) else None,
        problem=None,
    )


def _layout(root: object) -> YoloLayout | Unknown | None:
    """Return how the YOLO12 attention of a model stores its projections ("qkv" or "qk+v"), by the names of its submodules."""
    found: set[YoloLayout | None] = set()
    for thing in pickle_tree.things(root):
        if not thing.kind.endswith(f".{_ATTENTION}") or not isinstance(thing.state, Thing):
            continue
        held = thing.state.entries().get("_modules")
        names = set(held.entries()) if isinstance(held, Thing) else set[str]()
        found.add("qkv" if "qkv" in names else "qk+v" if {"qk", "v"} <= names else None)
    if len(found) == 1:
        return found.pop()
    return Unknown("its AAttn modules are not all of the same layout") if found else None


def _read(file: IO[bytes], most: int) -> _Read:
    start = file.read(4)
    if start == b"PK\3\4":
        return _zip(file, most)
    if start[:1] != b"\x80":
        return _Read("other")
    file.seek(0)
    data = PickleStream(file.read(_LARGEST_PICKLE))
    root, names = pickle_tree.read(data, most)
    if root != _MAGIC:
        return _Read("pickle", root, _ours(names))
    for _ in range(3):  # the version of the format, the machine that wrote it, the model
        root, names = pickle_tree.read(data, most)
    return _Read("legacy", root, _ours(names))


def _zip(file: IO[bytes], most: int) -> _Read:
    with zipfile.ZipFile(_Bounded(file)) as archive:
        names = archive.namelist()
        pickled = next((name for name in names if name == "data.pkl" or name.endswith("/data.pkl")), None)
        if pickled is None:
            return _Read("other")
        if any("/code/" in name for name in names):
            return _Read("torchscript")
        with archive.open(pickled) as member:
            data = member.read(_LARGEST_PICKLE + 1)
    if len(data) > _LARGEST_PICKLE:
        raise NoPickle(f"its pickle has more than {_LARGEST_PICKLE >> 20} MB")
    if _OURS.encode() not in data:
        return _Read("zip")
    root, found = pickle_tree.read(PickleStream(data), most)
    return _Read("zip", root, _ours(found))


def _ours(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if name.startswith(_OURS)))


class _Bounded(io.RawIOBase):
    """Wrap a file and refuse reads of more than a limit: an archive can give any size for a member."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(_LARGEST_PICKLE + 1 if size < 0 else min(size, _LARGEST_PICKLE + 1))
        if len(data) > _LARGEST_PICKLE:
            raise NoPickle("its directory is too large")
        return data


# --- the installed ultralytics


class _Installed:
    """Find names in the source files of an ultralytics; each file is read once."""

    def __init__(self, location: Path) -> None:
        self._location = location
        self._texts: dict[str, str | None] = {}

    def has(self, name: str) -> bool:
        """Return whether ultralytics has the class, or replaces it by another class when it loads weights."""
        module, _, last = name.rpartition(".")
        text = self._text(module)
        if text is not None and (re.search(rf"\b{re.escape(last)}\b", text) or "import *" in text):
            return True
        # ultralytics' loader replaces modules and classes of older releases, and names them in full:
        # https://docs.ultralytics.com/reference/nn/tasks/#ultralytics.nn.tasks.temporary_modules
        loader = self._text("ultralytics.nn.tasks") or ""
        package = ".".join(name.split(".")[:3])
        return f'"{name}"' in loader or (f'"{package}"' in loader and package != "ultralytics.nn.modules")

    def _text(self, module: str) -> str | None:
        if module not in self._texts:
            stem = self._location.joinpath(*module.split(".")[1:])
            self._texts[module] = next(
                filter(None, map(_source, (stem.with_suffix(".py"), stem / "__init__.py"))), None
            )
        return self._texts[module]


def _source(path: Path) -> str | None:
    try:
        return files.text(path)
    except (OSError, ValueError):
        return None
