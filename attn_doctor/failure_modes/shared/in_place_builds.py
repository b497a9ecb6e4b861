"""Recognise a compiled file that lies among the sources of a project, where `setup.py develop` put it, and give the fix that compiles it again. Pure."""

from __future__ import annotations

import re

from attn_doctor import commands
from attn_doctor.failure_modes.shared import package_cures, subject
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix

_FILE = re.compile(r"(?P<folder>/[^\s:'\"]{1,300})/[\w.-]{1,120}\.so\b")
# Environments, the system, and torch's folder of extensions that are compiled at run time.
_ELSEWHERE = re.compile(
    r"-packages/|\.egg/|/torch_extensions/|/\.cache/|^/(?:usr|lib|lib64)/|/lib(?:64)?/|/envs/|/\.?venv/"
)


def folder(text: str) -> str | None:
    """Return the folder of the first compiled file that a line names; None if it lies in an environment, or if the line names none."""
    found = _FILE.search(text)
    return found["folder"] if found and not _ELSEWHERE.search(found["folder"] + "/") else None


def fix(facts: Facts, where: str, because: str) -> Fix:
    """Return the fix: remove the files of the old build, and build the project again. `where`: the folder of the compiled file.

    https://github.com/open-mmlab/mmdetection/issues/1189, https://github.com/open-mmlab/mmdetection/issues/1554
    """
    gone = commands.by_hand(
        ("find", where, "-maxdepth", "1", "-name", "*.so", "-delete"),
        f"removes what was compiled there: {because}, and the next build would keep it",
        "the compiled files of that folder",
    )
    old = commands.by_hand(
        ("rm", "-rf", "build"),
        f"in the folder with the setup.py of that project, above {where}: the other files of the old build",
        "the folder build",
    )
    argv = (
        *commands.starting(facts),
        "-m",
        "pip",
        "install",
        "--no-build-isolation",
        "--no-cache-dir",
        "-v",
        "-e",
        ".",
    )
    why = "in the same folder: compiles all operators of the project for the installed torch; it needs nvcc of torch's CUDA"
    built = commands.by_hand(argv, why, "the project's compiled files", takes="minutes to an hour")
    title = "Build the project again in its folder, for this torch"
    return Fix(title=title, steps=(gone, old, package_cures.fewer_jobs(facts), built), verify=subject.verify(facts))
