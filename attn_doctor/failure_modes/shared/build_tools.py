"""Find the small packages that setup.py imports and that are not installed, and make the steps that install them. Pure."""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building, finished_release, package_cures, subject
from attn_doctor.failure_modes.shared.fact_queries import package
from attn_doctor.knowledge import built_packages
from attn_doctor.knowledge.yes_no_unknown import names
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix, fact

NEEDED = ("setuptools", "wheel", "packaging", "psutil", "ninja")


def missing(facts: Facts, wanted: tuple[str, ...]) -> Hit | None:
    """Return the hit if one of the packages in `wanted`, which a build without isolation needs, is not installed.

    None if all are installed, or if no build of flash-attn would run here. Raises Unsure if that is not known.
    """
    if not building.setup_would_run(facts):
        return None
    absent = [name for name in wanted if package(facts, name) is None]
    if not absent:
        return None
    return Hit(
        message=f"{names(absent)} is not installed here, and a build of flash-attn without isolation imports it."
        if len(absent) == 1
        else f"{names(absent)} are not installed here, and a build of flash-attn without isolation imports them.",
        evidence=(fact(facts, "packages.distributions", f"there is no {' and no '.join(absent)}"),),
    )


class Missing(Variant, frozen=True, kw_only=True):
    """Hold the requirements that a log reports as missing: ("setuptools<81",), ("packaging",)."""

    packages: tuple[str, ...]


class AtRunTime(Variant, frozen=True, kw_only=True):
    """Hold the requirement without which a program does not start ("setuptools<81"). Nothing was being built."""

    package: str


def missed(facts: Facts, seen: Seen, usual: str) -> Hit | None:
    """Return the hit for a log in which a module of a build tool is missing.

    None for a module that ordinary programs use too ("ninja", "Cython"), unless the log shows a build. For a build of a
    known package the message also names the other packages that its setup.py imports. `usual`: the module, if the line
    does not name one.
    """
    module = seen.group("module") or usual
    name = DISTRIBUTION_OF.get(module, module)
    sure = any(m.strength == "proof" or building.in_build(seen, m) for m in seen.matches)
    if not sure and module in _RARE:
        return None
    if not sure and facts.subject.doing in ("importing", "running"):
        gone = {
            "distutils": "Python 3.12 and newer do not have it",
            "pkg_resources": "setuptools 82 and newer do not have it",
        }
        why = f": {gone[module]}, and an older setuptools has it" if module in gone else ""
        return Hit(
            message=f"{module} is missing in the environment in which the program runs{why}.",
            evidence=building.lines(seen.matches),
            variant=AtRunTime(package="setuptools<81" if name.startswith("setuptools") else name),
            confidence=Confidence.MEDIUM,
        )
    package = subject.words(facts)
    others = [n.partition("<")[0] for n in built_packages.imports(subject.package(facts)) if n != name]
    message = f"{module} was missing in the environment that built {package}."
    if package == subject.FLASH_ATTN or built_packages.row_of(package) is not None:
        message += f" Its setup imports {names(others)} as well."
    return Hit(
        message=message,
        evidence=building.lines(seen.matches),
        # A setup.py that imports NumPy most often imports Cython too: that of cython_bbox, pycocotools, lap.
        variant=Missing(packages=("numpy", "cython") if name == "numpy" else (name,)),
        confidence=Confidence.HIGH if sure else Confidence.LOW,
    )


# Modules whose name differs from the name of their distribution. setuptools 82 removed pkg_resources; the warning of pkg_resources
# recommends the pin setuptools<81. https://setuptools.pypa.io/en/latest/history.html
DISTRIBUTION_OF = {
    "pkg_resources": "setuptools<81",
    "distutils": "setuptools",
    "Cython": "cython",
    "setuptools_scm": "setuptools-scm",
    "skbuild": "scikit-build",
    "scikit_build_core": "scikit-build-core",
    "cpuinfo": "py-cpuinfo",
}


# The setups of other packages import these. Outside of a build, a missing module of these is not this failure.
_RARE = ("Cython", "pybind11", "skbuild", "scikit_build_core", "setuptools_scm", "cpuinfo", "cmake", "ninja", "numpy")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    """Return the fixes for a hit of `missing` or `missed`.

    For a program that does not start: install the missing package. For a build: install the missing build tools, and
    torch if it is missing, then build without isolation; or install without compiling. The latter comes first unless
    there is only a log.
    """
    if isinstance(hit.variant, AtRunTime):
        step = commands.install(hit.variant.package, why="contains the module that is missing", changes="setuptools")
        return (Fix(title=f"Install {hit.variant.package}", steps=(step,), verify=commands.check(facts)),)
    missing = hit.variant.packages if isinstance(hit.variant, Missing) else ()
    tools = package_cures.built_here(
        facts,
        "Install the build tools, then build without isolation",
        "without isolation the build uses the packages that are installed here",
        *missing,
    )
    ready = building.without_compiling(facts)
    if released := finished_release.fixes(facts):
        return (*released, tools)
    return (tools, *ready) if facts.grade == "stated" else (*ready, tools)
