"""Keep attn-doctor's own process working in a broken environment: its sys.path has only Python's folders and those of its packages.

PYTHONPATH may name the packages of another Python, or a folder with a json.py. The target is examined with PYTHONPATH
unchanged; attn-doctor itself imports nothing from there. Only `sys` may be imported here before the path is clean.
docs/hostile.md has the details.
"""

import sys

# The folders and files of the packages that attn-doctor imports, and of their dependencies.
REQUIRED = (
    "rich rich_argparse packaging msgspec pynvml cpuinfo jinja2 pygments markdown_it mdurl markupsafe typing_extensions argcomplete"
).split()
# Python imports these before any program. Code that replaces one of them already controls the process.
_NOT_REPLACED = frozenset(
    "__main__ _collections_abc abc codecs encodings io os site sitecustomize stat usercustomize".split()
)
_kept: "list[str] | None" = None


def clean() -> None:
    """Remove the entries from sys.path that the environment has put before Python's own modules.

    An entry stays, at the end, if it has a package that attn-doctor needs and finds in no other folder (`pip install --target`, the
    modules of a cluster). Also unloads modules that were imported from removed entries, and moves the user site to the end if
    attn-doctor is not installed in it. Only for attn-doctor's own process: a program that imports attn_doctor keeps its path.
    """
    global _kept  # noqa: PLW0603 - there is one path in a process
    place = _of_python()
    if place is None:
        _kept = []
        return
    front, own = sys.path[:place], sys.path[place:]
    sys.path[:] = own
    import os

    _user_site_last(os, own)
    _forget(os, [entry for entry in front if entry not in own])
    _kept = _needed(os, [entry for entry in dict.fromkeys(front) if entry not in own], own)
    sys.path[:] = [*own, *_kept]


def environment() -> "dict[str, str]":
    """Return the variables for a child with attn-doctor's own interpreter: PYTHONPATH has the folders of our packages only.

    Empty if another program imported attn_doctor: then the child gets PYTHONPATH as it is.
    """
    if _kept is None:  # attn_doctor was imported by another program, which keeps its path
        return {}
    import os

    return {"PYTHONPATH": os.pathsep.join(_kept)}


def _of_python() -> "int | None":
    """Return the index in sys.path at which Python's own entries begin; None if they are not found.

    The first of them is python3XX.zip, a file that need not exist.
    """
    name = "python{}{}.zip".format(*sys.version_info[:2])
    for place, entry in enumerate(sys.path):
        if isinstance(entry, str) and entry.replace("\\", "/").rpartition("/")[2] == name:
            return place
    return None


def _user_site_last(os: "Any", own: "list[str]") -> None:
    user = getattr(sys.modules.get("site"), "USER_SITE", None)
    if user not in own:
        return
    try:
        installed = any(name.startswith(("attn_doctor-", "attn_doctor.")) for name in os.listdir(user))
    except OSError:
        installed = False
    if not installed and not os.path.isdir(os.path.join(user, "attn_doctor")):
        own.remove(user)
        own.append(user)
        sys.path[:] = own


def _forget(os: "Any", front: "list[str]") -> None:
    """Unload the modules that came from these folders.

    The next import then finds Python's own module, or attn-doctor's.
    """
    folders = {os.path.abspath(entry) for entry in front}
    tops = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or name in _NOT_REPLACED or name == "attn_doctor" or not isinstance(file, str):
            continue
        folder = os.path.dirname(os.path.abspath(file))
        if os.path.basename(file).startswith("__init__."):
            folder = os.path.dirname(folder)
        if folder in folders:
            tops.add(name)
    for name in list(sys.modules):
        if name.partition(".")[0] in tops:
            del sys.modules[name]


def _needed(os: "Any", front: "list[str]", own: "list[str]") -> "list[str]":
    """Return the folders of `front` that must stay, because only they have a package that attn-doctor needs; attn-doctor's own first.

    The folders of `_unasked` never stay.
    """
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    unasked = _unasked(os) - {home}
    kept: list[str] = []
    for entry in sorted(front, key=lambda entry: os.path.abspath(entry) != home):
        lacking = [name for name in REQUIRED if not any(_holds(os, other, name) for other in (*own, *kept))]
        if os.path.abspath(entry) not in unasked and any(_holds(os, entry, name) for name in lacking):
            kept.append(entry)
    return kept


def _unasked(os: "Any") -> "set[str]":
    """Return the folders that Python itself put on the path: the current folder (`python -m`), and the folder of the script."""
    try:
        here = {os.getcwd()}
    except OSError:
        here = set()
    return {*here, os.path.dirname(os.path.realpath(sys.argv[0] or "."))}


def _holds(os: "Any", folder: str, name: str) -> bool:
    path = os.path.join(folder, name)
    return bool(os.path.isdir(path) or os.path.isfile(path + ".py"))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
