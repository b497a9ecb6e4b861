"""Compiled code crashed the whole process.

What it is
    A fault in machine code (an extension, a driver library, a compiler inside triton) ends Python without an exception: a segmentation
    fault, an abort, a bus error (a file that was cut short). An illegal instruction is another failure: illegal-instruction.

How it shows
    "Segmentation fault (core dumped)" and exit code 139 or -11, "Fatal Python error: Aborted" (134), "Bus error" (135); on
    Windows 0xC0000005, "access violation".

Why it happens
    The process has two copies of one library; or an extension was built for another torch or Python and loads in spite
    of it; or a file is damaged; or the code has a bug.

What to do
    Run the program once as `python -X faulthandler ...`: it prints the Python lines at which the process crashed. Then reinstall
    the package that these lines name.

How to reproduce
    `attn-doctor reproduce segfault` imports a module of C that reads address 0. It downloads nothing.

References
    https://docs.python.org/3/library/faulthandler.html
    https://github.com/Dao-AILab/flash-attention/issues/740
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Extension, Recipe
from attn_doctor.failure_modes.shared.crashes import CONTEXT, crash, in_other_languages
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, message
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Evidence, Fix, Severity
from attn_doctor.model.machine import tried

MODE = FailureMode(
    code="AD425",
    slug="segfault",
    title="A crash in compiled code",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    explains=("yolo12-flash-not-used",),
    signs=(
        Sign(
            pattern=r"Fatal Python error: (?P<how>Segmentation fault|Aborted|Bus error|Floating[ -]point exception)",
            literal="Fatal Python error: ",
            sample="Fatal Python error: Segmentation fault",
        ),
        Sign(
            pattern=r"Windows fatal exception: (?P<how>access violation|stack overflow|code 0x[0-9a-f]+)",
            literal="Windows fatal exception: ",
            sample="Windows fatal exception: access violation",
        ),
        Sign(
            pattern=r"SIGSEGV",
            literal="SIGSEGV",
            sample="Process finished with exit code 139 (interrupted by signal 11: SIGSEGV)",
            strength="hint",
        ),
        Sign(
            pattern=r"exitcode *: *-11\b",
            literal="exitcode",
            sample="  exitcode  : -11 (pid: 1234)",
            strength="hint",
        ),
        Sign(
            pattern=r"Segmentation fault",
            literal="Segmentation fault",
            sample="Segmentation fault (core dumped)",
            strength="hint",
        ),
        *in_other_languages("Segmentation fault"),
        *in_other_languages("Bus error", name="bus_error", dumped=True),
        *in_other_languages("Aborted", name="aborted", dumped=True),
        Sign(
            pattern=r"(?P<how>Bus error|Aborted)(?: {1,12}| )\(core dumped\)",
            literal="(core dumped)",
            sample="Aborted (core dumped)",
            strength="hint",
        ),
        Sign(
            pattern=r"-1073741819|0xC0000005",
            literal="0xC0000005",
            sample="Process finished with exit code -1073741819 (0xC0000005)",
            strength="hint",
        ),
        *CONTEXT,
    ),
    recipe=Recipe(
        does="imports a module of C that reads address 0",
        of=(Extension(name="flash_attn_2_cuda", body="*(volatile int *)0 = 0;"),),
        run=(("{python}", "-X", "faulthandler", "-c", "import flash_attn_2_cuda"),),
        shows="Segmentation fault",
        seconds=2,
    ),
)

_SIGNALS = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE")


def detect(facts: Facts) -> Hit | None:
    for attempt in tried(facts):
        if attempt.module == "ultralytics":
            continue  # reported by ultralytics-broken
        if attempt.fault is not None and attempt.fault.kind == "signal" and attempt.fault.signal in _SIGNALS:
            general = attempt.module in ("cv2", "numpy", "torchvision")
            return Hit(
                message=f"Importing {attempt.module} crashes the process: {message(attempt.fault)}.",
                evidence=(attempt_evidence(facts, attempt.module),),
                certainty=Certainty.OBSERVED,
                severity=Severity.ERROR if general else None,
            )
    return None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    found = crash(seen, evidence)
    if found is None:
        return None
    how = _how(found.matches)
    return Hit(
        message=f"Python crashed in compiled code ({how})."
        if any(m.strength == "proof" for m in found.matches)
        else f"The process crashed in compiled code ({how}); the Python line is not in the log.",
        evidence=found.evidence,
        confidence=found.confidence,
        severity=found.severity,
    )


def _how(crashes: tuple[Match, ...]) -> str:
    for match in crashes:
        for name in ("how", "bus_error", "aborted"):
            if name in match.groups:
                return match.groups[name].lower() if name == "how" else name.replace("_", " ")
    return "segmentation fault"


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = commands.by_hand(
        (*commands.starting(facts), "-X", "faulthandler", "PROGRAM"),
        "prints the Python lines at which the process crashes",
        "nothing",
        "none",
    )
    return (Fix(title="See where it crashes", steps=(step,), verify=commands.check(facts)),)
