"""Run foreign code in a child process: framed records, a deadline, the end of its process group, and how it ended.

No package of the target is imported into attn-doctor's own process; all code that may crash, hang, exit or print runs
in a child. Every wait has a limit, even after SIGKILL, because a process that waits in a driver does not end.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from attn_doctor.child_end import how_it_ended
from attn_doctor.model.facts import Fault
from attn_doctor.model.foreign_text import raw
from attn_doctor.system import current_folder, processes

OLDEST_TARGET = (3, 8)
SLOW_AFTER = 5.0  # seconds without an answer, after which the user is told the name of the slow step
_KEEP = 64 * 1024  # bytes of the child's other output that are kept, half from its start and half from its end
_GRACE = 2.0  # seconds to wait for a killed process, and for pipes that grandchildren keep open
_SEPARATOR = b"\x1e"
_IMPORT = re.compile(r"^from attn_doctor\S* import (?:\([^)]*\)|.*)$", re.MULTILINE)
_alive: set[subprocess.Popen[bytes]] = set()


def end_all() -> None:
    """End every child that still runs, after Ctrl-C.

    Children have their own sessions, so Ctrl-C does not reach them.
    """
    for process in list(_alive):
        kill(process)


class Message(NamedTuple):
    """Describe one line of the channel. `at` is hello, begin, fact, raised, end or done."""

    at: str
    section: str
    data: Any


class Outcome(NamedTuple):
    """Say how a child ended. `fault` is None if the child reported that it was done."""

    messages: list[Message]
    fault: Fault | None
    chatter: str
    open_section: str | None
    seconds: float
    returncode: int | None

    def facts(self, section: str) -> list[Any]:
        return [m.data for m in self.messages if m.at == "fact" and m.section == section]

    def raised(self, section: str) -> Fault | None:
        """Return the exception that ended a section; None if the section ended without one."""
        for message in self.messages:
            if message.at == "raised" and message.section == section:
                return Fault(**message.data)
        return None


class Finished(NamedTuple):
    """Hold the output of a plain command. `fault` is set if the output cannot be trusted."""

    stdout: str
    stderr: str
    returncode: int | None
    fault: Fault | None


def program(scripts: Sequence[str | Path], config: Mapping[str, Any], nonce: str) -> str:
    """Return one Python program, in ASCII, made from scripts. A script is a name in this package ("target/channel.py") or a Path.

    The first lines parse under any Python, 2.7 included, so that an old target
    can report its version.
    """
    sources = [(str(script), _source(script)) for script in scripts]
    return "\n".join(
        [
            # Before any other import: `python -` puts the current folder first on sys.path, and PYTHONPATH may contain it too.
            "import sys; sys.path[:] = [_p for _p in sys.path if _p not in ('', '.')]",
            f"_NONCE = {nonce!a}",
            f"_CONFIG = {json.dumps(config)!a}",
            f"if sys.version_info < {OLDEST_TARGET!r}:",
            '    sys.stdout.write(\'\\x1e\' + _NONCE + \' {"at": "too-old", "section": "", "data": "%d.%d"}\\n\'',
            "                     % sys.version_info[:2])",
            "    sys.exit(0)",
            f"for _name, _source in {sources!a}:",
            "    exec(compile(_source, '<attn-doctor ' + _name + '>', 'exec'), globals())",
            "send('done', '')",
            "os._exit(0)",  # unloading torch takes a tenth of a second, and may crash
            "",
        ]
    )


def _source(script: str | Path) -> str:
    """Return the text of a script, without its imports from attn_doctor: the scripts before it have what it imports."""
    place = script if isinstance(script, Path) else resources.files("attn_doctor").joinpath(script)
    return _IMPORT.sub(lambda found: "\n" * found[0].count("\n"), place.read_text("utf-8"))


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
    """Run scripts in the interpreter `python` (an argv prefix) and collect their records.

    `deadline` is the limit for the whole run in seconds, `quiet` the limit for the time without a record. `environ`: the variables of the
    child, by default those of attn-doctor. `changes` are made to them: {"PYTHONPATH": None} removes that variable. The child is
    ended when `stop` is set. Raises OSError if the interpreter cannot be started at all.
    """
    nonce = secrets.token_hex(8)
    limit = min(deadline, quiet) if quiet else deadline
    text = program(scripts, {"deadline": deadline, "quiet": limit, **(config or {})}, nonce)
    started = time.monotonic()
    process = _start([*python, "-"], environ, changes)
    reader = _Reader(process, nonce.encode(), on_message)
    reader.feed(text.encode("ascii"))
    killed = False
    told = False
    while not reader.ended.wait(0.05) and process.poll() is None:
        now = time.monotonic()
        if on_slow and not told and now - reader.heard > SLOW_AFTER and now - started > SLOW_AFTER:
            told = True
            on_slow(reader.open_sections[-1] if reader.open_sections else "")
        too_long = now - started > deadline or (quiet and now - reader.heard > quiet)
        if too_long or reader.trouble or (stop and stop.is_set()):
            killed = True
            kill(process)
            break
    if not killed and not _reaped(process, started + deadline - time.monotonic()):
        killed = not reader.done
        kill(process)
    reader.finish()
    seconds = time.monotonic() - started
    open_section = reader.open_sections[-1] if reader.open_sections else None
    fault = None
    if reader.trouble:
        why = f"the target sent a record that cannot be understood ({type(reader.trouble).__name__}: {reader.trouble})"
        fault = Fault(kind="raised", type="BadRecord", message=why, where=open_section, seconds=seconds)
    elif killed or not reader.done:
        fault = how_it_ended(process.returncode, killed, reader.chatter, open_section, seconds)
    return Outcome(reader.messages, fault, reader.chatter, open_section, seconds, process.returncode)


def harmless(folder: str) -> dict[str, str]:
    """Return variables that keep ultralytics from using the network, from changing the user's settings and from installing packages.

    Files that it writes (settings, a font cache, compiled kernels) go into `folder`, which is deleted afterwards.
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
) -> Finished:
    """Run a plain program (nvcc, nvidia-smi, gcc) and return its output, after at most `deadline` seconds.

    `environ` and `changes`: see `run`. `cwd`: the folder that the program starts in. None: an empty folder, so that a Python script among
    these programs imports no code of the current folder.
    """
    started = time.monotonic()
    try:
        process = _start(argv, environ, changes, stdin=subprocess.DEVNULL, cwd=cwd)
    except OSError as error:
        kind = Fault(kind="raised", type=type(error).__name__, message=str(error))
        return Finished("", "", None, kind)
    reader = _Reader(process, None, None)
    killed = False
    try:
        process.wait(deadline)
    except subprocess.TimeoutExpired:
        killed = True
        kill(process)
    reader.finish()
    fault = None
    if killed or process.returncode != 0:
        fault = how_it_ended(process.returncode, killed, reader.chatter, None, time.monotonic() - started)
    return Finished(reader.output, reader.chatter, process.returncode, fault)


