"""torch refuses to load a checkpoint, because it contains more than numbers.

What it is
    Since torch 2.6 `torch.load` accepts only weights by default. A checkpoint of Ultralytics contains the complete model as a Python
    object, and torch refuses to create an object of a class that is not on its list of harmless classes.

How it shows
    "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded, to do so you have two options" and
    "WeightsUnpickler error: Unsupported global: GLOBAL ultralytics.nn.tasks.DetectionModel was not an allowed global by
    default". Other names are possible: a class of your own, or numpy's `_reconstruct` if the file contains an array.

Why it happens
    torch 2.6 changed the default of `weights_only` from False to True. ultralytics before 8.2.64 calls `torch.load` with the
    default. ultralytics 8.2.64 and newer replace `torch.load` by a function that passes `weights_only=False`, and another program can
    undo this. ultralytics 8.3.162 and newer pass `weights_only=False` only in their own calls: a script of yours that calls
    `torch.load` gets torch's default again. The yolov12 fork (8.3.63) replaces `torch.load` too.

What to do
    If the call is in ultralytics: upgrade ultralytics. If the call is in your own program, and you trust the file: write
    `torch.load(path, weights_only=False)`. If you cannot change the program: set TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1, and load only
    files that you trust, since such a file can run any code. `torch.serialization.add_safe_globals` allows single classes: this is
    practical for a file with one or two classes, and a YOLO model has many. An older torch is not needed. If torch prints that a module
    "is blocked" (`posix`, `nt`, `sys`), the file would run commands: do not load it.

How to reproduce
    `attn-doctor reproduce torch-load-weights-only` saves an object of a new class, and loads it again. It needs torch 2.6 or newer. If
    the target's torch is older, a CPU build is downloaded (200 MB).

References
    https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only
    https://github.com/ultralytics/ultralytics/pull/14638
    https://github.com/ultralytics/ultralytics/pull/21260
    https://github.com/ultralytics/ultralytics/issues/19824
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

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

# ultralytics replaces torch.load since REPLACES_TORCH_LOAD, and another program that replaces it too can undo this. Since 8.3.162
# ultralytics does not replace it, and passes weights_only=False in each of its own calls.
SAYS_SO_ITSELF = "8.3.162"
# Read by torch.load where the call does not say weights_only: torch/serialization.py.
FORCE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"

MODE = FailureMode(
    code="AD607",
    slug="torch-load-weights-only",
    title="torch refuses a checkpoint that contains more than weights",
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
            # torch prints "This file can still be loaded" only for a class that is not allowed. For a file that is no checkpoint it
            # prints "In PyTorch 2.6, we changed" instead.
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
        # Before torch 2.6, for a call with weights_only=True: torch/_weights_only_unpickler.py of 2.0 to 2.5.
        Sign(
            pattern=r"(?P<before>WeightsUnpickler error): Unsupported class (?P<name>[\w.]+)",
            literal="Unsupported class ",
            sample="WeightsUnpickler error: Unsupported class numpy.core.multiarray._reconstruct",
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
        # The frame of the call and its source line: the fix shows the line to write.
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
    """Hold the caller of torch.load whose call was refused.

    "ultralytics": its loader. "own": another file, such as the user's program. "unknown": one of the two. "blocked":
    the caller does not matter, because the file names a function that runs commands.
    """

    call: Literal["ultralytics", "own", "unknown", "blocked"]
    name: str | None = None  # the class or function that torch refused: "ultralytics.nn.tasks.DetectionModel"
    place: str | None = None  # the file and line of the call: "models/experimental.py, line 118"
    written: str | None = None  # that line with weights_only=False
    says_true: bool = False  # the call passes weights_only=True, and no environment variable changes that
    before: bool = False  # torch is older than 2.6: only a call that passes weights_only=True refuses anything


def _older(version: str, than: str) -> bool:
    have, limit = versions.parse(version), versions.parse(than)
    return have is not None and limit is not None and have < limit


def detect(facts: Facts) -> Hit | None:
    """Find an ultralytics that does not pass `weights_only` to torch.load, together with a torch whose default is True."""
    yolo, torch = known(facts.yolo.version), known(facts.torch.version)
    if yolo is None or torch is None or not _older(yolo, REPLACES_TORCH_LOAD):
        return None
    if not every(
        lambda: (versions.pair(torch) or (0, 0)) >= (2, 6),
        lambda: (variable(facts, FORCE) or "").lower() not in ("1", "y", "yes", "true"),
    ):
        return None
    return Hit(
        message=f"ultralytics {yolo} cannot load a model from a .pt file: torch.load has weights_only=True by default since torch 2.6 (you have "
        f"{torch}), and ultralytics passes False only since {REPLACES_TORCH_LOAD}.",
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
            message=f"The file that torch.load read calls {blocked}, which can run commands: torch.load refused it, because of weights_only=True.",
            evidence=evidence,
            variant=Refused(call="blocked", name=blocked),
        )
    name = seen.group("name")
    if seen.group("before") is not None:
        return Hit(
            message=f"The program reads a file with torch.load(weights_only=True), and the file contains more than weights: {name}.",
            evidence=evidence,
            variant=msgspec.structs.replace(_refused("own", name, seen), before=True),
        )
    return Hit(
        message="torch.load refused to load a file: it reads with weights_only=True, and the file contains more than weights"
        f"{f': {name}' if name else ''}.",
        evidence=evidence,
        variant=_refused(_call(facts, seen, name), name, seen),
    )


def _refused(call: Literal["ultralytics", "own", "unknown"], name: str | None, seen: Seen) -> Refused:
    """Return the variant for `call` and `name`, with the last call of torch.load in the traceback that is not in an installed package."""
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
        if call == "unknown" and "ultralytics" not in frame["file"]:
            call = "own"  # the program's own file reads the checkpoint: YOLOv7, YOLOv9 and others need no package ultralytics
        return Refused(call=call, name=name, place=place, written=written, says_true="weights_only=True" in line)
    return Refused(call=call, name=name)


_WRAPPED = 4  # lines from a frame to its source line at most: a terminal may have broken the frame
_OF_A_PACKAGE = re.compile(r"(?:site|dist)-packages[\\/]")


def _with_weights_only_false(line: str) -> str | None:
    """Return a source line in which torch.load has weights_only=False; None if the call ends on another line."""
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
    """Return whose code contains the failed call of torch.load. `name`: the class that torch refused; None if not known.

    "own": ultralytics is missing or new enough (8.3.162), or the class is not one of ultralytics. "ultralytics": the log shows a frame of its
    loader, or the installed release is before 8.2.64. "unknown": neither is known.
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
            f"do not load this file: loading it calls {variant.name}, which can run commands. Download the model from its authors",
            "nothing",
            "none",
        )
        return (Fix(title="Do not load this file", steps=(leave,), verify=verify),)
    force = commands.variable(
        FORCE,
        "1",
        "only if you trust your files: with it torch runs any code that a file contains, except in calls with weights_only=True",
    )
    forced = Fix(title="Let torch load complete files", steps=(force,), verify=verify)
    line = (
        f"if you trust the file: in {variant.place} write: {variant.written}"
        if variant.place and variant.written
        else f"if you trust the file: add weights_only=False to the call of torch.load in {variant.place or 'the line that the traceback shows'}"
    )
    call = commands.by_hand(
        (),
        line + (", or load it with YOLO(path)" if (variant.name or "").startswith("ultralytics.") else ""),
        "one line of your program",
        "low",
        risk_text="the file can run any code when it is loaded",
    )
    own = Fix(title="Load the complete file in this call", steps=(call,), verify=verify)
    if variant.before:
        where = variant.place or "the line that the traceback shows"
        line = f"if you trust the file: in {where} write: {variant.written or 'weights_only=False in place of weights_only=True'}"
        call = msgspec.structs.replace(call, why=line)
        return (msgspec.structs.replace(own, steps=(call,)),)
    if variant.call == "own":
        return (own, forced) if variant.says_true else (forced, own)
    newer = Fix(
        title="Install a newer ultralytics",
        steps=(
            commands.install(
                f"ultralytics>={SAYS_SO_ITSELF}",
                upgrade=True,
                why="this release passes weights_only=False in each of its own calls of torch.load",
                changes="ultralytics",
            ),
        ),
        verify=verify,
    )
    copy = yolo12_code.own_copy(facts)
    if copy is not None:  # an upgrade would not change the user's own copy, or would replace it
        return (forced, _in_the_copy(copy, verify)) if isinstance(facts.yolo.location, str) else (forced, newer)
    return (newer, own) if variant.call == "unknown" else (newer, forced)


def _in_the_copy(copy: str, verify: tuple[str, ...]) -> Fix:
    """Return the lasting fix: change the call of torch.load in the project's own copy of ultralytics."""
    why = f'lasting fix, if you trust your files: in {copy}, file nn/tasks.py, write torch.load(file, map_location="cpu", weights_only=False)'
    step = commands.by_hand((), why, "one line of the project's own ultralytics", "low")
    return Fix(title="Let the project's own ultralytics load complete files", steps=(step,), verify=verify)
