"""Make the steps that install the chosen torch: with pip, with conda, or by NVIDIA's own wheel. Pure."""

from __future__ import annotations

import re

import msgspec

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.shared.torch_facts import distribution, machine_of, of_conda, text, version_here
from attn_doctor.knowledge import torch_choice
from attn_doctor.knowledge.torch_choice import Choice, NoTorch
from attn_doctor.knowledge.torch_machine import Maker
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.steps import Risk, Step
from attn_doctor.model.versions import pair

_OTHERS = "packages that require another version of torch may report a conflict"
_FOR_OLD_PYTHONS = (2, 8)  # the last torch for Python 3.9: the newest torch of an index is at least 2.8
_OWN_PYTHON = "the version of Python is not known: pip installs the newest torch for this Python"


def choice(facts: Facts, maker: Maker | None = None) -> Choice | NoTorch:
    """Return the newest torch that this machine can run; NoTorch if there is none. `maker`: of the GPU ("amd"), if the finding names it."""
    machine = machine_of(facts)
    return torch_choice.choose(msgspec.structs.replace(machine, maker=maker) if maker else machine)


def steps_of(
    facts: Facts, found: Choice, why: str | None, beside: tuple[str, ...] = (), *, reinstall: bool = False
) -> tuple[Step, ...]:
    """Return the steps that install the chosen torch; empty if exactly this build is installed and nothing else is asked for.

    pip keeps an installed torch of the same version, even if it is another build (CPU in place of CUDA): then the steps force a new
    installation. `why`: a text to put before `found.why`. `beside`: other requirements for the same command. `reinstall`: force it in any case.
    """
    names, there = _family(facts), version_here(facts, "torch")
    if not reinstall and not beside and there == found.build:
        return ()  # exactly this build is installed
    again = reinstall or (there is not None and not _replaces(found, there))
    requirements = (*found.requirements(*names), *beside)
    open_ = None if found.pinned else _OWN_PYTHON
    reason = "; ".join(part for part in (why, found.why, open_, found.doubt) if part)
    changes = "adds torch and torchvision" if there is None else f"{' and '.join(names)}, to torch {found.build}"
    risk: Risk = "low" if there is None else "medium"
    said = None if there is None else _OTHERS
    if again:
        return commands.reinstall(
            *requirements,
            index_url=found.index_url,
            why=reason,
            changes=changes,
            risk=risk,
            risk_text=said,
            takes=found.takes,
        )
    return (
        commands.install(
            *requirements,
            index_url=found.index_url,
            upgrade=not found.pinned and facts.torch.version is not None,  # an older torch is or may be installed
            why=reason,
            changes=changes,
            risk=risk,
            risk_text=said,
            takes=found.takes,
        ),
    )


def _replaces(found: Choice, there: str) -> bool:
    """Return whether an installer would replace the installed torch by the choice.

    Installers compare only the numbers, not the builds.
    """
    if found.pinned:
        return there.partition("+")[0] != found.torch
    return (pair(there) or _FOR_OLD_PYTHONS) < min(_FOR_OLD_PYTHONS, pair(found.torch or "") or _FOR_OLD_PYTHONS)


