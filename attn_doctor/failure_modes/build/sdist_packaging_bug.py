"""A package's own setup reads a file that is not in the package.

What it is
    setup.py or the metadata name a file (LICENSE, README.md, a folder) that is not in the archive. The build fails at
    its beginning, or after all was compiled.

How it shows
    "FileNotFoundError: [Errno 2] No such file or directory: 'LICENSE'" or 'README.md', at the end of a build that compiled
    everything; "error: package directory 'x' does not exist". If sources are missing: "ninja: error: '.../csrc/ops.cpp', needed by
    '.../ops.o', missing and no known rule to make it", "cc1plus: fatal error: csrc/ops.cpp: No such file or directory".

Why it happens
    The release was packed wrongly: in most cases its archive was made from only a part of the source tree.

What to do
    Install another release, or build from the repository, which has all files.

How to reproduce
    `attn-doctor reproduce sdist-packaging-bug` builds a small package whose setup.py reads a file that was not packed. It
    downloads 3 MB.

References
    https://github.com/Wan-Video/Wan2.1/issues/296
    https://github.com/Dao-AILab/causal-conv1d/issues/4
    https://pip.pypa.io/en/stable/topics/vcs-support/
"""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign, Variant
from attn_doctor.failure_modes.recipe import BUILD_TOOLS, INSTALL, File, Recipe
from attn_doctor.failure_modes.shared import building, subject
from attn_doctor.knowledge import built_packages, flash_attention
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Evidence, Fix, Severity

_SOURCE = r"[^'\s]{0,300}\.(?:cpp|cc|cxx|cu|c|hip|mm)"
# Folders that a repository fills from other repositories: cutlass-submodule-missing has this cause.
_OF_SUBMODULE = re.compile(
    r"(?:^|[\\/])(?:cutlass|composable_kernel|third_party|thirdparty|3rdparty|extern(?:al)?|submodules|deps)[\\/]"
)

MODE = FailureMode(
    code="AD123",
    slug="sdist-packaging-bug",
    title="A package's setup.py reads a file that its source archive does not contain",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED,),
    signs=(
        Sign(
            pattern=r"No such file or directory: '(?P<file>(?:[^']{0,200}/)?(?:LICENSE|README|AUTHORS|VERSION|CHANGELOG|MANIFEST\.in)"
            r"(?:\.\w{2,4})?|(?:requirements|version)\.txt)'",
            literal="No such file or directory: '",
            sample="FileNotFoundError: [Errno 2] No such file or directory: 'LICENSE'",
        ),
        Sign(
            pattern=r"error: package directory '(?P<file>[^']{1,200})' does not exist",
            literal="error: package directory '",
            sample="error: package directory 'flash_attn' does not exist",
        ),
        Sign(
            pattern=r"can't copy '(?P<file>[^']{1,200})': doesn't exist or not a regular file",
            literal="doesn't exist or not a regular file",
            sample="error: can't copy 'LICENSE': doesn't exist or not a regular file",
        ),
        # The compiler, or ninja before it, finds no source of the package itself. An empty folder of a submodule is another cause.
        Sign(
            pattern=rf"ninja: error: '(?P<source>{_SOURCE})', needed by '.{{0,400}}', missing and no known rule to make it",
            literal="missing and no known rule to make it",
            sample="ninja: error: '/tmp/pip-install-x/fast-ops_1/csrc/ops.cpp', needed by '/tmp/pip-install-x/fast-ops_1/build/csrc/ops.o', missing and no known rule to make it",
        ),
        Sign(
            pattern=rf"(?:cc1(?:plus)?|cc1obj|c1xx?|c1): fatal error(?: C1083)?: (?:Cannot open source file: )?'?(?P<source>{_SOURCE})'?: No such file or directory",
            literal="fatal error",
            sample="cc1plus: fatal error: csrc/ops.cpp: No such file or directory",
        ),
        Sign(
            pattern=rf"(?:clang(?:\+\+)?|gcc|g\+\+|\S{{1,60}}-g(?:cc|\+\+)): error: (?:no such file or directory: ')?(?P<source>{_SOURCE})(?:'|: No such file or directory)",
            literal=": error: ",
            sample="clang++: error: no such file or directory: 'csrc/ops.cpp'",
        ),
        # The release of the archive that pip took.
        Sign(
            pattern=r"(?:Downloading|Using cached|Collecting|Processing) (?:\S{1,300}/)?(?P<archive>[A-Za-z][\w.]*?)-(?P<release>\d[\w.]*?)\.tar\.gz\b",
            literal=".tar.gz",
            sample="  Using cached fast_ops-1.0.1.tar.gz (6.4 kB)",
            strength="context",
        ),
    ),
    recipe=Recipe(
        does="builds a small package whose setup.py reads a file that was not packed",
        of=(
            BUILD_TOOLS,
            File(
                path="small/setup.py",
                text=(
                    "from pathlib import Path\n"
                    "\n"
                    "from setuptools import setup\n"
                    "\n"
                    "setup(name='small', license=Path('LICENSE').read_text())\n"
                ),
            ),
        ),
        run=((*INSTALL, "{folder}/small"),),
        shows="No such file or directory: 'LICENSE'",
        seconds=8,
    ),
)
# There is no `detect`: no flash-attn release in the table has this fault.


