"""pipenv finds no set of releases that fits the Pipfile.

What it is
    pipenv first resolves all requirements of the Pipfile for a lock file, and installs afterwards. It failed in the first step.

How it shows
    "Locking Failed!", "ResolutionFailure", "Your dependencies could not be resolved. You likely have a mismatch in your sub-dependencies", "Could
    not find a version that matches torch==1.4.0+cpu".

Why it happens
    The Pipfile asks for a build of PyTorch's own index (torch==2.1.0+cu118), and names no such index. Or two requirements exclude each other. Or
    no release of a package fits the Python of the Pipfile.

What to do
    Name PyTorch's index as a source of the Pipfile, and torch with this index. For requirements that exclude each other: loosen the ones that the message
    names. Then `pipenv lock --clear`.

How to reproduce
    There is no recipe: `pipenv install "torch==2.1.0+cu118"` in an empty folder shows the failure.

References
    https://pipenv.pypa.io/en/latest/indexes.html
    https://github.com/pypa/pipenv/issues/5293
    https://github.com/pypa/pipenv/issues/4422
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building
from attn_doctor.knowledge import torch_choice
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD271",
    slug="pipenv-cannot-lock",
    title="pipenv finds no releases that fit the Pipfile",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("environment-pollution", "no-matching-distribution", "python-too-new-no-wheel"),
    signs=(
        Sign(pattern=r"Locking Failed!", literal="Locking Failed!", sample="✘ Locking Failed!"),
        Sign(
            pattern=r"pipenv\.exceptions\.ResolutionFailure|\[ResolutionFailure\]",
            literal="ResolutionFailure",
            sample="[pipenv.exceptions.ResolutionFailure]: Warning: Your dependencies could not be resolved.",
        ),
        Sign(
            pattern=r"(?:satisfies the requirement|that matches|distribution found for) (?P<build>(?:torch|torchvision|torchaudio)={2,3}(?P<release>\d[\d.]*)\+(?P<flavour>cu\d{2,3}|cpu|rocm[\d.]{1,6}))",
            literal="torch",
            sample="ERROR: Could not find a version that matches torch==1.4.0+cpu",
            strength="context",
        ),
        Sign(
            pattern=r"(?:satisfies the requirement|that matches|distribution found for) (?P<plain>[A-Za-z][\w.-]{0,60})",
            literal="ould not find a version that ",
            sample="ERROR: Could not find a version that matches flash-attn",
            strength="context",
        ),
        *(
            Sign(pattern=rf"(?P<conflict>{words})", literal=words, sample=f"Warning: {words}.", strength="context")
            for words in (
                "Your dependencies could not be resolved",
                "ResolutionImpossible",
                "have conflicting dependencies",
            )
        ),
    ),
)
# There is no `detect`: which releases there are is known to the index alone.


class Asked(Variant, frozen=True, kw_only=True):
    """Hold the build that the Pipfile asks for, "torch==2.1.0+cu118"; None: requirements exclude each other, or a package is not there."""

    build: str | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof"]
    build, plain = seen.group("build"), seen.group("plain")
    if not told or (build is None and plain is not None and seen.group("conflict") is None):
        return None  # a package that is not there: no-matching-distribution and python-too-new-no-wheel report it
    if build is not None:
        message = f"pipenv found no {build}: such builds are on PyTorch's own index, which the Pipfile does not name, or that index has none for this Python."
    else:
        message = "pipenv found no releases that fit all requirements of the Pipfile: some of them exclude each other."
    lines = [*told[:1], *(m for m in seen.matches if "build" in m.groups or "conflict" in m.groups)]
    return Hit(message=message, evidence=building.lines(lines[:3]), variant=Asked(build=build))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    build = hit.variant.build if isinstance(hit.variant, Asked) else None
    lock = commands.by_hand(("pipenv", "lock", "--clear"), "resolves again, without pipenv's cache", "Pipfile.lock")
    sync = commands.by_hand(("pipenv", "sync"), "installs what was locked", "the environment of this project")
    if build is not None:
        flavour = build.partition("+")[2]
        add = commands.by_hand(
            ("pipenv", "install", "--index", torch_choice.index_of(flavour), re.sub("={2,3}", "==", build)),
            "writes PyTorch's index into the Pipfile as a source, and torch with it; add torchvision in the same way. If it finds nothing again, the Python of the Pipfile is too new or too old for this "
            "torch: pipenv --python 3.11",
            "Pipfile, Pipfile.lock and the environment",
        )
        return (Fix(title="Name PyTorch's index in the Pipfile", steps=(add,), verify=verify),)
    loosen = commands.by_hand(
        (),
        "in the Pipfile: take the exact numbers (==) away from the packages that the message names, or write ranges (>=); a package that is needed only with another one can be left out of the Pipfile",
        "Pipfile",
    )
    steps: tuple[Step, ...] = (loosen, lock, sync)
    return (Fix(title="Loosen the requirements that exclude each other", steps=steps, verify=verify),)
