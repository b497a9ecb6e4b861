"""Read a wheel as an archive: its digest, its members, its metadata, the members that run by themselves, and those outside its own package."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections import Counter
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from packaging.utils import canonicalize_name

from attn_doctor.model.steps import name_of
from attn_doctor.model.wheel_file import WheelContents
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.wheel_record import compared, rows_of
from attn_doctor.system import files

_BLOCK = 4 << 20
_LARGEST_TEXT = 1 << 20  # bytes of METADATA, WHEEL or entry_points.txt that are read
_LARGEST_RECORD = 16 << 20  # torch's has about 2 MB
MOST_UNPACKED = 16 << 30  # bytes; a larger wheel is refused, and its members are not compared with RECORD
_MOST_MEMBERS = 100_000  # more members are refused; the wheel of torch has about 12,000
_PROGRAMS = ("console_scripts", "gui_scripts")
_SITE_PACKAGES = ("platlib", "purelib")
# site reads .pth and, from Python 3.15 on (PEP 829), .start in the folders of packages; it imports sitecustomize and usercustomize: a module,
# a package or an extension.
_AT_STARTUP = re.compile(r"[^/]+\.(?:pth|start)|(?:site|user)customize(?:/__init__)?\.(?:py|pyc|[\w.-]*so|[\w.-]*pyd)")
_COMPILED = re.compile(r"\.(?:so(?:\.[\d.]+)?|pyd|dll|dylib)$", re.IGNORECASE)
# NotImplementedError: a version or a compression that zipfile lacks; RuntimeError: encrypted; ValueError: a name that cannot be decoded
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def contents(path: Path) -> WheelContents:
    """Read the archive, and compare its members with its RECORD; nothing is unpacked to disk. Raises OSError or DamagedFile."""
    files.check_regular(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    try:
        with zipfile.ZipFile(path) as archive:
            return _of(archive, path, digest.hexdigest())
    except UNREADABLE as error:
        raise DamagedFile(f"is no readable wheel ({error})") from None


def _of(archive: zipfile.ZipFile, path: Path, sha256: str) -> WheelContents:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > _MOST_MEMBERS:
        raise DamagedFile(f"has {len(members)} members, more than any wheel")
    names = [member.filename for member in members]
    infos = sorted({name.partition("/")[0] for name in names if re.match(r"[^/]+\.dist-info/", name)})
    info = next((one for one in infos if f"{one}/METADATA" in names), infos[0] if infos else None)
    metadata = Parser().parsestr(_text(archive, f"{info}/METADATA"), headersonly=True)
    about = Parser().parsestr(_text(archive, f"{info}/WHEEL"), headersonly=True)
    entries = _entry_points(archive, info)
    programs = [name for group, name, _ in entries if group in _PROGRAMS]
    unpacked = sum(member.file_size for member in members)
    rows = rows_of(_text(archive, f"{info}/RECORD", _LARGEST_RECORD)) if unpacked <= MOST_UNPACKED else {}
    record = compared(archive, info, rows)
    schemes = {name: _scheme(name) for name in names}
    installed = [inside for scheme, inside in schemes.values() if scheme in _SITE_PACKAGES]
    return WheelContents(
        path=str(path),
        size=path.stat().st_size,
        sha256=sha256,
        unpacked=unpacked,
        name=metadata["Name"],
        version=metadata["Version"],
        tags=tuple(about.get_all("Tag", ())),
        packages=tuple(sorted({inside.partition("/")[0] for inside in installed if not inside.startswith(f"{info}/")})),
        leaving=(
            *(member.filename for member in members if _leaves(member)),
            *(name for name in programs if re.search(r"[\\/]", name)),
        ),
        at_startup=tuple(name for name, place in schemes.items() if _runs_at_startup(*place)),
        scripts=(*(name for name, (scheme, _) in schemes.items() if scheme == "scripts"), *programs),
        hooks=tuple(f"{group}: {name} = {what}" for group, name, what in entries if group not in _PROGRAMS),
        elsewhere=tuple(name for name, (scheme, _) in schemes.items() if scheme not in (*_SITE_PACKAGES, "scripts")),
        compiled=tuple(name for name in names if _COMPILED.search(name)),
        infos=tuple(infos),
        twice=tuple(sorted(name for name, count in Counter(names).items() if count > 1)),
        altered=record.altered,
        unlisted=record.unlisted,
        unhashed=record.unhashed,
        absent=record.absent,
        requires=tuple(dict.fromkeys(map(_required, metadata.get_all("Requires-Dist", ())))),
    )


def _required(text: str) -> str:
    """Return the name of a required package.

    A requirement with an address is returned unchanged, because an installer would download from that address.
    """
    name = name_of(text)
    return text if name is None or "@" in text else name


class Folders(NamedTuple):
    """Hold the folders of an environment into which a wheel is installed."""

    site_packages: Path
    scripts: Path
    prefix: Path


class Meetings(NamedTuple):
    """Hold what a wheel would meet in an environment. Each text is the path in its folder of installation."""

    replaced: tuple[str, ...]  # files of other packages that it would replace
    among: tuple[str, ...]  # files that it would put into the folder of another package


def meetings(path: Path, folders: Folders, package: str | None) -> Meetings:
    """Return what installing a wheel would replace, and into which folders of other packages it would write.

    `package`: the wheel's own name; the files of its installed version are not counted. Raises OSError or DamagedFile if the
    wheel cannot be read.
    """
    own = _recorded(folders.site_packages, package)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [member.filename for member in archive.infolist() if not member.is_dir()]
            info = next((name.partition("/")[0] for name in names if name.endswith(".dist-info/METADATA")), None)
            programs = [name for group, name, _ in _entry_points(archive, info) if group in _PROGRAMS]
    except UNREADABLE as error:
        raise DamagedFile(f"is no readable wheel ({error})") from None
    into = {
        "platlib": folders.site_packages,
        "purelib": folders.site_packages,
        "scripts": folders.scripts,
        "data": folders.prefix,
    }
    places = [(inside, into[scheme] / inside) for scheme, inside in map(_scheme, names) if scheme in into]
    # On Windows an installer makes NAME.exe of an entry point.
    places += [(name + ending, folders.scripts / (name + ending)) for name in programs for ending in ("", ".exe")]
    places = [(inside, place) for inside, place in places if ".." not in inside]
    return Meetings(
        replaced=tuple(
            inside for inside, place in places if place not in own and (place.is_file() or place.is_symlink())
        ),
        among=tuple(inside for inside, place in places if _among_others(place, folders.site_packages, own)),
    )


def _among_others(place: Path, site_packages: Path, own: set[Path]) -> bool:
    """Return whether a file that is not installed yet would lie in the folder of a package that is.

    A folder without __init__.py, such as nvidia/, is shared by many packages.
    """
    if site_packages not in place.parents or place.exists():
        return False
    first = site_packages / place.relative_to(site_packages).parts[0] / "__init__.py"
    return first.parent != place and first.is_file() and first not in own


def _recorded(site_packages: Path, package: str | None) -> set[Path]:
    """Return the files that RECORD lists for the installed package of this name."""
    found = set()
    for record in site_packages.glob("*.dist-info/RECORD"):
        if canonicalize_name(record.parent.name.partition("-")[0]) == canonicalize_name(package or ""):
            listed = rows_of(files.text(record, _LARGEST_RECORD))
            found |= {Path(os.path.normpath(site_packages / name)) for name in listed}
    return found


def _scheme(name: str) -> tuple[str, str]:
    """Return the kind of folder into which a member is installed, and its name there: ("scripts", "ninja") for "x-1.data/scripts/ninja"."""
    head, _, rest = name.partition("/")
    scheme, _, inside = rest.partition("/")
    return (scheme, inside) if head.endswith(".data") and inside else ("platlib", name)


def _runs_at_startup(scheme: str, inside: str) -> bool:
    """Return whether Python reads or runs a file whenever it starts: only if it lies directly in site-packages.

    In the scheme "data" a wheel can write into any folder of the environment, so the name alone decides there.
    """
    if scheme not in _SITE_PACKAGES:
        return re.search(f"(?:^|/)(?:{_AT_STARTUP.pattern})$", inside) is not None and scheme == "data"
    return _AT_STARTUP.fullmatch(inside) is not None


def _leaves(member: zipfile.ZipInfo) -> bool:
    """Return whether a member would be written outside of the folder of installation, or is a link."""
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    link = stat.S_ISLNK(member.external_attr >> 16)
    return link or name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) is not None


def _entry_points(archive: zipfile.ZipFile, info: str | None) -> list[tuple[str, str, str]]:
    """Return group, name and object of each entry point: ("console_scripts", "torchrun", "torch.distributed.run:main")."""
    found, group = [], ""
    for line in _text(archive, f"{info}/entry_points.txt").splitlines():
        if line.lstrip().startswith("["):
            group = line.strip(" \t[]")
        elif group and "=" in line and not line.lstrip().startswith(("#", ";")):
            name, _, what = line.partition("=")
            found.append((group, name.strip(), what.strip()))
    return found


def _text(archive: zipfile.ZipFile, name: str, most: int = _LARGEST_TEXT) -> str:
    """Return a small text of the archive; empty if it does not exist. What is longer than `most` bytes is cut."""
    try:
        with archive.open(name) as file:
            return file.read(most).decode("utf-8", "replace")
    except KeyError:
        return ""
