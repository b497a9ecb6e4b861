"""torch refuses to load a checkpoint, because it holds more than numbers.

What it is
    `torch.load` reads a file as weights only since torch 2.6. A checkpoint of Ultralytics holds the whole model as a Python
    object, and torch refuses to make an object of a class that it does not know to be harmless.

How it shows
    "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded, to do so you have two options" and
    "WeightsUnpickler error: Unsupported global: GLOBAL ultralytics.nn.tasks.DetectionModel was not an allowed global by
    default". Other names are possible: a class of your own, or numpy's `_reconstruct` where the file holds an array.

Why it happens
    torch 2.6 changed the default of `weights_only` from False to True. ultralytics before 8.2.64 leaves it at the default. From
    8.2.64 it replaces `torch.load` by a function that says `weights_only=False`, and another program can undo that. From
    8.3.162 it says so in its own calls alone: a script of yours that calls `torch.load` itself gets torch's default again. The
    yolov12 fork (8.3.63) replaces `torch.load` too.

What to do
    If the call is in ultralytics: upgrade it. If the call is in your own program, and you trust the file: say
    `torch.load(path, weights_only=False)`. If you cannot change the program: set TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1, and load
    files that you trust only, since such a file can run any code. `torch.serialization.add_safe_globals` allows one class
    after the other; it is practical for a file that needs one or two, and the model of a YOLO needs many. An older torch is not
    needed. If torch says that a module "is blocked" (`posix`, `nt`, `sys`), the file wants to run commands: do not load it.

How to reproduce
    `attn-doctor reproduce torch-load-weights-only` saves an object of a class of its own, and loads it again. It needs a torch of
    2.6 or newer, and downloads its CPU build (200 MB) where the target's will not do.

References
    https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only
    https://github.com/ultralytics/ultralytics/pull/14638
    https://github.com/ultralytics/ultralytics/pull/21260
    https://github.com/ultralytics/ultralytics/issues/19824
"""

from __future__ import annotations

import re
from typing import Literal

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant, every, known
from attn_doctor.failure_modes.recipe import File, Recipe, Torch
from attn_doctor.failure_modes.shared import yolo12_code
from attn_doctor.failure_modes.shared.fact_queries import variable
from attn_doctor.failure_modes.shared.torch_facts import REPLACES_TORCH_LOAD
from attn_doctor.logs.reader import Seen
from attn_doctor.model import versions
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity, fact

# From REPLACES_TORCH_LOAD on ultralytics replaces torch.load, so that another program which replaces it too can undo that;
# 8.3.162 no longer does, and says weights_only=False in each call.
SAYS_SO_ITSELF = "8.3.162"
# Read by torch.load where the call does not say weights_only: torch/serialization.py.
FORCE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"

