"""Read the torch and the Python of the target from files. Extensions are judged against these two."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from attn_doctor.knowledge.cxx_names import torch_symbols
from attn_doctor.model.facts import Interpreter, Unknown
from attn_doctor.model.versions import dotted, pair
from attn_doctor.probes.binaries import fatbin
from attn_doctor.probes.binaries.files import Binary, Files
from attn_doctor.probes.binaries.loader import Process, Trouble
from attn_doctor.probes.binaries.mapped import DamagedFile
from attn_doctor.probes.binaries.torch_import import import_torch

_VERSION = re.compile(r"^__version__\b[^=]*=\s*['\"]([^'\"]+)", re.MULTILINE)
_MACHINES = {"x86_64": "x86-64", "aarch64": "aarch64", "ppc64le": "ppc64"}  # sysconfig's name -> ELF's name
_CUDA = re.compile(r"^cuda\b[^=]*=\s*['\"](\d+)", re.MULTILINE)


class Target:
    """Describe one interpreter with its torch. Files are read when they are first asked for."""

    def __init__(
        self,
        files: Files,
        interpreter: Interpreter,
        torch: str | None,
        site_packages: Sequence[str],
        environ: Mapping[str, str],
    ) -> None:
        """Prepare a target; no file is read yet. `torch`: the folder of the package; None if there is none."""
        self.files = files
        self.interpreter = interpreter
        self.torch = torch
        self.torch_troubles: list[Trouble] = []  # errors that end `import torch`
        self._site_packages = site_packages
        self._environ = environ

    @cached_property
    def process(self) -> Process:
        """Return a process of the target in which torch has been imported.

        If there is no torch, or if its import fails (`torch_troubles`), the process is without torch.
        """
        machine = _MACHINES.get(_last_part(self.interpreter.platform), "x86-64")
        process = Process(self.files, self._environ, self._program, machine)
        if self.torch is not None:
            suffix = self.interpreter.extension_suffix
            branch = process.branch()
            self.torch_troubles = import_torch(
                branch, self.torch, self._site_packages, suffix if isinstance(suffix, str) else None, self.cuda
            )
            process = process if self.torch_troubles else branch
        return process

    @property
    def _program(self) -> str | None:
        """Return the file that runs Python.

        The `python` of a target can be a script that starts another file (pyenv, conda-pack).
        """
        told = self.interpreter
        version = ".".join(told.version.split(".")[:2]) if isinstance(told.version, str) else "3"
        folders = [f"{p}/bin" for p in (told.prefix, told.base_prefix) if isinstance(p, str)]
        places = [told.python] if isinstance(told.python, str) else []
        for path in [*places, *(f"{folder}/python{version}" for folder in folders)]:
            try:
                if self.files.exists(path) and self.files.open(path).identity:
                    return path
            except (OSError, DamagedFile):
                continue
        return None

    @cached_property
    def _version_py(self) -> str:
        return (self.files.text(f"{self.torch}/version.py") or "") if self.torch else ""

    @property
    def torch_minor(self) -> str | None:
        """Return the minor of the target's torch, "2.8"; None if it is not known."""
        match = _VERSION.search(self._version_py)
        numbers = pair(match[1]) if match else None
        return dotted(numbers) if numbers else None

    @property
    def cuda(self) -> str | None:
        """Return the major version of CUDA for which the target's torch was built: "12"; None if it is not known."""
        match = _CUDA.search(self._version_py)
        return match[1] if match else None

    @property
    def has_cuda(self) -> bool:
        """Return whether torch has its library for CUDA. False if there is no torch."""
        return self.brings("libc10_cuda.so")

    def brings(self, soname: str) -> bool:
        """Return whether torch itself contains a library of this name."""
        return self.torch is not None and self.files.exists(library_of(self.files, self.torch, soname))

    @cached_property
    def new_strings(self) -> bool | None:
        """Return whether torch was built with the new C++ ABI (std::string is std::__cxx11::basic_string); None if that is not known."""
        return strings_of(self.files, self.torch) if self.torch else None


def library_of(files: Files, torch: str, name: str) -> str:
    """Return the path of a library of torch: in torch's folder, or in the lib folder of a conda environment.

    If it is in neither, the path in torch's folder is returned.
    """
    places = (f"{torch}/lib/{name}", posixpath.normpath(f"{torch}/../../../{name}"))
    return next((place for place in places if files.exists(place)), places[0])


def strings_of(files: Files, torch: str) -> bool | None:
    """Return whether a torch has the new C++ ABI, from the names in its libc10.so; None if that file cannot be read."""
    try:
        symbols = files.open(library_of(files, torch, "libc10.so")).symbols
        names = (name.decode("ascii", "replace") for name in symbols.exported())
        return torch_symbols.flavours(name for name in names if torch_symbols.TORCH_NAME.match(name))
    except (OSError, DamagedFile):
        return None


def torch_static(location: str, files: Files | None = None) -> dict[str, Any]:
    """Return `archs` and `cxx11_abi` of facts.Torch, from the files of the torch in this folder."""
    files = files or Files()
    if not files.exists(library_of(files, location, "libc10.so")):
        return dict.fromkeys(("cxx11_abi", "archs"), Unknown("torch's libraries are not there, or not those of Linux"))
    new_strings = strings_of(files, location)
    return {
        "cxx11_abi": Unknown("libc10.so could not be read") if new_strings is None else new_strings,
        "archs": _archs(files, location),
    }


def _archs(files: Files, location: str) -> tuple[str, ...] | Unknown:
    path = library_of(files, location, "libtorch_cuda.so")
    if not files.exists(path):
        if files.exists(library_of(files, location, "libtorch_hip.so")):
            return Unknown("GPU code for AMD is not read")
        return ()
    try:
        return fatbin.baseline(fatbin.gpu_code(files.open(path).elf))
    except (OSError, DamagedFile) as error:
        return Unknown(f"{path} {error}")


def _last_part(platform: object) -> str:
    """Return the machine of a sysconfig platform: "x86_64" of "linux-x86_64"."""
    return platform.rpartition("-")[2] if isinstance(platform, str) else ""


def newest_version(binary: Binary, prefix: str) -> str | None:
    """Return the newest version of a family that a library defines: "3.4.30" for GLIBCXX; None if it defines none."""
    return newest(binary.elf.defines.values(), prefix)


def newest(versions: Iterable[str], prefix: str) -> str | None:
    """Return the highest number after a prefix: "2.34" among GLIBC_2.17, GLIBC_2.34 and GLIBC_PRIVATE; None if there is none."""
    found = [m[1] for m in (re.fullmatch(rf"{prefix}_(\d+(?:\.\d+)+)", v) for v in versions) if m]
    return max(found, key=lambda text: tuple(map(int, text.split("."))), default=None)
