"""Recognise a build by make or CMake without Python, and repeat it with fewer compilers: neither of them reads MAX_JOBS. Pure."""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.commands import places
from attn_doctor.failure_modes.mode import Variant
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Step


class ByMake(Variant, frozen=True, kw_only=True):
    """Mark the case that make or CMake ran the compilers for something other than a Python package. Neither of them reads MAX_JOBS."""


class ByTarget(Variant, frozen=True, kw_only=True):
    """Hold the target of a Makefile that builds a Python package: "Makefile-flash", "build-flash". Its setup.py reads MAX_JOBS."""

    file: str
    target: str


_TARGET = re.compile(
    r"^(?:(?:#\d+ )?\d+\.\d+ )?g?make(?:\[\d+\])?: \*\*\* \[(?P<file>(?:[Mm]|GNUm)akefile[\w.-]*):\d+: (?P<target>[A-Za-z][\w.-]*)\] ",
    re.MULTILINE,
)


def target(seen: Seen) -> ByTarget | None:
    """Return the target of the Makefile that failed, if a Python package was built by it; else None. The outermost make ends last."""
    text = "\n".join(line for log in seen.logs for _, line in log.end)
    found = list(_TARGET.finditer(text))
    if not found or found[-1]["target"].endswith((".o", ".so")):
        return None
    return ByTarget(file=found[-1]["file"], target=found[-1]["target"])


def target_again(facts: Facts, of: ByTarget) -> Step:
    """Return the step that makes the target again. In an image, MAX_JOBS has to be an ENV line: an export on the host does not reach a RUN line."""
    file = () if of.file in ("Makefile", "makefile") else ("-f", of.file)
    words = "in the same folder, and in the same shell as the line above"
    if places.container(facts) is not None:
        words = "if this is a line of a Dockerfile: write ENV MAX_JOBS=1 above its RUN line and build the image again. In a shell of the container: in the same folder"
    return commands.by_hand(("make", *file, of.target), words, "the build", takes="hours")


# BuildKit prints the seconds before each line: "31.58 make[2]: ***".
_MAKE = re.compile(
    r"^(?:(?:#\d+ )?\d+\.\d+ )?(?:g?make(?:\[\d+\])?: \*\*\* |\[ {0,2}\d+%\] Building \w+ object )", re.MULTILINE
)
_PYTHON = re.compile(r"\bpip3?\b|\buv\b|setup\.py|site-packages|pyproject|wheel", re.IGNORECASE)


def made_it(seen: Seen) -> bool:
    """Return whether `make` or CMake ran the build, and nothing of Python is in the log."""
    text = "\n".join(line for log in seen.logs for _, line in log.end)
    return _MAKE.search(text) is not None and _PYTHON.search(text) is None


def again(facts: Facts) -> Step:
    """Return the step that builds again with one compiler at a time."""
    words = "repeat the command that failed, with one compiler at a time: `make -j1`, or `cmake --build . --parallel 1`"
    if places.container(facts) == places.BUILD:
        words = (
            "in the RUN line that compiles, write `make -j1` in place of `make -j8` or `make -j$(nproc)`, and `--parallel 1` after `cmake --build .`: a number in the "
            "line counts more than these variables. Then start `docker build` again"
        )
    return commands.by_hand((), words, "nothing but the build")


def limits(facts: Facts) -> list[Step]:
    """Return the steps that limit make and CMake in a Dockerfile, in front of its RUN lines; none elsewhere, where the command itself is repeated.

    https://www.gnu.org/software/make/manual/html_node/Options_002fRecursion.html, https://cmake.org/cmake/help/latest/envvar/CMAKE_BUILD_PARALLEL_LEVEL.html
    """
    if places.container(facts) != places.BUILD:
        return []
    why = "in the Dockerfile, above the RUN line that compiles: one compiler at a time"
    return [
        commands.variable("MAKEFLAGS", "-j1", f"{why}, for make"),
        commands.variable("CMAKE_BUILD_PARALLEL_LEVEL", "1", f"{why}, for cmake --build"),
    ]
