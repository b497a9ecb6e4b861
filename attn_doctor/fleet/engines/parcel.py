"""Make the parcel: attn-doctor and the packages that `check` imports, as one zipapp for nodes without attn-doctor.

msgspec has compiled code, which no Python can import from a zip: `begin` unpacks the parcel into a temporary folder of the node.
The parcel contains the msgspec of this environment, and every wheel of the same version in `wheels_folder()`: one for each other
Python or processor.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from attn_doctor.commands import shells
from attn_doctor.errors import NotExamined
from attn_doctor.system.cache_folder import cache_folder

# What `attn-doctor check --json -` imports. tomli: what Python 3.10 lacks; it is here only if this environment needed it too.
_PACKAGES = ("attn_doctor", "rich", "rich_argparse", "packaging", "msgspec", "pynvml", "cpuinfo")
_IF_HERE = ("tomli",)
_WHEN = (2020, 1, 1, 0, 0, 0)  # the time of all files in it: the same packages make the same bytes
_BEGIN = "attn_doctor/fleet/engines/begin.py"


def wheels_folder() -> Path:
    """Return the folder for the wheels of msgspec for other Pythons than this one. It need not exist."""
    return cache_folder() / "node-wheels"


def how_to_add(version: str = "3.12", system: str = "manylinux2014_x86_64") -> str:
    """Return the command that puts the msgspec for another Python into `wheels_folder()`.

    `system`: the platform of the wheel.
    """
    pip = (sys.executable, "-m", "pip") if importlib.util.find_spec("pip") else ("uvx", "pip")
    wanted = ("--no-deps", "--only-binary=:all:", "--python-version", version, "--platform", system)
    place = ("--dest", str(wheels_folder()), f"msgspec=={importlib.metadata.version('msgspec')}")
    return shells.quoted((*pip, "download", *wanted, *place))


@functools.cache
def parcel() -> bytes:
    """Return the zipapp, about 2 MB. Raises NotExamined if a package of this environment is not stored as files."""
    stored: dict[str, bytes] = {}
    for name in (*_PACKAGES, *_IF_HERE):
        files = dict(_files(name))
        if not files and name not in _IF_HERE:
            raise NotExamined(
                f"the package {name} of attn-doctor's own environment is not made of files, so it cannot be sent to a node"
            )
        stored |= files
    stored |= _other_cores()
    stored["__main__.py"] = stored[_BEGIN]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(stored):
            archive.writestr(zipfile.ZipInfo(name, _WHEN), stored[name], zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _files(package: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of each file of a package, or of a module with one file. The name begins below the folder on sys.path."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return
    if not spec.submodule_search_locations:
        if spec.origin and Path(spec.origin).is_file():
            yield Path(spec.origin).name, Path(spec.origin).read_bytes()
        return
    for folder in map(Path, spec.submodule_search_locations):
        for file in folder.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(folder.parent).as_posix(), file.read_bytes()


def _other_cores() -> dict[str, bytes]:
    """Return the compiled files in the wheels of `wheels_folder()` that have the version of this environment's msgspec."""
    found: dict[str, bytes] = {}
    version = importlib.metadata.version("msgspec")
    for wheel in sorted(wheels_folder().glob(f"msgspec-{version}-*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith("msgspec/_core.") and name.endswith((".so", ".pyd")):
                    found[name] = archive.read(name)
    return found
