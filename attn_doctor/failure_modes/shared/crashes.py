"""Judge lines that report a crash of compiled code: the lines that count, and the certainty of the cause. Pure.

The failure modes of crashes share these context signs. A crash of a compiler is a failed build and is not reported here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from attn_doctor.failure_modes.mode import Sign
from attn_doctor.knowledge import translated_messages
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.findings import Confidence, Evidence, Severity

CONTEXT = (
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
        pattern=r"import (?:flash_attn|torch|numpy|cv2|ultralytics)",
        literal="import ",
        sample=">>> import flash_attn",
        strength="context",
    ),
)

# What may follow the name of a signal in a line of bash: nothing, "(core dumped)", or the command.
_ENDS = r"(?:\s?[(（]|\s*$|\s+(?:python|yolo|/))"


def in_other_languages(english: str, *, name: str | None = None, dumped: bool = False) -> tuple[Sign, ...]:
    """Return the signs for the name of a signal as bash prints it in other languages. All are hints.

    `english`: the name of the signal in English, "Segmentation fault". `name`: the group that captures the word. `dumped`: the word
    counts only with "(core dumped)", because it is a common word.
    """
    end = r"\s?" + translated_messages.pattern("(core dumped)") if dumped else _ENDS
    group = f"?P<{name}>" if name else "?:"
    return tuple(
        Sign(pattern=rf"({group}{re.escape(word)}){end}", literal=word, sample=f"{word} (core dumped)", strength="hint")
        for word in translated_messages.translations(english)
    )


# Words of a compiler in the same line: then the compiler crashed.
_COMPILER = re.compile(r"compiler error|terminated program|died due to|cc1plus|cicc|ptxas|nvcc|clang|\bld:")
_SHORT = 12  # a log of at most so many lines may consist of the crash only


class Crash(NamedTuple):
    """Hold the lines that report a crash, and how sure and how severe the finding is by the rest of the log."""

    matches: tuple[Match, ...]
    evidence: tuple[Evidence, ...]
    confidence: Confidence
    severity: Severity


def crash(seen: Seen, evidence: tuple[Evidence, ...]) -> Crash | None:
    """Return the crash that a log reports; None if there is none, or a compiler crashed."""
    crashes = tuple(m for m in seen.matches if m.strength != "context" and not _COMPILER.search(m.text))
    if not crashes:
        return None
    ours = any(m.strength == "proof" or (m.strength == "context" and "frame" not in m.groups) for m in seen.matches)
    short = any(log.file == crashes[0].file and log.lines <= _SHORT for log in seen.logs)
    lines = {m.line for m in crashes}
    return Crash(
        matches=crashes,
        evidence=tuple(e for e in evidence if e.line in lines)
        or tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in crashes[:4]),
        confidence=Confidence.HIGH if ours else Confidence.LOW,
        severity=Severity.ERROR if ours or short else Severity.INFO,
    )
