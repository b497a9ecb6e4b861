"""A package was written for an older Python than the one that builds or runs it.

What it is
    Each release of Python removes names and modules that had been marked as old for years. A package that still uses one of them fails when its
    setup.py runs, when its C files are compiled, or when it is imported. Nothing is damaged, and no CUDA is concerned.

How it shows
    "KeyError: '__version__'" in a setup.py under Python 3.13; "No module named 'imp'" (3.12), "No module named 'cgi'" or "'audioop'" (3.13);
    "module 'ast' has no attribute 'Str'" (3.14); "module 'configparser' has no attribute 'SafeConfigParser'" (3.12); "cannot import name
    'getargspec' from 'inspect'" (3.11); "module 'collections' has no attribute 'Mapping'" (3.10); "longintrepr.h: No such file or directory"
    (3.11), "too few arguments to function '_PyLong_AsByteArray'" (3.13); "the configured Python interpreter version (3.13) is newer than PyO3's
    maximum supported version (3.12)"; "Cannot install on Python version 3.14.0; only versions >=3.9,<3.13 are supported".

Why it happens
    The newest release of the package is years old, or the requirements name an old one. There is no finished wheel for this Python, so that
    its source is built.

    `exec` in a function no longer changes what `locals()` returns since Python 3.13. Many a setup.py reads its version in that way, for
    example those of basicsr, gfpgan, realesrgan and facexlib.

What to do
    Take a newer release of the package, if there is one; else an environment with an older Python, 3.12 or what the message says. For a module that
    was removed from the standard library, PyPI may have a package that brings it back (audioop-lts, legacy-cgi): it helps a program that runs, and
    does not help a build, which has an environment of its own.

How to reproduce
    There is no recipe: a new Python is needed. With Python 3.13, `python -m pip install basicsr` shows the first line.

References
    https://docs.python.org/3/whatsnew/3.13.html#defined-mutation-semantics-for-locals
    https://docs.python.org/3/whatsnew/3.12.html#removed
    https://docs.python.org/3/whatsnew/3.14.html#removed
    https://github.com/python/cpython/issues/118888
    https://github.com/xinntao/Real-ESRGAN/pull/952
"""

from __future__ import annotations

from typing import Literal

import msgspec

from attn_doctor import commands
from attn_doctor.commands import new_pythons, places
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, gone_from_python, subject
from attn_doctor.logs.errors import log_end
from attn_doctor.logs.reader import Match, Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.versions import dotted, pair

MODE = FailureMode(
    code="AD250",
    slug="code-older-than-python",
    title="A package written for an older Python",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED, "environment-pollution", "requirements-missing"),
    signs=(
        *gone_from_python.SIGNS,
        Sign(
            pattern=r"^KeyError: ['\"](?P<key>__version__|__VERSION__|short_version|version|VERSION)['\"]$",
            literal="KeyError: ",
            sample="KeyError: '__version__'",
            strength="hint",
        ),
        # The frame above it: a setup.py, which a build runs under the name <string>.
        Sign(
            pattern=r"File \"(?:<string>|[^\"]{0,300}setup\.py)\", line \d+, in (?P<frame>[\w<>]+)",
            literal='", line ',
            sample='  File "<string>", line 91, in get_version',
            strength="context",
        ),
        Sign(
            pattern=r"[Pp]ython(?P<python>3\.\d{1,2})(?!\d)|Python(?P<tag>3\d{1,2})[\\/]",
            literal="ython3",
            sample='  File "/venv/lib/python3.13/site-packages/x.py", line 33, in run_setup',
            strength="context",
        ),
        Sign(
            pattern=r"Python interpreter version \((?P<have>3\.\d+)\) is newer than PyO3's maximum supported version \((?P<most>3\.\d+)\)",
            literal="PyO3's maximum supported version",
            sample="error: the configured Python interpreter version (3.13) is newer than PyO3's maximum supported version (3.12)",
        ),
        Sign(
            pattern=r"Cannot install on Python version (?P<have>3\.\d+)[\w.]*; only versions [>=\d., ]*<=?(?P<below>3\.\d+)[\w.]* are supported",
            literal="Cannot install on Python version ",
            sample="RuntimeError: Cannot install on Python version 3.14.0; only versions >=3.9,<3.13 are supported.",
        ),
    ),
)
# There is no `detect`: no fact says which names the code of a package uses.


class Older(Variant, frozen=True, kw_only=True):
    """Hold the newest Python for which the code was written, "3.12", and the module that could be brought back.

    `at`: whether the code failed while it was built, or while it ran. `name`: the name that is gone, "collections.Mapping".
    """

    python: str
    at: Literal["build", "run"]
    module: str | None = None
    name: str | None = None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    told = [m for m in seen.matches if m.strength == "proof" and not _survived(seen, m)]
    if not told:
        return _of_exec(facts, seen)
    first = told[-1]
    groups = first.groups
    here = _version(groups.get("have")) or _python(facts, seen)
    if (most := _version(groups.get("most"))) is not None:
        return _hit(facts, seen, told, f"PyO3, which the build uses, knows no Python after {dotted(most)}", most)
    if (below := _version(groups.get("below"))) is not None:
        return _hit(facts, seen, told, f"This release supports only Python before {dotted(below)}", _before(below))
    in_c = next((group for group in groups if group.removesuffix("b") in gone_from_python.C_SINCE), None)
    if in_c is not None:
        since = gone_from_python.C_SINCE[in_c.removesuffix("b")]
        what = f"The C files use {groups[in_c]}, which Python {dotted(since)} removed or changed"
        return None if here is not None and here < since else _hit(facts, seen, told, what, _before(since))
    module = groups.get("module")
    name = module or f"{groups.get('owner')}.{groups.get('name')}"
    removed = gone_from_python.since(groups.get("owner"), groups.get("name"), module)
    if removed is None or (here is not None and here < removed):
        return None
    what = f"which Python {dotted(removed)} removed"
    if module == "numpy.distutils":
        what = f"which NumPy does not have from Python {dotted(removed)} on"
    hit = _hit(facts, seen, told, f"The code uses {name}, {what}", _before(removed))
    older = hit.variant
    assert isinstance(older, Older)
    return msgspec.structs.replace(hit, variant=msgspec.structs.replace(older, module=module, name=name))


