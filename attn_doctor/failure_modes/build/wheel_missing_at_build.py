"""The tools that build a wheel are missing: the package wheel, or setuptools itself.

What it is
    setup.py imports `wheel.bdist_wheel`, or calls the command bdist_wheel of setuptools. The environment in which the
    package is built has neither.

How it shows
    "ModuleNotFoundError: No module named 'wheel'", "error: invalid command 'bdist_wheel'"; if setuptools is missing
    too, "ModuleNotFoundError: No module named 'setuptools'" or "Cannot import 'setuptools.build_meta'".

Why it happens
    New virtual environments of Python 3.12 and newer, and those of uv, pixi and pipx, contain no setuptools and no
    wheel. flash-attn does not declare that it needs them.

What to do
    Install setuptools and wheel, then build with `--no-build-isolation`.

How to reproduce
    `attn-doctor reproduce wheel-missing-at-build` builds flash-attn without isolation in an environment that has no wheel.
    It downloads 11 MB.

References
    https://github.com/Dao-AILab/flash-attention/issues/1761
    https://docs.python.org/3/library/venv.html (setuptools is no longer a core dependency since 3.12)
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import INSTALL_SOURCE, Packages, Recipe, Source
from attn_doctor.failure_modes.shared import build_tools, building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD103",
    slug="wheel-missing-at-build",
    title="wheel or setuptools is missing in the environment that builds a package",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=r"No module named ['\"‘`]?(?P<module>wheel|setuptools|distutils|pkg_resources)(?:\.\w+)?['\"’`]?(?!\w)",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'wheel'",
            strength="hint",
        ),
        Sign(
            pattern=r"cannot import name 'bdist_wheel' from '(?P<module>wheel)",
            literal="cannot import name 'bdist_wheel'",
            sample="ImportError: cannot import name 'bdist_wheel' from 'wheel' (/venv/lib/python3.12/site-packages/wheel/__init__.py)",
        ),
        Sign(
            pattern=r"error: invalid command 'bdist_wheel'",
            literal="invalid command 'bdist_wheel'",
            sample="error: invalid command 'bdist_wheel'",
        ),
        Sign(
            pattern=r"Cannot import '(?P<module>setuptools)\.build_meta'|BackendUnavailable: Cannot import",
            literal="Cannot import 'setuptools",
            sample="pip._vendor.pyproject_hooks._impl.BackendUnavailable: Cannot import 'setuptools.build_meta'",
        ),
        Sign(
            pattern=r"on `(?P<module>wheel|setuptools)`, but doesn't declare",
            literal="`, but doesn't declare",
            sample="hint: This error likely indicates that `flash-attn@2.5.8` depends on `wheel`, but doesn't declare it",
        ),
        Sign(
            pattern=r"since (?P<module>setuptools) is not available in the build environment\.$",
            literal="since setuptools is not available",
            sample="ERROR: Can not execute `setup.py` since setuptools is not available in the build environment.",
        ),
    ),
    recipe=Recipe(
        does="builds flash-attn without isolation in an environment that has no wheel",
        of=(Source(), Packages(requirements=("setuptools<70", "packaging"), megabytes=1)),
        run=(INSTALL_SOURCE,),
        shows="No module named 'wheel'",
        seconds=10,
    ),
)


def detect(facts: Facts) -> Hit | None:
    return build_tools.missing(facts, ("setuptools", "wheel"))


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    return build_tools.missed(facts, seen, "wheel")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    return build_tools.fixes(facts, hit)
