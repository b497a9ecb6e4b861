"""The installed ultralytics cannot build the model: no training and no prediction is possible.

What it is
    ultralytics is installed, but building the model raises an exception, ends the process, or never ends.

How it shows
    `FileNotFoundError: 'yolo12n.yaml' does not exist`, from an ultralytics that is older than YOLO12. The same error for yolov12n.yaml or
    yolov12n.pt: these names belong to the YOLOv12 fork, and ultralytics does not have them. `ModuleNotFoundError` for a package that
    ultralytics needs. Another exception from a file of ultralytics. Or a process that crashes while the model is built.

Why it happens
    YOLO12 came with ultralytics 8.3.78, and older releases have no such model. Or the name has a v: the authors of YOLOv12 have a changed
    copy of ultralytics ("the fork", github.com/sunsmarterjie/yolov12), whose models are called yolov12n; ultralytics calls its own model
    yolo12n. Or a required package was removed after the installation, or never installed (`pip install --no-deps`). Or a file of
    ultralytics is missing or damaged, or a file with the same name in the working folder hides it.

What to do
    Read the exception. It names yolov12n: write yolo12n instead, or install the fork. It names yolo12n: upgrade ultralytics.
    ModuleNotFoundError: install that module. In all other cases read the traceback, and install the same ultralytics again.

How to reproduce
    There is no recipe: it needs a complete ultralytics, and the download is too large for a test. In an environment of your own:
    `pip install ultralytics==8.3.50`, then `attn-doctor check`.

References
    https://github.com/ultralytics/ultralytics/releases/tag/v8.3.78
    https://github.com/sunsmarterjie/yolov12/issues/111
"""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import yolo12_code
from attn_doctor.failure_modes.shared.culprit import Culprit, install_missing, missing_module
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.failure_modes.shared.yolo12_code import FIRST_WITH_YOLO12
from attn_doctor.knowledge.modules import distribution_of
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Fault
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.steps import Step
from attn_doctor.model.trials import Trials

MODE = FailureMode(
    code="AD601",
    slug="model-not-built",
    title="The model cannot be built",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("eager-fails",),
    signs=(
        Sign(
            pattern=r"FileNotFoundError: (?:\[Errno 2\] No such file or directory: )?'(?P<fork>yolov12[nsmlx]?(?:-\w+)?\.(?:pt|ya?ml))'",
            literal="FileNotFoundError: ",
            sample="FileNotFoundError: [Errno 2] No such file or directory: 'yolov12n.pt'",
        ),
        Sign(
            pattern=r"FileNotFoundError: '(?P<model>yolo12[nsmlx]?(?:-\w+)?\.ya?ml)' does not exist",
            literal="' does not exist",
            sample="FileNotFoundError: 'yolo12n.yaml' does not exist",
        ),
    ),
)


class NotBuilt(Variant, frozen=True, kw_only=True):
    """Hold the reason why the model cannot be built.

    "no such model": this ultralytics has no such model. "name of the fork": only the YOLOv12 fork has a model of this
    name. "missing module": ultralytics lacks a module. "damaged": ultralytics itself is damaged.
    """

    cause: Literal["no such model", "name of the fork", "missing module", "damaged"]
    module: str | None = None  # the missing one: "cv2"
    model: str | None = None  # "yolov12n.pt"