def _hit(facts: Facts, seen: Seen, told: list[Match], what: str, python: tuple[int, int]) -> Hit:
    built = any(building.in_build(seen, m) for m in told) or facts.subject.doing == "building"
    return Hit(
        message=f"{what}: this code was written for an older Python.",
        evidence=building.lines(told),
        variant=Older(python=dotted(python), at="build" if built else "run"),
    )


_NEAR = 8  # lines at most between a frame and its error: the line of code, the ^ marks below it, empty lines


def _of_exec(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for a setup.py that reads its version out of locals() after exec(), which Python 3.13 no longer fills."""
    frames = [m for m in seen.matches if "frame" in m.groups]
    told = [
        m
        for m in seen.matches
        if m.strength == "hint"
        and not _survived(seen, m)
        and any(f.file == m.file and 0 < m.line - f.line <= _NEAR for f in frames)
    ]
    here = _python(facts, seen)
    if not told or (here is not None and here < (3, 13)):
        return None
    what = "setup.py reads its version out of locals() after exec(), which does not work since Python 3.13"
    hit = _hit(facts, seen, told, what, (3, 12))
    return hit if here is not None else msgspec.structs.replace(hit, confidence=Confidence.MEDIUM)


def _survived(seen: Seen, match: Match) -> bool:
    """Return whether the program went on after this error."""
    log = next((log for log in seen.logs if log.file == match.file), None)
    if log is None:
        return False
    if any(m.line > match.line for m in log.about("installation ended well")):
        return True
    went_on = log_end(log).continued
    return went_on is not None and went_on.first <= match.line <= went_on.last


def _python(facts: Facts, seen: Seen) -> tuple[int, int] | None:
    """Return the Python of the log, by its facts or by a path in it: "/lib/python3.13/"."""
    tag = seen.group("tag")
    text = facts.interpreter.version if isinstance(facts.interpreter.version, str) else seen.group("python")
    return _version(text or (f"{tag[0]}.{tag[1:]}" if tag else None))


def _version(text: str | None) -> tuple[int, int] | None:
    return pair(text) if text else None


def _before(python: tuple[int, int]) -> tuple[int, int]:
    """Return the Python before, and 3.12 at most: all packages that people train with have wheels for it."""
    return min((python[0], python[1] - 1), (3, 12))


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    older = hit.variant if isinstance(hit.variant, Older) else Older(python="3.12", at="run")
    verify = building.verify(facts) if older.at == "build" else commands.check(facts)
    why = f"the newest Python for which this code was written is {older.python}; then install your packages into it"
    another = Fix(
        title=f"Use Python {older.python}", steps=new_pythons.another(facts, older.python, why), verify=verify
    )
    newer, mended = _newer(facts, older), gone_from_python.MENDED.get(subject.stated(facts) or "")
    if mended is not None and older.at == "build":
        return (*_mended(facts, mended), another)
    back = gone_from_python.BACK.get(older.module or "") if older.at == "run" else None
    if back is not None:
        step = commands.install(back, why=f"brings the module {older.module} back", changes=f"adds {back}")
        return (Fix(title=f"Install {back}", steps=(step,), verify=verify), another, *newer)
    if newer and places.hosted(facts):
        return (*newer, another)  # Colab and Kaggle come with one Python alone
    now = gone_from_python.NOW.get(older.name or "") if older.at == "run" and not newer else None
    if now is None:
        return (another, *newer)
    words = f"where the traceback ends: write {now} in place of {older.name}, if that program is yours"
    change = commands.by_hand((), words, "the program", "none")
    return (another, Fix(title="Change the name in the program", steps=(change,), verify=verify))


def _mended(facts: Facts, releases: str) -> tuple[Fix, ...]:
    """Return the fix that installs a release with wheels for this Python. `releases`: ">=0.5.12"."""
    name = subject.words(facts)
    step = commands.install(
        f"{name}{releases}",
        why="these releases have wheels for this Python: nothing is compiled",
        changes=f"adds {name}",
    )
    return (Fix(title=f"Take a newer release of {name}", steps=(step,), verify=building.verify(facts)),)


# Their newest releases have the fault too: basicsr 1.4.2, gfpgan 1.3.8, realesrgan 0.3.0, facexlib 0.3.0.
_NOT_MENDED = ("basicsr", "gfpgan", "realesrgan", "facexlib")


def _newer(facts: Facts, older: Older) -> tuple[Fix, ...]:
    """Return the fix that takes a newer release of the package; empty if the log does not name it, or if there is none."""
    name = subject.stated(facts)
    if name is None or name in _NOT_MENDED:
        return ()
    pinned = subject.pinned(facts)
    if older.at == "build" and pinned is None:
        words = f"look for a newer release of {name} at https://pypi.org/project/{name}/#history; a package that needs an old one names it in its requirements"
        step = commands.by_hand((), words, "nothing", "none")
    else:
        step = commands.install(
            name, upgrade=True, why=f"a newer release of {name} may be for this Python", changes=name
        )
    return (Fix(title=f"Take a newer release of {name}", steps=(step,), verify=building.verify(facts)),)
