"""A package's own setup reads a file that is not in the package.

What it is
    setup.py or the metadata name a file (LICENSE, README.md, a folder) that is not in the archive. The build fails at
    its beginning, or after all was compiled.

How it shows
    "FileNotFoundError: [Errno 2] No such file or directory: 'LICENSE'" or 'README.md', at the end of a build that compiled
    everything; "error: package directory 'x' does not exist".

Why it happens
    The release was packed wrongly: in most cases its archive was made from only a part of the source tree.

What to do
    Install another release, or build in a checkout of the source.

How to reproduce
    `attn-doctor reproduce sdist-packaging-bug` builds a small package whose setup.py reads a file that was not packed. It
    downloads 3 MB.

References
    https://github.com/Wan-Video/Wan2.1/issues/296
"""

from __future__ import annotations

from attn_doctor import commands
from attn_doctor.failure_modes.mode import FailureMode, Hit, Sign
from attn_doctor.failure_modes.recipe import BUILD_TOOLS, INSTALL, File, Recipe
from attn_doctor.failure_modes.shared import building, subject
from attn_doctor.knowledge import flash_attention
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix, Severity

MODE = FailureMode(
    code="AD123",
    slug="sdist-packaging-bug",
    title="A package's setup.py reads a file that its source archive does not contain",
    train=Severity.INFO,
    flash_attn=Severity.ERROR,
    stops="build",
    blocks=("flash-attn-2", "flash-attn-3"),
    explains=(building.FAILED,),
    says="The package's setup reads {file}, which is not in the package.",
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


def fixes(facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    others = [row.release for row in flash_attention.releases()][1:2] if subject.is_flash_attn(facts) else []
    if others:
        step = building.build(facts, "another release, whose archive may be complete", others[0])
    else:
        words = f"install another release of {subject.words(facts)}, or build in a checkout of its source"
        step = commands.by_hand((), words, "that package")
    return (
        *building.without_compiling(facts),
        Fix(title="Build another release", steps=(step,), verify=building.verify(facts)),
    )
