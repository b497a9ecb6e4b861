"""Run foreign code in a child process: framed records, a deadline, the end of its process group, and how it ended.

No package of the target is imported into attn-doctor's own process; all code that can crash, hang, exit or print runs
in a child. Every wait has a limit, even after SIGKILL, because a process that waits in a driver does not end.
"""

from __future__ import annotations

import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_doctor.child.ending import ended_its_parent, how_it_ended, last_lines
from attn_doctor.child.program_text import program
from attn_doctor.child.reading import MOST_OUTPUT, Message, Reader
from attn_doctor.child.starting import start
from attn_doctor.model.facts import Fault

LARGEST_FILE = 4 << 30  # bytes: more than what torch.compile or an exported model write
# bytes: nvcc writes the output of a compiler that floods into a temporary file, until the disk is full
LARGEST_FILE_OF_A_TOOL = 256 << 20
SLOW_AFTER = 5.0  # seconds without an answer, after which the user is told the name of the slow step


class Outcome(NamedTuple):
    """Describe the end of a child. `fault` is None if the child reported that it was done, and sent nothing wrong before."""

    messages: list[Message]  # all records but "alive", in the order in which they came
    fault: Fault | None
    chatter: str  # all that the child printed besides its records
    open_section: str | None  # the section that was running at the end; None: no section was running
    seconds: float  # from start to end
    returncode: int | None  # negative: the number of the signal; None: the child could not be ended

    def facts(self, section: str) -> list[Any]:
        """Return the values that a section sent; empty if it sent none."""
        return [m.data for m in self.messages if m.at == "fact" and m.section == section]

    def raised(self, section: str) -> Fault | None:
        """Return the exception that ended a section; None if the section ended without one."""
        for message in self.messages:
            if message.at == "raised" and message.section == section:
                return Fault(**message.data)
        return None


class Finished(NamedTuple):
    """Hold the output of a plain command.

    `fault`: why the output cannot be trusted (the command did not start, ended with another code than 0, was killed, or printed too
    much); None if it can. `returncode` None: the command did not start, or could not be ended.
    """

    stdout: str
    stderr: str
    returncode: int | None
    fault: Fault | None


