"""Plan one reproduction: its downloads, disk space and time, or the reason why it cannot run here.

Changes nothing on the machine.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import NamedTuple

from attn_doctor.errors import Refused
from attn_doctor.failure_modes import recipe as of
from attn_doctor.failure_modes.mode import FailureMode
from attn_doctor.failure_modes.recipe import Recipe
from attn_doctor.model.requirements import allowed
from attn_doctor.reproduction import host_abilities, target_torch
from attn_doctor.system import platforms

# (megabytes to download, megabytes on disk), measured on x86-64 Linux with CPython 3.11 in 2026-11.
ENVIRONMENT = (0, 20)  # (downloaded megabytes, megabytes on the disk) of an environment with pip
TORCH = (200, 1000)  # the same for a CPU build of torch
SOURCE = (10, 60)
PER_DOWNLOADED = 3.5  # an installed wheel needs so many megabytes of disk for each downloaded megabyte
UBUNTU_LISTS = (25, 150)
NVCC = (110, 400)
_SPARE = 200  # megabytes that must stay free


class ReproductionPlan(NamedTuple):
    """Hold the plan of one reproduction: what it makes, runs and downloads, its time and its disk space.

    `obstacles`: the reasons why the real failure cannot be produced here. If there are any, the simulated `machine` is judged in
    its place, if there is one.
    """

    mode: FailureMode
    recipe: Recipe
    lender: target_torch.Lender | None  # None: the target was not asked
    downloads: tuple[str, ...]  # what is downloaded, in words
    download_mb: int  # megabytes
    disk_mb: int  # megabytes of temporary space
    obstacles: tuple[str, ...]
    machine: bytes | None  # facts of a simulated machine
    environ: Mapping[str, str]  # the user's variables, from which those of a run are made

    @property
    def simulated(self) -> bool:
        """Return whether the facts of a simulated machine are judged, and nothing is run."""
        return self.machine is not None and (not self.recipe.run or bool(self.obstacles))

    @property
    def needs_confirmation(self) -> bool:
        """Return whether the user must confirm first: something will be downloaded."""
        return bool(self.downloads) and not self.simulated and not self.obstacles

    def borrowed(self, made: of.Torch) -> target_torch.BorrowedTorch | None:
        """Return the target's torch, if it fits the recipe; else None."""
        torch = self.lender.torch if self.lender else None
        if torch is None or made.build not in ("any", torch.build):
            return None
        return torch if allowed(made.versions, torch.version) else None


class NotConfirmed(Refused):
    """Report that a download needs confirmation, and that there is no terminal to ask on. The text is one sentence for the user."""


def plan(
    mode: FailureMode,
    python: Callable[[], str],
    environ: Mapping[str, str],
    timeout: float,
    torch: str | None = None,
) -> ReproductionPlan:
    """Return the plan that reproduces a failure mode. Raises NoAnswer if the target does not answer.

    `python`: returns the path of the target; it is called only if the recipe needs the target. `timeout`: seconds. `torch`: a
    requirement, "torch==2.5.1"; this torch is downloaded, and the target's is not used.
    """
    recipe = mode.recipe
    if recipe is None:
        why = f"it has no recipe; `attn-doctor explain {mode.slug}` says how it is met"
        return ReproductionPlan(
            mode, Recipe(does="is met in the wild", seconds=0), None, (), 0, 0, (why,), None, environ
        )
    machine = simulated_machine(mode.slug)
    made = ReproductionPlan(mode, recipe, None, (), 0, 0, (), machine, environ)
    if not recipe.run:
        return made
    obstacles = tuple(dict.fromkeys(why for ingredient in recipe.of for why in _missing(ingredient)))
    if obstacles:
        return made._replace(obstacles=obstacles)
    torches = [ingredient for ingredient in recipe.of if isinstance(ingredient, of.Torch)]
    besides = [name for wanted in torches for name in wanted.besides]
    lender = target_torch.ask(python(), environ, timeout, torch=bool(torches) and torch is None, besides=besides)
    made = made._replace(lender=lender)
    parts = [part for ingredient in recipe.of if (part := _costs(ingredient, made, torch))]
    if recipe.downloads:
        parts.append(("what its commands ask for", recipe.downloads, recipe.downloads))
    obstacles = tuple(
        reason
        for wanted in torches
        if torch is None and not wanted.if_there and (reason := _not_borrowed(made, wanted))
    )
    if obstacles:
        return made._replace(obstacles=obstacles)
    disk = sum(part[2] for part in parts) + ENVIRONMENT[1]
    free = shutil.disk_usage(tempfile.gettempdir()).free >> 20
    if free < disk + _SPARE:
        return made._replace(
            obstacles=(f"it needs {disk} MB in {tempfile.gettempdir()}, and {free} MB are free there",)
        )
    downloads = tuple(part[0] for part in parts if part[1])
    return made._replace(downloads=downloads, download_mb=sum(part[1] for part in parts), disk_mb=disk)


