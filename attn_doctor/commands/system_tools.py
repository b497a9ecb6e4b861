"""Build the steps that install a C++ compiler, Python's headers and other tools of the system, in the way of this machine. Pure.

The way depends on the place: Windows, a distribution's package manager, an environment of conda, a cluster, a container. If the
facts do not show the place, one step names all possible commands.

Names of packages: packages.debian.org, packages.ubuntu.com, packages.fedoraproject.org, pkgs.alpinelinux.org,
archlinux.org/packages, software.opensuse.org; packages of winget: https://github.com/microsoft/winget-pkgs
(manifests/m/Microsoft/VisualStudio, g/Git, k/Kitware). The C++ workload of Build Tools:
https://learn.microsoft.com/visualstudio/install/workload-component-id-vs-build-tools
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.commands.places import Argv, Manager
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

Tool = Literal["compiler", "git", "ninja", "cmake"]

_PACKAGES: dict[Tool, dict[Manager, Argv]] = {
    "compiler": {
        "apt-get": ("build-essential",),
        "dnf": ("gcc", "gcc-c++", "make"),
        "zypper": ("gcc", "gcc-c++", "make"),
        "apk": ("build-base",),
        "pacman": ("base-devel",),
    },
    "git": dict.fromkeys(("apt-get", "dnf", "zypper", "apk", "pacman"), ("git",)),
    "ninja": {
        "apt-get": ("ninja-build",),
        "dnf": ("ninja-build",),
        "zypper": ("ninja",),
        "apk": ("ninja-build",),
        "pacman": ("ninja",),
    },
    "cmake": dict.fromkeys(("apt-get", "dnf", "zypper", "apk", "pacman"), ("cmake",)),
}
_WINGET: dict[Tool, str] = {"git": "Git.Git", "ninja": "Ninja-build.Ninja", "cmake": "Kitware.CMake"}
_CONDA: dict[Tool, str] = {"git": "git", "ninja": "ninja", "cmake": "cmake"}
WORKLOAD = "--wait --passive --add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"
_INSTALL: dict[Manager, Argv] = {
    "apt-get": ("apt-get", "install", "-y"),
    "dnf": ("dnf", "install", "-y"),
    "zypper": ("zypper", "install", "-y"),
    "apk": ("apk", "add"),
    "pacman": ("pacman", "-S", "--needed"),
}
NATIVE_PROMPT = "x64 Native Tools Command Prompt for VS 2022"


def packages(facts: Facts, names: dict[Manager, Argv], why: str, changes: str) -> tuple[Step, ...]:
    """Return the steps that install packages of the distribution. `names`: package manager -> names of the packages.

    Empty if the package manager is not known or not in `names`, and on a cluster, whose users are not root.
    """
    manager = places.manager(facts)
    wanted = names.get(manager, ()) if manager else ()
    if manager is None or not wanted or places.on_cluster(facts):
        return ()
    install = commands.by_hand(places.as_root(facts, *_INSTALL[manager], *wanted), why, changes)
    if manager == "apt-get" and places.container(facts):
        # Images are published without apt's lists: https://docs.docker.com/build/building/best-practices/#apt-get
        line = " ".join(("apt-get update &&", *_INSTALL[manager], *wanted))
        return (
            commands.by_hand(
                ("sh", "-c", line),
                f"{why}; container images contain no package lists of apt, so `apt-get update` must run first",
                changes,
            ),
        )
    return (install,)


def either(names: dict[Manager, Argv], why: str, changes: str, *, image: bool = False) -> Step:
    """Return the step for a Linux whose distribution is not known: one command line, which uses apt-get if it is installed, else dnf.

    `image`: it runs while an image is built, as root, without sudo and without apt's lists.
    """
    if image:
        apt, dnf = " ".join((*_INSTALL["apt-get"], *names["apt-get"])), " ".join((*_INSTALL["dnf"], *names["dnf"]))
        line = f"if command -v apt-get; then apt-get update && {apt}; else {dnf}; fi"
        return commands.by_hand(("sh", "-c", line), f"{why}; uses apt-get (Debian, Ubuntu) or else dnf", changes)
    line = f"command -v apt-get && sudo {' '.join((*_INSTALL['apt-get'], *names['apt-get']))} || sudo {' '.join((*_INSTALL['dnf'], *names['dnf']))}"
    return commands.by_hand(
        ("sh", "-c", line),
        f"{why}; uses apt-get (Debian, Ubuntu) or else dnf (RHEL, Rocky, Fedora); as root, leave sudo out",
        changes,
    )


def _is_any_linux(facts: Facts) -> bool:
    """Return whether this is a Linux whose distribution is not known. A known distribution that this module lacks has neither apt-get nor dnf."""
    return facts.system.os == "linux" and not isinstance(facts.system.distribution, str)


def every_manager(names: dict[Manager, Argv]) -> str:
    """Return the commands of apt-get and of dnf as one text, for a Linux whose distribution is not known. `names`: as for `packages`."""
    of: dict[Manager, str] = {"apt-get": "Debian, Ubuntu", "dnf": "RHEL, Rocky, Fedora"}
    return "; ".join(
        f"{' '.join((*_INSTALL[name], *names[name]))} ({system})" for name, system in of.items() if name in names
    )


def compiler(facts: Facts, why: str = "the C++ compiler of the system") -> tuple[Step, ...]:
    """Return the steps that install a C++ compiler so that a build finds it. `why`: the words beside the commands of Linux."""
    if facts.system.os == "windows":
        return _visual_studio(facts)
    if facts.system.os == "darwin":
        return (commands.by_hand(("xcode-select", "--install"), "clang and clang++ of Apple", "adds Apple's tools"),)
    if places.environment_tool(facts):
        return (conda_gcc(facts),)
    if places.on_cluster(facts):
        return module(facts, "gcc", "gcc/13.2.0", "a C++ compiler")
    found = packages(facts, _PACKAGES["compiler"], why, "adds gcc, g++ and make")
    if found:
        return found
    if _is_any_linux(facts):
        why = f"{why}; without root: conda install -c conda-forge gxx_linux-64"
        return (either(_PACKAGES["compiler"], why, "adds gcc, g++ and make"),)
    unknown = f"install gcc and g++: {every_manager(_PACKAGES['compiler'])}; without root: conda install -c conda-forge gxx_linux-64"
    if facts.system.os != "linux":
        unknown += f". On Windows: Visual Studio Build Tools with the C++ workload, and the {NATIVE_PROMPT}"
    return (commands.by_hand((), unknown, "adds a C++ compiler"),)


def conda_gcc(facts: Facts, version: int | None = None, why: str | None = None) -> Step:
    """Return the step that adds conda-forge's gcc to this environment, of this major version if one is given.

    `why`: the beginning of the reason, in words.
    """
    name = f"gxx_linux-{'aarch64' if places.architecture(facts) == 'aarch64' else '64'}"
    again = "gcc and g++ inside this environment; activate it again, which sets CC and CXX"
    return commands.by_hand(
        places.conda_install(facts, f"{name}={version}" if version else name),
        f"{why}: {again}" if why else again,
        f"adds gcc{f' {version}' if version else ''} to this environment",
    )


def _visual_studio(facts: Facts) -> tuple[Step, ...]:
    install = commands.by_hand(
        ("winget", "install", "--id", "Microsoft.VisualStudio.2022.BuildTools", "-e", "--override", WORKLOAD),
        "Visual Studio Build Tools with the C++ workload (by hand: https://visualstudio.microsoft.com/visual-cpp-build-tools/, "
        "'Desktop development with C++')",
        "adds MSVC and the Windows SDK",
        takes="2 to 3 GB",
    )
    return install, native_prompt(facts)


def native_prompt(facts: Facts) -> Step:
    """Return the step that opens the prompt in which cl.exe is on PATH."""
    kind = "activate your environment in it" if facts.interpreter.kind != "system" else "go on in it"
    return commands.by_hand(
        (),
        f"open the {NATIVE_PROMPT} from the Start menu, {kind}, type `set DISTUTILS_USE_SDK=1`, and build there: cl.exe is on "
        "PATH only in that prompt",
        "a new prompt",
        "none",
    )


def tool(facts: Facts, name: Tool) -> tuple[Step, ...]:
    """Return the steps that install git, ninja, cmake or a compiler, in the way of this machine.

    `name`: "git", "compiler".
    """
    if name == "compiler":
        return compiler(facts)
    changes = f"adds {name}"
    if places.environment_tool(facts):
        return (
            commands.by_hand(places.conda_install(facts, _CONDA[name]), f"{name} inside this environment", changes),
        )
    if facts.system.os == "windows":
        return (
            commands.by_hand(("winget", "install", "--id", _WINGET[name], "-e"), "then open a new prompt", changes),
        )
    if facts.system.os == "darwin":
        return (commands.by_hand(("brew", "install", name), "Homebrew's", changes),)
    if places.on_cluster(facts):
        return module(facts, name, name, name)
    found = packages(facts, _PACKAGES[name], f"{name} of the distribution", changes)
    if not found and _is_any_linux(facts):
        image = places.container(facts) == places.BUILD
        return (either(_PACKAGES[name], f"{name} of the distribution", changes, image=image),)
    return found or (commands.by_hand((), f"install {name}: {every_manager(_PACKAGES[name])}", changes),)


def module(facts: Facts, name: str, example: str, what: str) -> tuple[Step, ...]:  # noqa: ARG001 - every way of installing takes facts
    """Return the steps that load software on a cluster: list the modules, then load one.

    `name`: the word to search for. `example`: a usual name of such a module. `what`: the software, in words.
    """
    return (
        commands.by_hand(("module", "avail", name), "lists what this cluster has; it needs no root", "nothing", "none"),
        commands.by_hand(
            ("module", "load", example),
            f"{what}; {example} is an example: use a name from the list",
            "this shell only",
            "none",
        ),
    )


def python_headers(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that install the headers of exactly this Python version."""
    version = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    label = f"{version[0]}.{version[1]}" if version else None
    if facts.system.os == "windows" and (folder := portable(facts)) is not None:
        return _headers_beside(folder, label)
    if places.environment_tool(facts):
        exact = f"python={label}" if label else "python"
        return (commands.by_hand(places.conda_install(facts, exact), "conda's Python includes its headers", "python"),)
    if facts.system.os == "windows":
        return (
            commands.by_hand(
                ("winget", "install", "--id", f"Python.Python.{label or '3.12'}", "-e"),
                "the installer of python.org has headers and libraries, the embedded Python has none: make the environment again with the new Python",
                "adds a whole Python",
            ),
        )
    if places.on_cluster(facts):
        return module(
            facts,
            "python",
            f"python/{label or '3.11'}",
            "a Python with its headers; make the environment again with it",
        )
    found = packages(facts, _headers(facts, label), "the headers of exactly this Python", "adds Python.h")
    if found:
        return found
    names: dict[Manager, Argv] = {"apt-get": (f"python{label or '3'}-dev",), "dnf": ("python3-devel",)}
    if _is_any_linux(facts):
        names = {**names, "dnf": (f"python{label or '3'}-devel",)}
        return (either(names, "the headers of exactly this Python; a Python of conda or uv has them", "adds Python.h"),)
    why = f"install the headers of exactly this Python: {every_manager(names)}; or take a Python of conda or uv, which has them"
    return (commands.by_hand((), why, "adds Python.h"),)


