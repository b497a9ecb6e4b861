"""Something that ultralytics or torch needs is not installed.

What it is
    A package is installed, and packages that it declares as its requirements are not. Importing may work all the same: new
    releases of ultralytics import most of what they need at its first use. Training then stops in its first minutes, or at its end
    when the results are plotted.

How it shows
    "ModuleNotFoundError: No module named 'matplotlib'", "No module named 'polars'", "No module named 'torchvision'", often wrapped:
    "RuntimeError: Dataset 'data.yaml' error". `pip check` lists them.

Why it happens
    `pip install --no-deps`, an installation that was interrupted, a package that was removed by hand or with another one, an
    environment that was copied.

What to do
    Install what is missing, all of it in one command, so that the resolver sees it all.

How to reproduce
    `attn-doctor reproduce requirements-missing` installs ultralytics alone, without what it needs. It downloads 1 MB.

References
    https://pip.pypa.io/en/stable/cli/pip_check/
    https://docs.ultralytics.com/quickstart/
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.facts import Facts
from attn_doctor.failure_modes import requirements
from attn_doctor.failure_modes.mode import FailureMode, Hit
from attn_doctor.failure_modes.recipe import PIP, Packages, Recipe
from attn_doctor.findings import Certainty, Evidence, Fix, Goal, Severity, fact

MODE = FailureMode(
    code="AD215",
    slug="requirements-missing",
    title="A requirement is not installed",
    train=Severity.WARNING,
    flash_attn=Severity.WARNING,
    recipe=Recipe(
        does="installs ultralytics without what it needs",
        of=(Packages(requirements=("ultralytics==8.4.190",), megabytes=2, options=("--no-deps",)),),
        run=((*PIP, "check"),),
        shows="requires matplotlib, which is not installed",
        examine=("--static",),
        goal=Goal.TRAIN,
        seconds=15,
    ),
)


def detect(facts: Facts) -> Hit | None:
    """Met whether or not anything was imported; where an import failed, that is the finding, and explains this one."""
    lacks = requirements.missing(facts)
    if not lacks:
        return None
    names = requirements.listed(lacks)
    askers = {lack.asked_by for lack in lacks}
    asker = askers.pop() if len(askers) == 1 else "The installed packages"
    said = f"{asker} need{'s' if asker[0].islower() else ''} {names}, not installed here."
    if facts.torch.importable is True and not _failed(facts):
        said += " It imports all the same: what needs it fails when it is used."
    return Hit(
        message=said,
        evidence=tuple(_evidence(facts, lack) for lack in lacks[:12]),
        certainty=Certainty.OBSERVED,
        severity=requirements.gravity(lacks),
    )


def _failed(facts: Facts) -> bool:
    """Whether ultralytics was imported and did not come up."""
    tried = facts.imports if isinstance(facts.imports, tuple) else ()
    return any(attempt.module == "ultralytics" and attempt.ok is False for attempt in tried)


def _evidence(facts: Facts, lack: requirements.Missing) -> Evidence:
    text = f"{lack.asked_by} requires {lack.name}{lack.specifier}, which is not installed"
    return fact(facts, f"packages.conflicts.{lack.place}.requires", text)


def fixes(facts: Facts, evidence: tuple[Evidence, ...]) -> tuple[Fix, ...]:
    lacks = requirements.missing(facts)
    steps = requirements.install(facts, lacks)
    if not steps:
        return ()
    title = f"Install {lacks[0].name}" if len(lacks) == 1 else f"Install the {len(lacks)} packages that are missing"
    return (Fix(title=title, steps=steps, verify=commands.check(facts)),)
