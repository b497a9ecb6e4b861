"""Express a fix as changes to lines of project files. Pure.

A project file is not an environment: its fix is a changed line, and not a command.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from attn_doctor.model.findings import Diagnosis, Evidence, Fix
from attn_doctor.model.project_file import ProjectFile, Wish
from attn_doctor.model.steps import Install, RunByHand, Step, Uninstall, name_of


def in_files(diagnosis: Diagnosis, files: Sequence[ProjectFile]) -> Diagnosis:
    """Return the diagnosis in which steps about a package of a file are replaced: each becomes a change of the line that requests it."""
    findings = tuple(
        msgspec.structs.replace(
            finding,
            fixes=tuple(_fix(fix, files) for fix in finding.fixes),
            evidence=tuple(_evidence(one, files) for one in finding.evidence),
        )
        for finding in diagnosis.findings
    )
    return msgspec.structs.replace(diagnosis, findings=findings)


def _evidence(evidence: Evidence, files: Sequence[ProjectFile]) -> Evidence:
    """Return the evidence with the text of its line, if that line requests a package.

    Nothing is installed yet, so no version is quoted.
    """
    found = next((w for f in files if f.file == evidence.file for w in f.wishes if w.line == evidence.line), None)
    return msgspec.structs.replace(evidence, text=found.text) if found else evidence


def _fix(fix: Fix, files: Sequence[ProjectFile]) -> Fix:
    steps = tuple(made for step in fix.steps for made in _steps(step, files))
    return msgspec.structs.replace(fix, steps=steps) if steps != fix.steps else fix


def _steps(step: Step, files: Sequence[ProjectFile]) -> Iterator[Step]:
    if not isinstance(step, Install | Uninstall):
        yield step
        return
    changes = [(wish, file, text) for text in step.requirements for wish, file in _asking(name_of(text), files)]
    if not changes:
        yield step
        return
    for wish, file, text in changes:
        line = f"{file.file}, line {wish.line}"
        if isinstance(step, Install) and step.index_url and text == wish.text:
            why = f"{line}: take {wish.text} from {step.index_url}; {step.why}"
        elif isinstance(step, Uninstall):
            why = f"{line}: take {wish.text} out; {step.why}"
        else:
            why = f"{line}: {_written(text, wish, file)} in the place of {wish.text}; {step.why}"
        yield RunByHand(why=why, changes=file.file, risk=step.risk, risk_text=step.risk_text)
    asked = {wish.name for wish, _, _ in changes}
    rest = tuple(text for text in step.requirements if name_of(text) not in asked)
    if rest:
        for text in rest:
            yield RunByHand(why=f"{files[-1].file}: add {text}; {step.why}", changes=files[-1].file, risk=step.risk)
    if any(file.kind == "lock" for _, file, _ in changes):
        why = "a lock file is not changed by hand: change pyproject.toml in this way, then run `uv lock`, `poetry lock` or `pdm lock`"
        yield RunByHand(why=why, changes="pyproject.toml and the lock file", risk="low")
    if (
        isinstance(step, Install)
        and step.index_url
        and not all(text == wish.text for wish, _, text in changes)
        and not any(f.flavour and f.flavour.value in step.index_url for f in files)
    ):
        yield RunByHand(why=f"let these be taken from {step.index_url}", changes=files[-1].file, risk=step.risk)


def _asking(name: str | None, files: Iterable[ProjectFile]) -> Iterator[tuple[Wish, ProjectFile]]:
    for file in files:
        if name is not None and (wish := file.wish(name)):
            yield wish, file


def _written(text: str, wish: Wish, file: ProjectFile) -> str:
    """Return a requirement in the syntax of this file: "pytorch=2.1.2" if the file uses conda's name of torch."""
    if wish.conda and file.kind == "conda" and "==" in text:
        name = wish.text.partition("=")[0].partition("<")[0].partition(">")[0].strip()
        return f"{name}={text.partition('==')[2]}"
    return text