# Python version -> a release with a Windows build at python.org. A minor version's headers fit all its releases, so 3.13.0 is enough.
_WINDOWS_RELEASES = {
    "3.9": "3.9.13",
    "3.10": "3.10.11",
    "3.11": "3.11.9",
    "3.12": "3.12.10",
    "3.13": "3.13.0",
    "3.14": "3.14.0",
}
_PORTABLE = re.compile(
    r"(?P<folder>.*(?:python_embed+ed|python_standalone|-embed-\w+|python[-_]portable))[\\/]python\.exe", re.IGNORECASE
)


def portable(facts: Facts) -> str | None:
    """Return the folder of an embeddable Python of Windows; None for most other kinds of Python.

    A Python that a program brought, and that was started in its own folder, without a path, counts as one.
    """
    path = facts.interpreter.python
    found = _PORTABLE.fullmatch(path) if isinstance(path, str) else None
    if found:
        return found["folder"]
    # A Python that was called as `.\\python.exe` in its own folder, which a program brought: FramePack's system\\python.
    prefix, beside = facts.interpreter.prefix, isinstance(path, str) and path.rpartition("\\")[0] in ("", ".")
    return prefix if beside and facts.interpreter.kind == "standalone" and isinstance(prefix, str) else None


def _headers_beside(folder: str, label: str | None) -> tuple[Step, ...]:
    """Return the steps that add Include and libs to an embeddable Python: NuGet's package of this Python has both, under tools.

    https://docs.python.org/3/using/windows.html#the-nuget-org-packages
    """
    if label is None:
        page = "https://www.nuget.org/api/v2/package/python/"
        program = (
            f"import platform, urllib.request as r; r.urlretrieve('{page}' + platform.python_version(), 'python.zip')"
        )
        argv: tuple[str, ...] = (f"{folder}\\python.exe", "-c", program)
        which = "release of this Python"
    else:
        release = _WINDOWS_RELEASES.get(label, label)
        argv = ("curl.exe", "-L", "-o", "python.zip", f"https://www.nuget.org/api/v2/package/python/{release}")
        which = f"Python {release}"
    return (
        commands.by_hand(
            argv,
            f"the whole {which}, with the headers and libraries that the embeddable package leaves out",
            "a file python.zip",
            takes="15 MB",
        ),
        commands.by_hand(
            ("tar.exe", "-xf", "python.zip", "-C", folder, "--strip-components", "1", "tools/include", "tools/libs"),
            "puts its folders include and libs beside python.exe, where triton and compilers look for them",
            f"adds include and libs to {folder}",
        ),
    )


