"""Read the file systems that an installation or a build writes to: temporary files, pip's cache, site-packages."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from shutil import disk_usage

from attn_doctor.model.facts import Disk, Flag, Purpose, Unknown
from attn_doctor.probes.root import Root
from attn_doctor.system import platforms


def disks(root: Root, environ: Mapping[str, str], site_packages: str | None) -> tuple[Disk, ...]:
    """Return the file systems of temporary files, of pip's cache and of site-packages. A folder that is not known is left out."""
    places: dict[Purpose, str | None] = {
        "tmp": _temporary(root, environ),
        "cache": _pip_cache(environ),
        "site-packages": site_packages,
    }
    return tuple(disk(root, purpose, path) for purpose, path in places.items() if path)


def disk(root: Root, purpose: Purpose, path: str) -> Disk:
    """Return the properties of the file system that a folder is on. If the folder does not exist yet, its parent counts."""
    here = root.at(path)
    try:
        while not os.path.exists(here) and here != here.parent:
            here = here.parent
        space = disk_usage(here)
        return Disk(
            purpose=purpose,
            path=path,
            free_bytes=space.free,
            total_bytes=space.total,
            device=here.stat().st_dev,
            writable=os.access(here, os.W_OK),
            noexec=_noexec(root, path),
        )
    except OSError as error:
        why = Unknown(f"{path}: {error.strerror or error}")
        return Disk(purpose=purpose, path=path, free_bytes=why, total_bytes=why, device=why, writable=why, noexec=why)


def _noexec(root: Root, path: str) -> Flag:
    """Return whether the mount of a folder forbids running programs from it; None on Windows and macOS.

    Fields: proc_pid_mountinfo(5).
    """
    if root.real and not platforms.LINUX:
        return None
    text = root.text("/proc/self/mountinfo")
    if text is None:
        return Unknown("/proc/self/mountinfo cannot be read")
    here = root.resolve(path)
    best, options = "", ""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 6:
            continue
        at = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4])  # a space is written as \040
        within = at in ("/", here) or here.startswith(at + "/")
        if within and len(at) >= len(best):  # of two mounts on one folder the later one is visible
            best, options = at, fields[5]
    if not best:
        return Unknown(f"no mount point of {path} is listed")
    return "noexec" in options.split(",")


def _temporary(root: Root, environ: Mapping[str, str]) -> str:
    """Return the folder for temporary files, as Python's tempfile and pip choose it."""
    named = (environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    usable = (path for path in named if path and root.is_dir(path))
    return next(usable, tempfile.gettempdir() if platforms.WINDOWS else "/tmp")  # noqa: S108 - looked at, not written to


def _pip_cache(environ: Mapping[str, str]) -> str | None:
    """Return the cache folder that pip chooses. Rule: https://pip.pypa.io/en/stable/topics/caching/."""
    if environ.get("PIP_CACHE_DIR"):
        return environ["PIP_CACHE_DIR"]
    home = environ.get("HOME") or os.path.expanduser("~")  # Path.home() raises where there is none
    if home == "~":
        return None
    if platforms.MACOS:
        return f"{home}/Library/Caches/pip"
    if platforms.WINDOWS:
        return f"{environ.get('LOCALAPPDATA') or home}\\pip\\Cache"
    return f"{environ.get('XDG_CACHE_HOME') or home + '/.cache'}/pip"
