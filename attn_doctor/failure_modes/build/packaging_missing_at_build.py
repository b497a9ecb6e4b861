"""A small package that a setup.py imports is missing: packaging, psutil or another.

What it is
    setup.py imports packaging (and in newer releases psutil) before all else. The environment in which the package is
    built does not have it.

How it shows
    "from packaging.version import parse, Version", then "ModuleNotFoundError: No module named 'packaging'". After you
    install it, the error names the next missing package: packaging, wheel, torch, psutil, in this order.

Why it happens
    The build was isolated: it sees only setuptools, and nothing of your environment. Or isolation is off, and the
    package is missing from your environment.

What to do
    Install packaging, psutil, wheel and ninja, then build with `--no-build-isolation`.

How to reproduce
    `attn-doctor reproduce packaging-missing-at-build` builds flash-attn without isolation in an environment that has no
    packaging. It downloads 11 MB.

References
    https://github.com/Dao-AILab/flash-attention/issues/453
    https://github.com/Dao-AILab/flash-attention/issues/955
"""

from __future__ import annotations

from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import INSTALL_SOURCE, Packages, Recipe, Source
from attn_doctor.failure_modes.shared import build_tools, building
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

MODE = FailureMode(
    code="AD102",
    slug="packaging-missing-at-build",
    title="A small package is missing in the environment that builds another package",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED, "numpy-missing-or-old"),
    signs=(
        Sign(
            pattern=r"No module named ['\"‘`]?(?P<module>packaging|psutil|Cython|pybind11|skbuild|scikit_build_core|setuptools_scm|"
            r"cpuinfo|cmake|ninja)(?:\.\w+)?['\"’`]?(?!\w)",
            literal="No module named",
            sample="ModuleNotFoundError: No module named 'packaging'",
            strength="hint",
        ),
        # The setups of cython_bbox, pycocotools, lap and many others.
        Sign(
            pattern=r"ModuleNotFoundError: No module named '(?P<module>numpy)'\s{0,4}$",
            literal="No module named 'numpy'",
            sample="ModuleNotFoundError: No module named 'numpy'",
            strength="hint",
        ),
        Sign(
            pattern=r"on `(?P<module>packaging|psutil|cython|pybind11|scikit-build(?:-core)?|setuptools-scm|py-cpuinfo|cmake|ninja|numpy)`, but doesn't declare",
            literal="`, but doesn't declare",
            sample="hint: This error likely indicates that `flash-attn@2.5.8` depends on `packaging`, but doesn't declare it",
        ),
        Sign(
            pattern=r"(?:requires|needs) (?P<module>numpy|cython|Cython), (?:please|Please|run) ['\"]?pip install",
            literal="pip install ",
            sample='ImportError: lap requires numpy, please "pip install numpy". Further details: http://www.numpy.org',
        ),
    ),
    recipe=Recipe(
        does="builds flash-attn without isolation in an environment that has no packaging",
        of=(Packages(requirements=("setuptools<70",), megabytes=1), Source()),
        run=(INSTALL_SOURCE,),
        shows="No module named 'packaging'",
        seconds=10,
    ),
)


def detect(facts: Facts) -> Hit | None:
    return build_tools.missing(facts, ("packaging", "psutil"))


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    return build_tools.missed(facts, seen, "packaging")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    return build_tools.fixes(facts, hit)
