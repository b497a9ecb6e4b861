"""Make the steps that install a torch before 2.0 on this machine. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.shared.torch_facts import distribution, machine_of, of_conda, text, version_here
from attn_doctor.failure_modes.shared.torch_install import conda_name
from attn_doctor.knowledge import old_torch, torch_choice
from attn_doctor.knowledge.old_torch import OldBuild
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

_FIRST_OF_THE_TABLES = (2, 0)


def same_release(facts: Facts) -> OldBuild | None:
    """Return a CUDA build of the same release as the installed torch, if that is older than 2.0.

    None if it is newer or not known, or if this machine runs no such build.
    """
    version = text(facts.torch.version)
    old = version is not None and (pair(version) or _FIRST_OF_THE_TABLES) < _FIRST_OF_THE_TABLES
    return old_torch.build(version, machine_of(facts)) if version and old else None


def for_driver(facts: Facts) -> OldBuild | None:
    """Return a CUDA build of a torch before 2.0 for this driver: the installed release if it runs, else the newest that runs; else None.

    If the driver is not known, only the installed release can be returned.
    """
    found = same_release(facts)
    return found if found is not None else old_torch.newest(machine_of(facts))


def steps(facts: Facts, found: OldBuild) -> tuple[Step, ...]:
    """Return the steps that install a build: from PyTorch's page of all wheels, or, if conda installed torch, from PyTorch's conda channel."""
    driver = text(facts.graphics.driver)
    runs = (
        f"driver {driver} runs it"
        if driver
        else "the first lines of nvidia-smi have to show this CUDA Version or a newer one"
        + ("" if machine_of(facts).capabilities else "; an RTX 50 needs torch 2.7 or newer")
    )
    release = found.requirements[0].partition("==")[2].partition("+")[0]
    there = version_here(facts, "torch")
    same = there is not None and there.partition("+")[0] == release
    why = f"{'the installed torch, ' if same else ''}{release}, built for CUDA {found.cuda}: {runs}"
    if of_conda(facts, "torch"):
        names = [conda_name(text.partition("+")[0]) for text in found.requirements]
        prefix = text(facts.interpreter.prefix)
        where = ("--prefix", prefix) if prefix else ()
        argv = ("conda", "install", *where, *names, f"cudatoolkit={found.cuda}", "-c", "pytorch")
        return (commands.by_hand(argv, why, "packages of conda", takes="up to 2 GB"),)
    audio = (found.torchaudio,) if distribution(facts, "torchaudio") else ()
    return (
        commands.install(
            *found.requirements,
            *audio,
            find_links=torch_choice.STABLE,
            # pip regards a version without a build as installed if any build of it is installed.
            reinstall=found.plain and same,
            no_deps=found.plain and same,
            why=why,
            changes=f"torch and torchvision, to torch {release} for CUDA {found.cuda}",
            takes="1 to 2 GB",
        ),
    )
