"""Make the hits for an extension of another torch where the log does not show the name of the undefined symbol. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit
from attn_doctor.logs.reader import Seen
from attn_doctor.model.findings import Confidence, Evidence


def in_words(seen: Seen) -> Hit:
    """Return the hit for an error that a person described in their own words, without the symbol."""
    lines = [m for m in seen.matches if "worded" in m.groups]
    return Hit(
        message=f"{lines[-1].groups['worded']} needs a function that the installed torch does not have: it was built for another torch. The line does not "
        "show the name of the function, which would show for which torch.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in lines[-2:]),
        confidence=Confidence.MEDIUM,
    )


def torn(seen: Seen) -> Hit:
    """Return the hit for an error line that is cut before the name of the symbol."""
    lines = [m for m in seen.matches if "torn" in m.groups]
    return Hit(
        message=f"The log is cut: {lines[-1].groups['file']} needs a function that the installed torch does not have, and the name of the function is "
        "missing. Probably the file was built for another torch. To be sure, run `attn-doctor diagnose` with the whole log: the line with 'undefined symbol' must be complete.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in lines[-2:]),
        confidence=Confidence.LOW,
    )