def without_index(facts: Facts, found: NoTorch) -> tuple[Step, ...]:
    """Return the steps for a torch that is on no index: NVIDIA's wheel, the libraries that it loads, and a torchvision compiled for it.

    If there is no such wheel, the only step is a text.

    https://docs.nvidia.com/deeplearning/frameworks/install-pytorch-jetson-platform/index.html (OpenBLAS, NumPy 1)
    """
    if found.wheel is None:
        return (commands.by_hand((), found.words, "torch and torchvision", elsewhere=found.elsewhere),)
    # The wheels for JetPack 4 load OpenMPI and OpenMP too: https://forums.developer.nvidia.com/t/pytorch-for-jetson/72048
    loaded = ("libopenblas-base", "libopenmpi-dev", "libomp-dev") if found.fetch else ("libopenblas-dev",)
    blas: tuple[Step, ...] = (
        commands.by_hand(
            places.as_root(facts, "apt-get", "install", "-y", *loaded), "the wheel loads OpenBLAS", "adds OpenBLAS"
        ),
    )
    tag = re.search(r"-cp3(?P<minor>\d+)-", found.wheel)
    if tag is not None and isinstance(facts.interpreter.version, Unknown):
        python = f"3.{tag['minor']}"
        words = (
            f"has to print {python}: the wheel is for that Python alone. If it prints another one: `conda create --yes --name jetpack python={python}` and `conda activate jetpack`, or "
            "without conda the board's own python3; then go on there"
        )
        blas = (commands.by_hand((*commands.starting(facts), "--version"), words, "nothing", "none"), *blas)
    if found.fetch:
        get = commands.by_hand(
            ("wget", found.fetch, "-O", found.wheel),
            "NVIDIA's wheel: its address does not end with its name",
            "a file",
            "none",
        )
        blas = (*blas, get)
    again = commands.install(
        found.wheel, why=found.words, changes="torch, to NVIDIA's own", reinstall=True, no_deps=True, takes="1 GB"
    )
    needs = commands.install(
        found.wheel,
        "numpy<2",
        why="installs the packages that this wheel needs; it was built for NumPy 1",
        changes="adds the missing packages",
    )
    if found.torchvision is None:
        return *blas, again, needs
    vision = commands.install(
        f"torchvision @ git+https://github.com/pytorch/vision.git@v{found.torchvision}",
        why="there is no wheel of torchvision for NVIDIA's torch: this compiles it on the board (needs git)",
        changes=f"torchvision, to {found.torchvision}",
        reinstall=True,
        no_deps=True,
        no_build_isolation=True,
        takes="10 to 30 minutes",
    )
    return *blas, again, needs, vision


def by_conda(facts: Facts, found: Choice) -> Step | None:
    """Return the step that installs conda-forge's torch; None if conda did not install torch, or if the choice is no CUDA build.

    pip would install a second torch over conda's. PyTorch's own conda channel ended with torch 2.5.

    https://github.com/pytorch/pytorch/issues/138506
    """
    if not of_conda(facts, "torch") or found.flavour == "cpu" or (found.flavour or "").startswith(("rocm", "xpu")):
        return None
    names = ("pytorch-gpu" if found.cuda else "pytorch", "torchvision")
    return conda_step(
        facts,
        names,
        "conda-forge's build; conda chooses a CUDA that the driver here supports (`conda info` shows it as __cuda)",
    )


def conda_step(
    facts: Facts, names: tuple[str, ...], why: str, *, again: bool = False, channels: tuple[str, ...] = ("conda-forge",)
) -> Step:
    """Return the step, for the user to run, that installs packages of conda into the target's environment.

    `names`: in conda's form, "pytorch=2.9.1". `again`: even if they are installed.
    """
    prefix = text(facts.interpreter.prefix)
    tools = facts.interpreter.installers
    tool = (
        next((name for t in tools if (name := t.partition(" ")[0]) in ("mamba", "micromamba")), "conda")
        if isinstance(tools, tuple)
        else "conda"
    )
    where = ("--prefix", prefix) if prefix else ()
    force = ("--force-reinstall",) if again else ()
    return commands.by_hand(
        (tool, "install", *where, *force, *(word for name in channels for word in ("-c", name)), *names),
        why,
        "packages of conda",
        takes="up to 3 GB",
    )


def of_conda_forge() -> tuple[str, ...]:
    """Return the argv that installs the newest torch of conda-forge, with its torchvision, in the active environment of conda."""
    return ("conda", "install", "-c", "conda-forge", "pytorch", "torchvision")


def conda_name(requirement: str) -> str:
    """Return a pip requirement in conda's form: "pytorch=2.9.1" for "torch==2.9.1"."""
    name, _, version = requirement.partition("==")
    return {"torch": "pytorch"}.get(name, name) + (f"={version}" if version else "")


def _family(facts: Facts) -> tuple[str, ...]:
    """Return torch and the packages that change with it.

    torchvision if it is installed, if torch is missing, or if the packages are not known; torchaudio if it is installed.
    """
    names = ["torch"]
    if (
        version_here(facts, "torchvision")
        or version_here(facts, "torch") is None
        or isinstance(facts.packages.distributions, Unknown)
    ):
        names.append("torchvision")
    return (*names, *(["torchaudio"] if distribution(facts, "torchaudio") else []))