def _start(
    argv: Sequence[str],
    environ: Mapping[str, str] | None,
    changes: Mapping[str, str | None] | None,
    stdin: int = subprocess.PIPE,
    cwd: str | None = None,
) -> subprocess.Popen[bytes]:
    whole = {**(os.environ if environ is None else environ), **(changes or {})}
    merged = {name: value for name, value in whole.items() if value is not None}
    env = current_folder.cleaned(merged)
    env.pop("PYTHONINSPECT", None)  # it would keep `python -` waiting for input
    process = subprocess.Popen(
        [raw(word) for word in current_folder.program(argv)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd or current_folder.empty(),
        start_new_session=processes.NEW_SESSION,
        creationflags=processes.CREATION_FLAGS,
    )
    _alive.add(process)
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a child and all its descendants. Gives up after two seconds, because a process that waits in the kernel does not end."""
    processes.end_group(process)
    _reaped(process, _GRACE)


def _reaped(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(max(0.05, min(seconds, _GRACE)))
    except subprocess.TimeoutExpired:
        return False
    return True


def _message(line: bytes) -> Message | None:
    """Return the record in a line; None if the line is no record.

    A program that reads the nonce in the target's memory can forge one.
    """
    try:
        said = json.loads(line)
        at, section, data = said["at"], said["section"], said.get("data")
        if at == "raised":
            data = msgspec.to_builtins(msgspec.convert(data, Fault))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # msgspec's own errors are ValueErrors
        return None
    return Message(at, section, data) if isinstance(at, str) and isinstance(section, str) else None


class _Reader:
    """Read both pipes of a child in threads, so that no pipe can fill up and stop the child."""

    def __init__(
        self, process: subprocess.Popen[bytes], nonce: bytes | None, on_message: Callable[[Message], None] | None
    ) -> None:
        self.process = process
        self.mark = _SEPARATOR + nonce + b" " if nonce else None
        self.on_message = on_message
        self.messages: list[Message] = []
        self.open_sections: list[str] = []
        self.done = False
        self.trouble: Exception | None = (
            None  # the error of a malformed record, which only the target's own code can cause
        )
        self.ended = threading.Event()  # "done" was received, or standard output was closed
        self.heard = time.monotonic()
        self._out = bytearray()
        self._err = bytearray()
        self._threads = [
            threading.Thread(target=self._read, args=(stream, take), daemon=True)
            for stream, take in ((process.stdout, self._take_out), (process.stderr, self._take_err))
        ]
        for thread in self._threads:
            thread.start()

    def feed(self, program: bytes) -> None:
        def write() -> None:
            try:
                with self.process.stdin as pipe:  # type: ignore[union-attr]
                    pipe.write(program)
            except (BrokenPipeError, OSError):
                pass  # the child ended while it was reading its program: its exit code gives the reason

        threading.Thread(target=write, daemon=True).start()

    def _read(self, stream: Any, take: Callable[[bytes], None]) -> None:
        with stream:  # closed here, because a grandchild may keep the other end open long after the child has ended
            while block := self._block(stream.fileno()):
                take(block)
        if take == self._take_out:
            self.ended.set()

    @staticmethod
    def _block(descriptor: int) -> bytes:
        try:
            return os.read(descriptor, 65536)
        except OSError:
            return b""

    def _take_out(self, block: bytes) -> None:
        self._out += block
        if self.mark is None:
            return
        *lines, rest = bytes(self._out).split(b"\n")
        self._out = bytearray(rest)
        for line in lines:
            place = line.find(self.mark)
            if place < 0:
                self._take_err(line + b"\n")  # written before the channel was set up: sitecustomize, a wrapper script
                continue
            if place:
                self._take_err(line[:place] + b"\n")
            message = _message(line[place + len(self.mark) :])
            if message is None:
                self._take_err(b"attn-doctor: a record that cannot be understood\n")
            else:
                self._take_message(message)

    def _take_message(self, message: Message) -> None:
        self.heard = time.monotonic()
        if message.at == "begin":
            self.open_sections.append(message.section)
        elif message.at == "end" and message.section in self.open_sections:
            self.open_sections.remove(message.section)
        elif message.at in ("done", "too-old"):
            self.done = True
            self.ended.set()
        self.messages.append(message)
        if self.on_message and self.trouble is None:
            try:
                self.on_message(message)
            except Exception as error:  # noqa: BLE001 - this is a thread: `run` ends the child, and says why
                self.trouble = error

    def _take_err(self, block: bytes) -> None:
        self._err += block
        if len(self._err) > 2 * _KEEP:
            half = _KEEP // 2
            self._err = self._err[:half] + b"\n[...]\n" + self._err[-half:]

    def finish(self) -> None:
        _alive.discard(self.process)
        until = time.monotonic() + _GRACE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self.process.poll()

    @property
    def output(self) -> str:
        return self._out.decode("utf-8", "replace")

    @property
    def chatter(self) -> str:
        return self._err.decode("utf-8", "replace")
