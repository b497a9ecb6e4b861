"""A package's setup.py or setup.cfg uses what setuptools no longer has.

What it is
    setuptools removes old options and commands with its releases. A package without a wheel runs its setup.py with the installed setuptools,
    or, in an isolated build, with the newest one.

How it shows
    "error in PACKAGE setup command: use_2to3 is invalid.", "No module named 'setuptools.command.test'", "Invalid dash-separated key
    'description-file' in 'metadata' (setup.cfg)", "cannot import name 'Feature' from 'setuptools'", "error in gym setup command:
    'extras_require' must be a dictionary whose values are strings or lists of strings containing valid project/version requirement specifiers".

Why it happens
    The package, or the release of it that a requirements file names, is years old. setuptools 46 removed Feature, 58 removed use_2to3, 66 demands
    version numbers that follow PEP 440, 72.0 removed the command test, and 78.0 refused names with a dash.

What to do
    Take a newer release of the package if there is one. Else install an older setuptools, and build with --no-build-isolation, so that the
    build uses it.

How to reproduce
    There is no recipe: `pip install pyhocon==0.3.35` with setuptools 58 or newer shows the failure.

References
    https://setuptools.pypa.io/en/stable/history.html (v46, v58, v66, v72, v78)
    https://github.com/pypa/setuptools/issues/2775
    https://github.com/pypa/setuptools/issues/4910
    https://github.com/rmst/rlrd/issues/1 (gym: setuptools 65.5, wheel 0.38, an older pip)
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.commands import new_pythons
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, subject
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Evidence, Fix, Severity
from attn_doctor.model.steps import Step
from attn_doctor.model.versions import pair

MODE = FailureMode(
    code="AD270",
    slug="setup-older-than-setuptools",
    title="A package's setup is older than setuptools",
    train=Severity.ERROR,
    flash_attn=Severity.ERROR,
    explains=(building.FAILED, "wheel-missing-at-build", "version-parse"),
    signs=(
        Sign(
            pattern=r"(?:error in (?P<name>[\w.-]{1,60}) setup command: )?(?P<v58>use_2to3) is invalid",
            literal="use_2to3 is invalid",
            sample="error in pyhocon setup command: use_2to3 is invalid.",
        ),
        Sign(
            pattern=r"No module named '(?P<v72>setuptools\.command\.test)'",
            literal="setuptools.command.test",
            sample="ModuleNotFoundError: No module named 'setuptools.command.test'",
        ),
        Sign(
            pattern=r"Invalid (?P<v78>dash-separated|uppercase) key '(?P<key>[\w-]{1,40})' in '\w{1,20}' \(setup\.cfg\)",
            literal="(setup.cfg)",
            sample="setuptools.errors.InvalidConfigError: Invalid dash-separated key 'description-file' in 'metadata' (setup.cfg), please use the underscore name",
        ),
        Sign(
            pattern=r"cannot import name '(?P<v46>Feature)' from 'setuptools'",
            literal="'Feature' from 'setuptools'",
            sample="ImportError: cannot import name 'Feature' from 'setuptools' (/v/lib/python3.8/site-packages/setuptools/__init__.py)",
        ),
        Sign(
            pattern=r"error in (?P<name>[\w.-]{1,60}) setup command: '(?P<v66>(?:extras|install|tests|setup)_requires?)' must be a (?:dictionary|string)",
            literal=" setup command: '",
            sample="error in gym setup command: 'extras_require' must be a dictionary whose values are strings or lists of strings containing valid",
        ),
    ),
)
# There is no `detect`: no fact says what the setup.py of a package uses that is not installed.

_OLDER = {"v46": "46", "v58": "58", "v66": "66", "v72": "72", "v78": "78"}
_WORDS = {
    "v46": "Feature, which setuptools 46 removed",
    "v58": "use_2to3, which setuptools 58 removed",
    "v66": "requirements that do not follow PEP 440, which setuptools 66 refuses",
    "v72": "the command test, which setuptools 72 removed",
    "v78": "names with a dash in setup.cfg, which setuptools 78 refuses",
}
_NOT_IN_312 = (
    "v46",
    "v58",
    "v66",
)  # a setuptools before 66.1 does not run under Python 3.12, which has no pkgutil.ImpImporter
_OLD_PYTHON = "3.11"


class Uses(Variant, frozen=True, kw_only=True):
    """Hold what the setup uses (a key of _WORDS), and the package, if the error names it."""

    what: str
    name: str | None = None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    what = next(key for key in _WORDS if seen.group(key))
    name = seen.group("name") or subject.stated(facts)
    return Hit(
        message=f"The setup of {name or 'a package'} uses {_WORDS[what]}.",
        evidence=evidence,
        variant=Uses(what=what, name=name),
        confidence=Confidence.MEDIUM
        if what == "v66"
        else Confidence.HIGH,  # wrong requirements of one's own have the same error
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    uses = hit.variant if isinstance(hit.variant, Uses) else Uses(what="v58")
    verify = building.verify(facts)
    older = Fix(title=f"Build with a setuptools before {_OLDER[uses.what]}", steps=_older(facts, uses), verify=verify)
    newer = _newer(facts, uses)
    if uses.what in _NOT_IN_312 and _python(facts) >= (3, 12):
        why = f"a setuptools before {_OLDER[uses.what]} does not run under Python 3.12 and newer; install your packages into this one, and if the error is the same, see the next fix"
        another = Fix(
            title=f"Use Python {_OLD_PYTHON}", steps=new_pythons.another(facts, _OLD_PYTHON, why), verify=verify
        )
        return (*newer, another, older)
    return (older, *newer) if uses.what == "v66" else (*newer, older)


def _python(facts: Facts) -> tuple[int, int]:
    version = facts.interpreter.version
    return (pair(version) if isinstance(version, str) else None) or (0, 0)


def _older(facts: Facts, uses: Uses) -> tuple[Step, ...]:
    """Return the steps that install an older setuptools and build with it. For old requirements pip and wheel must be older too."""
    besides = ("wheel<0.39", "pip<24.1") if uses.what == "v66" else ("wheel",)
    tools = commands.install(
        f"setuptools<{_OLDER[uses.what]}",
        *besides,
        why="the last releases that accept this setup"
        + ("; pip 24.1 and newer refuse such requirements too" if uses.what == "v66" else ""),
        changes="setuptools, to an older release; upgrade it again afterwards",
    )
    if (asked := _requirement(facts, uses)) is None:
        words = "repeat the installation of that package with the option --no-build-isolation, so that it uses this setuptools"
        return tools, commands.by_hand((), words, "that package")
    again = commands.install(
        asked,
        why="without isolation, so that it uses this setuptools",
        changes=f"adds {uses.name}",
        no_build_isolation=True,
    )
    return tools, again


def _requirement(facts: Facts, uses: Uses) -> str | None:
    """Return the requirement of the package whose setup failed; None if the log does not name it."""
    if uses.name is None:
        return None
    stated = subject.requirement(facts) if subject.stated(facts) == uses.name.lower().replace("_", "-") else None
    return stated or uses.name


def _newer(facts: Facts, uses: Uses) -> tuple[Fix, ...]:
    """Return the fix that takes the newest release, where the log shows that an old one was asked for; else empty."""
    if uses.name is None or subject.pinned(facts) is None:
        return ()
    step = commands.install(
        uses.name, upgrade=True, why="its newest release may have a wheel, or a newer setup", changes=uses.name
    )
    return (Fix(title=f"Take a newer release of {uses.name}", steps=(step,), verify=building.verify(facts)),)
