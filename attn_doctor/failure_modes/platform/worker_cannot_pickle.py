"""A new process cannot receive what it needs: an object cannot be pickled.

What it is
    Windows and macOS start the workers of a DataLoader afresh (spawn), and send them the dataset as bytes (pickle). A lambda, a function
    inside a function, an open file or a model with hooks cannot be sent.

How it shows
    "AttributeError: Can't pickle local object 'build.<locals>.<lambda>'", "TypeError: cannot pickle '_io.TextIOWrapper' object", and from the
    worker "EOFError: Ran out of input".

Why it happens
    The dataset, its transforms or its collate_fn hold such an object. Under Linux, whose workers are copies (fork), the same program works;
    since Python 3.14 Linux also starts them in a new way (forkserver).

What to do
    At once: workers=0 (ultralytics) or num_workers=0. For good: put the function at the top level of a module in place of the lambda, and
    open files in the worker.

How to reproduce
    There is no recipe: the objects are those of the user's program.

References
    https://docs.pytorch.org/docs/stable/data.html#platform-specific-behaviors
    https://docs.python.org/3/library/multiprocessing.html#the-spawn-and-forkserver-start-methods
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.shared import building, data_workers
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity

MODE = FailureMode(
    code="AD518",
    slug="worker-cannot-pickle",
    title="A worker cannot receive an object",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("dataloader-worker-ended",),
    signs=(
        Sign(
            pattern=r"(?:AttributeError|_pickle\.PicklingError): Can't (?:get|pickle) (?:local object |<function )?'?(?P<what>[\w.<>]{3,120}<l(?:ocal|ambda)[\w.<>]{0,60})",
            literal="Can't ",
            sample="AttributeError: Can't pickle local object 'build.<locals>.<lambda>'",
        ),
        Sign(
            pattern=r"TypeError: (?:cannot|can't) pickle '?(?P<what>[\w.]{3,60})'? objects?",
            literal=" pickle ",
            sample="TypeError: cannot pickle '_io.TextIOWrapper' object",
        ),
        Sign(
            pattern=r"EOFError: Ran out of input",
            literal="EOFError: Ran out of input",
            sample="EOFError: Ran out of input",
            strength="hint",
        ),
        Sign(
            pattern=r"multiprocessing[\\/](?P<spawn>spawn|popen_spawn_\w+|reduction|forkserver)\.py",
            literal="multiprocessing",
            sample='  File "C:\\v\\lib\\multiprocessing\\spawn.py", line 116, in spawn_main',
            strength="context",
        ),
        Sign(
            pattern=r"torch[\\/]utils[\\/]data[\\/](?P<spawn>dataloader)\.py",
            literal="dataloader.py",
            sample='  File "C:\\v\\lib\\site-packages\\torch\\utils\\data\\dataloader.py", line 441, in __iter__',
            strength="context",
        ),
    ),
)
# There is no `detect`: what a dataset holds is seen when its workers start.


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof"]
    eof = [m for m in seen.matches if m.strength == "hint"]
    spawned = seen.group("spawn") is not None
    if not (told and (spawned or eof)) and not (eof and spawned):
        return None
    what = seen.group("what")
    return Hit(
        message=f"The workers that load data cannot be started: {what} cannot be sent to a new process (pickled)."
        if what
        else "The workers that load data cannot be started: an object cannot be sent to a new process (pickled). The error above in the log names it.",
        evidence=building.lines((*told, *eof)[:3]),
        confidence=Confidence.HIGH if told else Confidence.MEDIUM,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    named = commands.by_hand(
        (),
        "put the function or lambda at the top level of a module, and give it to the dataset by its name; open files and start models in the worker (in __getitem__), "
        "not in __init__",
        "your program",
        "none",
    )
    return (
        data_workers.none(facts),
        Fix(title="Send only what can be pickled", steps=(named,), verify=commands.check(facts)),
    )
