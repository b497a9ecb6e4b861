"""Read a wheel that is not installed: the extension modules in the archive, and whether its tags fit the target.

A member is unpacked when it is read, one at a time: up to 64 MiB in memory, a larger one into a temporary file without
a name. So reading a wheel needs space for its largest library in the temporary folder.
"""

from __future__ import annotations

import mmap
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms

from attn_doctor.model.facts import Interpreter
from attn_doctor.model.requirements import read_wheel_name
from attn_doctor.model.versions import Pair, pair
from attn_doctor.probes.binaries.mapped import DamagedFile, Mapped

_IN_MEMORY = 64 << 20
_LARGEST = 8 << 30  # bytes that a member may unpack to; the largest library of torch 2.8 has 1 GiB
_BLOCK = 4 << 20
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}  # PEP 600


_MOST_LIBRARIES = 2_000  # 20,000 took a minute and 500 MB of memory; the wheels of torch, OpenCV and Qt have under 300
_LIBRARY = re.compile(r"\.(?:so(?:\.[\d.]+)?|dylib|dll|pyd)$", re.IGNORECASE)


def _leaves(name: str) -> bool:
    """Return whether a path of an archive leads out of the folder that it is unpacked into."""
    parts = re.split(r"[\\/]", name)
    return ".." in parts or not parts[0] or parts[0].endswith(":")


