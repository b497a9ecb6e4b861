"""Prevent the programs that attn-doctor starts from running code of the current folder. Excepted is the user's own (`attn-doctor run`).

`python -m`, `python -c` and `python -` search for modules in the current folder first, and an empty entry of PYTHONPATH or
LD_LIBRARY_PATH means the current folder too. Then a json.py or a libgomp.so.1 in that folder would run. So a child starts in an
empty folder that attn-doctor makes. An installer stays in the current folder, for its `-e .` and `-r requirements.txt`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

from attn_doctor.system import leftovers

# Search paths. A relative entry would mean a different folder for a child, which starts in the empty folder.
_SEARCH_PATHS = ("PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH")
# Does what `python -m MODULE` does, without the current folder on the path. `-P` does the same, from Python 3.11 on.
_MODULE = (
    "import sys; sys.path[:] = [p for p in sys.path if p not in ('', '.')]; del sys.argv[0]; "
    "import runpy; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)
_lock = threading.Lock()
_made: list[str] = []


def where() -> str | None:
    """Return the path of the current folder. None if the folder was deleted, or cannot be read."""
    try:
        return os.getcwd()  # noqa: PTH109 - Path.cwd() is the same call
    except OSError:
        return None


def empty() -> str:
    """Return the empty folder in which children start. The first call makes it; it is removed when attn-doctor ends.

    If no folder for temporary files is writable, the top folder ("/") is returned.
    """
    with _lock:
        if not _made or not os.path.isdir(_made[0]):
            # a child that crashes may leave a core file there; the top folder, if no folder for temporary files is writable
            _made[:] = [leftovers.new_folder("empty-") or os.path.abspath(os.sep)]  # noqa: PTH100
        return _made[0]


def cleaned(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of an environment whose search paths omit the current folder, and are valid in any folder.

    An empty entry, and a relative entry that leads to the current folder, are left out; any other relative entry is made
    absolute. An absolute path of the current folder is kept: the user set it on purpose, and it is valid in any folder.
    """
    made = dict(environ)
    here = where()
    for name in _SEARCH_PATHS:
        value = made.get(name)
        if not value:
            continue
        entries = value.split(os.pathsep)
        kept = [path for entry in entries if (path := _absolute(entry, here)) is not None]
        if kept == entries:
            continue
        if kept:
            made[name] = os.pathsep.join(kept)
        else:
            del made[name]
    return made


def _absolute(entry: str, here: str | None) -> str | None:
    if os.path.isabs(entry):  # noqa: PTH117
        return entry
    if here is None or not entry:
        return None
    path = os.path.normpath(os.path.join(here, entry))  # noqa: PTH118
    return None if os.path.realpath(path) == os.path.realpath(here) else path


def program(argv: Sequence[str]) -> list[str]:
    """Return an argv in which a relative path of the program is made absolute, so that it can be started from any folder."""
    first, *rest = argv
    if os.path.dirname(first) and not os.path.isabs(first):  # noqa: PTH117, PTH120
        first = os.path.abspath(first)  # noqa: PTH100
    return [first, *rest]


def guarded(argv: Sequence[str], cwd: str | None = None) -> tuple[list[str], str | None]:
    """Return a command and the folder to start it in, changed so that its Python runs no code of the current folder.

    A command of pip stays in `cwd` (None: the current folder), because its arguments may be relative to it: `-e .`, and
    `find-links = wheels` in the user's settings. Any other module (`ensurepip`, `venv`, `build`) and `-c` have no such arguments and
    start more Pythons, so they run in the empty folder. Any other command (uv, conda, rm) stays in `cwd`; only a relative path of its program is
    made absolute.
    """
    made = program(argv)
    if made[1:2] == ["-m"] and len(made) > 2:
        in_place = made[2] == "pip"
        return [made[0], "-c", _MODULE, *made[2:]], cwd if in_place else empty()
    if made[1:2] == ["-c"]:
        return made, empty()
    return made, cwd
