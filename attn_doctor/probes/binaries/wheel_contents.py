"""Read a wheel as an archive: its digest, its members, its metadata, the members that run by themselves, and those outside its own package."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from attn_doctor.model.steps import name_of
from attn_doctor.model.wheel_file import WheelContents
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.system import files

_BLOCK = 4 << 20
_LARGEST_TEXT = 1 << 20  # bytes of METADATA, WHEEL, RECORD or entry_points.txt that are read
_LARGEST_RECORD = 16 << 20  # of an installed package: torch's has about 2 MB
_MOST_MEMBERS = 100_000  # more members are refused; the wheel of torch has about 12,000


def contents(path: Path) -> WheelContents:
    """Read the table of the archive and its small texts; nothing is unpacked to disk. Raises OSError or DamagedFile."""
    files.check_regular(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    try:
        with zipfile.ZipFile(path) as archive:
            return _of(archive, path, digest.hexdigest())
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DamagedFile(f"is no readable wheel ({error})") from None


def _of(archive: zipfile.ZipFile, path: Path, sha256: str) -> WheelContents:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > _MOST_MEMBERS:
        raise DamagedFile(f"has {len(members)} members, more than any wheel")
    info = next(
        (
            m.filename.partition("/")[0]
            for m in members
            if m.filename.count("/") == 1 and m.filename.endswith(".dist-info/METADATA")
        ),
        None,
    )
    metadata = Parser().parsestr(_text(archive, f"{info}/METADATA"), headersonly=True)
    about = Parser().parsestr(_text(archive, f"{info}/WHEEL"), headersonly=True)
    listed = {
        line.rpartition(",")[0].rpartition(",")[0].strip('"') for line in _text(archive, f"{info}/RECORD").splitlines()
    }
    names = [member.filename for member in members]
    schemes = {name: _scheme(name) for name in names}
    installed = [inside for scheme, inside in schemes.values() if scheme in ("platlib", "purelib")]
    return WheelContents(
        path=str(path),
        size=path.stat().st_size,
        sha256=sha256,
        unpacked=sum(member.file_size for member in members),
        name=metadata["Name"],
        version=metadata["Version"],
        tags=tuple(about.get_all("Tag", ())),
        packages=tuple(sorted({inside.partition("/")[0] for inside in installed if not inside.startswith(f"{info}/")})),
        leaving=tuple(m.filename for m in members if _leaves(m)),
        at_startup=tuple(
            name for name in names if re.search(r"(?:^|/)(?:[^/]+\.pth|(?:site|user)customize\.py)$", name)
        ),
        scripts=(
            *(name for name, (scheme, _) in schemes.items() if scheme == "scripts"),
            *_entry_points(archive, info),
        ),
        elsewhere=tuple(name for name, (scheme, _) in schemes.items() if scheme in ("data", "headers")),
        unlisted=tuple(
            name for name in names if listed and name not in listed and not name.startswith(f"{info}/RECORD")
        ),
        requires=tuple(dict.fromkeys(map(_required, metadata.get_all("Requires-Dist", ())))),
    )


def _required(text: str) -> str:
    """Return the name of a required package.

    A requirement with an address is returned unchanged, because an installer would download from that address.
    """
    name = name_of(text)
    return text if name is None or "@" in text else name


def overwritten(path: Path, site_packages: Path, scripts: Path, package: str | None) -> tuple[str, ...]:
    """Return the files of other packages that installing a wheel would replace.

    `package`: the wheel's own name; the files of its installed version are not counted. Raises OSError or DamagedFile if the
    wheel cannot be read.
    """
    own = _recorded(site_packages, package)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [(_scheme(member.filename)) for member in archive.infolist() if not member.is_dir()]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DamagedFile(f"is no readable wheel ({error})") from None
    folders = {"platlib": site_packages, "purelib": site_packages, "scripts": scripts}
    places = [
        (inside, folders[scheme] / inside) for scheme, inside in names if scheme in folders and ".." not in inside
    ]
    return tuple(inside for inside, place in places if place not in own and (place.is_file() or place.is_symlink()))


def _recorded(site_packages: Path, package: str | None) -> set[Path]:
    """Return the files that RECORD lists for the installed package of this name."""
    found = set()
    for record in site_packages.glob("*.dist-info/RECORD"):
        if canonicalize_name(record.parent.name.partition("-")[0]) == canonicalize_name(package or ""):
            lines = files.text(record, _LARGEST_RECORD).splitlines()
            listed = (line.rpartition(",")[0].rpartition(",")[0].strip('"') for line in lines)
            found |= {Path(os.path.normpath(site_packages / name)) for name in listed if name}
    return found


def _scheme(name: str) -> tuple[str, str]:
    """Return the kind of folder into which a member is installed, and its name there: ("scripts", "ninja") for "x-1.data/scripts/ninja"."""
    head, _, rest = name.partition("/")
    scheme, _, inside = rest.partition("/")
    return (scheme, inside) if head.endswith(".data") and inside else ("platlib", name)


def _leaves(member: zipfile.ZipInfo) -> bool:
    """Return whether a member would be written outside of the folder of installation, or is a link."""
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    link = stat.S_ISLNK(member.external_attr >> 16)
    return link or name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) is not None


def _entry_points(archive: zipfile.ZipFile, info: str | None) -> list[str]:
    """Return the names of the programs in entry_points.txt, such as "torchrun"."""
    found, within = [], False
    for line in _text(archive, f"{info}/entry_points.txt").splitlines():
        if line.startswith("["):
            within = line.strip() in ("[console_scripts]", "[gui_scripts]")
        elif within and "=" in line:
            found.append(line.partition("=")[0].strip())
    return found


def _text(archive: zipfile.ZipFile, name: str) -> str:
    """Return a small text of the archive; empty if it does not exist or is too large."""
    try:
        with archive.open(name) as file:
            return file.read(_LARGEST_TEXT).decode("utf-8", "replace")
    except KeyError:
        return ""