class WheelFile:
    """Describe one .whl file."""

    def __init__(self, path: Path) -> None:
        """Open the archive. Raises OSError if it cannot be opened, DamagedFile if it is not an archive."""
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        # NotImplementedError: "zip file version 23.3"; ValueError: a name that cannot be decoded
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise DamagedFile(f"is no readable wheel ({error})") from None
        self._members = {m.filename: m for m in self._archive.infolist() if not m.is_dir()}
        outside = next((name for name in self._members if _leaves(name)), None)
        libraries = sum(1 for name in self._members if _LIBRARY.search(name))
        if outside is not None or libraries > _MOST_LIBRARIES:
            self._archive.close()
        if outside is not None:  # pip refuses it too
            raise DamagedFile(f"is refused: its file {outside[:200]!r} would be installed outside of the environment")
        if libraries > _MOST_LIBRARIES:
            raise DamagedFile(f"is not read: it has {libraries} libraries, and at most {_MOST_LIBRARIES} are read")

    def __enter__(self) -> WheelFile:
        return self

    def __exit__(self, *ended: object) -> None:
        self._archive.close()

    @property
    def extensions(self) -> list[str]:
        """Return the members that can be extension modules: shared objects outside the folder of vendored libraries."""
        return sorted(m for m in self._members if m.endswith(".so") and ".libs/" not in m)

    @property
    def of_windows(self) -> list[str]:
        """Return the members that are libraries or extension modules for Windows."""
        return sorted(m for m in self._members if m.lower().endswith((".pyd", ".dll")))

    @property
    def of_macos(self) -> list[str]:
        """Return the members that are libraries or extension modules for macOS."""
        return sorted(m for m in self._members if m.endswith((".so", ".dylib")))

    def opener(self, member: str) -> Callable[[], Mapped]:
        """Return the function that unpacks a member when it is called."""
        return partial(self._read, member)

    def laid_over(self, site_packages: str) -> dict[str, Callable[[], Mapped]]:
        """Return every shared object and Python source of the wheel, by the path that it would have after an installation."""
        shared = (m for m in self._members if m.endswith((".so", ".py")) or ".so." in m)
        return {self.place(member, site_packages): partial(self._read, member) for member in shared}

    @staticmethod
    def place(member: str, site_packages: str) -> str:
        """Return the path at which a member would be installed. Members in NAME.data/platlib/ go to site-packages too."""
        head, _, rest = member.partition("/")
        scheme, _, inside = rest.partition("/")
        if head.endswith(".data") and scheme in ("platlib", "purelib"):
            member = inside
        return f"{site_packages}/{member}"

    def _read(self, name: str) -> Mapped:
        member = self._members[name]
        if member.file_size > _LARGEST:
            raise DamagedFile(f"would unpack to {member.file_size >> 30} GiB")
        try:
            if member.file_size <= _IN_MEMORY:
                return Mapped(self._archive.read(member))
            with tempfile.TemporaryFile() as file, self._archive.open(member) as source:
                while block := source.read(_BLOCK):
                    file.write(block)
                file.flush()
                return Mapped(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            # RuntimeError: encrypted; NotImplementedError: a compression that this Python lacks
            raise DamagedFile(f"cannot be unpacked ({error})") from None


def refused(name: str, interpreter: Interpreter, machine: str, glibc: str | None) -> str | None:
    """Return why an installer would refuse a wheel of this name; None if it would not, or if that is not known.

    `machine` is as in ELF names ("x86-64"). `glibc`: the target's version; None for another C library.
    """
    if not isinstance(interpreter.tag, str) or not interpreter.tag.startswith("cp"):
        return None
    wheel = read_wheel_name(name)
    if wheel is None:
        return "its name is not the name of a wheel, so no installer accepts it"
    for_python = [tag for tag in wheel.tags if tag in _supported(interpreter.tag, tag.platform)]
    if not for_python:
        made_for = ", ".join(sorted({f"{tag.interpreter}-{tag.abi}" for tag in wheel.tags}))
        return f"its name says {made_for}, and the target is {interpreter.tag}: an installer refuses it"
    doubts = [_platform_refused(tag.platform, machine, glibc) for tag in for_python]
    return None if None in doubts else doubts[0]


def refused_on_windows(name: str, interpreter: Interpreter) -> str | None:
    """Return why pip would refuse a wheel of this name in a Python of Windows; None if it would not, or if that is not known."""
    if not isinstance(interpreter.platform, str):
        return None
    here = interpreter.platform.replace("-", "_")
    return _refused(name, interpreter, {here}, here)


def refused_on_macos(name: str, interpreter: Interpreter, machine: str, macos: str | None) -> str | None:
    """Return why pip would refuse a wheel of this name on a Mac; None if it would not, or if that is not known. `macos`: "14.5"."""
    version = pair(macos) if macos else None
    return (
        _refused(name, interpreter, set(mac_platforms(version, machine)), f"macOS {macos} on {machine}")
        if version
        else None
    )


def _refused(name: str, interpreter: Interpreter, platforms: set[str], here: str) -> str | None:
    if not isinstance(interpreter.tag, str) or not interpreter.tag.startswith("cp"):
        return None
    wheel = read_wheel_name(name)
    if wheel is None:
        return "its name is not the name of a wheel, so no installer accepts it"
    if any(
        tag in _supported(interpreter.tag, tag.platform) and tag.platform in {"any", *platforms} for tag in wheel.tags
    ):
        return None
    made_for = ", ".join(sorted(map(str, wheel.tags)))
    return f"its name says {made_for}, and the target is {interpreter.tag} on {here}: an installer refuses it"


def _supported(tag: str, platform: str) -> set[Tag]:
    """Return the tags of a CPython ("cp311", "cp313t") on one platform."""
    digits = tag.removeprefix("cp").rstrip("t")
    version = (int(digits[0]), int(digits[1:]))
    plain = f"cp{digits}"
    return {
        *cpython_tags(version, abis=[tag], platforms=[platform]),
        *compatible_tags(version, interpreter=plain, platforms=[platform]),
    }


def _platform_refused(platform: str, machine: str, glibc: str | None) -> str | None:
    if platform == "any":
        return None
    here = machine.replace("-", "_")
    if not platform.endswith(f"_{here}"):
        return f"its name says {platform}, and the target is Linux on {here}: an installer refuses it"
    if platform.startswith("musllinux"):
        return f"its name says {platform}, and the target's C library is glibc {glibc}" if glibc else None
    if not platform.startswith(("manylinux", "linux")):
        return f"its name says {platform}, and the target is Linux: an installer refuses it"
    floor = _floor(platform)
    if floor is None:
        return None
    have = pair(glibc) if glibc else None
    if have is None:
        return f"its name says {platform}, and the target's C library is not glibc"
    if have < floor:
        return f"its name says {platform}, and the target has glibc {glibc}: an installer refuses it"
    return None


def _floor(platform: str) -> Pair | None:
    """Return the oldest glibc that a platform tag allows; None for "linux_x86_64", which names no glibc."""
    parts = platform.split("_")
    if parts[0] in _LEGACY:
        return _LEGACY[parts[0]]
    return (int(parts[1]), int(parts[2])) if parts[0] == "manylinux" else None