def run(
    python: Sequence[str],
    scripts: Sequence[str | Path],
    *,
    config: Mapping[str, Any] | None = None,
    deadline: float = 120.0,
    quiet: float | None = None,
    environ: Mapping[str, str] | None = None,
    changes: Mapping[str, str | None] | None = None,
    on_message: Callable[[Message], None] | None = None,
    on_slow: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Run scripts (see `program`) in the interpreter `python` (an argv prefix) and collect their records.

    `config`: values that the scripts read. `deadline`: the limit of the whole run in seconds. `quiet`: the limit in seconds for
    the time without a record; None: no such limit. `environ`: the variables of the child, by default those of attn-doctor.
    `changes`: made to these variables; {"PYTHONPATH": None} removes one. `on_message` gets each record, in another thread.
    `on_slow` gets the name of the running section, once, if no record came for SLOW_AFTER seconds. The child is ended if `stop`
    is set, if it sends too much (the fault "flooded"), or if `on_message` raises (the fault "BadRecord"). Processes that it leaves
    running are ended. Raises OSError if the interpreter cannot be started.
    """
    nonce = secrets.token_hex(8)
    limit = min(deadline, quiet) if quiet else deadline
    text = program(scripts, {"deadline": deadline, "quiet": limit, **(config or {})}, nonce)
    started = time.monotonic()
    begun = start([*python, "-"], environ, changes, largest_file=LARGEST_FILE, below=True)
    process = begun.process
    reader = Reader(begun, nonce.encode(), on_message)
    reader.feed(text.encode("ascii"))
    killed = too_late = told = False
    while not reader.ended.wait(0.05) and not begun.ended():
        now = time.monotonic()
        if on_slow and not told and now - reader.heard > SLOW_AFTER and now - started > SLOW_AFTER:
            told = True
            on_slow(reader.open_sections[-1] if reader.open_sections else "")
        too_long = now - started > deadline or (quiet and now - reader.heard > quiet)
        if too_long or reader.trouble or (stop and stop.is_set()):
            killed = too_late = True
            begun.end()
            break
    if not killed and (reader.flooded or not begun.ends_within(started + deadline - time.monotonic())):
        killed = not reader.done
        begun.end()
    reader.finish()
    seconds = time.monotonic() - started
    open_section = reader.open_sections[-1] if reader.open_sections else None
    fault = None
    if reader.trouble:
        why = f"the target sent a record that cannot be understood ({type(reader.trouble).__name__}: {reader.trouble})"
        fault = Fault(kind="raised", type="BadRecord", message=why, where=open_section, seconds=seconds)
    elif reader.flooded:
        fault = Fault(
            kind="flooded", where=open_section, message=last_lines(reader.chatter, 200) or None, seconds=seconds
        )
    elif begun.orphaned and not too_late and not reader.done:
        fault = ended_its_parent(reader.chatter, open_section, seconds)
    elif killed or not reader.done:
        fault = how_it_ended(process.returncode, killed, reader.chatter, open_section, seconds)
    return Outcome(reader.messages, fault, reader.chatter, open_section, seconds, process.returncode)


def harmless(folder: str) -> dict[str, str]:
    """Return variables with which ultralytics uses no network, changes no settings of the user and installs no packages.

    Files that it writes (settings, a font cache, compiled kernels) go into `folder`, which the caller deletes afterwards.
    """
    return {
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        "YOLO_CONFIG_DIR": folder,
        "MPLCONFIGDIR": folder,
        "TORCHINDUCTOR_CACHE_DIR": folder,
        "TRITON_CACHE_DIR": folder,
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def command(
    argv: Sequence[str],
    *,
    deadline: float = 10.0,
    environ: Mapping[str, str] | None = None,
    changes: Mapping[str, str | None] | None = None,
    cwd: str | None = None,
    most: int = MOST_OUTPUT,
    largest_file: int | None = LARGEST_FILE_OF_A_TOOL,
) -> Finished:
    """Run a plain program (nvcc, nvidia-smi, gcc) and return its output. It is ended after `deadline` seconds, with the fault "timeout".

    Raises nothing if the program cannot be started: then `fault` of the result has the error.

    `environ` and `changes`: see `run`. `cwd`: the folder that the program starts in. None: an empty folder, so that a Python
    script among these programs imports no code of the current folder. A program that prints more than `most` bytes is ended, with
    the fault "flooded". `largest_file`: the most bytes of one file that it can write (None: no limit). Processes that the program
    leaves running are ended.
    """
    started = time.monotonic()
    try:
        begun = start(argv, environ, changes, stdin=subprocess.DEVNULL, cwd=cwd, largest_file=largest_file, below=True)
    except OSError as error:
        kind = Fault(kind="raised", type=type(error).__name__, message=str(error))
        return Finished("", "", None, kind)
    reader = Reader(begun, None, None, most)
    killed = False
    while not begun.ended() and not reader.flooded:
        if time.monotonic() - started > deadline:
            killed = True
            break
        # The end of the output comes just before the end of most programs.
        if reader.ended.wait(0.05):
            if begun.orphaned:
                break
            time.sleep(0.002)
    if killed or reader.flooded:
        begun.end()
    reader.finish()
    seconds = time.monotonic() - started
    returncode = begun.process.returncode
    fault = None
    if reader.flooded:
        fault = Fault(kind="flooded", message=reader.output[:200] or None, seconds=round(seconds, 1))
    elif begun.orphaned and not killed:
        fault = ended_its_parent(reader.chatter, None, seconds)
    elif killed or returncode != 0:
        fault = how_it_ended(returncode, killed, reader.chatter, None, seconds)
    return Finished(reader.output, reader.chatter, returncode, fault)
