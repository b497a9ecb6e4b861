"""Ultralytics is installed, but importing it fails.

What it is
    `from ultralytics import YOLO` fails, crashes or never ends. No training and no prediction is possible, even if torch works.

How it shows
    "ModuleNotFoundError: No module named 'cv2'" (or yaml, PIL, matplotlib, requests ...) at the import; an exception from a
    package that ultralytics imports; the process ends without a message, or hangs. "No module named 'ultralytics.yolo'" from a program
    that was written for a release before 8.0.136.

Why it happens
    A required package is missing (ultralytics was installed with --no-deps, or the package was removed). Or a required package is broken
    (partly removed, damaged, built for another Python). Or a file of ultralytics itself is missing or damaged.

What to do
    Install all missing packages in one command. If a package is there and fails, install that package again. If a file of ultralytics
    itself is missing, install ultralytics again.

How to reproduce
    There is no recipe: it needs a torch that imports, and the broken package differs from case to case. `pip uninstall pyyaml`
    in an environment of yours shows it; `pip install pyyaml` repairs it.

References
    https://docs.ultralytics.com/quickstart/
    https://github.com/ultralytics/ultralytics/blob/main/pyproject.toml
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import requirements
from attn_doctor.failure_modes.shared.culprit import Culprit, culprit, install_missing
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Fault, Import
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried
from attn_doctor.model.steps import Step

MODE = FailureMode(
    code="AD317",
    slug="ultralytics-broken",
    title="Importing Ultralytics fails",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("model-not-built", "requirements-missing"),
    signs=(
        # The folder ultralytics/yolo became ultralytics/engine, cfg, data, utils and models in 8.0.136.
        Sign(
            pattern=r"No module named '?(?P<module>ultralytics\.yolo(?:\.\w{1,40}){0,6})",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'ultralytics.yolo'",
        ),
    ),
)


class OldCode(Variant, frozen=True, kw_only=True):
    """Hold the module that the program imports and that releases since 8.0.136 do not have: "ultralytics.yolo.engine"."""

    module: str


def detect(facts: Facts) -> Hit | None:
    found = _attempt(facts)
    if found is None:
        return None
    index, attempt = found
    fault = attempt.fault or Fault(kind="vanished")
    name = f"ultralytics {facts.yolo.version}" if isinstance(facts.yolo.version, str) else "ultralytics"
    if isinstance(attempt.failed, str) and attempt.failed.startswith("ultralytics.utils.callbacks."):
        name = f"{attempt.failed} of {name}, as every training does,"  # `import ultralytics` does not load it
    evidence = [fact(facts, f"imports.{index}.ok", f"importing ultralytics: {message(fault)}")]
    if fault.where and not fault.where.startswith("import "):
        evidence.append(fact(facts, f"imports.{index}.fault", f"at {fault.where}"))
    lacks = requirements.missing(facts)
    evidence += [
        fact(facts, f"packages.conflicts.{lack.place}.requires", f"{lack.name}{lack.specifier} is not installed")
        for lack in lacks[:12]
    ]
    return Hit(
        message=f"Importing {name} fails: {_reason(facts, fault, lacks)}.",
        evidence=tuple(evidence),
        certainty=Certainty.OBSERVED,
        explains=(*MODE.explains, *_same(facts, fault)),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    module = seen.captured()["module"]
    return Hit(
        message=f"The program was written for an ultralytics before 8.0.136: it imports {module}, which newer releases do not have.",
        evidence=evidence,
        variant=OldCode(module=module),
    )


def _same(facts: Facts, fault: Fault) -> tuple[str, ...]:
    """Return the failure modes that report the same broken package. Example: a cv2 that crashes when it is imported crashes ultralytics too."""
    to_blame = culprit(facts, fault, "ultralytics")
    if to_blame is None:
        return ()
    alone = any(attempt.module == to_blame.module and attempt.ok is False for attempt in tried(facts))
    return ("segfault", "import-hang") if alone else ()


def _attempt(facts: Facts) -> tuple[int, Import] | None:
    """Return the failed import of ultralytics and its place in facts.imports; None if it was not tried, or it works."""
    return next(((i, a) for i, a in enumerate(tried(facts)) if a.module == "ultralytics" and a.ok is False), None)


def _reason(facts: Facts, fault: Fault, lacks: tuple[requirements.Missing, ...]) -> str:
    """Return the reason in words, with all missing packages: "cv2 (opencv-python) is not installed, nor are pillow, pyyaml"."""
    to_blame = culprit(facts, fault, "ultralytics")
    if to_blame is not None and to_blame.is_missing:
        others = [lack for lack in lacks if lack.name != to_blame.distribution]
        named = (
            to_blame.module
            if to_blame.distribution in (None, to_blame.module)
            else f"{to_blame.module} ({to_blame.distribution})"
        )
        more = f", nor {'is' if len(others) == 1 else 'are'} {requirements.listed(others)}" if others else ""
        return f"{named} is not installed{more}"
    how = {
        "signal": f"it is killed by {fault.signal}",
        "timeout": f"it gives no answer in {fault.seconds or 0:.0f} s",
        "vanished": "it hangs, and cannot even be killed",
        "exited": f"it ends the process with exit code {fault.exit_code}",
    }.get(fault.kind, message(fault))
    if to_blame is not None and to_blame.module != "ultralytics":
        how += f", in {to_blame.module}"
    return how + (f"; also missing: {requirements.listed(lacks)}" if lacks else "")


def _of_old_code(facts: Facts, module: str) -> tuple[Fix, ...]:
    """Return the two fixes for a program that imports ultralytics.yolo: https://github.com/ultralytics/ultralytics/issues/5992."""
    verify = commands.check(facts)
    older = commands.install(
        "ultralytics<8.0.136",
        why="the newest release that has ultralytics.yolo; if the program's requirements.txt names a release (8.0.3), install that release",
        changes="ultralytics",
    )
    new = module.removeprefix("ultralytics.yolo").partition(".v8")[0]
    words = (
        f"for a newer ultralytics: write ultralytics{new} instead of ultralytics.yolo{new}; ultralytics.models.yolo instead of ultralytics.yolo.v8"
        if new
        else "for a newer ultralytics: write ultralytics.engine, .utils, .data, .cfg instead of ultralytics.yolo.engine and so on; "
        "ultralytics.models.yolo instead of ultralytics.yolo.v8"
    )
    change = commands.by_hand((), words, "the program")
    return (
        Fix(title="Install the ultralytics that the program was written for", steps=(older,), verify=verify),
        Fix(title="Change the imports of the program", steps=(change,), verify=verify),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if isinstance(hit.variant, OldCode):
        return _of_old_code(facts, hit.variant.module)
    found = _attempt(facts)
    if found is None:
        why = "keeps the installed release of ultralytics, and installs all its missing requirements"
        step = commands.install("ultralytics", why=why, changes="adds what ultralytics requires")
        verify = commands.check(facts)
        return (
            Fix(title="Install all that ultralytics requires", steps=(step,), verify=verify),
            Fix(title="Install ultralytics again", steps=_ultralytics_afresh(facts), verify=verify),
        )
    fault = found[1].fault or Fault(kind="vanished")
    to_blame = culprit(facts, fault, "ultralytics")
    lacks = requirements.missing(facts)
    verify = commands.check(facts)
    made = []
    if to_blame is not None and to_blame.is_missing:
        if to_blame.distribution is None and not lacks:
            return (
                Fix(
                    title=f"Install the package that brings {to_blame.module}",
                    steps=(_unknown_module(to_blame),),
                    verify=verify,
                ),
            )
        steps, names = install_missing(facts, to_blame)
        title = f"Install {to_blame.distribution}" if names == 1 else f"Install the {names} packages that are missing"
        return (Fix(title=title, steps=steps, verify=verify),)
    if lacks:
        made.append(Fix(title="Install what is missing", steps=requirements.install(facts, lacks), verify=verify))
    if fault.kind in ("timeout", "vanished"):
        look = commands.by_hand(
            ("py-spy", "dump", "--pid", "PID"),
            "while the program hangs: shows where it waits. PID is its process number (py-spy comes with pip install py-spy)",
            "nothing",
            "none",
        )
        made.append(Fix(title="See where it waits", steps=(look,), verify=verify))
    if to_blame is not None and to_blame.module != "ultralytics" and to_blame.distribution is not None:
        made.append(
            Fix(
                title=f"Install {to_blame.distribution} again",
                steps=requirements.afresh(facts, to_blame.distribution),
                verify=verify,
            )
        )
    else:
        made.append(Fix(title="Install ultralytics again", steps=_ultralytics_afresh(facts), verify=verify))
    return tuple(made)


def _unknown_module(to_blame: Culprit) -> Step:
    words = f"find out which package contains the module {to_blame.module}, and install it: no requirement of ultralytics or torch has this name"
    return commands.by_hand((), words, "adds a package")


def _ultralytics_afresh(facts: Facts) -> tuple[Step, ...]:
    """Return the steps that install ultralytics again. If it is the user's checkout, installed with -e, only `git status` is proposed."""
    listed = facts.packages.distributions if isinstance(facts.packages.distributions, tuple) else ()
    found = next((d for d in listed if d.name == "ultralytics"), None)
    place = facts.yolo.location
    if (
        found is not None
        and isinstance(found.direct_url, str)
        and found.direct_url.startswith("file:")
        and isinstance(place, str)
    ):
        look = commands.by_hand(
            ("git", "-C", place, "status"),
            "ultralytics runs from your checkout: shows which of its files were changed",
            "nothing",
            "none",
        )
        return (look,)
    return requirements.afresh(facts, "ultralytics")