def _not_borrowed(made: ReproductionPlan, wanted: of.Torch) -> str | None:
    """Return why a recipe that needs the target's torch cannot use it; None if it can."""
    assert made.lender is not None
    torch = made.lender.torch
    have = f"has torch {torch.version}" if torch else made.lender.why_no_torch
    if wanted.build == "cuda" and not made.borrowed(wanted):
        return f"it takes a CUDA build of torch, which is too large to download, and the target {have}"
    lacks = [name for name in wanted.besides if torch is None or name not in torch.entries]
    if lacks:
        return f"it takes {' and '.join(lacks)} beside torch, and the target {have} and no {lacks[0]}"
    return None


def simulated_machine(slug: str) -> bytes | None:
    """Return the facts of the simulated machine for a failure mode, as JSON; None if there is none."""
    file = resources.files("attn_doctor.reproduction") / "machines" / f"{slug}.json"
    return file.read_bytes() if file.is_file() else None


def needs_pip(recipe: Recipe, made: ReproductionPlan, torch: str | None) -> bool:
    """Return whether the environment needs pip: to install into it, or for a command of the recipe.

    `torch`: as for `plan`.
    """
    commands = any("pip" in word for argv in recipe.run for word in argv)
    return commands or any(_costs(i, made, torch) for i in recipe.of if not isinstance(i, of.Apt))


def _costs(ingredient: of.Ingredient, made: ReproductionPlan, torch: str | None) -> tuple[str, int, int] | None:
    """Return (name, megabytes to download, megabytes of disk) for an ingredient; None if nothing is downloaded."""
    if isinstance(ingredient, of.Torch) and (torch or not (ingredient.if_there or made.borrowed(ingredient))):
        what = (
            f"{torch} (a CPU build; a CUDA build is many times that)"
            if torch
            else f"a CPU build of torch{ingredient.versions}"
        )
        return (what, *TORCH)
    if isinstance(ingredient, of.Packages):
        return ", ".join(ingredient.requirements), ingredient.megabytes, round(ingredient.megabytes * PER_DOWNLOADED)
    if isinstance(ingredient, of.Source):
        return "the source of flash-attn", *SOURCE
    if isinstance(ingredient, of.Apt):
        return "the package lists of Ubuntu", *UBUNTU_LISTS
    if isinstance(ingredient, of.Nvcc) and host_abilities.nvcc(made.environ) is None:
        return "nvcc from the registry", *NVCC
    return None


def _missing(ingredient: of.Ingredient) -> Iterator[str]:
    """Yield the reasons why an ingredient is not available on this machine."""
    if isinstance(ingredient, of.Library | of.Extension | of.StubDriver):
        if not platforms.LINUX:
            yield "its libraries are made for Linux"
        elif host_abilities.program("gcc") is None:
            yield "there is no gcc here"
    if isinstance(ingredient, of.PlayedMachine) and not platforms.LINUX:
        yield "another machine can be simulated on Linux only"
    needs_namespace = isinstance(ingredient, of.SmallDisk | of.ReadOnly | of.Network) or (
        isinstance(ingredient, of.Hidden) and bool(list(_matches(ingredient)))
    )
    if needs_namespace:
        refused = host_abilities.namespaces_refused(network=isinstance(ingredient, of.Network))
        if refused:
            yield refused
    if isinstance(ingredient, of.Memory) and not platforms.LINUX:
        yield "only Linux limits the memory of a process so"
    if isinstance(ingredient, of.Network) and ingredient.kind != "none" and host_abilities.program("openssl") is None:
        yield "this machine has no openssl to make a certificate"
    if isinstance(ingredient, of.Apt) and host_abilities.program("apt-get") is None:
        yield "there is no apt here"
    if isinstance(ingredient, of.Without) and not platforms.LINUX:
        yield "programs can be hidden on Linux only"


def _matches(ingredient: of.Hidden) -> Iterator[object]:
    from pathlib import Path

    if ingredient.folder.startswith("/"):
        yield from Path(ingredient.folder).glob(ingredient.names)
