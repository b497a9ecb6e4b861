"""Ask a Python about itself: version, origin of its modules, installed packages.

No package of that Python is imported: target/inventory.py reads metadata and files. The answer is a record. If there is no
answer, NoAnswer is raised, with one sentence that is the same in every command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from attn_doctor import child
from attn_doctor.errors import NoAnswer
from attn_doctor.knowledge.modules import MODULE_OF, TRAINING
from attn_doctor.model import listed_values
from attn_doctor.model.facts import Fault, Interpreter, Record, Unknown
from attn_doctor.model.foreign_text import text
from attn_doctor.system import current_folder

What = Literal["interpreter", "layout", "modules", "path", "here", "standard", "pth", "distributions", "markers"]
# The sections of an answer. "isolated" and "not-run" need not be asked for: they are in every answer.
Section = What | Literal["isolated", "not-run"]
EVERYTHING: tuple[What, ...] = (
    "interpreter",
    "modules",
    "path",
    "here",
    "standard",
    "pth",
    "distributions",
    "markers",
)
T = TypeVar("T")

SCRIPTS = ("target/channel.py", "target/hidden_modules.py", "target/inventory.py")
STATIC_SCRIPTS = ("target/channel.py", "target/search_path.py", *SCRIPTS[1:])
# Looking at an environment must not write bytecode into it.
QUIET = {"PYTHONDONTWRITEBYTECODE": "1"}
# The effect of -I. Python 2.7 has no -I, and would end before it could say its version. The channel drops the current folder itself.
_ALONE = ("-B", "-E", "-s", "-S")


class Module(Record, frozen=True, kw_only=True):
    """Describe the place from which a top-level module would be imported.

    `origin`: its file; None if there is no module or if it is a namespace package.
    """

    name: str
    origin: str | None = None
    namespace: bool = False
    folders: tuple[str, ...] = ()  # of a package: where its submodules are searched for
    error: str | None = None  # what a finder raised


class Metadata(Record, frozen=True, kw_only=True):
    """Describe one dist-info or egg-info folder."""

    name: str
    version: str
    location: str  # the folder on sys.path
    folder: str  # the dist-info or egg-info folder
    installer: str | None = None  # "pip", "uv"
    direct_url: str | None = None  # where it was installed from, if not from an index
    wheel_tags: tuple[str, ...] = ()  # "cp312-cp312-linux_x86_64"
    requires: tuple[str, ...] = ()  # requirements, as the metadata writes them


class Installed(Record, frozen=True, kw_only=True):
    """Hold the installed packages. If two packages have one name, the first on sys.path comes first, because Python imports it."""

    found: tuple[Metadata, ...] = ()
    remnants: tuple[str, ...] = ()  # folders that begin with "~": an interrupted pip left them
    broken: tuple[str, ...] = ()  # metadata folders without a name or a version
    conda: tuple[str, ...] | None = None  # conda's packages; None outside of conda
    present: tuple[str, ...] = ()  # requirements whose module exists, although no distribution has that name


class Layout(Record, frozen=True, kw_only=True):
    """Hold the folders into which an installer would write, and what a copy of the environment needs: its Python, version and sys.path."""

    python: str
    version: str  # "3.11"
    base: str  # the interpreter that a virtual environment was made from
    prefix: str
    base_prefix: str
    purelib: str
    platlib: str
    scripts: str
    data: str
    path: tuple[str, ...] = ()
    user: tuple[str, ...] = ()  # folders of the user site; empty if it is off


def _not_asked() -> Unknown:
    return Unknown("it was not asked")


_NOT_ASKED: Any = msgspec.field(default_factory=_not_asked)


class Answer(Record, frozen=True, kw_only=True):
    """Hold the answer of a Python, one field for each section. A section that is missing or malformed is unknown."""

    interpreter: Interpreter = msgspec.field(default_factory=Interpreter)
    layout: Layout | Unknown = _NOT_ASKED
    modules: tuple[Module, ...] | Unknown = _NOT_ASKED
    isolated: tuple[Module, ...] | Unknown = _NOT_ASKED  # only if no code of the environment was run
    path: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()  # .pth files with lines that Python would run at its start
    here: tuple[str, ...] | Unknown = _NOT_ASKED  # files in the current folder that hide a module
    standard: tuple[str, ...] | Unknown = _NOT_ASKED  # files on PYTHONPATH that hide a module of the standard library
    pth: tuple[str, ...] | Unknown = _NOT_ASKED  # lines of .pth files whose path does not exist
    distributions: Installed | Unknown = _NOT_ASKED
    markers: dict[str, str] = msgspec.field(default_factory=dict)
    seconds: float = 0.0

    def module(self, name: str) -> Module:
        """Return the place of a module; a `Module` without an origin if the answer does not name it."""
        modules = () if isinstance(self.modules, Unknown) else self.modules
        return next((module for module in modules if module.name == name), Module(name=name))


def ask(
    python: str,
    what: Sequence[What],
    environ: Mapping[str, str],
    deadline: float = 120.0,
    *,
    modules: Sequence[str] = (),
    options: Sequence[str] = (),
    without: Sequence[str] = (),
    static: bool = False,
    on_slow: Callable[[str], None] | None = None,
) -> Answer:
    """Ask a Python about itself. Raises NoAnswer if it does not answer, or is not a Python.

    `what`: the sections to ask for. `environ`: the variables with which the Python is started; `without`: names of variables to
    remove from them. `deadline`: seconds. `modules`: the module names to look up for the section "modules". `options`: options of
    the interpreter, such as -I. `static`: start it without `site`, so that no code of the environment runs; then
    target/search_path.py works out sys.path. `on_slow`: see `child.run`.
    """
    config = {
        "ask": [*what, *(("isolated", "not-run") if static else ())],
        "watched": list(modules),
        "module_of": MODULE_OF,
        "training": TRAINING,
        "here": current_folder.where(),
        "python": python,
    }
    try:
        outcome = child.run(
            [python, *(_ALONE if static else ()), *options],
            STATIC_SCRIPTS if static else SCRIPTS,
            config=config,
            deadline=deadline,
            environ=environ,
            changes={**QUIET, **dict.fromkeys(without)},
            on_slow=on_slow,
        )
    except OSError as error:
        raise NoAnswer(text(python), f"cannot be started: {error.strerror or error}") from error
    path = "" if "PYTHONPATH" in without else environ.get("PYTHONPATH", "")
    _check(python, outcome, path)
    said: dict[str, Any] = {m.section: m.data for m in outcome.messages if m.at == "fact"}
    return Answer(
        interpreter=_interpreter(python, said, outcome, path) if "interpreter" in what else Interpreter(),
        layout=_section(said, outcome, "layout", Layout),
        modules=_section(said, outcome, "modules", tuple[Module, ...]),
        isolated=_section(said, outcome, "isolated", tuple[Module, ...]),
        path=_or(_section(said, outcome, "path", tuple[str, ...]), ()),
        not_run=_or(_section(said, outcome, "not-run", tuple[str, ...]), ()),
        here=_section(said, outcome, "here", tuple[str, ...]),
        standard=_section(said, outcome, "standard", tuple[str, ...]),
        pth=_section(said, outcome, "pth", tuple[str, ...]),
        distributions=_section(said, outcome, "distributions", Installed),
        markers=_or(_section(said, outcome, "markers", dict[str, str]), {}),
        seconds=outcome.seconds,
    )


def describe(fault: Fault) -> str:
    """Return a fault in a few words: "ImportError: libcudart.so.12: cannot open ...", "killed by SIGSEGV", "no answer in 120 s"."""
    if fault.kind == "raised":
        return f"{fault.type}: {fault.headline}" if fault.headline else str(fault.type)
    if fault.kind == "signal":
        return f"killed by {fault.signal}"
    if fault.kind == "exited":
        return f"it ended the process with exit code {fault.exit_code}"
    if fault.kind == "flooded":
        return "it printed without end, and was ended"
    seconds = f" in {fault.seconds:.0f} s" if fault.seconds else ""
    return f"no answer{seconds}" + (", and it cannot be killed" if fault.kind == "vanished" else "")


def _check(python: str, outcome: child.Outcome, python_path: str) -> None:
    """Raise NoAnswer if the program is not a Python that can be examined, or gave no answer."""
    shown = text(python)
    old = next((m.data for m in outcome.messages if m.at == "too-old"), None)
    if old is not None:
        oldest = ".".join(map(str, child.OLDEST_TARGET))
        raise NoAnswer(shown, f"is Python {old}; attn-doctor examines Python {oldest} and newer")
    if any(m.at == "hello" for m in outcome.messages):
        return
    if "python" not in Path(python).name.lower() and "Fatal Python error" not in outcome.chatter:
        raise NoAnswer(shown, "is no Python interpreter")
    died = describe(outcome.fault) if outcome.fault else "it printed nothing"
    said = _last_words(outcome.chatter, python_path)
    raise NoAnswer(shown, f"did not answer: {died}" + (f" ({said})" if said else ""))


def _last_words(chatter: str, python_path: str) -> str:
    """Return the end of the output of a Python that died at its start, quoted; with the file that failed, if it is in a folder of PYTHONPATH."""
    said = (chatter.strip().splitlines() or [""])[-1][:400]
    file = (re.findall(r'^ *File "([^"<>]+)", line \d+', chatter, re.MULTILINE) or [""])[-1]
    folders = [os.path.abspath(p) + os.sep for p in python_path.split(os.pathsep) if p]  # noqa: PTH100
    if file.startswith(tuple(folders)):
        return f"{said}, in {text(file)}, which PYTHONPATH puts in front: unset PYTHONPATH, and look again"
    return said


def _interpreter(python: str, said: Mapping[str, Any], outcome: child.Outcome, python_path: str) -> Interpreter:
    if not isinstance(said.get("interpreter"), dict):
        words = _last_words(outcome.chatter, python_path)
        raise NoAnswer(text(python), f"started, but could not say what it is: {words}")
    try:
        return listed_values.convert(said["interpreter"], Interpreter)
    except msgspec.ValidationError as error:
        raise NoAnswer(text(python), f"says what it is in a way that cannot be understood ({error})") from error


def _section(said: Mapping[str, Any], outcome: child.Outcome, name: Section, kind: type[T]) -> T | Unknown:
    """Return the record of one section; Unknown with the reason if the answer lacks the section."""
    if name not in said:
        raised = outcome.raised(name)
        if raised:
            return Unknown(f"asking the target for its {name} failed: {raised.type}: {raised.message}")
        return Unknown(f"the target did not say its {name}")
    value = said[name]
    if isinstance(value, dict) and set(value) == {"unknown"}:
        return Unknown(str(value["unknown"]))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return Unknown(f"the target's {name} cannot be understood ({error})")


def _or(value: T | Unknown, otherwise: T) -> T:
    return otherwise if isinstance(value, Unknown) else value
