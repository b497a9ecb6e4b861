"""Build the lines that install the CUDA toolkit for a torch whose CUDA version is not known. Pure.

The first line asks torch for its CUDA when it runs. torch compiles with each toolkit of its own CUDA major, so 11.8 serves each CUDA 11: it is
the only one of them in NVIDIA's repositories for Ubuntu 22.04 and newer, and in winget for new systems.
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands import cuda_repositories, cuda_toolkits, host_compilers, places
from attn_doctor.commands.shells import quoted, shell_of
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

_ASKED = 'import torch; v = str(torch.version.cuda); print("11.8" if v[:3] == "11." else v)'
_AS_IT_IS = "import torch; print(torch.version.cuda)"
_DASHED = "$(echo $RELEASE | tr . -)"  # "12-8": NVIDIA's repository writes the release so in the name of a package
# The newest gcc that each nvcc accepts which the torches of a Python can need: gcc 7 from CUDA 9.2 on, 11 from 11.4.1 on (its crt/host_config.h).
_GCC_OF_OLD, _GCC = 7, 11
# Python 3.7 and older have no torch newer than 1.13, and most of theirs is for CUDA 10 and 11.0 to 11.3: https://download.pytorch.org/whl/torch/
_LAST_OLD_PYTHON = (3, 7)
_OF_11 = (11, 8)


def steps(facts: Facts, floor: str | None = None) -> tuple[Step, ...]:
    """Return the steps, as lines for bash, or for Windows. Empty on macOS, in a Dockerfile, on a cluster, and for any other shell.

    `floor`: the oldest CUDA that the package accepts, "11.8". Outside of conda's environments the steps are empty too if the distribution is
    known and NVIDIA has no repository for its apt.
    """
    if places.container(facts) == places.BUILD or places.on_cluster(facts) or facts.system.os == "darwin":
        return ()
    if facts.system.os == "windows":
        return _of_windows(facts, floor)
    if shell_of(facts) != "bash":
        return ()
    if places.environment_tool(facts):
        return _by_conda(facts, floor)
    found = cuda_repositories.repository(facts)
    if found is None and not isinstance(facts.system.distribution, str):
        root = "without root: the line that asks torch, then conda install -c nvidia/label/cuda-$RELEASE.0 cuda-toolkit"
        *kept, get, home = cuda_toolkits.as_ubuntu(facts, _DASHED, "$RELEASE", root)
        if _may_be_cuda_10(facts):
            return _ask(facts, floor), _cuda_10(), *kept, get, _where()
        return (*kept, _ask(facts, floor), get, home)
    if found is None or places.manager(facts) not in ("apt-get", None):
        return ()
    made = [
        commands.by_hand(argv, said, "NVIDIA's repository")
        for argv, said in cuda_repositories.set_up(facts, found.folder, "apt-get")
    ]
    install = f"{' '.join(places.as_root(facts, 'apt-get', 'install', '-y'))} cuda-toolkit-{_DASHED}"
    why = "the toolkit alone, which brings no driver"
    get = commands.by_hand(("sh", "-c", install), why, "adds the CUDA toolkit", takes="about 5 GB")
    where = commands.by_hand(
        ("sh", "-c", "export CUDA_HOME=/usr/local/cuda-$RELEASE"),
        "the folder into which this package installs the toolkit",
        "CUDA_HOME, in this shell alone",
        "none",
    )
    return (*made, _ask(facts, floor), get, where)


_LAST_PYTHON_OF_CUDA_10 = (3, 9)  # torch 1.12 is the last for CUDA 10.2: https://download.pytorch.org/whl/cu102/torch/


def _may_be_cuda_10(facts: Facts) -> bool:
    python = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    return python is not None and python <= _LAST_PYTHON_OF_CUDA_10 and places.architecture(facts) == "x86_64"


def _cuda_10() -> Step:
    """Return the step for CUDA 10, which NVIDIA's repositories have for Ubuntu 18.04 and older alone, and conda's channels not at all."""
    cases = " ".join(f"{major}.{minor}) F={file};;" for (major, minor), file in cuda_toolkits.RUNFILES.items())
    line = (
        f'case $RELEASE in {cases} *) F=;; esac; [ -z "$F" ] || '
        f'(wget {cuda_toolkits.OF_RUNFILES}/$F && sh $(basename $F) --silent --toolkit --toolkitpath="$HOME/cuda-$RELEASE")'
    )
    why = (
        "if that was 10.1 or 10.2: NVIDIA's installer of it, into your home folder, without root and without a driver; leave the three lines with apt-get and dpkg out then. Its nvcc "
        "takes gcc 8 at most. For any other CUDA it does nothing"
    )
    return commands.by_hand(("sh", "-c", line), why, "adds the CUDA toolkit", takes="about 5 GB")


def _where() -> Step:
    line = 'export CUDA_HOME=$(ls -d /usr/local/cuda-$RELEASE "$HOME/cuda-$RELEASE" 2>/dev/null | head -n 1)'
    return commands.by_hand(
        ("sh", "-c", line), "the folder in which the toolkit is now", "CUDA_HOME, in this shell alone", "none"
    )


def _ask(facts: Facts, floor: str | None, program: str = _ASKED) -> Step:
    """Return the step that asks torch for its CUDA, and keeps the answer in the variable RELEASE of this shell."""
    line = f"RELEASE=$({quoted(commands.starting(facts))} -c '{program}'); echo $RELEASE"
    each = "; 11.8 serves each torch of CUDA 11" if program is _ASKED else ""
    least = (
        f". If it is older than {floor}, write RELEASE={floor}" if floor and (pair(floor) or _OF_11) > _OF_11 else ""
    )
    why = f"asks torch for its CUDA, and prints it{each}; if it prints no number, torch is a CPU build: install a CUDA build of it first{least}"
    return commands.by_hand(("sh", "-c", line), why, "RELEASE, in this shell alone", "none")


def _by_conda(facts: Facts, floor: str | None) -> tuple[Step, ...]:
    """Return the steps for an environment of conda.

    A toolkit of the channel nvidia asks for parts of its own release or newer: only a label holds the parts of one release, from CUDA 11.3 on
    (https://anaconda.org/nvidia/cuda/manage). conda-forge's cudatoolkit-dev has 9.2 to 11.7 but 10.2
    (https://anaconda.org/conda-forge/cudatoolkit-dev/files/manage).
    """
    python = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    old = python is not None and python <= _LAST_OLD_PYTHON and places.architecture(facts) == "x86_64"
    gcc = f"gxx_linux-{'aarch64' if places.architecture(facts) == 'aarch64' else '64'}={_GCC_OF_OLD if old else _GCC}"
    channels: tuple[str, ...]
    if old:
        ask, channels, name = _ask(facts, floor, _AS_IT_IS), ("conda-forge",), "cudatoolkit-dev=$RELEASE"
        more = f"; there is none for CUDA 10.2: for that one {cuda_toolkits.DOWNLOADS}"
    else:
        ask, channels, name = _ask(facts, floor), ("nvidia/label/cuda-$RELEASE.0", "conda-forge"), "cuda-toolkit"
        more = ""
    words = places.conda_install(facts, name, gcc, channels=channels)
    line = " ".join(word if "$RELEASE" in word else quoted((word,)) for word in words)
    why = f"the toolkit of that CUDA and a gcc that its nvcc accepts, inside this environment{more}; activate the environment again before the build"
    get = commands.by_hand(("sh", "-c", line), why, "adds a CUDA toolkit to this environment", takes="about 3 GB")
    prefix = facts.interpreter.prefix
    if not isinstance(prefix, str):
        return (ask, get)
    return ask, get, commands.variable("CUDA_HOME", prefix, "where conda puts its toolkit")


def _of_windows(facts: Facts, floor: str | None) -> tuple[Step, ...]:
    """Return the steps for Windows: the line that asks torch starts winget itself, because cmd and PowerShell keep an answer in different ways."""
    odd = ", ".join(f"'{major}.{minor}': '{name}'" for (major, minor), name in cuda_toolkits.OF_WINGET.items())
    program = (
        f"import subprocess, torch; v = str(torch.version.cuda); v = '11.8' if v[:3] == '11.' else {{{odd}}}.get(v, v); "
        "subprocess.check_call(['winget', 'install', '--id', 'Nvidia.CUDA', '-e', '--version', v])"
    )
    least = f"; the package needs CUDA {floor} or newer" if floor else ""
    get = commands.by_hand(
        (*commands.starting(facts), "-c", program),
        f"asks torch for its CUDA, and starts NVIDIA's installer of that release as administrator; 11.8 serves each torch of CUDA 11{least}. If torch is a CPU build, "
        f"this fails: install a CUDA build of torch first. By hand: {cuda_toolkits.DOWNLOADS}",
        "adds a CUDA toolkit",
        takes="about 3 GB",
    )
    # The CUDA is not known here, and nvcc before 12.4 refuses the newest MSVC: the toolset that every nvcc from 11.6 on accepts.
    # nvcc compiles nothing without MSVC, which therefore comes before the toolkit. A new prompt has CUDA_PATH, which NVIDIA's installer sets.
    first, *prompt = host_compilers.studio(facts, _OF_11) or (None,)
    if prompt:
        words = f"{prompt[0].why}; a prompt that is opened after the installer has CUDA_PATH, which torch reads"
        prompt = [msgspec.structs.replace(prompt[0], why=words), *prompt[1:]]
    return (*((first,) if first else ()), get, *prompt)
