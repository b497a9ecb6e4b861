"""A script starts its training again in each process that loads data.

What it is
    On Windows and macOS a new process of Python imports the script from its start. If model.train() is at the top level
    of the script, the new process would train as well; Python stops it with this error.

How it shows
    "RuntimeError: An attempt has been made to start a new process before the current process has finished its bootstrapping phase", with the advice
    "if __name__ == '__main__': freeze_support()". The same training works as a yolo command, or on Linux.

Why it happens
    A DataLoader with workers, or a training on several GPUs, starts processes. Linux copies the running process (fork),
    Windows and macOS start a new Python (spawn).

What to do
    Put everything that the script runs under `if __name__ == "__main__":`. Or start the training by the yolo command.
    With workers=0 no process is started.

How to reproduce
    There is no recipe: the script is the user's own. A script with `torch.multiprocessing.spawn(print)` at its top level shows it on every system.

References
    https://docs.python.org/3/library/multiprocessing.html#the-spawn-and-forkserver-start-methods
    https://docs.pytorch.org/docs/stable/notes/windows.html
"""

from __future__ import annotations

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, cut_logs, data_workers
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD510",
    slug="main-guard-missing",
    title="A script starts itself again in each worker",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=("dataloader-worker-ended",),
    signs=(
        # Lib/multiprocessing/spawn.py of Python, one sentence over three lines
        Sign(
            pattern=r"An attempt has been made to start a new process before",
            literal="An attempt has been made to start a new process",
            sample="        An attempt has been made to start a new process before the",
        ),
        Sign(
            pattern=r"current process has finished its bootstrapping phase",
            literal="finished its bootstrapping phase",
            sample="        current process has finished its bootstrapping phase.",
        ),
        # Where the traceback of a worker is cut: these frames run the user's script once more.
        cut_logs.frame(
            "_fixup_main_from_(?:path|name)",
            "_fixup_main_from_",
            '  File "C:\\v\\lib\\multiprocessing\\spawn.py", line 287, in _fixup_main_from_path',
        ),
        cut_logs.source(
            r"main_content = runpy\.run_(?:path|module)\(.{0,60}",
            "main_content = runpy.run_",
            "    main_content = runpy.run_path(main_path,",
        ),
        # `yolo checks` of Ultralytics: nothing is wrong with the environment.
        Sign(
            pattern=r"^Setup complete\b",
            literal="Setup complete",
            sample="Setup complete ✅ (16 CPUs, 31.1 GB RAM, 172.2/300.0 GB disk)",
            strength="context",
        ),
    ),
)
# There is no `detect`: no fact says how a script is written.


class Cut(Variant, frozen=True, kw_only=True):
    """Mark the case that the log ends in a traceback frame of the worker, so that the worker's error is not shown."""


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    proofs = [m for m in seen.matches if m.strength == "proof"]
    if not proofs:
        cut = cut_logs.hit(
            seen,
            "There a process that loads data starts the script of the user once more. Probably the script starts its work at its top level: "
            "if __name__ == '__main__' is missing.",
            "RuntimeError",
        )
        return cut and msgspec.structs.replace(cut, variant=Cut())
    checked = any(
        m.strength == "context" and m.file == proofs[0].file and m.line > proofs[0].line for m in seen.matches
    )
    return Hit(
        message="The script starts its work at its top level, so each process that loads data would start it again: if __name__ == '__main__' is "
        "missing.",
        evidence=building.lines(tuple(proofs)),
        severity=Severity.INFO if checked else None,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    guard = commands.by_hand(
        (),
        "write the line  if __name__ == '__main__':  in your script, and below it, indented, everything that the script runs: the model, model.train(...), "
        "model.val(...); imports and functions stay above it",
        "your script",
        "none",
    )
    if isinstance(hit.variant, Cut):
        return (
            data_workers.none(facts),
            Fix(title="Start the training under if __name__ == '__main__'", steps=(guard,), verify=verify),
        )
    made = [Fix(title="Start the training under if __name__ == '__main__'", steps=(guard,), verify=verify)]
    if facts.yolo.version is not None:  # None only if it is known that ultralytics is missing
        command = commands.by_hand(
            (),
            "if you train with Ultralytics: run `yolo detect train model=MODEL data=DATA` instead of the script",
            "nothing",
            "none",
        )
        made.append(Fix(title="Start it by the yolo command", steps=(command,), verify=verify))
    return (*made, data_workers.none(facts))
