"""Build the steps that install a second gcc: a newer gcc for torch's headers, or an older gcc for nvcc. Pure.

Releases of gcc by distribution: packages.ubuntu.com and packages.debian.org (gcc-13, ...), gcc-toolset of Red Hat
(https://access.redhat.com/articles/6657701), software.opensuse.org (gcc13-c++), conda-forge (gxx_linux-64).
"""

from __future__ import annotations

from typing import NamedTuple

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.commands.system_tools import NATIVE_PROMPT, WORKLOAD, compiler, conda_gcc, module, packages
from attn_doctor.knowledge.cuda import newest_gcc, releases
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

_USUAL = 13  # new enough for the headers of every torch; nvcc accepts it from CUDA 12.4 on
_OF_11_8 = 11  # nvcc accepts it from CUDA 11.4.1 on; the oldest CUDA of a torch with C++17 headers is 11.7
# Release of Ubuntu or Debian -> the gcc versions in its own archive.
_OF_APT = {
    ("ubuntu", 20): (7, 8, 9, 10),
    ("ubuntu", 22): (9, 10, 11, 12),
    ("ubuntu", 24): (9, 10, 11, 12, 13, 14),
    ("ubuntu", 26): (11, 12, 13, 14, 15),
    ("debian", 11): (9, 10),
    ("debian", 12): (11, 12),
    ("debian", 13): (12, 13, 14),
}
_TOOLSETS = {8: (9, 10, 11, 12, 13, 14), 9: (12, 13, 14), 10: (14, 15)}  # gcc-toolset-N, by release of Red Hat
_COMPAT = (
    14  # the older gcc that Fedora has beside its default gcc, https://packages.fedoraproject.org/pkgs/gcc14/gcc14-c++/
)
_LIKE_RHEL = ("rhel", "rocky", "almalinux", "centos", "ol")


class _Msvc(NamedTuple):
    """Describe an older toolset of MSVC that Visual Studio's installer offers, and the CUDA releases whose nvcc accepts it."""

    version: str
    component: str
    studio: str
    takes: str
    refused: tuple[int, int]  # nvcc refuses this cl.exe and newer ones, and needs this toolset instead


# Each nvcc has the newest Visual Studio that it accepts in its crt/host_config.h: CUDA 10.1 to 11.5 accept 2017 and 2019 (_MSC_VER below
# 1930), CUDA 11.6 and newer 2022 too (https://docs.nvidia.com/cuda/archive/11.6.2/pdf/CUDA_Features_Archive.pdf), and until 12.3 only up to
# 17.9 (below 1940; STL1002 of Microsoft's headers says the same). Components:
# https://learn.microsoft.com/en-us/visualstudio/install/workload-component-id-vs-build-tools
_OF_2019 = _Msvc(
    "14.29", "14.29.16.11.x86.x64", "2019 16.11", "CUDA 11.5 and older accept no Visual Studio 2022", (19, 30)
)
_OF_2022 = _Msvc(
    "14.38",
    "14.38.17.8.x86.x64",
    "2022 17.8",
    "every CUDA from 11.6 on accepts it; CUDA older than 12.4 refuses MSVC 14.40 and newer",
    (19, 40),
)
# No prompt of Visual Studio has this script on PATH. https://learn.microsoft.com/en-us/cpp/build/building-on-the-command-line
_TOOLS = r"C:\Program Files (x86)\Microsoft Visual Studio\2022\BuildTools"
_VCVARSALL = rf"{_TOOLS}\VC\Auxiliary\Build\vcvarsall.bat"
_FIRST_WITH_2022, _FIRST_WITH_NEWEST = (11, 6), (12, 4)