MODE = FailureMode(
    code="AD607",
    slug="torch-load-weights-only",
    title="torch refuses a checkpoint that holds more than weights",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    signs=(
        Sign(
            pattern=r"GLOBAL (?P<name>[\w.]+) was not an allowed global",
            literal="was not an allowed global",
            sample="WeightsUnpickler error: Unsupported global: GLOBAL ultralytics.nn.tasks.DetectionModel was not an allowed "
            "global by default.",
        ),
        Sign(
            # torch writes these words for a class that is not allowed only. For a file that is no checkpoint at all "In
            # PyTorch 2.6, we changed" follows in this place.
            pattern=r"Weights only load failed\. This file can still be loaded",
            literal="Weights only load failed.",
            sample="_pickle.UnpicklingError: Weights only load failed. This file can still be loaded, to do so you have two options",
        ),
        Sign(
            pattern=r"allowlisted via `add_safe_globals`,? but got <class '(?P<name>[\w.]+)'>",
            literal="via `add_safe_globals`",
            sample="Can only build Tensor, Parameter, OrderedDict or types allowlisted via `add_safe_globals`, but got "
            "<class 'nets.Head'>",
        ),
        Sign(
            pattern=r"unsupported GLOBAL (?P<blocked>[\w.]+) whose module [\w.]+ is blocked",
            literal="unsupported GLOBAL ",
            sample="Trying to load unsupported GLOBAL posix.system whose module posix is blocked.",
        ),
        Sign(
            pattern=r"ultralytics[/\\]nn[/\\]tasks\.py\", line \d+, in (?P<caller>torch_safe_load|attempt_load_weights)",
            literal="tasks.py",
            sample='  File "/venv/lib/python3.11/site-packages/ultralytics/nn/tasks.py", line 732, in torch_safe_load',
            strength="context",
        ),
        # The frame of the call, and its source line: for the line to write.
        Sign(
            pattern=r"(?:^|\s)File \"(?P<file>[^\"]{1,300})\", line (?P<line>\d+)",
            literal='File "',
            sample='  File "/srv/app/models/experimental.py", line 118, in attempt_load',
            strength="context",
        ),
        Sign(
            pattern=r"^\s*(?:[│|>]\s*)?(?P<source>\S.{0,200}\btorch\.load\(.{0,200})$",
            literal="torch.load(",
            sample="    ckpt = torch.load(w, map_location=map_location)  # load",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="loads a checkpoint that holds an object",
        of=(Torch(versions=">=2.6"), File(path="nets.py", text="class Head:\n    pass\n")),
        run=(("{python}", "-c", "import nets, torch; torch.save(nets.Head(), 'head.pt'); torch.load('head.pt')"),),
        shows="Weights only load failed",
        seconds=5,
    ),
)


class Refused(Variant, frozen=True, kw_only=True):
    """Say whose call of torch.load met the refusal. "blocked": the file names a function that runs commands."""

    call: Literal["ultralytics", "own", "unknown", "blocked"]
    name: str | None = None  # the class or function that torch refused: "ultralytics.nn.tasks.DetectionModel"
    place: str | None = None  # the file and line of the call: "models/experimental.py, line 118"
    written: str | None = None  # that line with weights_only=False
    says_true: bool = False  # the call itself says weights_only=True, which no variable overrules


def _older(version: str, than: str) -> bool:
    have, limit = versions.parse(version), versions.parse(than)
    return have is not None and limit is not None and have < limit


def detect(facts: Facts) -> Hit | None:
    """Find an ultralytics that leaves `weights_only` at torch's default, beside a torch whose default is True."""
    yolo, torch = known(facts.yolo.version), known(facts.torch.version)
    if yolo is None or torch is None or not _older(yolo, REPLACES_TORCH_LOAD):
        return None
    if not every(
        lambda: (versions.pair(torch) or (0, 0)) >= (2, 6),
        lambda: (variable(facts, FORCE) or "").lower() not in ("1", "y", "yes", "true"),
    ):
        return None
    return Hit(
        message=f"ultralytics {yolo} cannot load a model from a .pt file: since 2.6 torch.load has weights_only=True (you have {torch}), "
        f"and only from {REPLACES_TORCH_LOAD} on does ultralytics say False.",
        evidence=(
            fact(facts, "yolo.version", f"ultralytics {yolo} is installed"),
            fact(facts, "torch.version", f"torch {torch} is installed"),
        ),
        variant=Refused(call="ultralytics"),
    )


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    blocked = seen.group("blocked")
    if blocked is not None:
        return Hit(
            message=f"The file that torch.load read there calls {blocked}, which can run commands: with weights_only=True it is refused.",
            evidence=evidence,
            variant=Refused(call="blocked", name=blocked),
        )
    name = seen.group("name")
    return Hit(
        message="torch.load refused a file there: it reads with weights_only=True, and the file holds more than weights"
        f"{f': {name}' if name else ''}.",
        evidence=evidence,
        variant=_refused(_call(facts, seen, name), name, seen),
    )


def _refused(call: Literal["ultralytics", "own", "unknown"], name: str | None, seen: Seen) -> Refused:
    """Return the variant, with the last call of torch.load that the traceback shows outside of packages."""
    shown = [m for m in seen.matches if "source" in m.groups]
    for source in reversed(shown):
        above = [
            m
            for m in seen.matches
            if "file" in m.groups and m.file == source.file and 0 < source.line - m.line <= _WRAPPED
        ]
        if not above or _OF_A_PACKAGE.search(above[-1].groups["file"]):
            continue
        frame, line = above[-1].groups, source.groups["source"]
        written = _with_weights_only_false(line)
        place = f"{frame['file']}, line {frame['line']}"
        return Refused(call=call, name=name, place=place, written=written, says_true="weights_only=True" in line)
    return Refused(call=call, name=name)


_WRAPPED = 4  # lines from a frame to its source line at most: a terminal may have broken the frame
_OF_A_PACKAGE = re.compile(r"(?:site|dist)-packages[\\/]")


def _with_weights_only_false(line: str) -> str | None:
    """Return a source line in which torch.load says weights_only=False; None where its call ends on another line."""
    if "weights_only" in line:
        return re.sub(r"weights_only\s*=\s*\w+", "weights_only=False", line).partition("  #")[0].rstrip()
    start = line.find("torch.load(") + len("torch.load(")
    depth = 1
    for at in range(start, len(line)):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(line[at], 0)
        if depth == 0:
            return f"{line[:at].rstrip(', ')}, weights_only=False{line[at:]}".partition("  #")[0].rstrip()
    return None


def _call(facts: Facts, seen: Seen, name: str | None) -> Literal["ultralytics", "own", "unknown"]:
    """Return whose call of torch.load failed.

    It is a call of ultralytics where a frame of it stands in the log, or where one of its classes was refused and the
    ultralytics that is installed is too old.
    """
    installed = facts.yolo.version
    if installed is None or (isinstance(installed, str) and not _older(installed, SAYS_SO_ITSELF)):
        return "own"
    if seen.group("caller"):
        return "ultralytics"
    if name is not None and not name.startswith("ultralytics."):
        return "own"
    return "ultralytics" if isinstance(installed, str) and _older(installed, REPLACES_TORCH_LOAD) else "unknown"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    variant = hit.variant if isinstance(hit.variant, Refused) else Refused(call="unknown")
    verify = commands.check(facts)
    if variant.call == "blocked":
        leave = commands.by_hand(
            (),
            f"do not load this file: it calls {variant.name} when it is loaded. Get the model from its maker",
            "nothing",
            "none",
        )
        return (Fix(title="Leave this file alone", steps=(leave,), verify=verify),)
    force = commands.variable(
        FORCE,
        "1",
        "for files that you trust: torch then runs whatever code a file holds, if the call does not forbid it",
    )
    forced = Fix(title="Let torch load all of each file", steps=(force,), verify=verify)
    line = (
        f"if you trust the file: in {variant.place} write: {variant.written}"
        if variant.place and variant.written
        else f"if you trust the file: write weights_only=False into the call of torch.load in {variant.place or 'the line that the traceback names'}"
    )
    call = commands.by_hand(
        (),
        line + (", or load it with YOLO(path)" if (variant.name or "").startswith("ultralytics.") else ""),
        "one line of your program",
        "low",
        risk_text="the file can run any code when it is loaded",
    )
    own = Fix(title="Ask torch for all of this file", steps=(call,), verify=verify)
    if variant.call == "own":
        return (own, forced) if variant.says_true else (forced, own)
    newer = Fix(
        title="Install a newer ultralytics",
        steps=(
            commands.install(
                f"ultralytics>={SAYS_SO_ITSELF}",
                upgrade=True,
                why="it says weights_only=False in each of its own calls of torch.load",
                changes="ultralytics",
            ),
        ),
        verify=verify,
    )
    copy = yolo12_code.own_copy(facts)
    if copy is not None:  # an upgrade would put a release in the place of the user's own copy, or beside it
        return (forced, _in_the_copy(copy, verify)) if isinstance(facts.yolo.location, str) else (forced, newer)
    return (newer, own) if variant.call == "unknown" else (newer, forced)


def _in_the_copy(copy: str, verify: tuple[str, ...]) -> Fix:
    """Return the fix for good: the project's own copy of ultralytics says what releases have said since."""
    why = f'for good: in {copy}, file nn/tasks.py, write torch.load(file, map_location="cpu", weights_only=False), if you trust your files'
    step = commands.by_hand((), why, "one line of the project's own ultralytics", "low")
    return Fix(title="Let the project's own ultralytics load all of each file", steps=(step,), verify=verify)
