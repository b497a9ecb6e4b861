"""An import never ends.

What it is
    Importing torch or an extension waits for something: a lock that a killed build left behind, a network disk, a driver that does
    not answer, or a deadlock between two libraries.

How it shows
    There is no output. Or torch 2.7 and newer print "Waited on lock file ... for 300 seconds". Or the program that started the import
    ends with a TimeoutError.

Why it happens
    torch compiles some extensions at their first use. While it compiles, there is a file called `lock` in its cache folder. If the
    compiling process was killed, the file stays, and every later process waits for ever and prints nothing. In most other cases a
    call of the driver does not return.

What to do
    Remove the lock file. If there is none, look where the program waits: `py-spy dump --pid PID`, or start Python with -X faulthandler
    and send it SIGABRT.

How to reproduce
    `attn-doctor reproduce import-hang` imports a flash_attn_2_cuda that waits for ever, and stops it. It downloads nothing.

References
    https://github.com/pytorch/pytorch/blob/main/torch/utils/file_baton.py
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Extension, Recipe
from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts, Fault
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity, fact
from attn_doctor.model.machine import tried

MODE = FailureMode(
    code="AD314",
    slug="import-hang",
    title="An import that does not end",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    explains=("torch-install-broken", "yolo12-flash-not-used"),
    signs=(
        Sign(
            pattern=r"Waited on lock file [\"'](?P<lock>[^\"']+)[\"'] for",
            literal="Waited on lock file",
            sample='UserWarning: Waited on lock file "/home/user/.cache/torch_extensions/py311_cu132/x/lock" for 300.0 seconds.',
        ),
    ),
    recipe=Recipe(
        does="imports a flash_attn_2_cuda that waits for ever, and stops it",
        of=(Extension(name="flash_attn_2_cuda", body="for (;;) pause();"),),
        run=(("{python}", "-c", "import flash_attn_2_cuda"),),
        shows="stopped after",
        examine=("--no-trial", "--timeout", "8"),
        seconds=15,
        deadline=3,
    ),
)


def detect(facts: Facts) -> Hit | None:
    faults: list[tuple[str, str, Fault]] = []
    if facts.torch.fault is not None:
        faults.append(("torch.importable", "torch", facts.torch.fault))
    for index, attempt in enumerate(tried(facts)):
        if attempt.fault is not None and attempt.module != "ultralytics":  # reported by ultralytics-broken
            faults.append((f"imports.{index}.ok", attempt.module, attempt.fault))
    for path, module, fault in faults:
        if fault.kind in ("timeout", "vanished"):
            how = "not even when it is killed" if fault.kind == "vanished" else f"within {fault.seconds or 0:.0f} s"
            return Hit(
                message=f"Importing {module} does not end, {how}.",
                evidence=(fact(facts, path, f"importing {module}: {message(fault)}"),),
                certainty=Certainty.OBSERVED,
                severity=Severity.ERROR if module in ("torch", "numpy", "cv2", "torchvision") else None,
            )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    return Hit(
        message=f"The program waits for the lock file {seen.group('lock')}, which a stopped build left behind.",
        evidence=evidence,
        severity=Severity.ERROR,
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    look = commands.by_hand(
        ("py-spy", "dump", "--pid", "PID"),
        "while the program hangs: shows where it waits. PID is its process number (py-spy comes with pip install py-spy)",
        "nothing",
        "none",
    )
    lock = commands.by_hand(
        (),
        "remove the file `lock` in a folder of ~/.cache/torch_extensions (or $TORCH_EXTENSIONS_DIR), if no build is running",
        "a file that an interrupted build left",
    )
    return (Fix(title="Find what it waits for", steps=(lock, look), verify=commands.check(facts)),)
