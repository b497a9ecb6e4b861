"""Make the fix for the conflicts that pip reports in a log: "torchaudio 2.2.1 requires torch==2.2.1, but you have torch 2.3.0". Pure.

The command changes only packages that the log names. The installed torch stays, and the other packages get releases that fit it.
Exception: a model server (vllm) is built for one torch, so torch gets the release that the server needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Variant
from attn_doctor.failure_modes.shared import numpy_1, torch_here, torch_steps
from attn_doctor.failure_modes.shared.torch_facts import SERVERS, distribution, machine_of, text
from attn_doctor.knowledge import torch_choice
from attn_doctor.logs.reader import Match
from attn_doctor.model.facts import Facts, Record, Unknown
from attn_doctor.model.findings import Fix
from attn_doctor.model.requirements import Requirement, SpecifierSet, both_of, read_requirement
from attn_doctor.model.steps import Install, Step

_FAMILY = ("torchvision", "torchaudio", "torchtext")


class Pair(Record, frozen=True, kw_only=True):
    """Hold one conflict that pip reports: the package, its requirement, and the installed version."""

    package: str  # normalised: "torchaudio"
    requires: str  # as pip writes it: "torch==2.2.1"
    have: str  # "torch 2.3.0+cu121"

    @property
    def requirement(self) -> Requirement | None:
        return read_requirement(self.requires.partition(";")[0])


class Conflicting(Variant, frozen=True, kw_only=True):
    """Hold the conflicts between packages that pip reports in a log."""

    pairs: tuple[Pair, ...]


def fix(facts: Facts, found: Conflicting) -> Fix | None:
    """Return the fix that installs what these packages require; None if there is no step to take.

    If two packages need releases that exclude each other, only the conflicts about torch count.
    """
    with_torch = [pair for pair in found.pairs if _name(pair) == "torch"]
    first = _torch(facts, with_torch)
    settled = ("torch", *(_FAMILY if first else ()))
    steps = (*first, *_others(facts, [pair for pair in found.pairs if _name(pair) not in settled]))
    if not steps:
        return None
    return Fix(title="Install what these packages require", steps=steps, verify=commands.check(facts))


def _name(pair: Pair) -> str | None:
    wanted = pair.requirement
    return canonicalize_name(wanted.name) if wanted else None


def _torch(facts: Facts, pairs: list[Pair]) -> tuple[Step, ...]:
    """Return the steps for packages that require another torch: install releases that fit the installed torch, or the torch of a server such as vLLM."""
    have = next((pair.have.partition(" ")[2] for pair in pairs), "") or text(facts.torch.version)
    if not pairs or not have:
        return ()
    for pair in pairs:
        exact = [s.version for s in pair.requirement.specifier if s.operator == "=="] if pair.requirement else []
        if pair.package in SERVERS and exact:
            why = f"{pair.package} works only with this torch"
            return torch_steps.release(facts, exact[0].partition("+")[0], why)
    names = [pair.package for pair in pairs]
    family = [name for name in _FAMILY if name in names]
    broken = facts.subject.package == "xformers"  # the installed xformers is for another torch or another CUDA
    with_xformers = ["xformers"] if broken or "xformers" in names or distribution(facts, "xformers") is not None else []
    rest = [name for name in names if name not in (*_FAMILY, "xformers")]
    steps: list[Step] = []
    bare = torch_choice.same(have)
    if broken:
        steps.append(
            commands.uninstall("xformers", why="the installed xformers was built for another torch or another CUDA")
        )
    if family or with_xformers:
        asked = torch_choice.same(have, *family)
        steps.append(
            commands.install(
                *asked,
                *with_xformers,
                index_url=torch_choice.index_of_build(have, machine_of(facts)),
                why=f"the releases for torch {have}, which stays; all in one command, so that pip compares all requirements",
                changes=" and ".join((*(text.partition("=")[0] for text in asked[1:]), *with_xformers)),
                risk="medium",
            )
        )
    if rest:
        steps.append(
            commands.install(
                *dict.fromkeys(rest),
                *bare,
                upgrade=True,
                why=f"releases that accept torch {have}; if there is none, pip reports it and changes nothing",
                changes=" and ".join(dict.fromkeys(rest)),
                risk="medium",
            )
        )
    return tuple(steps)


def _others(facts: Facts, pairs: list[Pair]) -> tuple[Step, ...]:
    """Return the steps that install the required releases: of each name one release that all packages accept.

    Empty if there is no such release for one of the names.
    """
    wanted: dict[str, SpecifierSet] = {}
    for pair in pairs:
        if (asked := pair.requirement) is not None:
            name = canonicalize_name(asked.name)
            both = both_of(wanted.get(name, SpecifierSet()), asked.specifier)
            if both is None:
                return ()
            wanted[name] = both
    if not wanted:
        return ()
    vision = torch_here.vision(facts, reinstall=False) if "torchvision" in wanted else None
    names = [
        text
        for name, asked in wanted.items()
        if name != "torchvision" or vision is None
        for text in (_numpy(facts, asked, pairs) if name == "numpy" else (f"{name}{asked}",))
    ]
    step = commands.install(
        *names,
        why=f"the release that {', '.join(dict.fromkeys(p.package for p in pairs))} requires"
        if len({p.package for p in pairs}) == 1
        else "releases that all of these packages accept, in one command",
        changes=", ".join(wanted),
        risk="medium",
        risk_text="if no versions satisfy all packages, pip reports it before it changes anything",
    )
    return (*((vision,) if vision else ()), *((step,) if names else ()))


def _numpy(facts: Facts, asked: SpecifierSet, pairs: list[Pair]) -> tuple[str, ...]:
    return numpy_1.beside_torch(facts, str(asked), [pair.package for pair in pairs if _name(pair) == "numpy"])


def of_conda_alone(facts: Facts) -> bool:
    """Return whether the installer in the log is conda, mamba or micromamba, and not pip inside their environment."""
    tools = facts.interpreter.installers
    return isinstance(tools, tuple) and tools[:1] in (("conda",), ("mamba",), ("micromamba",))


def fresh_of_conda(facts: Facts) -> Fix:
    """Return the fix for packages that conda's solver cannot put together: a new environment, with torch by pip.

    PyTorch's own conda channel ended with torch 2.5: https://github.com/pytorch/pytorch/issues/138506
    """
    tools = facts.interpreter.installers
    tool = tools[0] if isinstance(tools, tuple) and tools else "conda"
    python = facts.interpreter.version
    label = ".".join(python.split(".")[:2]) if isinstance(python, str) else "3.12"
    make = commands.by_hand(
        (tool, "create", "-y", "-n", "fresh", f"python={label}", "pip"),
        "creates a new, empty environment",
        "an environment",
    )
    enter = commands.by_hand(
        (tool, "activate", "fresh"), "the next lines are for this environment", "this shell", "none"
    )
    plain = msgspec.structs.replace(
        facts,
        interpreter=msgspec.structs.replace(
            facts.interpreter, installers=("pip",), kind=Unknown("not made"), prefix=Unknown("not made")
        ),
    )
    torch = tuple(
        commands.by_own_tool(plain, step) if isinstance(step, Install) else step
        for step in torch_steps.newest_steps(plain, "pip installs torch, so that conda has to solve nothing")
    )
    return Fix(
        title="Make a new environment, and install torch there by pip",
        steps=(make, enter, *_typed(torch)),
        verify=commands.check(facts),
    )


def _typed(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return installations as commands to type: they are for the new environment, and not for the target."""
    return tuple(
        commands.by_hand(step.argv, step.why, step.changes, step.risk, takes=step.takes)
        if isinstance(step, Install)
        else step
        for step in steps
    )


def reported(matches: Sequence[Match]) -> Conflicting:
    """Return the conflicts that lines of pip report: "PACKAGE requires X, but you have Y"."""
    pairs = (
        Pair(
            package=canonicalize_name(m.groups["package"].rpartition("conflicts.")[2]),
            requires=m.groups["requires"] + m.groups["limits"],
            have=m.groups["have"].strip(" ."),
        )
        for m in matches
    )
    return Conflicting(pairs=tuple(dict.fromkeys(pairs)))