# Distribution and release -> the version of its `python3`: only this version's headers are in a package without a version in its name.
_SYSTEM_PYTHON = {
    ("rhel", 8): "3.6",
    ("rhel", 9): "3.9",
    ("rhel", 10): "3.12",
    ("amzn", 2023): "3.9",
    **{("fedora", release): python for release, python in ((41, "3.13"), (42, "3.13"), (43, "3.14"), (44, "3.14"))},
}
_LIKE_RHEL = ("rocky", "almalinux", "centos", "ol")


def _headers(facts: Facts, label: str | None) -> dict[Manager, Argv]:
    """Return the names of the packages with Python's headers. On Red Hat and SUSE the name contains the version, except for the system's own Python."""
    name = facts.system.distribution
    release = pair(facts.system.distribution_version) if isinstance(facts.system.distribution_version, str) else None
    own = _SYSTEM_PYTHON.get(("rhel" if name in _LIKE_RHEL else str(name), release[0])) if release else None
    other = label if own and label != own else None
    dotted = other.replace(".", "") if other in ("3.8", "3.9") else other  # python39-devel, but python3.11-devel
    suse = f"python{label.replace('.', '')}-devel" if label and label != "3.6" else "python3-devel"
    return {
        "apt-get": (f"python{label or '3'}-dev",),
        "dnf": (f"python{dotted or '3'}-devel",),
        "zypper": (suse,),
        "apk": ("python3-dev",),
        "pacman": ("python",),
    }


