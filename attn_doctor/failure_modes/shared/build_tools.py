"""Find the small packages that setup.py imports and that are missing, and install them. Pure."""

from __future__ import annotations

from attn_doctor.failure_modes.mode import Hit, Variant
from attn_doctor.failure_modes.shared import building, package_cures, subject
from attn_doctor.failure_modes.shared.fact_queries import package
from attn_doctor.knowledge import built_packages
from attn_doctor.knowledge.yes_no_unknown import names
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Confidence, Fix, fact

NEEDED = ("setuptools", "wheel", "packaging", "psutil", "ninja")


def missing(facts: Facts, wanted: tuple[str, ...]) -> Hit | None:
    """Find the packages that a build without isolation would miss in the target."""
    if not building.setup_would_run(facts):
        return None
    absent = [name for name in wanted if package(facts, name) is None]
    if not absent:
        return None
    return Hit(
        message=f"{names(absent)} is not installed here, and building flash-attn without isolation imports it."
        if len(absent) == 1
        else f"{names(absent)} are not installed here, and building flash-attn without isolation imports them.",
        evidence=(fact(facts, "packages.distributions", f"there is no {' and no '.join(absent)}"),),
    )


class Missing(Variant, frozen=True, kw_only=True):
    """Name the packages that a log says are missing."""

    packages: tuple[str, ...]


def missed(facts: Facts, seen: Seen, usual: str) -> Hit | None:
    """Report a build in a log that stopped because one of them was missing, with all others that the setup imports."""
    module = seen.group("module") or usual
    name = DISTRIBUTION_OF.get(module, module)
    sure = any(m.strength == "proof" or building.in_build(seen, m) for m in seen.matches)
    if not sure and module in _RARE:
        return None
    package = subject.words(facts)
    others = [n.partition("<")[0] for n in built_packages.imports(subject.package(facts)) if n != name]
    message = f"{module} was missing in the environment that built {package}."
    if package == subject.FLASH_ATTN or built_packages.row_of(package) is not None:
        message += f" Its setup imports {names(others)} as well."
    return Hit(
        message=message,
        evidence=building.lines(seen.matches),
        variant=Missing(packages=(name,)),
        confidence=Confidence.HIGH if sure else Confidence.LOW,
    )


# Modules that are called otherwise than the distribution that brings them. setuptools 82 dropped pkg_resources:
# https://setuptools.pypa.io/en/latest/history.html
DISTRIBUTION_OF = {
    "pkg_resources": "setuptools<81",
    "distutils": "setuptools",
    "Cython": "cython",
    "setuptools_scm": "setuptools-scm",
    "skbuild": "scikit-build",
    "scikit_build_core": "scikit-build-core",
    "cpuinfo": "py-cpuinfo",
}


# Other setups import these. Outside of a build a program that misses one is none of this.
_RARE = ("Cython", "pybind11", "skbuild", "scikit_build_core", "setuptools_scm", "cpuinfo", "cmake", "ninja")


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    """Return the fixes: all that the setup imports at once, torch too where it is missing, and then the build."""
    missing = hit.variant.packages if isinstance(hit.variant, Missing) else ()
    tools = package_cures.built_here(
        facts,
        "Install the build tools, then build without isolation",
        "with isolation off, the build sees what is installed here",
        *missing,
    )
    ready = building.without_compiling(facts)
    return (tools, *ready) if facts.grade == "stated" else (*ready, tools)
