"""Judge logs that are cut: they contain the last frame of a traceback, but not the line with the error. Pure.

The last frame shows the work of the program at that moment. This gives only a probable cause: all hits of this module have low
confidence, and their messages contain the word with which the missing line would begin.
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.logs.reader import Log, Match, Seen, Topic
from attn_doctor.model.findings import Confidence, Evidence

_NEAR_THE_END = 40  # most lines after the frame: pip, docker and a shell add lines of their own
_NEAR_ABOVE = 60  # an error at most so many lines before the frame belongs to the same failure
WRAPPED = 4  # most lines from a frame to its source line: a terminal may have broken the frame into several lines
_FRAME: Topic = "a frame"
_WELL: Topic = "installation ended well"
_SAID: Topic = "an exception"


def frame(names: str, literal: str, sample: str, *, called: bool = False) -> Sign:
    """Return the sign of a traceback that ends in one of these functions.

    `names`: a regular expression for their names. The sign matches the line of the frame. `called`: it also matches a source line
    that calls the function, for a log that is cut before the frame. Use `called` only for functions of a setup.py, because a mere
    warning of torch prints such a source line too.
    """
    place = r"(?:, in |(?<!def )\b)" if called else ", in "
    end = r"(?:\s*$|\()" if called else r"\s*$"
    return Sign(
        pattern=rf"{place}(?P<cut>{names}){end}",
        literal=literal,
        sample=sample,
        strength="hint",
    )


def source(pattern: str, literal: str, sample: str) -> Sign:
    """Return the sign of the last source line in a cut traceback. `pattern`: a regular expression for the whole line."""
    return Sign(pattern=rf"^\s*(?P<cut>{pattern})\s*$", literal=literal, sample=sample, strength="hint")


# The first line of a frame, by which a source line below it is recognised; and the last line of a traceback, which shows that the
# log is not cut. One failure mode has these signs, and all failure modes can read what they match.
TRACEBACKS = (
    Sign(
        pattern=r"(?:^|\s)File \"[^\"]{1,400}\", line \d+",
        literal='File "',
        sample='  File "/srv/app/setup.py", line 31, in <module>',
        strength="context",
        topic="a frame",
    ),
    *(
        Sign(
            pattern=r"^\s*(?:E\s{2,6})?(?:[A-Za-z_][\w.]*\.)?(?:[A-Z]\w*)?(?:Error|Exception|NotFound|Exit|Interrupt)(?:: |:?\s*$)",
            literal=literal,
            sample=sample,
            strength="context",
            topic="an exception",
        )
        for literal, sample in (
            ("Error", "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory"),
            ("Exception", "RuntimeException: no such thing"),
            ("NotFound", "importlib.metadata.PackageNotFound"),
            ("SystemExit", "SystemExit: 1"),
            ("Interrupt", "KeyboardInterrupt"),
        )
    ),
)


def told(seen: Seen) -> Seen:
    """Return the same input without the matches that are frames of cut tracebacks."""
    return Seen(tuple(m for m in seen.matches if "cut" not in m.groups), seen.logs)


def alone(seen: Seen) -> bool:
    """Return whether all matches, context signs left out, are frames of cut tracebacks. True if there are no other matches."""
    return all("cut" in m.groups for m in seen.matches if m.strength != "context")


def ends(seen: Seen) -> tuple[Match, ...]:
    """Return the frames at which a log is cut. Empty if the log shows the error, or the program continued."""
    logs = {log.file: log for log in seen.logs}
    return tuple(m for m in seen.matches if "cut" in m.groups and _ends_here(logs[m.file], m))


def _ends_here(log: Log, match: Match) -> bool:
    """Return whether the log ends at this frame of a traceback, with no error and no result after it."""
    if log.lines - match.line > _NEAR_THE_END:
        return False
    if ", in " not in match.text and not _below_a_frame(log, match):
        return False
    if any(m.line > match.line for m in (*log.about(_SAID), *log.about(_WELL))):
        return False
    if any(m.strength == "proof" and m.line > match.line - _NEAR_ABOVE for m in log.matches):
        return False
    # A later frame, of a function that this one called, is nearer to the error. The next line is this frame's own source line.
    return not any("cut" in m.groups and m.slug != match.slug and m.line > match.line + 1 for m in log.matches)


def _below_a_frame(log: Log, match: Match) -> bool:
    """Return whether a source line belongs to a traceback: there is a frame just above it."""
    return any(0 < match.line - m.line <= WRAPPED for m in log.about(_FRAME))


def hit(seen: Seen, probably: str, begins: str, variant: Variant | None = None) -> Hit | None:
    """Return the hit for a log that ends in the middle of a traceback; None if the log is not cut.

    `probably`: a sentence with the probable cause. `begins`: the first word of the missing line, "ImportError".
    """
    cut = ends(seen)
    if not cut:
        return None
    return Hit(
        message=f"The log is cut: it ends at {cut[-1].groups['cut'].strip()}, and the line that names the error is missing. "
        f"{probably} To be sure, run `attn-doctor diagnose` with the whole log: the missing line begins with {begins}.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in cut[-2:]),
        variant=variant,
        confidence=Confidence.LOW,
    )
