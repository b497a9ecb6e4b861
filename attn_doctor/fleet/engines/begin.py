"""Unpack the parcel on a node, find a Python there that can run it, and become that Python. The `__main__.py` of the parcel.

Runs under any Python from 3.6 on, so that a node with an old Python can report it; standard library only. `node` does the rest.
Arguments: a word that marks the answer; the seconds for the check; "hold" if the standard input stays open while somebody waits
for the answer (else "free"); the target's Python or an empty text; then the arguments of `attn-doctor check`.
"""
# typing.List, because Python 3.6 to 3.8 have no list of str in brackets.
# ruff: noqa: PTH108, PTH123, PTH207, UP006, UP030, UP035

import base64
import glob
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from typing import List

_OLDEST, _NEWEST = 10, 14  # of Python 3: what attn-doctor runs under
_TEST = """
import platform, sys
sys.path.insert(0, sys.argv[1])
here = "Python %d.%d" % sys.version_info[:2]
if sys.version_info < (3, 10):
    sys.exit(here + " is too old")
try:
    import msgspec
except ImportError as error:
    sys.exit("%s on %s lacks msgspec: %s" % (here, platform.machine(), error))
"""
_GO = "import sys; sys.path.insert(0, sys.argv[1]); from attn_doctor.fleet.engines.node import main; sys.exit(main(sys.argv[1:]))"
_PATIENCE = 20.0  # seconds for the start of one Python
_NO_EXECUTION = "failed to map segment"  # what the loader of glibc and musl says of a library on a file system that is mounted noexec
_LINE = 8000  # characters: a line of a pod's log is cut into parts above 16 KiB


def frame(word: str, end: str, said: str = "", seconds: float = 0.0, report: bytes = b"") -> bytes:
    """Return the answer of a node as lines of ASCII. The first and the last line contain the word.

    `end`, `said`, `seconds`: fields of a `model.fleet.NodeAnswer`. `report`: the JSON that `check` wrote.
    """
    text = json.dumps({"end": end, "said": said, "seconds": seconds, "report": report.decode("utf-8", "replace")})
    packed = base64.b64encode(zlib.compress(text.encode("utf-8"))).decode("ascii")
    lines = [packed[place : place + _LINE] for place in range(0, len(packed), _LINE)]
    body = "\n".join(lines)
    # The first line break ends a line that something else began.
    return f"\nattn-doctor-answer {word} begin\n{body}\nattn-doctor-answer {word} end\n".encode("ascii")


def _places() -> List[str]:
    """Return the folders into which the parcel may be unpacked. The system's own temporary folder is first.

    The others are folders that are rarely mounted with noexec.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return [place for place in (tempfile.gettempdir(), "/var/tmp", "/dev/shm", runtime) if os.path.isdir(place)]  # noqa: S108


def _pythons(target: str) -> List[str]:
    """Return the Pythons to try, the best first: the running one, those on PATH and in the usual folders, then the target."""
    names = [f"python3.{minor}" for minor in range(_NEWEST, _OLDEST - 1, -1)]
    found = [shutil.which(name) for name in names]
    for name in names:
        for pattern in ("/usr/bin/", "/usr/local/bin/", "/opt/*/bin/", os.path.expanduser("~/*conda*/bin/")):
            found.extend(sorted(glob.glob(pattern + name)))
    every = [sys.executable, *found, target]
    return [python for place, python in enumerate(every) if python and python not in every[:place]]


def _works(python: str, folder: str, options: List[str]) -> str:
    """Return an empty text if this Python can run attn-doctor from the folder; else the reason."""
    try:
        done = subprocess.run(
            [python, "-I", "-B", *options, "-c", _TEST, folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not start within {_PATIENCE:g} s"
    except OSError as error:
        return str(error)
    words = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return "" if done.returncode == 0 else (words[-1] if words else f"ended with exit code {done.returncode}")


def main(arguments: List[str]) -> int:
    """Replace this process by a Python that runs the module `node`. `arguments`: see the text of this module.

    Returns 3, after an answer "refused", if no Python on this machine can run it.
    """
    word, target = arguments[0], arguments[3]
    with open(sys.argv[0], "rb") as file:
        data = file.read()
    if os.environ.pop("ATTN_DOCTOR_PARCEL", "") == sys.argv[0]:
        os.unlink(sys.argv[0])
    said: List[str] = []
    for place in _places():
        folder = ""
        try:
            folder = tempfile.mkdtemp(prefix="attn-doctor-", dir=place)
            with zipfile.ZipFile(io.BytesIO(data)) as parcel:
                parcel.extractall(folder)
            said = []
            # -S: the packages of that Python are not imported. Without it, its own msgspec can stand in for one that was not brought.
            for options in (["-S"], []):
                for python in _pythons(target):
                    why = _works(python, folder, options)
                    if not why:
                        sys.stdout.flush()
                        os.execv(python, [python, "-I", "-B", *options, "-c", _GO, folder, *arguments])  # noqa: S606, TID251
                    said.append(f"{python}: {why}")
        except OSError as error:
            said = [f"{place}: {error}"]
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        if not any(_NO_EXECUTION in why or "space" in why or "ermission" in why for why in said):
            break
    sentence = "no Python there can run attn-doctor, which needs Python 3.10 or newer ({0})".format("; ".join(said[:6]))
    sys.stdout.write(frame(word, "refused", sentence).decode("ascii"))
    return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