def detect(facts: Facts) -> Hit | None:
    """Find an installed ultralytics whose files have no YOLO12."""
    yolo = facts.yolo
    if not isinstance(yolo.version, str) or yolo.attention is not None:
        return None
    return Hit(
        message=f"ultralytics {yolo.version} has no YOLO12 model: YOLO12 came with ultralytics {FIRST_WITH_YOLO12}.",
        evidence=(fact(facts, "yolo.attention", "ultralytics/nn/modules/block.py has no class AAttn"),),
        variant=NotBuilt(cause="no such model"),
        certainty=Certainty.OBSERVED,
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    fork = seen.group("fork")
    if fork is None:
        return Hit(
            message=f"The ultralytics in use has no {seen.group('model')}: YOLO12 came with ultralytics {FIRST_WITH_YOLO12}.",
            evidence=evidence,
            variant=NotBuilt(cause="no such model"),
        )
    return Hit(
        message=f"There is no file {fork}: this name belongs to the YOLOv12 fork. The names of ultralytics itself have no v (yolo12n).",
        evidence=evidence,
        variant=NotBuilt(cause="name of the fork", model=fork),
    )


def observe(facts: Facts, trials: Trials) -> Hit | None:
    fault = trials.run.model_fault
    if fault is None:
        hit = detect(facts) if any(row.scope == "model" and row.step_ms for row in trials.rows) else None
        return msgspec.structs.replace(hit, severity=Severity.INFO) if hit else None
    said = message(fault)
    where = f" ({fault.where})" if fault.where else ""
    evidence = [Evidence(kind="trial", path="trial_run.model_fault", text=f"building the model: {said}{where}")]
    if isinstance(facts.yolo.version, str):
        evidence.append(
            Evidence(kind="fact", path="yolo.version", text=f"ultralytics {facts.yolo.version} is installed")
        )
    return Hit(
        message=f"The model cannot be built with the ultralytics that is installed: {said}.",
        evidence=tuple(evidence),
        variant=_cause(fault),
    )


def _cause(fault: Fault) -> NotBuilt:
    said = fault.message or ""
    if fault.type == "FileNotFoundError" and ".yaml" in said:
        return NotBuilt(cause="no such model")
    module = missing_module(fault)
    return NotBuilt(cause="damaged") if module is None else NotBuilt(cause="missing module", module=module)


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not isinstance(hit.variant, NotBuilt):
        causes = (
            NotBuilt(cause="name of the fork", model="yolov12n.pt"),
            NotBuilt(cause="no such model"),
            NotBuilt(cause="damaged"),
        )
        return tuple(fix for cause in causes for fix in _of(facts, cause))
    return _of(facts, hit.variant)


def _of(facts: Facts, variant: NotBuilt) -> tuple[Fix, ...]:
    """Return the fixes for one cause, the best first."""
    verify = commands.check(facts, "--device", "cpu", "--imgsz", "64")
    if variant.cause == "no such model":
        step = commands.install(
            f"ultralytics>={FIRST_WITH_YOLO12}",
            upgrade=True,
            why=f"YOLO12 came with ultralytics {FIRST_WITH_YOLO12}",
            changes="ultralytics",
        )
        return (Fix(title="Install an ultralytics that has this model", steps=(step,), verify=verify),)
    if variant.cause == "name of the fork" and variant.model:
        return _of_the_fork(facts, variant.model, verify)
    name = distribution_of(variant.module or "")
    if variant.module and name is not None:
        steps, _ = install_missing(facts, Culprit(variant.module, name, is_missing=True))
        return (Fix(title=f"Install {name}", steps=steps, verify=verify),)
    return (Fix(title="Install the same ultralytics again", steps=_again(facts), verify=verify),)


def _of_the_fork(facts: Facts, model: str, verify: tuple[str, ...]) -> tuple[Fix, ...]:
    """Return the fixes for a model name that only the fork has. The fork's package contains the YAML files; its weights have to be downloaded."""
    weights = model.endswith(".pt")
    fetch = f"download {yolo12_code.download(model)} into the folder of your program: the fork does not fetch it itself"
    fetched = (commands.by_hand((), fetch, "adds a file", "none"),) if weights else ()
    if facts.yolo.kind == "fork" and weights:
        return (Fix(title=f"Download {model} of the fork", steps=fetched, verify=verify),)
    fork = yolo12_code.with_the_fork(facts, verify)
    fixes = [Fix(title=f"Use the YOLOv12 fork and its {model}", steps=(*fork.steps, *fetched), verify=verify)]
    plain = yolo12_code.other_name(model) if weights else model.replace("v", "", 1)
    if plain is not None:
        without = commands.by_hand(
            (), f'write model="{plain}" instead of {model}', "which model your program uses", "none"
        )
        steps = (*yolo12_code.new_enough(facts), without)
        fixes.insert(0, Fix(title=f"Use ultralytics' own, {plain}", steps=steps, verify=verify))
    return tuple(fixes)


def _again(facts: Facts) -> tuple[Step, ...]:
    version = facts.yolo.version
    requirement = f"ultralytics=={version}" if isinstance(version, str) and version[:1].isdigit() else "ultralytics"
    return commands.reinstall(
        requirement,
        why="a complete copy of ultralytics; your own changes in its files are lost",
        changes="ultralytics",
        risk="medium",
        risk_text="your own changes in its files are lost",
    )
