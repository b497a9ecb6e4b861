"""Read the machine apart from its GPUs: operating system, C libraries, WSL, container, memory, cores and disks.

The files are below the root; limits and disks have modules of their own. A program is run only on macOS.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from attn_doctor.model.facts import Number, OsName, System, Text, Unknown
from attn_doctor.probes import board, disks, limits
from attn_doctor.probes.library_search import LibrarySearch
from attn_doctor.probes.prefixes import prefixes_of, site_packages
from attn_doctor.probes.root import PACKAGES, Root
from attn_doctor.system import machine as this_machine
from attn_doctor.system import platforms

# Libraries whose place in the loader's cache decides which CUDA a program uses.
CUDA_LIBRARY = re.compile(
    r"lib(cuda|cudart|cudadebugger|nvrtc\S*|nvJitLink|nvidia-ml|nvidia-ptxjitcompiler|cublas(Lt)?|cudnn\S*"
    r"|cufft|curand|cusolver|cusparse(Lt)?|cufile|cupti|nccl|nvshmem\S*)\.so(\.|$)"
)
_NO_LIBSTDCXX = Unknown("no libstdc++.so.6 was found where the loader looks") if platforms.LINUX else None
_SHELLS = frozenset("sh bash zsh fish dash ksh mksh tcsh csh nu xonsh elvish pwsh powershell cmd ash".split())

_LIBRARY = 64 << 20  # at most so many bytes of libc.so.6 and libstdc++.so.6 are read; they have about 2 million


def system(
    root: Path,
    environ: Mapping[str, str],
    folders: Mapping[str, str] | None = None,
    *,
    ask: bool = True,
) -> tuple[System, dict[str, str]]:
    """Return the facts of the system, and the source of each field (see `probes`).

    `folders`: those of the target that are known, by "prefix" and "site-packages". If `ask` is False, no program is started.
    """
    folders = folders or {}
    prefix = folders.get("prefix")
    prefixes = prefixes_of(prefix)
    tree = Root(root, outside=[*folders.values(), *prefixes])
    release = _release(tree)
    machine = machine_of(tree)
    loader = LibrarySearch(tree, environ, machine)
    glibc, musl = _c_library(tree, loader)
    # conda's interpreter has an RPATH to its own lib folder, whose libraries are loaded before the system's.
    conda = [f"{p}/lib" for p in prefixes if tree.is_dir(f"{p}/conda-meta")]
    cxx = loader.find("libstdc++.so.6", first=conda)
    versions = tree.bytes(cxx, _LIBRARY) if cxx else None
    memory, quota = limits.memory(tree, ask=ask), limits.quota(tree)
    place = board.place(tree, environ)
    record = System(
        os=_os(tree),
        distribution=release.name,
        distribution_version=release.version,
        distribution_name=release.title,
        kernel=_kernel(tree),
        machine=machine,
        glibc=glibc,
        musl=musl,
        libstdcxx=cxx or _NO_LIBSTDCXX,
        glibcxx=_newest(versions, b"GLIBCXX"),
        cxxabi=_newest(versions, b"CXXABI"),
        wsl=wsl(tree, environ),
        wsl_driver_folder=tree.is_dir("/usr/lib/wsl/lib"),
        dxg=tree.exists("/dev/dxg"),
        board=place.board,
        jetpack=place.jetpack,
        hosted=place.hosted,
        notebook=place.notebook,
        container=_container(tree, environ),
        cores=limits.cores(tree),
        cores_allowed=limits.cores_allowed(tree),
        cgroup_cpus=quota.cpus,
        memory_bytes=memory.total,
        available_bytes=memory.available,
        swap_bytes=memory.swap,
        cgroup_memory_bytes=quota.memory,
        disks=disks.disks(tree, environ, folders.get("site-packages") or site_packages(tree, prefix)),
        loader_cache=tuple(f"{e.soname} => {e.path}" for e in loader.cache or () if CUDA_LIBRARY.match(e.soname)),
        shell=_shell(tree, environ),
        # Lmod and Environment Modules set the first variable and one of the others: https://lmod.readthedocs.io, https://modules.readthedocs.io
        modules=any(name in environ for name in ("MODULEPATH", "LMOD_CMD", "MODULESHOME")),
    )
    return record, {
        "": "files under /proc, /sys and /etc",
        "glibc": "confstr" if tree.real else "the text inside libc.so.6",
        "glibcxx": "the version names inside the libstdc++ that would be loaded",
        "cxxabi": "the version names inside the libstdc++ that would be loaded",
        "disks": "the file systems and /proc/self/mountinfo",
        "loader_cache": "/etc/ld.so.cache",
    }


class _Release(NamedTuple):
    name: Text
    version: Text
    title: Text


def _release(tree: Root) -> _Release:
    """Read the names and versions of the system; the fields of os-release(5)."""
    text = tree.text("/etc/os-release") or tree.text("/usr/lib/os-release")
    if text is not None:
        named = {m[1]: m[2].strip("\"'") for m in re.finditer(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)}
        return _Release(named.get("ID"), named.get("VERSION_ID"), named.get("PRETTY_NAME"))
    if tree.real and platforms.MACOS:
        version = platform.mac_ver()[0]
        return _Release("macos", version, f"macOS {version}")
    if tree.real and platforms.WINDOWS:
        release, version = platform.win32_ver()[:2]
        return _Release("windows", version, f"Windows {release}")
    why = Unknown("there is no os-release file")
    return _Release(why, why, why)


def _os(tree: Root) -> OsName | Unknown:
    """Return the operating system. A folder with a simulated machine is always a Linux."""
    if not tree.real:
        return "linux"
    return platforms.name() or Unknown("attn-doctor does not know this operating system")


def _kernel(tree: Root) -> Text:
    """Return the kernel release: from a file, else from uname(2).

    For a simulated WSL uname(2) would return the host's release.
    """
    release = tree.text("/proc/sys/kernel/osrelease")
    if release:
        return release
    return platform.release() if tree.real else Unknown("there is no /proc/sys/kernel/osrelease")


def machine_of(tree: Root) -> str:
    """Return the machine as `uname -m` prints it, "x86_64": from /proc/sys/kernel/arch (since Linux 6.1), else of this machine."""
    return tree.text("/proc/sys/kernel/arch") or platform.machine()


def _c_library(tree: Root, loader: LibrarySearch) -> tuple[Text, Text]:
    """Return the versions of glibc and musl; None for the C library that the machine does not use."""
    if tree.real and not platforms.LINUX:
        return None, None
    told = this_machine.c_library() if tree.real else None
    if told:
        return told.split()[-1], None
    path = loader.find("libc.so.6")
    written = re.search(rb"stable release version (\d+\.\d+)", tree.bytes(path, _LIBRARY) or b"") if path else None
    if written:
        return written[1].decode(), None
    if any(name.startswith("ld-musl-") for name in tree.entries("/lib")):
        package = re.search(
            r"^P:musl\nV:(\d+(?:\.\d+)+)", tree.text("/lib/apk/db/installed", PACKAGES) or "", re.MULTILINE
        )
        return None, package[1] if package else Unknown("musl writes its version into no file")
    why = Unknown(f"{path} does not contain its version" if path else "neither glibc nor musl was found")
    return why, None if path else why


def _newest(library: bytes | None, family: bytes) -> Text:
    """Return the highest version of a family, such as GLIBCXX_3.4.30, that a library defines."""
    if library is None:
        return _NO_LIBSTDCXX
    found = re.findall(rb"\0" + family + rb"_(\d{1,9}(?:\.\d{1,9})+)(?=\0)", library)
    versions = [tuple(int(n) for n in v.split(b".")) for v in found]
    return (
        ".".join(map(str, max(versions))) if versions else Unknown(f"the libstdc++ names no {family.decode()} versions")
    )


def wsl(tree: Root, environ: Mapping[str, str]) -> Number:
    """Return 1 or 2, the version of WSL; None outside of WSL.

    Microsoft's kernels have WSL in their name. A custom kernel is recognised by the variables of WSL's interoperability.
    """
    release = tree.text("/proc/sys/kernel/osrelease") or ""
    if "microsoft" in release.lower():
        # WSL1 has no Linux kernel: it reports an old release, "4.4.0-22621-Microsoft".
        return 1 if re.fullmatch(r"4\.4\.\d+-\d+-Microsoft", release) else 2
    if environ.get("WSL_INTEROP") or tree.exists("/run/WSL"):
        return 2
    return None


def _container(tree: Root, environ: Mapping[str, str]) -> Text:
    """Return the kind of container, "docker", by the marks that each kind leaves; None without such marks."""
    groups = (tree.text("/proc/self/cgroup") or "") + (tree.text("/proc/1/cgroup") or "")
    mounts = tree.text("/proc/self/mountinfo") or ""
    marks = {
        "kubernetes": environ.get("KUBERNETES_SERVICE_HOST") or "kubepods" in groups,
        "apptainer": environ.get("APPTAINER_CONTAINER")
        or environ.get("SINGULARITY_CONTAINER")
        or tree.exists("/.singularity.d"),
        "podman": tree.exists("/run/.containerenv") or environ.get("container") == "podman" or "/libpod" in groups,
        # A host that runs containers mounts their folders too, but not over its own /etc.
        "docker": tree.exists("/.dockerenv")
        or re.search(r" \S*/docker/containers/\S+ /etc/(hostname|hosts|resolv\.conf) ", mounts)
        or "/docker/" in groups,
        "lxc": environ.get("container") == "lxc" or "/lxc/" in groups or "/lxc.payload" in groups,
    }
    kind = next((name for name, mark in marks.items() if mark), None)
    return kind or tree.text("/run/systemd/container") or environ.get("container") or None


def _shell(tree: Root, environ: Mapping[str, str]) -> Text:
    """Return the user's shell: the parent process if it is a shell, else the login shell."""
    parent = tree.text(f"/proc/{os.getppid()}/comm")
    login = Path(environ.get("SHELL", "")).name
    for name in (parent, login):
        if name in _SHELLS:
            return name
    return Unknown("neither the parent process nor SHELL names a shell")