_MANAGER_ORDER: tuple[Manager, ...] = ("apt-get", "dnf", "zypper", "apk", "pacman")
# A system library that OpenCV needs -> its package for each manager, in the order above.
_OPENCV: dict[str, dict[Manager, Argv]] = {
    stem: {name: (package,) for name, package in zip(_MANAGER_ORDER, row.split(), strict=True)}
    for stem, row in {
        "libGL": "libgl1 mesa-libGL Mesa-libGL1 mesa-gl libglvnd",
        "libEGL": "libegl1 mesa-libEGL Mesa-libEGL1 mesa-egl libglvnd",
        "libglib-2": "libglib2.0-0 glib2 libglib-2_0-0 glib glib2",
        "libgthread-2": "libglib2.0-0 glib2 libgthread-2_0-0 glib glib2",
        "libSM": "libsm6 libSM libSM6 libsm libsm",
        "libICE": "libice6 libICE libICE6 libice libice",
        "libXext": "libxext6 libXext libXext6 libxext libxext",
        "libXrender": "libxrender1 libXrender libXrender1 libxrender libxrender",
        "libX11": "libx11-6 libX11 libX11-6 libx11 libx11",
        "libxcb": "libxcb1 libxcb libxcb1 libxcb libxcb",
    }.items()
}


def opencv_library(facts: Facts, stem: str) -> tuple[Step, ...]:
    """Return the steps that install a library of the system for OpenCV. `stem`: its name, "libGL" or "libglib-2"; any other name counts as libGL.

    Empty on Windows and macOS, and on a cluster.
    """
    # Slim images lack both libGL and glib, but OpenCV's error names libGL only.
    pairs = [_OPENCV.get(stem, _OPENCV["libGL"]), *([_OPENCV["libglib-2"]] if stem == "libGL" else [])]
    names = {name: tuple(package for row in pairs for package in row[name]) for name in _MANAGER_ORDER}
    why = "the system library that OpenCV was linked against"
    if places.environment_tool(facts) and stem == "libGL":
        return (
            commands.by_hand(places.conda_install(facts, "libgl"), f"{why}, inside this environment", "adds libgl"),
        )
    if facts.system.os in ("windows", "darwin"):
        return ()
    found = packages(facts, names, why, f"adds {stem}")
    if found or places.on_cluster(facts):
        return found
    return (commands.by_hand((), f"{why}: {every_manager(names)}", f"adds {stem}"),)