def newer(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that install a newer gcc, with C++17 and C++20 for torch's headers.

    The nvcc of this machine must accept it.
    """
    cuda = release_here(facts)
    limit = newest_gcc(cuda) if cuda else None
    if limit is None:
        return at_most(facts, _OF_11_8, "supports the C++ of torch's headers, and nvcc accepts it from CUDA 11.4.1 on")
    return at_most(
        facts, min(_USUAL, limit), f"supports the C++ of torch's headers, and the nvcc of CUDA {cuda} accepts it"
    )


def release_here(facts: Facts) -> str | None:
    """Return the CUDA release of the toolkit on this machine; without a toolkit, that of torch; None if neither is known."""
    return toolkit_here(facts) or (facts.torch.cuda if isinstance(facts.torch.cuda, str) else None)


def toolkit_here(facts: Facts) -> str | None:
    """Return the CUDA release of the first toolkit on this machine; None if there is none, or its release is not known."""
    kits = facts.toolchain.toolkits if isinstance(facts.toolchain.toolkits, tuple) else ()
    return next((kit.version for kit in kits if isinstance(kit.version, str)), None)


def at_most(facts: Facts, limit: int | None, why: str | None = None, studio: int | None = None) -> tuple[Step, ...]:
    """Return the steps that install the newest gcc up to `limit` and set it for nvcc and for C++ files.

    `limit` None: it is not known; without an environment of conda and off a cluster, one step then says in words what
    to install. `why`: the reason for this gcc, in words. On a cluster the steps load a module. On Windows they install
    a toolset of MSVC; `studio`: the newest Visual Studio that nvcc's error names (2019).
    """
    if facts.system.os == "windows" or studio:
        return _msvc(facts, studio)
    said = why or "the newest gcc that this nvcc accepts"
    if places.environment_tool(facts):
        named = f"{said} is {limit}" if limit and why is None else said
        return conda_gcc(facts, limit, named), *_both(f"{places.architecture(facts)}-conda-linux-gnu-g++")
    if places.on_cluster(facts):
        return module(facts, "gcc", f"gcc/{limit or _USUAL}.2.0", said)
    if limit is None:
        ask = f"install the newest gcc that this CUDA accepts ({_limits()})"
        both = "set it for nvcc and for the C++ files: CC=gcc-N CXX=g++-N NVCC_PREPEND_FLAGS='-ccbin g++-N'"
        on_windows = (
            ""
            if facts.system.os == "linux"
            else f"; for Visual Studio build in the {NATIVE_PROMPT} with DISTUTILS_USE_SDK=1"
        )
        return (commands.by_hand((), f"{ask}, and {both}{on_windows}", "a compiler"),)
    release = pair(facts.system.distribution_version) if isinstance(facts.system.distribution_version, str) else None
    major = release[0] if release else None
    if places.manager(facts) == "apt-get":
        return _apt(facts, limit, said, major)
    if facts.system.distribution in _LIKE_RHEL and major in _TOOLSETS:
        return _toolset(facts, max((n for n in _TOOLSETS[major] if n <= limit), default=_TOOLSETS[major][0]), said)
    if facts.system.distribution == "fedora" and limit >= _COMPAT:
        names = {"dnf": (f"gcc{_COMPAT}", f"gcc{_COMPAT}-c++")}
        added = f"adds gcc {_COMPAT}; the present gcc is kept"
        return *packages(facts, names, said, added), *_both(f"/usr/bin/g++-{_COMPAT}")  # type: ignore[arg-type]
    if places.manager(facts) == "zypper":
        names = {"zypper": (f"gcc{limit}", f"gcc{limit}-c++")}
        added = f"adds gcc {limit}; the present gcc is kept"
        return *packages(facts, names, said, added), *_both(f"/usr/bin/g++-{limit}")  # type: ignore[arg-type]
    if isinstance(facts.system.distribution, str):
        return _of_conda(facts, limit, said)
    # The distribution is not known: the line of Ubuntu and Debian, as for the toolkit.
    conda = f"conda create -y -n gcc -c conda-forge gxx_linux-{_platform(facts)}={limit}"
    get = commands.by_hand(
        places.as_root(facts, "apt-get", "install", "-y", f"gcc-{limit}", f"g++-{limit}"),
        f"{said}; on Ubuntu and Debian. Another system, or no package gcc-{limit}: {conda}, and the three variables then name its files "
        f"{places.architecture(facts)}-conda-linux-gnu-gcc and -g++ in the folder bin of that environment",
        f"adds gcc {limit}; the present gcc is kept",
    )
    return get, *_both(f"/usr/bin/g++-{limit}")


def _platform(facts: Facts) -> str:
    return "aarch64" if places.architecture(facts) == "aarch64" else "64"


def _of_conda(facts: Facts, limit: int, said: str) -> tuple[Step, ...]:
    """Return the steps that put a gcc into an environment of conda, and name it by its path: the environment need not be active.

    conda-forge's compilers have the prefix of their platform: https://docs.conda.io/projects/conda-build/en/stable/resources/compiler-tools.html
    """
    get = commands.by_hand(
        ("conda", "create", "-y", "-n", "gcc", "-c", "conda-forge", f"gxx_linux-{_platform(facts)}={limit}"),
        f"{said}. This distribution has no gcc {limit} of its own; conda (https://conda-forge.org/download/) needs no root",
        f"adds an environment with gcc {limit}; the present gcc is kept",
        takes="about 300 MB",
    )
    start = f"$(conda info --base)/envs/gcc/bin/{places.architecture(facts)}-conda-linux-gnu"
    script = f'export CC="{start}-gcc" CXX="{start}-g++" NVCC_PREPEND_FLAGS="-ccbin {start}-g++"'
    named = commands.by_hand(
        ("sh", "-c", script),
        "nvcc and the plain C++ files need the same compiler",
        "CC, CXX and NVCC_PREPEND_FLAGS, in this shell alone",
        "none",
    )
    return get, named


def _apt(facts: Facts, limit: int, said: str, major: int | None) -> tuple[Step, ...]:
    had = _OF_APT.get((str(facts.system.distribution), major or 0), ())
    fitting = [n for n in had if n <= limit]
    chosen = max(fitting, default=limit)
    names = {"apt-get": (f"gcc-{chosen}", f"g++-{chosen}")}
    found = packages(facts, names, f"{said}: {limit} or older", f"adds gcc {chosen}; the present gcc is kept")  # type: ignore[arg-type]
    if facts.system.distribution == "ubuntu" and (major is not None and had == ()):
        ppa = commands.by_hand(
            places.as_root(facts, "add-apt-repository", "-y", "ppa:ubuntu-toolchain-r/test"),
            "newer compilers for old releases of Ubuntu",
            "apt's repositories",
        )
        found = (ppa, *found)
    return *found, *_both(f"/usr/bin/g++-{chosen}")


def _toolset(facts: Facts, number: int, said: str) -> tuple[Step, ...]:
    name = f"gcc-toolset-{number}"
    get = commands.by_hand(
        places.as_root(facts, "dnf", "install", "-y", name), said, f"adds gcc {number}; the present gcc is kept"
    )
    folder = f"/opt/rh/{name}/root/usr/bin"
    return get, *_both(f"{folder}/g++")


def _both(compiler: str) -> tuple[Step, ...]:
    """Return the steps that set one compiler for nvcc and for plain C++ files, because both must use the same."""
    why = "nvcc and the plain C++ files need the same compiler"
    head, _, tail = compiler.rpartition("g++")
    return (
        commands.variable("CC", f"{head}gcc{tail}", why),
        commands.variable("CXX", compiler, why),
        commands.variable("NVCC_PREPEND_FLAGS", f"-ccbin {compiler}", why),
    )


def _limits() -> str:
    """Return in words the first CUDA release that accepts each gcc: "13 from CUDA 12.4 on, ..."."""
    first: dict[int, str] = {}
    for row in releases():
        first.setdefault(row.max_gcc, row.cuda)
    return ", ".join(f"{gcc} from CUDA {cuda} on" for gcc, cuda in first.items())


def _msvc(facts: Facts, studio: int | None) -> tuple[Step, ...]:
    version = pair(release_here(facts) or "")
    if studio is None:
        studio = 2022 if version is None or version >= _FIRST_WITH_2022 else 2019
    chosen = _OF_2022 if studio >= 2022 else _OF_2019
    other = (
        ""
        if version or chosen is _OF_2019
        else f". For CUDA 11.5 or older write {_OF_2019.component} and {_OF_2019.version} instead"
    )
    return _older_msvc(facts, chosen, other)


def studio(facts: Facts, cuda: tuple[int, int]) -> tuple[Step, ...]:
    """Return the steps that install an MSVC that this CUDA's nvcc accepts, and open its prompt; empty if one is installed."""
    chosen = None if cuda >= _FIRST_WITH_NEWEST else _OF_2022 if cuda >= _FIRST_WITH_2022 else _OF_2019
    named = facts.toolchain.compilers if isinstance(facts.toolchain.compilers, tuple) else ()
    there = [c for c in named if c.name == "cl"]
    versions = [pair(c.version) for c in there if isinstance(c.version, str)]
    if there and (chosen is None or not any(v is not None and v >= chosen.refused for v in versions)):
        return ()
    if chosen is None:
        return compiler(facts)
    return _older_msvc(facts, chosen, "", "--wait --passive " if there else f"{WORKLOAD} ")


def _older_msvc(facts: Facts, chosen: _Msvc, other: str, before: str = "--wait --passive ") -> tuple[Step, ...]:
    """Return the steps that add a toolset of MSVC and open its prompt.

    `other`: the advice for another CUDA. `before`: the first options for Visual Studio's installer.
    """
    add = f"{before}--add Microsoft.VisualStudio.Component.VC.{chosen.component}"
    return (
        commands.by_hand(
            ("winget", "install", "--id", "Microsoft.VisualStudio.2022.BuildTools", "-e", "--force", "--override", add),
            f"the tools of Visual Studio {chosen.studio}, MSVC {chosen.version}: {chosen.takes}{other}. If Build Tools 2022 are there already, and this adds nothing: Visual Studio Installer, "
            f"Modify, Individual components, MSVC {chosen.version}",
            "adds an older MSVC; the present MSVC is kept",
            takes="about 1 GB",
        ),
        *_prompt(facts, chosen),
        commands.variable(
            "DISTUTILS_USE_SDK",
            "1",
            "run this in the same prompt: the build then uses the compiler of this prompt",
        ),
    )


def _prompt(facts: Facts, chosen: _Msvc) -> tuple[Step, ...]:
    """Return the steps that put this cl.exe on PATH, in the shell that the log shows: PowerShell, else cmd.

    https://learn.microsoft.com/visualstudio/ide/reference/command-prompt-powershell
    """
    if commands.shell_of(facts) != "powershell":
        why = "run this in a Command Prompt (cmd, not PowerShell): this cl.exe is first on PATH only in that prompt; activate your environment in the same prompt"
        return (
            commands.by_hand(("call", _VCVARSALL, "x64", f"-vcvars_ver={chosen.version}"), why, "this prompt", "none"),
        )
    options = f"-arch=x64 -host_arch=x64 -vcvars_ver={chosen.version}"
    return (
        commands.by_hand(
            ("Import-Module", rf"{_TOOLS}\Common7\Tools\Microsoft.VisualStudio.DevShell.dll"),
            "the module of Visual Studio for PowerShell",
            "this prompt",
            "none",
        ),
        commands.by_hand(
            ("Enter-VsDevShell", "-VsInstallPath", _TOOLS, "-SkipAutomaticLocation", "-DevCmdArguments", options),
            "this cl.exe is then first on PATH in this prompt alone; activate your environment in the same prompt",
            "this prompt",
            "none",
        ),
    )
