"""Build the fixes for a CUDA library of which the loader finds another copy before torch's own."""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.commands.installers import own
from attn_doctor.commands.places import Argv, Manager
from attn_doctor.failure_modes.mode import Unsure
from attn_doctor.failure_modes.shared import torch_here
from attn_doctor.failure_modes.shared.fact_queries import variable
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

# NVIDIA's labels for conda, by the CUDA of pytorch-cuda; each has the libraries of one release. https://anaconda.org/nvidia/cuda-libraries/labels
LABELS = {"11.6": "11.6.2", "11.7": "11.7.1", "11.8": "11.8.0", "12.1": "12.1.1", "12.4": "12.4.1"}
OF_CONDA = ("libcublas", "libcufft", "libcurand", "libcusolver", "libcusparse", "libnvjitlink")


def of_conda(facts: Facts, cuda: str, package: str) -> Fix:
    """Return the fix that installs a library of torch's own CUDA into the conda environment.

    `cuda`: torch's CUDA, a key of LABELS ("12.1"). `package`: conda's name of the library ("libcublas"). The command names the release,
    because with the name alone conda would leave the installed one.
    """
    label = f"nvidia/label/cuda-{LABELS[cuda]}"
    step = commands.by_hand(
        places.conda_install(facts, f"{label}::{package}", channels=()),
        f"the {package} of CUDA {cuda}, which that torch was built for, in the place of the other",
        f"{package} of this environment",
        "medium",
        takes="about 200 MB",
    )
    return Fix(title=f"Install the {package} of CUDA {cuda}", steps=(step,), verify=commands.check(facts))


# Packages of cuDNN: libcudnn9-cuda-12 in NVIDIA's repository (on hold in NVIDIA's images), nvidia-cudnn in Debian and Ubuntu, cudnn in Arch.
# https://docs.nvidia.com/deeplearning/cudnn/installation/latest/linux.html
_REMOVE: dict[Manager, Argv] = {
    "apt-get": ("apt-get", "remove", "-y", "--allow-change-held-packages", "libcudnn*"),
    "dnf": ("dnf", "remove", "-y", "*cudnn*"),
    "zypper": ("zypper", "remove", "-y", "*cudnn*"),
    "pacman": ("pacman", "-R", "cudnn"),
}


def without_the_systems(facts: Facts, folder: str) -> Fix:
    """Return the fix that removes the system's cuDNN. torch contains a complete cuDNN of its own.

    `folder`: where the loader found the system's cuDNN, without LD_LIBRARY_PATH: "/lib/x86_64-linux-gnu".
    """
    manager = places.manager(facts) or (
        "apt-get" if "linux-gnu" in folder else "pacman" if folder == "/usr/lib" else "dnf"
    )
    owner = {"apt-get": "dpkg -S", "dnf": "rpm -qf", "zypper": "rpm -qf", "pacman": "pacman -Qo"}.get(
        manager, "dpkg -S"
    )
    why = (
        f"cuDNN loads some of its parts from {folder} and others from torch's own cuDNN. torch does not need the files in {folder}, and no variable is "
        f"the cause (`{owner} {folder}/libcudnn*` prints the package of the files)"
    )
    step = commands.by_hand(
        places.as_root(facts, *_REMOVE.get(manager, _REMOVE["apt-get"])),
        why,
        "the system's cuDNN",
        "medium",
        risk_text="programs outside this environment may use it",
    )
    return Fix(title="Remove the system's cuDNN", steps=(step,), verify=commands.check(facts))


def newer_cudnn(facts: Facts) -> Fix:
    """Return the fix that needs no root: install a newer cuDNN into the environment, so that no part of it is loaded from the system."""
    cuda = facts.torch.cuda
    name = f"nvidia-cudnn-cu{cuda.partition('.')[0]}" if isinstance(cuda, str) else "nvidia-cudnn-cu12"
    step = commands.install(
        name,
        upgrade=True,
        no_deps=True,
        why="needs no root: a newer cuDNN 9 in the environment, which contains these parts; torch works with every cuDNN of the same major version",
        changes=name,
        risk="medium",
        risk_text="torch requires one exact release of cuDNN, so pip check complains",
        takes="about 700 MB",
    )
    return Fix(title="Install a newer cuDNN beside torch", steps=(step,), verify=commands.check(facts))


