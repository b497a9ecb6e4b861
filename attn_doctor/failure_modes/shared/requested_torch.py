"""Judge the torch that a project file requests: whether a wheel of it exists for the Python and the C library that the file states. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import new_pythons
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.knowledge import old_torch, torch_choice
from attn_doctor.knowledge.rows import TorchRelease
from attn_doctor.knowledge.tables import load
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, fact
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import dotted, local, pair

# The wheels of torch 2.7 and newer are for manylinux_2_28; torch 2.6 only in some builds (cu126), and not on PyPI:
# https://pytorch.org/blog/pytorch2-6/, https://pytorch.org/blog/pytorch-2-7/
_MANYLINUX = (2, 28)
_FIRST_FOR_IT = (2, 7)
_BEFORE_IT = "2.6.0"


class Requested(Variant, frozen=True, kw_only=True):
    """Hold the torch that a file requests, and the reason why no wheel fits."""

    torch: str  # "2.1.2"
    file: str
    glibc: str | None = None  # of the base image, "2.27"; None: the Python is the reason


def told(facts: Facts) -> Hit | None:
    """Return the hit if a file requests a torch that has no wheel for the Python or the base image that the files state; else None.

    conda's packages are not judged: conda-forge builds old releases for new Pythons.
    """
    torch, pins = facts.torch.version, facts.project.pins
    place = facts.sources.get("torch.version")
    if facts.grade != "stated" or not isinstance(torch, str) or not isinstance(pins, tuple) or _by_conda(facts):
        return None
    index = next(
        (i for i, p in enumerate(pins) if f"{p.file}:{p.line}" == place and p.requirement.startswith("torch")), None
    )
    if index is None or ".whl" in pins[index].requirement or "://" in pins[index].requirement:
        return None
    pin = pins[index]
    asked = fact(facts, f"project.pins.{index}.requirement")
    bare = torch.partition("+")[0]
    python, taken = facts.interpreter.version, tuple(p for t in old_torch.pythons(bare) if (p := pair(t)))
    here = pair(python) if isinstance(python, str) else None
    wants = f"{pin.file} line {pin.line} asks for torch {torch}"
    # Linux also got wheels of torch 1.13 for Python 3.11, which the table of the old releases lacks: https://pypi.org/project/torch/1.13.1/#files
    doubtful = {(3, max(taken)[1] + 1)} if taken and (pair(bare) or (2, 0)) < (2, 0) else set()
    if here and taken and here not in {*taken, *doubtful}:
        span = f"Python {dotted(min(taken))} to {dotted(max(taken))}"
        return Hit(
            message=f"{wants}. Its wheels are for {span}, and the Python is {python}: no file of that release can be installed.",
            evidence=(asked, fact(facts, "interpreter.version")),
            variant=Requested(torch=bare, file=pin.file),
        )
    return _of_glibc(facts, wants, torch, pin.file, asked)


def _by_conda(facts: Facts) -> bool:
    return any(d.name == "torch" and d.installer == "conda" for d in facts.packages.named)


def _of_glibc(facts: Facts, wants: str, torch: str, file: str, asked: Evidence) -> Hit | None:
    glibc = facts.system.glibc
    have, minor = pair(glibc) if isinstance(glibc, str) else None, pair(torch)
    if have is None or minor is None or have >= _MANYLINUX:
        return None
    if minor < _FIRST_FOR_IT and not (minor == (2, 6) and local(torch) == "cu126"):
        return None
    return Hit(
        message=f"{wants}. Its wheels need glibc {dotted(_MANYLINUX)} (manylinux_2_28), and {_image(facts)} has {glibc}: pip finds no matching "
        "distribution.",
        evidence=(asked, fact(facts, "system.glibc", f"glibc {glibc} of {_image(facts)}")),
        variant=Requested(torch=torch.partition("+")[0], file=file, glibc=str(glibc)),
    )


def _image(facts: Facts) -> str:
    return facts.subject.image if isinstance(facts.subject.image, str) else "this system"


def fixes(facts: Facts, asked: Requested) -> tuple[Fix, ...]:
    """Return the fixes: another Python or base image, and the nearest torch that has wheels for the present one."""
    verify = building.verify(facts)
    if asked.glibc is not None:
        words = (
            "a base image with glibc 2.28 or newer in the FROM line: Debian 10, Ubuntu 20.04, RHEL 8 and everything newer; for a CUDA image of NVIDIA "
            "a tag that ends in ubuntu22.04"
        )
        image = commands.by_hand(("FROM", "ubuntu:22.04"), words, "another image", elsewhere=True)
        newer = Fix(title="Use a newer base image", steps=(image,), verify=verify)
        older = _torch(_BEFORE_IT, "the last release whose wheels on PyPI install on an older glibc")
        return (newer, Fix(title=f"Request torch {_BEFORE_IT}", steps=(older,), verify=verify))
    found = _nearest(facts, asked.torch)
    made = [Fix(title="Use a Python for which this torch has wheels", steps=_python(facts, asked), verify=verify)]
    if found is not None:
        step = _torch(found, "the nearest release that has wheels for that Python")
        made.append(Fix(title=f"Request torch {found}", steps=(step,), verify=verify))
    return tuple(made)


def _python(facts: Facts, asked: Requested) -> tuple[Step, ...]:
    """Return the steps to the newest Python for which the requested torch has wheels, in the file that states the Python."""
    newest = dotted(max(p for t in old_torch.pythons(asked.torch) if (p := pair(t))))
    file, _, line = facts.sources.get("interpreter.version", "").rpartition(":")
    if not file:
        return new_pythons.another(facts, newest, f"torch {asked.torch} has wheels for Python {newest}")
    words = f"{file}, line {line}: request Python {newest} in the place of {facts.interpreter.version}; torch {asked.torch} has wheels for it"
    return (commands.by_hand((), words, file),)


def _nearest(facts: Facts, torch: str) -> str | None:
    """Return the release nearest to a torch that has wheels for the stated Python; None if no release in the table has."""
    here = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    wanted = pair(torch)
    if here is None or wanted is None:
        return None
    fitting = [row for row in load(TorchRelease) if here in {pair(text) for text in row.pythons}]
    newer = [row for row in fitting if (pair(row.minor) or (0, 0)) > wanted]
    chosen = newer[0] if newer else fitting[-1] if fitting else None
    return chosen.latest if chosen else None


def _torch(torch: str, why: str) -> Step:
    both = torch_choice.same(torch, "torchvision")
    return commands.install(*both, why=why, changes="torch and torchvision", risk="medium")
