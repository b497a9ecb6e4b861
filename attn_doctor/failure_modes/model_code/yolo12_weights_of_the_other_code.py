"""YOLO12 weights were made with one YOLO12 code and are loaded by the other.

What it is
    There are two codes of YOLO12 with the same class names: ultralytics, and the authors' fork of ultralytics. The attention class AAttn
    of ultralytics has an attribute `qkv`; the AAttn of today's fork ("turbo") has `qk` and `v`. Weights contain the attributes of the
    code that made them. Weights of one code can be loaded by the other code, and fail when they are used.

How it shows
    `AttributeError: 'AAttn' object has no attribute 'qkv'. Did you mean: 'qk'?` if weights of the fork run under ultralytics; the same
    with `qk` if weights of ultralytics run under the fork. Loading succeeds; the first prediction, validation or fuse fails. If only
    the numbers are loaded (load_state_dict): `Missing key(s) in state_dict: "model.6.m.0.0.attn.qkv.conv.weight"`.

Why it happens
    The fork's weights are called yolov12n.pt, those of ultralytics yolo12n.pt, and both packages are called ultralytics. A model
    was trained in a clone of the fork and is used on another machine with `pip install ultralytics`, or the opposite. Or a clone of the
    fork in the current folder hides the installed package, so that a program trains with one code and validates with the other.

What to do
    Use weights with the code that made them. Published weights: yolo12n.pt with ultralytics, yolov12n.pt with the fork (weights of its
    release v1.0 also run under ultralytics). A model of your own: install the code that it was trained with, best in a new environment,
    or train it again from the YAML file. Renaming the attributes does not help: the convolutions have other sizes.

How to reproduce
    `attn-doctor reproduce yolo12-weights-of-the-other-code` saves an attention of the target's ultralytics whose attributes have
    the fork's names, and runs it. It needs ultralytics in the target.

References
    https://github.com/sunsmarterjie/yolov12/issues/109
    https://github.com/sunsmarterjie/yolov12/issues/104
    https://github.com/ultralytics/ultralytics/issues/20758
    https://github.com/ultralytics/ultralytics/pull/19728
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant
from attn_doctor.failure_modes.recipe import File, Recipe, Torch
from attn_doctor.failure_modes.shared import yolo12_code as code
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, ModelFile, Unknown, YoloLayout
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.trials import Trials

_SAVES = """import torch
from ultralytics.nn.modules.block import AAttn
made = AAttn(32, 1)
made.qk, made.v = made.qkv, made.proj
del made.qkv
torch.save({"model": made}, "weights.pt")
"""
_RUNS = """import torch
made = torch.load("weights.pt", weights_only=False)["model"]
print("loaded", type(made).__name__)
made(torch.zeros(1, 32, 4, 4))
"""
MODE = FailureMode(
    code="AD602",
    slug="yolo12-weights-of-the-other-code",
    title="YOLO12 weights that were made with the other YOLO12 code",
    train=Severity.ERROR,
    flash_attn=Severity.WARNING,
    stops="model",
    explains=("model-not-built", "eager-fails", "backend-fails"),
    signs=(
        Sign(
            pattern=r"'AAttn' object has no attribute '(?P<asked>\w+)'",
            literal="'AAttn' object has no attribute",
            sample="AttributeError: 'AAttn' object has no attribute 'qkv'. Did you mean: 'qk'?",
        ),
        Sign(
            pattern=r"Missing key\(s\) in state_dict: .{0,4000}?\.attn\.(?P<asked>qkv|qk|v)\.conv\.",
            literal="Missing key(s) in state_dict",
            sample='Missing key(s) in state_dict: "model.6.m.0.0.attn.qkv.conv.weight", "model.6.m.0.0.attn.qkv.bn.weight".',
        ),
        *code.NAMED_IN_LOGS,
    ),
    recipe=Recipe(
        does="saves an attention of ultralytics whose attributes have the fork's names, loads it, and runs it",
        of=(
            Torch(besides=("ultralytics",)),
            File(path="{folder}/save.py", text=_SAVES),
            File(path="{folder}/run.py", text=_RUNS),
        ),
        run=(("{python}", "save.py"), ("{python}", "run.py")),
        shows="'AAttn' object has no attribute 'qkv'",
        goal=Goal.TRAIN,
        seconds=15,
        stands_in=(
            "weights of the fork: the fork is not installed, its attribute names are put on ultralytics' own attention",
        ),
    ),
)


class Weights(Variant, frozen=True, kw_only=True):
    """Hold the weights file, and the layout of its attention; `layout` is None if it is neither of the two known ones."""

    layout: YoloLayout | None
    file: str | None = None
    here: bool = False  # the file was read on this machine


class _Misfit(NamedTuple):
    """Hold a weights file whose attention has another layout than that of the installed ultralytics."""

    place: int  # its index in facts.models
    file: ModelFile
    layout: YoloLayout


def detect(facts: Facts) -> Hit | None:
    """Find weights that the installed ultralytics cannot run. Raises Unsure if the file that the user named could not be read."""
    misfit = _misfit(facts)
    if misfit is None:
        return None
    place, file, layout = misfit
    installed = (
        f"ultralytics {facts.yolo.version}" if isinstance(facts.yolo.version, str) else "the installed ultralytics"
    )
    wants = (
        f"has {code.of_layout(facts.yolo.layout)}" if isinstance(facts.yolo.layout, str) else "has no such attention"
    )
    return Hit(
        message=f"{file.path} contains YOLO12 attention with {code.of_layout(layout)}, and the AAttn of {installed} {wants}: "
        "these weights can be loaded, and fail when they are used.",
        evidence=(
            fact(facts, f"models.{place}.layout", f"{file.path}: AAttn with {code.of_layout(layout)}{_origin(file)}"),
            fact(facts, "yolo.layout", f"{installed} ({facts.yolo.location}): AAttn {wants}"),
        ),
        variant=Weights(layout=layout, file=file.path, here=True),
        confidence=Confidence.HIGH if file.asked else Confidence.MEDIUM,
        severity=None if file.asked else _of_a_stray_file(facts),
    )


def _of_a_stray_file(facts: Facts) -> Severity:
    """Return the severity for a file that the user did not name: INFO if there are also YOLO12 weights that fit the code, else WARNING."""
    files = facts.models if isinstance(facts.models, tuple) else ()
    fits = any(isinstance(file.layout, str) and file.layout == facts.yolo.layout for file in files)
    return Severity.INFO if fits else Severity.WARNING


def _misfit(facts: Facts) -> _Misfit | None:
    """Return the first file that does not fit. Raises Unsure if no such file was found and the file that the user named could not be read."""
    files = facts.models if isinstance(facts.models, tuple) else ()
    ours = facts.yolo.layout
    if facts.yolo.version is None:
        return None
    unread: list[Unknown] = []
    for index, file in enumerate(files):
        doubts = [value for value in (file.layout, ours) if isinstance(value, Unknown)]
        if doubts and file.asked and file.layout is not None:
            unread += doubts
        if doubts or not isinstance(file.layout, str):
            continue
        # An ultralytics without AAttn is too old for `qkv`: another failure mode. No ultralytics is new enough for `qk`.
        if file.layout != ours and (ours is not None or file.layout == "qk+v"):
            return _Misfit(index, file, file.layout)
    if unread:
        raise Unsure(*unread)
    return None


def _origin(file: ModelFile) -> str:
    told = [f"written by ultralytics {file.written_by}" if isinstance(file.written_by, str) else None]
    told.append(f"on {file.date[:10]}" if isinstance(file.date, str) else None)
    said = " ".join(filter(None, told))
    return f", {said}" if said else ""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    return _lacking(seen.group("asked") or "", seen.group("weights"), evidence)


_LACKS = re.compile(r"'AAttn' object has no attribute '(\w+)'")


def observe(facts: Facts, trials: Trials) -> Hit | None:
    """Find the missing attribute in the errors of a trial. The trial may have run the weights that the user named."""
    faults = ((trials.run.model_fault, "trial_run.model_fault"), (trials.run.forward_fault, "trial_run.forward_fault"))
    texts = [(fault.message or "", path) for fault, path in faults if fault is not None]
    texts += [(row.reason or "", f"trials.{index}") for index, row in enumerate(trials.rows)]
    for text, path in texts:
        match = _LACKS.search(text)
        if match:
            shown = (Evidence(kind="trial", path=path, text=match[0]),)
            try:
                read = detect(facts)
            except Unsure:
                read = None
            if read is None:
                return _lacking(match[1], None, shown)
            return msgspec.structs.replace(read, evidence=(*shown, *read.evidence), severity=None)
    return None


def _lacking(asked: str, file: str | None, evidence: tuple[Evidence, ...]) -> Hit:
    """Return the hit for an attribute that the code uses and the weights do not contain."""
    named = f"the weights {file}" if file else "the weights"
    if asked not in ("qkv", "qk", "v"):
        return Hit(
            message=f"The code looks for the attribute {asked} in the attention class AAttn of {named}, and it is missing: the weights were made by another release, or by "
            "changed code.",
            evidence=evidence,
            variant=Weights(layout=None, file=file),
            confidence=Confidence.MEDIUM,
        )
    theirs: YoloLayout = "qk+v" if asked == "qkv" else "qkv"
    ours: YoloLayout = "qkv" if asked == "qkv" else "qk+v"
    whose = (
        "the weights were made with the present YOLOv12 fork, and the code is ultralytics' own (or the fork's V1.0)"
        if theirs == "qk+v"
        else "the weights were made with ultralytics (or with the fork's release v1.0), and the code is the present YOLOv12 fork"
    )
    return Hit(
        message=f"The code looks for {code.of_layout(ours)} in its attention class AAttn, and {named} have {code.of_layout(theirs)}: {whose}.",
        evidence=evidence,
        variant=Weights(layout=theirs, file=file),
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    if not isinstance(hit.variant, Weights):
        return _of_either_direction(facts)
    met = hit.variant
    with_file = ("--no-trial", "--model", met.file) if met.here and met.file else ()
    verify = commands.check(facts, *with_file)
    plain = commands.check(facts)
    if met.layout is None:
        return (code.newest(verify), _train_again(facts, plain))
    if met.layout == "qk+v":
        own = _named_anew(facts, met.file, plain) if met.file and code.fork_name(met.file) else None
        fork = code.with_the_fork(facts, verify)
        return tuple(fix for fix in (own, fork, _train_again(facts, plain)) if fix)
    ultralytics = _with_ultralytics(facts, verify)
    own = _named_anew(facts, met.file, plain) if met.file and code.ultralytics_name(met.file) else None
    return tuple(fix for fix in (own, ultralytics, _train_again(facts, plain)) if fix)


def _of_either_direction(facts: Facts) -> tuple[Fix, ...]:
    """Return the fixes if it is not known which code made the weights: install the fork, install ultralytics, or train again.

    The documentation page of this failure shows them.
    """
    verify = commands.check(facts)
    return (code.with_the_fork(facts, verify), _with_ultralytics(facts, verify), _train_again(facts, verify))


def _with_ultralytics(facts: Facts, verify: tuple[str, ...]) -> Fix:
    why = "the code that these weights were made with, or that runs them"
    return code.with_ultralytics(facts, code.FIRST_WITH_YOLO12, why, verify, fork=True)


def _named_anew(facts: Facts, file: str, verify: tuple[str, ...]) -> Fix | None:
    """Return the fix: use the weights of the same size that belong to the installed code; None: its authors publish no such weights."""
    other = code.other_name(file)
    if other is None:
        return None
    if code.fork_name(file):
        where = f'write model="{other}", without a v, instead of {file}'
        why = f"{where}: ultralytics downloads its own weights of that size"
        title, before = f"Use ultralytics' own weights, {other}", code.new_enough(facts)
    else:
        why = f'download {code.download(other)} and write model="{other}", with a v, instead of {file}'
        title, before = f"Use the fork's own weights, {other}", ()
    step = commands.by_hand((), why, "which weights your program loads", "none")
    return Fix(title=title, steps=(*before, step), verify=verify)


def _train_again(facts: Facts, verify: tuple[str, ...]) -> Fix:
    why = (
        "start from the YAML file of the installed code (yolo12n.yaml in ultralytics, yolov12n.yaml in the fork), and use the new weights "
        "only with this code. The weights cannot be converted: the two layouts have convolutions of different sizes"
    )
    step = commands.by_hand((), why, "a newly trained model", "none", takes="as long as a training")
    return Fix(
        title="Train the model again with the code that is installed",
        steps=(*code.new_enough(facts), step),
        verify=verify,
    )
