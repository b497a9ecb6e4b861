"""Report a failure of attn-doctor itself, in one sentence with the text to send. This is the last error handler of all commands.

It is imported after an error, perhaps for lack of memory, so it uses only modules that Python itself has loaded.
"""

from __future__ import annotations

import errno
import os
import sys

from attn_doctor.system.printable import printable

VARIABLE = "ATTN_DOCTOR_DEBUG"
INTERNAL, NOT_EXAMINED = 70, 3  # as in errors.py
_LIMITS = {
    errno.EMFILE: "too many files are open in one process (see `ulimit -n`)",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "there is not enough memory (see `ulimit -v`, or the limit of the container)",
    errno.EAGAIN: "no further process or thread can be started (see `ulimit -u`)",
}


def limit(error: BaseException) -> str | None:
    """Return the limit of the machine that caused an error, or caused one of its causes; None if no limit was met."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        seen.append(at)
        if isinstance(at, MemoryError) or "failed to map segment" in str(at):
            return _LIMITS[errno.ENOMEM]
        if isinstance(at, RuntimeError) and "can't start new thread" in str(at):
            return "no further thread can be started (see `ulimit -u` and `ulimit -v`)"
        if isinstance(at, OSError) and at.errno in _LIMITS:
            return _LIMITS[at.errno]
        at = at.__cause__ or at.__context__
    return None


def hide_failed_threads() -> None:
    """Make Python silent about a thread that could not begin for lack of memory, because attn-doctor prints a sentence about it.

    Otherwise Python would print "Exception ignored in thread started by" and a traceback. Other ignored errors are still printed.
    """
    before = sys.unraisablehook

    def hook(ignored: sys.UnraisableHookArgs) -> None:
        if not issubclass(ignored.exc_type, MemoryError):
            before(ignored)

    sys.unraisablehook = hook


def code(error: BaseException) -> int:
    """Return the exit code: 3 if a limit of the machine was met, else 70."""
    return INTERNAL if limit(error) is None else NOT_EXAMINED


def sentence(error: BaseException) -> str:
    """Return one sentence about the error. For a failure of attn-doctor itself it contains the line to send to its authors."""
    reached = limit(error)
    if reached is not None:
        return f"could not examine: {reached}"
    return f"attn-doctor itself failed: {summary(error)}. {_whom()}; {VARIABLE}=1 shows more of it"


def _whom() -> str:
    """Return the words that ask the user to send the line, with the address of the project if the metadata have one."""
    try:
        from attn_doctor.system import published

        address = published.issues()
    except Exception:  # noqa: BLE001 - perhaps there is no memory, or the installation is damaged
        address = None
    return (
        f"Please send this line to {address}" if address else "Please send this line to those who gave you attn-doctor"
    )


def summary(error: BaseException) -> str:
    """Return the line to send: the exception, the innermost line of this package, and the versions."""
    from attn_doctor import __version__

    text = " ".join(str(error).split())[:300]
    where = _where(error)
    python = ".".join(map(str, sys.version_info[:3]))
    kind = type(error).__name__
    return f"{kind}{': ' + text if text else ''} ({where}, attn-doctor {__version__}, Python {python})"


def _where(error: BaseException) -> str:
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120
    where = "before its first line"
    frame = error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        if name.startswith(here):
            where = f"attn_doctor/{name[len(here) :].replace(os.sep, '/')}:{frame.tb_lineno}"
        frame = frame.tb_next
    return where


def tell(error: BaseException) -> int:
    """Print the sentence about an error of attn-doctor itself on standard error, and return the exit code.

    With ATTN_DOCTOR_DEBUG=1 the traceback comes first.
    """
    chosen = code(error)
    try:
        if os.environ.get(VARIABLE, "0") not in ("", "0"):
            import traceback

            sys.stderr.write("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        sys.stderr.write(f"attn-doctor: {printable(sentence(error))}\n")
        sys.stderr.flush()
    except Exception:  # noqa: BLE001, S110 - there is nobody left to tell; the exit code says it
        pass
    return chosen


_LIBRARY_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES")
_KEPT = "ATTN_DOCTOR_KEPT_"


def restore() -> None:
    """Set the variables again that `start_again` removed, so that the target gets them.

    They have no effect on this process: its loader read them at its start.
    """
    for name in _LIBRARY_VARIABLES:
        value = os.environ.pop(_KEPT + name, None)
        if value is not None:
            os.environ[name] = value
            _restored.append(name)


_restored: list[str] = []


def start_again(error: BaseException) -> None:
    """Start the same command again, without LD_PRELOAD, LD_LIBRARY_PATH and their like (`_LIBRARY_VARIABLES`). It then does not return.

    It returns, and does nothing, for an error that is not about a library, if none of these variables is set, if the command was
    started again already, and on Windows.

    Example: a truncated libz.so.1 on LD_LIBRARY_PATH keeps Python's own zlib from loading. Then attn-doctor would fail because of
    the fault that it should find.
    """
    there = [name for name in _LIBRARY_VARIABLES if os.environ.get(name)]
    if (
        not isinstance(error, (ImportError, OSError))
        or ".so" not in str(error)
        or not there
        or _restored
        or os.name != "posix"
    ):
        return
    environ = {name: value for name, value in os.environ.items() if name not in there}
    environ |= {_KEPT + name: os.environ[name] for name in there}
    own = getattr(sys, "orig_argv", [sys.executable, "-m", "attn_doctor", *sys.argv[1:]])
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *own[1:]], environ)  # noqa: S606
    except OSError:
        return
