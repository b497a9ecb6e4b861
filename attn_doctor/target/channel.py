# The channel between a child and the doctor. Runs first, in the target: stdlib only, Python 3.8 grammar.
#
# The real standard output is moved to another descriptor and fd 1 points at standard error from here on, so that the
# output of other code (sitecustomize, C code, grandchildren) cannot corrupt the records. A record is one line: a separator, the
# nonce, JSON. It is written at once, so that a crash keeps all earlier records.
#
# The current folder was already removed from the path (child/program_text.py). -I and -P are not used: -I drops PYTHONPATH and
# the user site, which the user's program does see, and -P is new in Python 3.11.
import faulthandler
import json
import os
import sys
import time

CONFIG = json.loads(_CONFIG)  # noqa: F821 - set by the program's first lines, as _NONCE is
_real_stdout = os.dup(1)
os.dup2(2, 1)
_open_sections = []
_deadline = time.monotonic() + float(CONFIG["deadline"])


def _watch():
    """Print the stack on standard error shortly before attn-doctor ends this process. The stack shows where the process hangs."""
    seconds = min(float(CONFIG["quiet"]), _deadline - time.monotonic())
    if seconds > 0.3:
        faulthandler.dump_traceback_later(seconds - min(1.0, seconds / 4), exit=False, file=2)


def send(at, section, data=None):
    line = "\x1e" + _NONCE + " " + json.dumps({"at": at, "section": section, "data": data}) + "\n"  # noqa: F821
    raw = line.encode("ascii")
    while raw:
        raw = raw[os.write(_real_stdout, raw) :]


def tell(section, data):
    """Send one record of the kind "fact" for a section."""
    send("fact", section, data)


class section:
    """Name the step that runs now, so that the report of a crash or a hang can name it.

    An exception inside the step is reported, and ends the step.
    """

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.started = time.monotonic()
        _open_sections.append(self.name)
        _watch()
        send("begin", self.name)
        return self

    def __exit__(self, kind, error, trace):
        _open_sections.pop()
        spent = time.monotonic() - self.started
        if error is not None:
            send("raised", self.name, fault_of(error, spent))
        send("end", self.name, {"seconds": spent})
        # SystemExit too: `import x` that calls sys.exit() must not end the examination of all later modules.
        return error is not None and not isinstance(error, KeyboardInterrupt)


def fault_of(error, seconds=None):
    """Return an exception as the fields of a Fault.

    `where` is the innermost frame that does not belong to attn-doctor; None: there is none.
    """
    import traceback

    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<attn-doctor")]
    frames = [f for f in frames if not f.filename.startswith("<frozen importlib")]
    where = "{}:{} in {}".format(frames[-1].filename, frames[-1].lineno, frames[-1].name) if frames else None
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    fault = {
        "kind": "exited" if isinstance(error, SystemExit) else "raised",
        "type": type(error).__name__,
        "message": str(error)[:4000],
        "where": where,
        "traceback": text if len(text) <= 6000 else text[-6000:].partition("\n")[2] or text[:6000],
        "seconds": seconds,
    }
    if isinstance(error, SystemExit):
        # int() for `sys.exit(True)`
        fault["exit_code"] = int(error.code) if isinstance(error.code, int) else (0 if error.code is None else 1)
    return fault


def words_of(error):
    """Return an exception as Python prints it at the end of a traceback. Of a SyntaxError its one line, without the source code before it."""
    if isinstance(error, SyntaxError):
        return "{}: {}".format(type(error).__name__, error)
    import traceback

    return "".join(traceback.format_exception_only(type(error), error)).strip()


def unknown(why):
    return {"unknown": str(why)}


def remaining():
    """Return the seconds until the doctor ends this process."""
    return max(0.0, _deadline - time.monotonic())


faulthandler.enable(file=2, all_threads=False)
_watch()
send("hello", "", {"executable": sys.executable, "version": list(sys.version_info[:3]), "pid": os.getpid()})