def one_index(facts: Facts, cudnn: bool = False) -> Fix:
    """Return the fix that installs torch and its nvidia-* packages again, from one index.

    For the case that LD_LIBRARY_PATH is not set: some nvidia-* packages are then of other releases than torch needs. If
    torch is not known: the fix that finds the wrong package (`release_of_torch`). `cudnn`: the library is cuDNN.
    """
    steps = torch_here.again(facts, everything=True)
    if not steps:
        found = release_of_torch(facts, cudnn)
        return msgspec.structs.replace(
            found, title="If LD_LIBRARY_PATH is empty: find the package with the wrong release"
        )
    return Fix(title="Install torch and its libraries again, from one index", steps=steps, verify=commands.check(facts))


def library_path_may_be_set(facts: Facts) -> bool:
    """Return whether LD_LIBRARY_PATH is set. True also if that is not known."""
    try:
        return bool(variable(facts, "LD_LIBRARY_PATH"))
    except Unsure:
        return True


def module(facts: Facts, cudnn: bool, loaded: str | None = None) -> Fix:
    """Return the fix that unloads a module of a cluster, which puts other CUDA libraries in front of torch's own.

    `loaded`: the name of the module, if the log shows it ("nccl/2.15"). None: "cudnn" or "cuda". `cudnn`: the library is cuDNN.
    """
    step = commands.by_hand(
        ("module", "unload", loaded or ("cudnn" if cudnn else "cuda")),
        "on a cluster: its module adds these libraries before torch's own; `module list` prints the loaded modules. If torch itself comes from a "
        "module, load the cuDNN and the CUDA that the torch module was built with instead",
        "this shell's environment only",
        "none",
    )
    return Fix(title="Unload the cluster's module", steps=(step,), verify=commands.check(facts))


def release_of_torch(facts: Facts, cudnn: bool) -> Fix:
    """Return the fix that finds the nvidia-* package whose release is not the one that torch requires.

    For the case that LD_LIBRARY_PATH is not set. `cudnn`: the library is cuDNN, so the package is one of
    nvidia-cudnn-*.
    """
    name = "nvidia-cudnn" if cudnn else "nvidia"
    checks = ("uv", "pip", "check", "--python") if own(facts) == "uv" else ()
    step = commands.run(
        (*checks, commands.python(facts)) if checks else (*commands.starting(facts), "-m", "pip", "check"),
        f"prints which {name} package has another release than torch asks for; install exactly the release that it prints",
        "nothing",
        "none",
    )
    return Fix(title="Find the package with the wrong release", steps=(step,), verify=commands.check(facts))


def on_windows(facts: Facts) -> Fix:
    """Return the fix for Windows: take the folders of other cuDNN copies out of PATH."""
    step = commands.by_hand(
        ("where.exe", "cudnn*.dll"),
        "lists the cuDNN libraries on PATH: remove these folders from PATH (Settings, Environment variables), or delete the cuDNN files that were "
        "copied into CUDA's bin folder. torch has its own cuDNN in torch\\lib",
        "PATH",
        "low",
    )
    return Fix(title="Remove the other cuDNN from PATH", steps=(step,), verify=commands.check(facts))


def library_path_without_cuda(facts: Facts) -> str | None:
    """Return LD_LIBRARY_PATH without its folders of CUDA libraries ("/opt/lib:/usr/local/lib").

    None if no folder is left, if it has no such folder, or if its value is not known.
    """
    try:
        value = variable(facts, "LD_LIBRARY_PATH")
    except Unsure:
        return None
    path = facts.toolchain.library_path
    shadows = {s.folder for s in path} if isinstance(path, tuple) else set()
    kept = [folder for folder in (value or "").split(":") if folder and folder not in shadows]
    return ":".join(kept) if shadows and kept else None
