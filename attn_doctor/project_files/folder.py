"""Judges the project files of a folder on a machine. Each file alone: requirements-cpu.txt and requirements-gpu.txt exclude each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attn_doctor.errors import NotExamined
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Finding, Goal, Severity
from attn_doctor.project_files.asked import Asked
from attn_doctor.project_files.facts import as_facts
from attn_doctor.project_files.in_file import in_files
from attn_doctor.project_files.read import might_be_one, read

_LARGEST = 1 << 20  # bytes: a larger lock file costs a second to read, `diagnose FILE` takes the time
_MOST_FILES = 20


def judged_files(folder: Path, facts: Facts, goal: Goal) -> tuple[Finding, ...]:
    """Return the errors that the project files of this folder would cause on this machine, as warnings.

    A Dockerfile is judged for its own image, all others for the system, the GPU, the driver and the toolkit of `facts`.
    """
    found: list[Finding] = []
    for asked in _files(folder):
        base = Facts(grade="stated") if asked.kind == "dockerfile" else facts
        diagnosis = in_files(diagnose(as_facts([asked], base), goal), [asked])
        named = {(asked.file, wish.line) for wish in asked.wishes} | (
            {(asked.file, asked.image.line)} if asked.image else set()
        )
        found += [
            finding
            for finding in diagnosis.findings
            if finding.severity is Severity.ERROR and any((e.file, e.line) in named for e in finding.evidence)
        ]
    return tuple(found)


def _files(folder: Path) -> Iterator[Asked]:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return
    for name in [n for n in names if might_be_one("", n)][:_MOST_FILES]:
        path = folder / name
        try:
            if (
                path.is_file()
                and path.stat().st_size <= _LARGEST
                and (found := read(path.read_text("utf-8", "replace"), name))
            ):
                yield found
        except (OSError, NotExamined):
            continue  # the file is not the question of `check`; `diagnose FILE` says what is wrong with it
