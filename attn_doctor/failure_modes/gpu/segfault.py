"""Compiled code crashed the whole process.

What it is
    A fault in machine code (an extension, a driver library, a compiler inside triton) ends Python without an exception: a segmentation
    fault, an abort, a bus error (a file that was cut short), an illegal instruction (a CPU that is older than the build expects).

How it shows
    "Segmentation fault (core dumped)" and exit code 139 or -11, "Fatal Python error: Aborted" (134), "Bus error" (135), "Illegal
    instruction" (132); on Windows 0xC0000005, "access violation".

Why it happens
    Two copies of one library in the process, an extension for another torch or Python that loads all the same, a damaged file, a bug.

What to do
    Run it once as `python -X faulthandler ...`: it prints the Python lines at which it died. Then reinstall the package that
    these lines name.

How to reproduce
    `attn-doctor reproduce segfault` imports a module of C that reads address 0. It downloads nothing.

References
    https://docs.python.org/3/library/faulthandler.html
    https://github.com/Dao-AILab/flash-attention/issues/740
"""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import Extension, Recipe
from attn_doctor.failure_modes.shared.fact_queries import attempt_evidence, message
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Certainty, Confidence, Evidence, Fix, Severity
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
            pattern=r"Fatal Python error: (?P<how>Segmentation fault|Aborted|Bus error|Illegal instruction|Floating[ -]point exception)",
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
        Sign(
            pattern=r"段错误 \(",
            literal="段错误 (",
            sample="段错误 (核心已转储)",
            strength="hint",
        ),
        Sign(
            pattern=r"Speicherzugriffsfehler",
            literal="Speicherzugriffsfehler",
            sample="Speicherzugriffsfehler (Speicherabzug geschrieben)",
            strength="hint",
        ),
        Sign(
            pattern=r"Erreur de segmentation",
            literal="Erreur de segmentation",
            sample="Erreur de segmentation (core dumped)",
            strength="hint",
        ),
        Sign(
            pattern=r"(?:Bus error|Illegal instruction|Aborted)(?: {1,12}| )\(core dumped\)",
            literal="(core dumped)",
            sample="Illegal instruction (core dumped)",
            strength="hint",
        ),
        Sign(
            pattern=r"-1073741819|0xC0000005",
            literal="0xC0000005",
            sample="Process finished with exit code -1073741819 (0xC0000005)",
            strength="hint",
        ),
        Sign(
            pattern=r"site-packages|dist-packages",
            literal="-packages",
            sample='  File "/venv/lib/python3.11/site-packages/torch/cuda/__init__.py", line 491 in _lazy_init',
            strength="context",
        ),
        Sign(
            pattern=r"\bpython[\d.]* ",
            literal="python",
            sample="$ python train.py",
            strength="context",
        ),
        Sign(
            pattern=r"libtorch|libc10|triton::",
            literal="libtorch",
            sample=" 9 0x0000000004b2a5d1 at::native::add()  /venv/lib/python3.11/site-packages/torch/lib/libtorch_cpu.so",
            strength="context",
        ),
        Sign(
            pattern=r"\btriton::",
            literal="triton::",
            sample=" 3 0x000000000065cdfc triton::driver::path_to_ptxas()  ???:0",
            strength="context",
        ),
        Sign(
            pattern=r"import flash_attn|import torch",
            literal="import ",
            sample=">>> import flash_attn",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="imports a module of C that reads address 0",
        of=(Extension(name="flash_attn_2_cuda", body="*(volatile int *)0 = 0;"),),
        run=(("{python}", "-X", "faulthandler", "-c", "import flash_attn_2_cuda"),),
        shows="Segmentation fault",
    ),
)

_SIGNALS = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE")
# A crash of a compiler is another failure: its driver says so in the same line.
_COMPILER = re.compile(r"compiler error|terminated program|died due to|cc1plus|cicc|ptxas|nvcc|clang|\bld:")
_SHORT = 12  # lines of a log that may be nothing but the crash


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
    crashes = [m for m in seen.matches if m.strength != "context" and not _COMPILER.search(m.text)]
    if not crashes:
        return None
    ours = any(m.strength in ("context", "proof") for m in seen.matches)
    short = any(log.file == crashes[0].file and log.lines <= _SHORT for log in seen.logs)
    lines = {m.line for m in crashes}
    how = _how(crashes)
    return Hit(
        message=f"The process there crashed in compiled code{f' ({how})' if how else ''}; the Python line is not in the log."
        if not any(m.strength == "proof" for m in crashes)
        else f"Python there crashed in compiled code ({how}).",
        evidence=tuple(e for e in evidence if e.line in lines)
        or tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in crashes[:4]),
        confidence=Confidence.HIGH if ours else Confidence.LOW,
        severity=Severity.ERROR if ours or short else Severity.INFO,
    )


def _how(crashes: list[Match]) -> str:
    return next((m.groups["how"] for m in crashes if "how" in m.groups), "segmentation fault").lower()


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    step = commands.by_hand(
        (commands.python(facts), "-X", "faulthandler", "PROGRAM"),
        "prints the Python lines at which it dies",
        "nothing",
        "none",
    )
    return (Fix(title="See where it dies", steps=(step,), verify=commands.check(facts)),)
