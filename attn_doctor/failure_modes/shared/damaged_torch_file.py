"""Recognise that one of torch's own files is damaged: half a file, zeros, or a part of another release. Pure.

The error is in the text of the file, and the frame above it names the file.
"""

from __future__ import annotations

import re

from attn_doctor.failure_modes.mode import Hit, Sign
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.findings import Confidence, Evidence

SIGN = Sign(
    pattern=r"^(?P<damage>NameError: name '\w+' is not defined|(?:ValueError|SyntaxError): source code string cannot contain null bytes"
    r"|EOFError: marshal data too short|ValueError: bad marshal data|(?:IndentationError|TabError): |"
    r"SyntaxError: (?:unterminated|unexpected EOF|EOF while|unmatched|'[(\[{]' was never closed))",
    literal="Error: ",
    sample="NameError: name '_call_impl' is not defined",
    strength="hint",
)
_OWN_FILE = re.compile(
    r"[\\/](?:site|dist)-packages[\\/](?P<file>torch[\\/][\w.\\/-]+\.py)\", line \d+(?:, in (?P<where>\S+))?"
)
_CHAIN = 60  # lines of the traceback at most: imports of torch are deep
_BELOW_ITS_FRAME = 4  # the source line, the mark under it, and a line that a terminal broke
_START = re.compile(r"[\\/]torch[\\/]__init__\.py")


def is_sign(match: Match) -> bool:
    return "damage" in match.groups


def hit(seen: Seen, match: Match) -> Hit | None:
    """Return the hit for an error in the text of one of torch's own files, which was read while torch was imported; else None."""
    log = next(log for log in seen.logs if log.file == match.file)
    frames = [m for m in log.about("a frame") if 0 < match.line - m.line <= _CHAIN]
    last = _OWN_FILE.search(frames[-1].text) if frames else None
    if last is None or match.line - frames[-1].line > _BELOW_ITS_FRAME:
        return None
    where = last["where"]
    if where is not None and where != "<module>" and not where[0].isupper():
        return None  # a function that ran: its file was read well
    if "Error: name" in match.text and not any(_START.search(m.text) for m in frames):
        return None
    return Hit(
        message=f"A file of torch itself is damaged there, {last['file'].replace(chr(92), '/')}: {match.groups['damage'].strip(' :')}.",
        evidence=tuple(Evidence(kind="log", file=m.file, line=m.line, text=m.text) for m in (frames[-1], match)),
        confidence=Confidence.MEDIUM,
    )