class Sources(Variant, frozen=True, kw_only=True):
    """Mark the case that sources are missing that have to be compiled. `release`: that of the archive, "1.0.1"; None: the log does not show it."""

    release: str | None


def from_log(facts: Facts, seen: Seen, evidence: tuple[Evidence, ...]) -> Hit | None:
    lines = building.lines([m for m in seen.matches if m.strength != "context"])
    file, source = seen.group("file"), seen.group("source")
    if file is None and source is not None:
        if _OF_SUBMODULE.search(source) or not any(building.in_build(seen, m) for m in seen.matches):
            return None
        name = subject.stated(facts)
        short = "/".join(re.split(r"[\\/]+", source)[-2:])
        archives: dict[str, str] = {
            canonicalize_name(m.groups["archive"]): m.groups["release"] for m in seen.matches if m.groups.get("archive")
        }
        if name is None and len(archives) == 1:
            name = next(iter(archives))
        release = archives.get(name) if name else None
        what = f"the archive of {name} {release}" if name and release else f"the sources of {name or 'the package'}"
        return Hit(
            message=f"{short} is not in {what}: it was packed without sources that have to be compiled.",
            evidence=lines,
            variant=Sources(release=release),
            explains=(building.FAILED, "host-compiler-missing") if _cl_on_path_only(seen) else None,
        )
    if file is None:
        return None
    return Hit(message=f"The package's setup reads {file}, which is not in the package.", evidence=lines)


def _cl_on_path_only(seen: Seen) -> bool:
    """Return whether all that is said of a missing compiler is torch's warning about cl, after which this build went on."""
    return all(
        "Error checking compiler version" in m.text for log in seen.logs for m in log.of("host-compiler-missing")
    )


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    others = [row.release for row in flash_attention.releases()][1:2] if subject.is_flash_attn(facts) else []
    ready = building.without_compiling(facts)
    if isinstance(hit.variant, Sources) and not others:
        return (*_from_the_repository(facts, hit.variant), *ready)
    if others:
        step = building.build(facts, "another release, whose archive may be complete", others[0])
    else:
        words = f"install another release of {subject.words(facts)}, or build in a checkout of its source"
        step = commands.by_hand((), words, "that package")
    return (*ready, Fix(title="Build another release", steps=(step,), verify=building.verify(facts)))


def _from_the_repository(facts: Facts, found: Sources) -> tuple[Fix, ...]:
    """Return the fixes for an archive without sources: the repository, which has all files, or another release."""
    name, verify = subject.package(facts), building.verify(facts)
    row = built_packages.row_of(name) if name else None
    project = re.match(r"https://github\.com/[\w.-]+/[\w.-]+(?=/releases)", (row.url if row else None) or "")
    get = (row.get if row else None) or (f"git+{project[0]}.git" if project else None)
    if facts.system.os == "windows":
        tool = "it takes Microsoft's C++ compiler and an nvcc"
    else:
        tool = "it takes a C++ compiler, and an nvcc where it has CUDA code"
    if get is not None:
        step = commands.install(
            get,
            why=f"the repository has all files; {tool}",
            changes=f"adds {name}",
            no_build_isolation=True,
            takes="minutes to an hour",
        )
    else:
        address = f": https://pypi.org/project/{name}/ names it" if name else ""
        step = commands.by_hand(
            (),
            f"build from the repository of {subject.words(facts)}{address}: `pip install git+ADDRESS`; {tool}",
            "that package",
        )
    made = [Fix(title="Build from the repository", steps=(step,), verify=verify)]
    if name is not None and found.release is not None:
        other = commands.install(
            f"{name}!={found.release}",
            why=f"another release than {found.release}, whose archive may be complete",
            changes=f"adds {name}",
            upgrade=True,
            no_build_isolation=row is not None and row.torch_bound,
        )
        made.append(Fix(title="Build another release", steps=(other,), verify=verify))
    return tuple(made)
