"""Describe how a child of attn-doctor failed: by a signal, an exit code, or its deadline."""

from __future__ import annotations

import re
import signal

from attn_doctor.model.facts import Fault, FaultKind

# The first frame that faulthandler names, '  File "/x/y.py", line 3 in f'; frames of attn-doctor and of importlib are skipped.
_FRAME = re.compile(r'^  File "(?!<attn-doctor|<frozen importlib|<string>)([^"]+)", line (\d+) in (.+)$', re.MULTILINE)
_MOST_TEXT = 2000  # at most so many characters of the child's last output are kept


def how_it_ended(returncode: int | None, killed: bool, chatter: str, open_section: str | None, seconds: float) -> Fault:
    """Return the fault of a child. `killed`: attn-doctor killed it. `returncode` None: the child did not end, although it was killed.

    `chatter`: all that the child printed besides its records. `seconds`: how long it ran. The place of the fault is the Python
    frame that faulthandler printed, else the section (`open_section`) that was running; None if both are missing.
    """
    frame = _FRAME.search(chatter)
    where = f"{frame[1]}:{frame[2]} in {frame[3]}" if frame else open_section
    tail = last_lines(chatter, _MOST_TEXT) or None
    if killed:
        kind: FaultKind = "timeout" if returncode is not None else "vanished"
        return Fault(kind=kind, where=where, message=tail, seconds=round(seconds, 1))
    if returncode is not None and returncode < 0:
        return Fault(kind="signal", signal=_signal_name(-returncode), where=where, message=tail, seconds=seconds)
    return Fault(kind="exited", exit_code=returncode, where=where, message=tail, seconds=seconds)


def ended_its_parent(chatter: str, open_section: str | None, seconds: float) -> Fault:
    """Return the fault of a child that ended its own parent, the process that attn-doctor put between itself and the child.

    Only the child knows that process, so nothing else can have ended it. `chatter`, `open_section`, `seconds`: as for
    `how_it_ended`.
    """
    tail = last_lines(chatter, _MOST_TEXT)
    message = f"it ended the process that started it, and was ended{f': {tail}' if tail else ''}"
    return Fault(kind="raised", type="ParentEnded", message=message, where=open_section, seconds=round(seconds, 1))


def last_lines(text: str, most: int) -> str:
    """Return the last whole lines of a text that have at most `most` characters together.

    If the last line alone is longer, its first `most` characters are returned. The start of a line is never cut off, because the
    redaction recognises a password by the word before it.
    """
    kept: list[str] = []
    for line in reversed(text.strip().splitlines()):
        if sum(map(len, kept)) + len(kept) + len(line) > most:
            break
        kept.append(line)
    return "\n".join(reversed(kept)) or text.strip().rpartition("\n")[2][:most]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
