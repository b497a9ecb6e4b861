"""Run foreign code in child processes: `run` for scripts that send records, `command` for plain programs."""

from attn_doctor.child.program_text import OLDEST_TARGET, program
from attn_doctor.child.reading import Message
from attn_doctor.child.running import Finished, Outcome, command, harmless, run
from attn_doctor.child.starting import end_all, kill, stop

__all__ = [
    "OLDEST_TARGET",
    "Finished",
    "Message",
    "Outcome",
    "command",
    "end_all",
    "harmless",
    "kill",
    "program",
    "run",
    "stop",
]
