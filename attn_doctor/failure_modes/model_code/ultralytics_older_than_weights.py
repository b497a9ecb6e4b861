"""The installed ultralytics does not have a class of the model that is loaded.

What it is
    A weights file contains Python objects and the names of their classes; a YAML file contains the names of the modules of a model. If
    the installed ultralytics does not have one of these classes, it can neither load the file nor build the model. In most cases it is
    older than the model.

How it shows
    `AttributeError: Can't get attribute 'A2C2f' on <module 'ultralytics.nn.modules.block' from ...>` while weights are loaded,
    `ModuleNotFoundError: No module named 'ultralytics.nn.modules.block'; 'ultralytics.nn.modules' is not a package`, or
    `KeyError: 'A2C2f'` from parse_model while a YAML file is read. A program that imports the class itself prints `cannot import name
    'A2C2f' from 'ultralytics.nn.modules'`. Ultralytics' AutoUpdate takes the name of the missing module for a package, and pip does not
    find it: `Could not find a version that satisfies the requirement ultralytics.nn.modules.conv`.

Why it happens
    YOLO12 (A2C2f, ABlock, AAttn) came with ultralytics 8.3.78, YOLO11 (C3k2, C2PSA) with 8.3.0. An older ultralytics is installed, or
    Python finds a second, older copy first. If no release of ultralytics has the class, it comes from a project that changed the code of
    ultralytics.

What to do
    Install the release that the class came with, or a newer release. For weights of the YOLOv12 fork install the fork instead: a newer
    ultralytics has the class, but the class has other attributes, so it fails later. For a class of another project install that
    project's code.

How to reproduce
    `attn-doctor reproduce ultralytics-older-than-weights` takes the class A2C2f out of a copy of the target's ultralytics, and loads
    weights that contain it. It needs ultralytics in the target.

References
    https://github.com/ultralytics/ultralytics/pull/19325
    https://github.com/ultralytics/ultralytics/issues/19350
    https://github.com/ultralytics/ultralytics/issues/16796
    https://github.com/sunsmarterjie/yolov12/issues/8
    https://github.com/iMoonLab/yolov13/issues/21
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Unsure, Variant
from attn_doctor.failure_modes.recipe import File, Recipe, Torch
from attn_doctor.failure_modes.shared import ultralytics_forks as forks
from attn_doctor.failure_modes.shared import yolo12_code as code
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Fault, ModelFile, Unknown
from attn_doctor.model.findings import Confidence, Evidence, Fix, Goal, Severity, fact
from attn_doctor.model.trials import Trials
from attn_doctor.model.versions import parse

# The first release that has a class. The wheels of this release and of the release before it were read.
_SINCE = {
    **dict.fromkeys(("A2C2f", "ABlock", "AAttn"), code.FIRST_WITH_YOLO12),  # YOLO12: not in 8.3.77
    **dict.fromkeys(("C3k2", "C3k", "C2PSA", "PSABlock", "C2fPSA"), "8.3.0"),  # YOLO11: not in 8.2.103
}
_KNOWN = "|".join(_SINCE)
MODE = FailureMode(
    code="AD603",
    slug="ultralytics-older-than-weights",
    title="A model with a class that this ultralytics does not have",
    train=Severity.ERROR,
    flash_attn=Severity.WARNING,
    stops="model",
    explains=("model-not-built", "eager-fails"),
    signs=(
        Sign(
            pattern=r"Can't get attribute '(?P<name>\w+)' on <module '(?P<module>ultralytics\.[\w.]+)'",
            literal="Can't get attribute '",
            sample="AttributeError: Can't get attribute 'A2C2f' on <module 'ultralytics.nn.modules.block' from '/v/block.py'>",
        ),
        Sign(
            pattern=r"(?<!partially initialized )module '(?P<module>ultralytics\.nn\.[\w.]+)' has no attribute '(?P<name>[A-Z]\w+)'",
            literal="module 'ultralytics.nn.",
            sample="AttributeError: module 'ultralytics.nn.modules.block' has no attribute 'A2C2f'",
        ),
        Sign(
            # "'ultralytics' is not a package": a file ultralytics.py hides the package, so the release does not matter.
            pattern=r"No module named '(?P<module>ultralytics\.(?:nn\.modules\.\w+|utils(?:\.\w{1,40}){0,6}))'(?!; 'ultralytics' is not)",
            literal="No module named 'ultralytics.",
            sample="ModuleNotFoundError: No module named 'ultralytics.nn.modules.conv'; 'ultralytics.nn.modules' is not a package",
        ),
        Sign(
            pattern=r"appears to require '(?P<module>ultralytics\.[\w.]+)', which is not in|"
            r"requires missing Ultralytics module '(?P<missing>ultralytics\.[\w.]+)'",
            literal="ltralytics",
            sample="best.pt appears to require 'ultralytics.nn.modules.conv', which is not in Ultralytics requirements.",
        ),
        # The lines of AutoUpdate, which takes the name of the missing module for a package, and of pip, which does not find it.
        *(
            Sign(
                pattern=rf"{before}['\"\[]{{0,2}}(?P<wanted>ultralytics\.(?:nn|utils|engine|models|cfg|data)\b[\w.]*)",
                literal=literal,
                sample=sample,
            )
            for before, literal, sample in (
                (
                    r"requirements?:? ",
                    "requirement",
                    "requirements: Ultralytics requirement ['ultralytics.nn.modules.block'] not found, attempting AutoUpdate...",
                ),
                (
                    r"satisfies the requirement ",
                    "satisfies the requirement ultralytics.",
                    "ERROR: Could not find a version that satisfies the requirement ultralytics.nn.modules.conv (from versions: none)",
                ),
            )
        ),
        Sign(
            pattern=rf"KeyError: '(?P<name>{_KNOWN})'",
            literal="KeyError: '",
            sample="KeyError: 'A2C2f'",
        ),
        Sign(
            pattern=rf"cannot import name '(?P<name>{_KNOWN})' from 'ultralytics\.nn\.",
            literal="cannot import name '",
            sample="ImportError: cannot import name 'A2C2f' from 'ultralytics.nn.modules' (/v/ultralytics/nn/modules/__init__.py)",
        ),
        Sign(
            # Another name counts only below the frame that reads a model's YAML file: a KeyError may also come from the user's program.
            pattern=r"KeyError: '(?P<asked>[A-Z]\w+)'",
            literal="KeyError: '",
            sample="KeyError: 'LeafBlock'",
            strength="hint",
        ),
        Sign(
            pattern=r"tasks\.py.{0,40}\bin (?P<reading>parse_model)\b",
            literal="in parse_model",
            sample='  File "/v/ultralytics/nn/tasks.py", line 1014, in parse_model',
            strength="context",
        ),
        *code.NAMED_IN_LOGS,
    ),
    recipe=Recipe(
        does="takes the class A2C2f out of a copy of ultralytics, and loads weights that hold it",
        of=(
            Torch(besides=("ultralytics",)),
            File(
                path="{folder}/save.py",
                text="import torch\nfrom ultralytics.nn.modules.block import A2C2f\n"
                'torch.save({"model": A2C2f(64, 64), "version": "8.3.78"}, "weights.pt")\n',
            ),
            File(
                path="{folder}/load.py",
                text="import torch\nfrom ultralytics.nn.modules import block\ndel block.A2C2f\n"
                'torch.load("weights.pt", weights_only=False)\n',
            ),
        ),
        run=(("{python}", "save.py"), ("{python}", "load.py")),
        shows="Can't get attribute 'A2C2f'",
        goal=Goal.TRAIN,
        seconds=15,
        stands_in=(
            "an ultralytics from before YOLO12: the class is taken out of the target's own while the program runs",
        ),
    ),
)


class Lacking(Variant, frozen=True, kw_only=True):
    """Hold the reason why the class is missing, and the ultralytics that has it.

    "older": a newer release has the class. "fork": the weights are of the YOLOv12 fork. "other project": no release has the
    class. "known project": the class is known to be of this project.
    """

    cause: Literal["older", "fork", "other project", "known project"]
    project: str | None = None  # with "known project": its name, "YOLOv10"
    least: str | None = None  # the first release that has the class; None: not known, so the newest is installed
    file: str | None = None
    here: bool = False  # the file was read on this machine


def detect(facts: Facts) -> Hit | None:
    """Find weights with classes that the installed ultralytics does not have. Raises Unsure if the file that the user named could not be read."""
    if facts.yolo.version is None:
        return None
    unread: list[Unknown] = []
    for index, file in enumerate(facts.models if isinstance(facts.models, tuple) else ()):
        if isinstance(file.absent, Unknown):
            unread += [file.absent] if file.asked else []
            continue
        if not file.absent or file.layout == "qk+v":  # the fork's: see yolo12-weights-of-the-other-code
            continue
        names = [name.rpartition(".")[2] for name in file.absent]
        least = _least(names, file)
        cause: Literal["older", "other project"] = "other project" if _reached(facts, least) else "older"
        installed = f"ultralytics {facts.yolo.version}" if isinstance(facts.yolo.version, str) else "this ultralytics"
        shown = ", ".join(names[:4]) + (" and others" if len(names) > 4 else "")
        written = f"; ultralytics {file.written_by} wrote it" if isinstance(file.written_by, str) else ""
        return Hit(
            message=f"{file.path} contains {shown}, which {installed} does not have{written}: this ultralytics cannot load the file.",
            evidence=(
                fact(facts, f"models.{index}.absent", f"{file.path} contains {shown}{written}"),
                fact(facts, "yolo.version", f"{installed} is installed"),
            ),
            variant=Lacking(cause=cause, least=least, file=file.path, here=True),
            confidence=Confidence.HIGH if file.asked else Confidence.MEDIUM,
            severity=None if file.asked else Severity.WARNING,
        )
    if unread:
        raise Unsure(*unread)
    return None


def _least(names: list[str], file: ModelFile | None = None) -> str | None:
    """Return the release that has all of these classes; None if no such release is known."""
    releases = [_SINCE[name] for name in names if name in _SINCE]
    if file is not None and isinstance(file.written_by, str) and re.fullmatch(r"\d+(\.\d+){1,3}", file.written_by):
        releases.append(file.written_by)
    return max(releases, key=lambda text: [int(part) for part in text.split(".")], default=None)


def _reached(facts: Facts, least: str | None) -> bool:
    """Return whether the installed release is new enough, so that no newer release would contain the class."""
    have = parse(facts.yolo.version) if isinstance(facts.yolo.version, str) else None
    need = parse(least) if least else None
    return have is not None and need is not None and have >= need


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    name, weights = seen.group("name"), seen.group("weights")
    wanted = seen.group("wanted")
    module = seen.group("module") or seen.group("missing") or (wanted.rstrip(".") if wanted else None)
    if name is None and module is None:
        if seen.group("reading") is None:
            return None
        name = seen.group("asked")
    what = f"the class {name}" if name else f"the module {module}"
    if name is not None and (project := forks.of_class(name)) is not None:
        return Hit(
            message=f"The model needs {what} of {project.name}, a changed ultralytics ({project.url}): no release of ultralytics has it.",
            evidence=evidence,
            variant=Lacking(cause="known project", file=weights, project=project.name),
        )
    if name is not None and name not in _SINCE:
        return Hit(
            message=f"The model needs {what}, which this ultralytics does not have: the model was made with another release, or with the changed "
            "code of a project.",
            evidence=evidence,
            variant=Lacking(cause="other project", file=weights),
            confidence=Confidence.MEDIUM,
        )
    least = _SINCE.get(name or "")
    fork = bool(weights and code.fork_name(weights)) and least == code.FIRST_WITH_YOLO12
    came = f": it came with ultralytics {least}, and an older ultralytics is in use" if least else ""
    made = f" {weights} is the name of weights of the YOLOv12 fork." if fork else ""
    return Hit(
        message=f"The model needs {what}, which the ultralytics in use does not have{came}.{made}",
        evidence=evidence,
        variant=Lacking(cause="fork" if fork else "older", least=least, file=weights),
        # AutoUpdate took the name of the module for a package, which no index has.
        explains=(*MODE.explains, *_OF_AUTOUPDATE) if wanted else None,
    )


_OF_AUTOUPDATE = (
    "ultralytics-autoupdate-failed",
    "requirements-missing",
    "python-too-new-no-wheel",
    "no-matching-distribution",
)


def observe(facts: Facts, trials: Trials) -> Hit | None:
    """Find a missing class in the error of a model that could not be built."""
    fault = trials.run.model_fault
    name = _missing_class(fault) if fault is not None else None
    if fault is None or name is None:
        return None
    shown = (Evidence(kind="trial", path="trial_run.model_fault", text=f"building the model: {message(fault)}"),)
    try:
        read = detect(facts)
    except Unsure:
        read = None
    if read is not None:
        return msgspec.structs.replace(read, evidence=(*shown, *read.evidence), severity=None)
    return Hit(
        message=f"The model needs the class {name}, which the ultralytics in use does not have.",
        evidence=shown,
        variant=Lacking(cause="older" if name in _SINCE else "other project", least=_SINCE.get(name)),
    )


def _missing_class(fault: Fault) -> str | None:
    said = fault.message or ""
    match = re.search(r"Can't get attribute '(\w+)' on <module 'ultralytics\.", said)
    if match is None and fault.type == "KeyError":
        match = re.fullmatch(rf"'({_KNOWN})'", said.strip())
    return match[1] if match else None


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    met = hit.variant if isinstance(hit.variant, Lacking) else Lacking(cause="older")
    with_file = ("--no-trial", "--model", met.file) if met.here and met.file else ()
    verify = commands.check(facts, *with_file)
    if met.cause == "known project" and met.project is not None:
        return (forks.instead(facts, met.project, verify),)
    if met.cause == "other project":
        why = (
            "in a new environment, clone the repository of the project that made this model, at the state of the time when it was made, and install it as its "
            "page says (mostly: pip install -e .). It is a changed ultralytics that has this class, and its package is called ultralytics too"
        )
        own = commands.by_hand((), why, "a new environment", "none")
        return (
            Fix(title="Use the code of the project that made the model", steps=(own,), verify=verify),
            code.newest(verify),
        )
    upgrade = (
        code.with_ultralytics(facts, met.least, "the release that brings this class", verify)
        if met.least
        else code.newest(verify, code.own_copy(facts) if isinstance(facts.yolo.location, str) else None)
    )
    if met.cause == "fork":
        return (code.with_the_fork(facts, verify), upgrade)
    return (upgrade,)
