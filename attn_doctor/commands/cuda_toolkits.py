"""Choose the release of the CUDA toolkit for a machine, and build the steps that install it. Pure.

torch compiles only with a toolkit of its own CUDA major, so the chosen release is torch's own. It is a newer release of the same
major if the GPU, the host compiler or NVIDIA's repository for the distribution needs a newer one. NVIDIA has one repository for each
release of a distribution, with the CUDA releases that support it: https://developer.download.nvidia.com/compute/cuda/repos/
and https://docs.nvidia.com/cuda/cuda-installation-guide-linux/ (the table of each CUDA release).

A toolkit made of pip's wheels is possible for CUDA 13 only: failure_modes/shared/pip_toolkit.py.
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands import cuda_images, cuda_repositories, host_compilers, places, wsl_conversion
from attn_doctor.commands.shells import kept, shell_of
from attn_doctor.commands.system_tools import module
from attn_doctor.knowledge.cuda import releases
from attn_doctor.knowledge.rows import Nvcc
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import dotted, pair

Version = tuple[int, int]
DOWNLOADS = "https://developer.nvidia.com/cuda-toolkit-archive"


# Versions of Nvidia.CUDA in winget that need a third number:
# https://github.com/microsoft/winget-pkgs/tree/master/manifests/n/Nvidia/CUDA
OF_WINGET = {(12, 0): "12.0.1", (12, 2): "12.2.2"}


def torch_cuda(facts: Facts) -> Version | None:
    """Return the CUDA of torch (torch.version.cuda) as a pair, (12, 8); None if it is not known or torch has none."""
    return pair(facts.torch.cuda) if isinstance(facts.torch.cuda, str) else None


def wanted(facts: Facts, floor: str | None = None) -> Version | None:
    """Return the CUDA release to install: torch's own, or the next one of the same major that works on this machine.

    None: torch's CUDA is not known. `floor`: the oldest release that the package accepts ("12.3").
    """
    base = torch_cuda(facts)
    if base is None:
        return None
    lowest = max(base, pair(floor) or base) if floor else base
    able = [row for row in releases() if (found := pair(row.cuda)) and found[0] == base[0] and found >= lowest]
    asks = (_knows_gpus, _takes_gcc, _is_packaged)
    for count in range(len(asks), -1, -1):  # if no release meets all conditions, the last condition is dropped
        for row in able:
            if all(ask(facts, row) for ask in asks[:count]):
                return pair(row.cuda)
    return lowest if lowest[0] == base[0] else base


def _knows_gpus(facts: Facts, row: Nvcc) -> bool:
    gpus = facts.graphics.gpus if isinstance(facts.graphics.gpus, tuple) else ()
    named = [g.compute_capability for g in gpus if isinstance(g.compute_capability, str)]
    named += ["12.1"] if places.dgx_spark(facts) and not named else []
    return all(f"sm_{capability.replace('.', '')}" in row.archs for capability in named)


def _takes_gcc(facts: Facts, row: Nvcc) -> bool:
    found = facts.toolchain.compilers if isinstance(facts.toolchain.compilers, tuple) else ()
    gcc = next((pair(c.version) for c in found if c.name in ("gcc", "g++") and isinstance(c.version, str)), None)
    brought = places.environment_tool(facts) is not None  # conda's toolkit installs a gcc that the toolkit accepts
    return gcc is None or row.max_gcc is None or brought or gcc[0] <= row.max_gcc


def _is_packaged(facts: Facts, row: Nvcc) -> bool:
    found, version = cuda_repositories.repository(facts), pair(row.cuda)
    if found is None or version is None or places.environment_tool(facts):
        return True
    return found.oldest <= version and (found.newest is None or version <= found.newest)


def elsewhere(facts: Facts) -> Fix | None:
    """Return the fix for a system on which a toolkit cannot simply be installed: WSL 1, Colab, Kaggle, a Jetson. None elsewhere."""
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    if places.wsl(facts) == 1:
        return Fix(
            title="Convert this WSL 1 to WSL 2: WSL 1 reaches no GPU",
            steps=wsl_conversion.to_wsl_2(facts),
            verify=verify,
        )
    if places.hosted(facts) in ("colab", "kaggle"):
        look = commands.by_hand(
            ("ls", "-d", "/usr/local/cuda"),
            "a session with a GPU has the toolkit: if this folder is missing, choose a GPU in the notebook's settings",
            "nothing",
            "none",
        )
        home = commands.variable("CUDA_HOME", "/usr/local/cuda", "the toolkit of the notebook's own image")
        return Fix(title="Use the toolkit of the notebook", steps=(look, home), verify=verify)
    if places.jetson(facts):
        install = commands.by_hand(
            places.as_root(facts, "apt-get", "install", "-y", "nvidia-jetpack"),
            "a Jetson's toolkit comes with JetPack; a toolkit of another source does not fit the board",
            "adds JetPack's CUDA, cuDNN and TensorRT",
        )
        home = commands.variable("CUDA_HOME", "/usr/local/cuda", "where JetPack puts its toolkit")
        return Fix(title="Use JetPack's toolkit", steps=(install, home), verify=verify)
    return None


def install(facts: Facts, version: Version) -> tuple[Fix, ...]:
    """Return the fixes that install this CUDA release on this machine, the easiest first."""
    verify = commands.check(facts, "--goal", "flash-attn", "--no-trial")
    there = elsewhere(facts)
    if there is not None:
        return (there,)
    steps, need = _steps(facts, version), torch_cuda(facts)
    if need is not None and need != version:
        newer = f"; torch is built for CUDA {dotted(need)}, and works with every toolkit of CUDA {need[0]}"
        steps = (msgspec.structs.replace(steps[0], why=f"{steps[0].why}{newer}"), *steps[1:])
    made = Fix(title=f"Install the CUDA {dotted(version)} toolkit", steps=steps, verify=verify)
    if not places.container(facts) or places.environment_tool(facts):
        return (made,)
    found = cuda_repositories.repository(facts)
    folder = found.folder if found else None
    image_first = Fix(
        title="Begin with a -devel image", steps=(cuda_images.another(facts, version, folder),), verify=verify
    )
    if not packaged(facts, version):
        return (image_first,)
    return (image_first, made) if places.container(facts) == places.BUILD else (made, image_first)


def _steps(facts: Facts, version: Version) -> tuple[Step, ...]:
    label = dotted(version)
    if places.environment_tool(facts):
        return _by_conda(facts, version)
    if places.on_cluster(facts):
        return module(facts, "cuda", f"cuda/{label}", f"a toolkit of torch's CUDA major, {version[0]}")
    if facts.system.os == "windows":
        path = rf"C:\Program Files\NVIDIA GPU Computing Toolkit\CUDA\v{label}"
        get = commands.by_hand(
            ("winget", "install", "--id", "Nvidia.CUDA", "-e", "--version", OF_WINGET.get(version, label)),
            f"NVIDIA's installer, as administrator (by hand: {DOWNLOADS})",
            f"adds CUDA {label}",
            takes="about 3 GB",
        )
        # nvcc compiles nothing without MSVC, which therefore comes before the toolkit.
        studio = host_compilers.studio(facts, version)
        home = commands.variable(
            "CUDA_HOME", path, f"the folder into which that installer puts the toolkit{_for_good(facts, path)}"
        )
        # The prompt is opened last: only a new prompt has CUDA_PATH, which NVIDIA's installer sets.
        return (*studio[:1], get, home, *studio[1:])
    found = packaged(facts, version)
    return found or _any_way(facts, version)


def _for_good(facts: Facts, path: str) -> str:
    line = kept("CUDA_HOME", path, shell_of(facts))
    return f"; for all new prompts: {line}" if line else ""


# The oldest label of NVIDIA's channel, https://anaconda.org/nvidia/cuda-toolkit/labels
_FIRST_OF_CONDA = (11, 3)
# Each nvcc from CUDA 9.2 on accepts gcc 7, and that of CUDA 10.0 and older no newer one.
_OLD_GCC = 7


# The part of the address between the release and the file, https://developer.nvidia.com/cuda-toolkit-archive
RUNFILES = {
    (10, 2): "10.2/Prod/local_installers/cuda_10.2.89_440.33.01_linux.run",
    (10, 1): "10.1/Prod/local_installers/cuda_10.1.243_418.87.00_linux.run",
}
OF_RUNFILES = "https://developer.download.nvidia.com/compute/cuda"


def _by_runfile(facts: Facts, version: Version) -> tuple[Step, ...]:
    """Return the steps for a CUDA older than each package of conda: NVIDIA's runfile, into the home folder.

    https://docs.nvidia.com/cuda/archive/10.2/cuda-installation-guide-linux/index.html#runfile-advanced
    """
    label = dotted(version)
    home = f"$HOME/cuda-{label}"
    file = RUNFILES.get((version[0], version[1])) if places.architecture(facts) == "x86_64" else None
    install = f'--silent --toolkit --toolkitpath="{home}"'
    line = f"sh cuda_{label}*_linux*.run {install}"
    why = f"download the runfile of CUDA {label} from {DOWNLOADS} into this folder first: conda's packages begin with CUDA 11.3. This needs no root, and leaves the driver alone"
    if file is not None:
        line = f"wget {OF_RUNFILES}/{file} && sh {file.rpartition('/')[2]} {install}"
        why = f"NVIDIA's installer of CUDA {label}: conda's packages begin with CUDA 11.3. This needs no root, and leaves the driver alone"
    get = commands.by_hand(
        ("sh", "-c", line),
        why,
        f"adds {home}",
        takes="about 5 GB",
    )
    set_home = commands.by_hand(
        ("sh", "-c", f'export CUDA_HOME="{home}"'),
        "where the line above puts it",
        "CUDA_HOME, only in this shell",
        "none",
    )
    brought = places.environment_tool(facts) is not None
    compiler = host_compilers.at_most(facts, _OLD_GCC, f"the nvcc of CUDA {label} accepts it") if brought else ()
    return get, set_home, *compiler


def _by_conda(facts: Facts, version: Version) -> tuple[Step, ...]:
    if version < _FIRST_OF_CONDA and facts.system.os != "windows":
        return _by_runfile(facts, version)
    label = dotted(version)
    if version[0] < 12:  # conda-forge's cuda-toolkit begins with CUDA 12
        channels: tuple[str, ...] = (f"nvidia/label/cuda-{label}.0",)
        names: tuple[str, ...] = ("cuda-toolkit",)
    else:
        channels, names = ("conda-forge",), (f"cuda-toolkit={label}",)
    if facts.system.os != "windows" and version[0] >= 12:
        names = (*names, f"gxx_linux-{'aarch64' if places.architecture(facts) == 'aarch64' else '64'}")
    get = commands.by_hand(
        places.conda_install(facts, *names, channels=channels),
        "a toolkit of torch's CUDA and a compiler that it accepts, inside this environment; activate the environment again before the build",
        f"adds CUDA {label} to this environment",
        takes="about 3 GB",
    )
    prefix = facts.interpreter.prefix
    if not isinstance(prefix, str):
        return (get,)
    home = f"{prefix}\\Library" if facts.system.os == "windows" else prefix
    studio = host_compilers.studio(facts, version) if facts.system.os == "windows" else ()
    return *studio[:1], get, *studio[1:], commands.variable("CUDA_HOME", home, "where conda puts its toolkit")


def packaged(facts: Facts, version: Version) -> tuple[Step, ...]:
    """Return the steps that install this CUDA release from NVIDIA's repository for this distribution.

    Empty if there is no such repository, or if it lacks the release, and on Windows and macOS.
    """
    found, manager = cuda_repositories.repository(facts), places.manager(facts) or "apt-get"
    inside = found is not None and found.oldest <= version and (found.newest is None or version <= found.newest)
    if found is None or not inside or facts.system.os in ("windows", "darwin"):
        return ()
    package = f"cuda-toolkit-{version[0]}-{version[1]}"
    never = (
        " (never `cuda` or a driver package: WSL uses the Windows driver)"
        if found is cuda_repositories.WSL
        else ", which installs no driver"
    )
    why = f"the toolkit alone{never}"
    root = places.as_root
    steps: list[Step] = [
        commands.by_hand(argv, said, "NVIDIA's repository")
        for argv, said in cuda_repositories.set_up(facts, found.folder, manager)
    ]
    install_it = {
        "apt-get": root(facts, "apt-get", "install", "-y", package),
        "dnf": root(facts, "dnf", "install", "-y", package),
        "zypper": root(facts, "zypper", "--gpg-auto-import-keys", "install", "-y", package),
    }[manager]
    steps.append(commands.by_hand(install_it, why, f"adds /usr/local/cuda-{dotted(version)}", takes="about 5 GB"))
    return *steps, commands.variable("CUDA_HOME", f"/usr/local/cuda-{dotted(version)}", "where that package puts it")


def _any_way(facts: Facts, version: Version) -> tuple[Step, ...]:
    """Return the steps for a Linux for which no repository has this CUDA release."""
    label = dotted(version)
    channel = "conda-forge" if version[0] >= 12 else f"nvidia/label/cuda-{label}.0"
    conda = f"conda install -c {channel} cuda-toolkit={label}"
    runfile = f"the runfile of {DOWNLOADS} with --toolkit --toolkitpath=$HOME/cuda-{label}"
    place, adds, takes = cuda_repositories.repository(facts), f"adds CUDA {label}", "about 5 GB"
    if places.manager(facts) == "apk":
        tag = cuda_images.TAGS.get(version, f"{label}.0")
        why = f"NVIDIA has no CUDA for musl, as on Alpine: begin with an image of Ubuntu, nvidia/cuda:{tag}-devel-ubuntu22.04"
        return (commands.by_hand((), why, "another image"),)
    if places.manager(facts) == "pacman":
        if version != max(pair(row.cuda) or (0, 0) for row in releases()):
            return (commands.by_hand((), f"{conda}, or {runfile}: Arch has the newest CUDA only", adds, takes=takes),)
        why = f"Arch has the newest CUDA only; if that is not {label}: {conda}, or {runfile}"
        get = commands.by_hand(places.as_root(facts, "pacman", "-S", "cuda"), why, adds, takes=takes)
        return get, commands.variable("CUDA_HOME", "/opt/cuda", "where Arch's package puts it")
    if version < _FIRST_OF_CONDA:
        return _by_runfile(facts, version)
    if not isinstance(facts.system.distribution_version, str) or not isinstance(facts.system.distribution, str):
        return as_ubuntu(facts, f"{version[0]}-{version[1]}", label, f"without root: {conda}")
    here = f"{facts.system.distribution} {facts.system.distribution_version}"
    said = (
        f"NVIDIA has no repository for {here}"
        if place is None
        else f"NVIDIA's repository for {here} has no CUDA {label}"
    )
    return (commands.by_hand((), f"{said}: {conda}, or {runfile}", adds, takes=takes),)


# The folder of the repository is called by the distribution's own names: ubuntu2204, debian12.
_KEYRING = f"(. /etc/os-release && wget {cuda_repositories.ADDRESS}/$ID$(echo $VERSION_ID | tr -d .)/$(uname -m | sed s/aarch64/sbsa/)/cuda-keyring_1.1-1_all.deb)"


def as_ubuntu(facts: Facts, dashed: str, label: str, besides: str) -> tuple[Step, ...]:
    """Return the steps for Ubuntu and Debian, for a log that does not show the distribution.

    `dashed`: the CUDA release in the name of a package, "12-8". `label`: the same with a point, "12.8". Both may be shell code that
    asks torch. `besides`: the way without root, in words.
    """
    windows = (
        ""
        if facts.system.os == "linux"
        else f"; on Windows: winget install --id Nvidia.CUDA -e --version {label}"
        if label[0].isdigit()
        else ""
    )
    inside = places.container(facts) is not None
    root = "" if places.is_root(facts) else "sudo "
    shell = "; as root: on the host, docker exec -it -u root CONTAINER bash opens such a shell" if inside else ""
    why = f"NVIDIA's repository for this release of Ubuntu or Debian; another distribution: {DOWNLOADS}; {besides}{windows}{shell}"
    lines = (
        (
            f"apt-get update && apt-get install -y wget && {_KEYRING}" if inside else _KEYRING,
            why,
            "a file cuda-keyring_1.1-1_all.deb",
        ),
        (
            f"{root}dpkg -i cuda-keyring_1.1-1_all.deb && {root}apt-get update",
            "sets that repository up",
            "NVIDIA's repository",
        ),
        (
            f"{root}apt-get install -y cuda-toolkit-{dashed}",
            "the toolkit alone, which brings no driver",
            "adds the CUDA toolkit",
        ),
        (f"export CUDA_HOME=/usr/local/cuda-{label}", "where that package puts it", "CUDA_HOME, in this shell alone"),
    )
    return tuple(commands.by_hand(("sh", "-c", line), said, changes) for line, said, changes in lines)


def ask_torch(facts: Facts) -> Step:
    """Return the step that prints the CUDA version for which torch was built."""
    return commands.by_hand(
        (*commands.starting(facts), "-c", "import torch; print(torch.version.cuda)"),
        "prints the CUDA version for which torch was built: the toolkit needs the same major version",
        "nothing",
        "none",
    )
