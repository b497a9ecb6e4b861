"""Arrange a report in the order of a project's issue form, with the form's labels. Pure.

A form is a list of sections; a section has the project's own label and a function that makes its blocks. For the environment, the
forms of PyTorch and Ultralytics have the labels of those projects' own programs, so that their maintainers and bots find them.
For projects without a form, the labels are the questions that their maintainers ask in issues.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from attn_doctor.failure_modes.areas import BUILD, area_of
from attn_doctor.model.facts import Facts
from attn_doctor.model.report import Report
from attn_doctor.report import fact_texts as text
from attn_doctor.report import form_environments as environments
from attn_doctor.report.blocks import Block, Details, Fields, Heading, Listing, Notes, Paragraph
from attn_doctor.report.folded_facts import folded
from attn_doctor.report.form_environments import Lines
from attn_doctor.report.issue_outline import is_source


class Section(NamedTuple):
    """Hold the label of one field of a form. `blocks`: makes its content from the report and its first screen."""

    label: str
    blocks: Callable[[Report, tuple[Block, ...]], Iterable[Block]]


class Form(NamedTuple):
    """Hold a project's form. `source`: its address, or that of a thread in which the maintainers ask."""

    project: str
    source: str
    sections: tuple[Section, ...]


def filled(form: Form, report: Report, first_screen: Iterable[Block]) -> list[Block]:
    """Return the report in the sections of a form, followed by all folded parts. `first_screen`: verdict, causes, commands, trials."""
    given = list(first_screen)
    said = tuple(
        block
        for number, block in enumerate(given)
        if not is_source(block) and (number or not isinstance(block, Heading))
    )
    blocks: list[Block] = [block for block in given if is_source(block)]
    for section in form.sections:
        blocks += [Heading(section.label), *section.blocks(report, said)]
    return [*blocks, *folded(report)]


def _with_proof(report: Report, said: tuple[Block, ...]) -> Iterable[Block]:
    """Return the first screen, with more blocks after the causes: the shortest command that shows the fault, and the last traceback."""
    end = next((number for number, block in enumerate(said) if isinstance(block, Fields)), len(said))
    return (*said[:end], *_how_to_see_it(report, said), *_log(report, said), *said[end:])


# Content of sections. All have the same arguments: the report, and its first screen.


def _finding(_: Report, said: tuple[Block, ...]) -> Iterable[Block]:
    return said


def _command(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    subject = report.facts.subject.command
    asked = (subject,) if isinstance(subject, str) else ()
    return (Listing((*asked, " ".join(report.command)) if report.command else asked),)


def _log(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    """Return the last traceback of the log or of an import; without one, a line that says that there is none."""
    last: list[Block] = [Listing(log.lines) for log in report.log_ends]
    last += [Listing(tuple(lines)) for _, lines in text.tracebacks(report.facts)]
    return last[:1] or (Paragraph("No import failed, and no log was given (attn-doctor check --log FILE adds one)."),)


def _how_to_see_it(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    """Return the shortest command that shows the fault without attn-doctor: the import that fails, or the check."""
    facts = report.facts
    python = facts.interpreter.python if isinstance(facts.interpreter.python, str) else "python"
    failed = ["torch"] if facts.torch.importable is False else []
    if isinstance(facts.imports, tuple):
        failed += [i.failed if isinstance(i.failed, str) else i.module for i in facts.imports if i.ok is False]
    line = shlex.join((python, "-c", _statement(failed[0]))) if failed else shlex.join(report.command)
    return (Listing((line,)),)


def _statement(name: str) -> str:
    """Return the Python statement that imports a name of target/imports.py. For a library of operators it imports torch first."""
    kind, _, what = name.partition(":")
    if kind == "from":
        module, _, wanted = what.partition(":")
        return f"from {module} import {wanted}"
    if kind == "library":
        return f"import torch; torch.ops.load_library({what!r})"
    return f"import torch, {name}" if name == "flash_attn_2_cuda" else f"import {what or name}"


def _environment(lines: Callable[[Facts], Lines]) -> Callable[[Report, tuple[Block, ...]], Iterable[Block]]:
    def made(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
        return (Listing(tuple(_listed(lines(report.facts)))),)

    return made


def _listed(lines: Lines) -> Iterable[str]:
    """Yield each line as "label: value".

    A value with several lines begins on the line after its label. A line with an empty label is only its value.
    """
    for label, value in lines:
        if not label:
            yield from value.splitlines() or [""]
        elif "\n" in value:
            yield f"{label}:"
            yield from value.splitlines()
        else:
            yield f"{label}: {value}"


def _component(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    """Return the item of Ultralytics' list "component" to which the first error belongs."""
    first = next((f for f in report.findings if f.root_cause), None)
    installs = first is not None and (area_of(first.code) is BUILD or report.facts.torch.importable is not True)
    return (Paragraph("Install" if installs else "Train"),)


def _checkbox(what: str) -> Callable[[Report, tuple[Block, ...]], Iterable[Block]]:
    return lambda _, __: (Notes("", (f"[ ] {what} (for you to tick)",)),)


def _expected(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    wish = "flash-attn imports and runs" if report.goal.value == "flash-attn" else "the model trains"
    return (Paragraph(f"Expected: {wish} in this environment."),)


def _folded_packages(report: Report, _: tuple[Block, ...]) -> Iterable[Block]:
    """Return the list of all packages as a folded part: maintainers ask for it, and it is long."""
    lines = text.packages(report.facts)
    return (Details(f"All {len(lines)} packages", (Listing(tuple(lines)),)),)


FORMS: Mapping[str, Form] = {
    "flash-attn": Form(
        "Dao-AILab/flash-attention",
        # It has no form. Asked for in https://github.com/Dao-AILab/flash-attention/issues/182, /235, /246, /509, /836, /966
        "https://github.com/Dao-AILab/flash-attention/issues",
        (
            Section("What happens", _finding),
            Section("Command", _command),
            Section("Error message", _log),
            Section("Environment", _environment(environments.of_flash_attention)),
        ),
    ),
    "pytorch": Form(
        "pytorch/pytorch",
        # The lines under "Versions" are those of https://github.com/pytorch/pytorch/blob/main/torch/utils/collect_env.py
        "https://github.com/pytorch/pytorch/blob/main/.github/ISSUE_TEMPLATE/bug-report.yml",
        (
            Section("🐛 Describe the bug", _with_proof),
            Section("Versions", _environment(environments.of_collect_env)),
        ),
    ),
    "ultralytics": Form(
        "ultralytics/ultralytics",
        # The lines under "Environment" are those of `yolo checks`
        "https://github.com/ultralytics/ultralytics/blob/main/.github/ISSUE_TEMPLATE/bug-report.yml",
        (
            Section("Search before asking", _checkbox("I searched the issues and found no such report")),
            Section("Ultralytics YOLO Component", _component),
            Section("Bug", _with_proof),
            Section("Environment", _environment(environments.of_yolo_checks)),
            Section("Minimal Reproducible Example", _how_to_see_it),
            Section("Additional", _command),
            Section("Are you willing to submit a PR?", _checkbox("Yes")),
        ),
    ),
    "yolov12": Form(
        "sunsmarterjie/yolov12",
        # It has no form. Asked for in https://github.com/sunsmarterjie/yolov12/issues/1, /33, /66, /89, /94, /96
        "https://github.com/sunsmarterjie/yolov12/issues",
        (
            Section("What happens", _finding),
            Section("Command", _command),
            Section("Error message", _log),
            Section("Environment", _environment(environments.of_yolov12)),
            Section("pip list", _folded_packages),
        ),
    ),
    "xformers": Form(
        "facebookresearch/xformers",
        "https://github.com/facebookresearch/xformers/blob/main/.github/ISSUE_TEMPLATE/bug-report.md",
        (
            Section("🐛 Bug", _finding),
            Section("Command", _command),
            Section("To Reproduce", lambda report, said: (*_how_to_see_it(report, said), *_log(report, said))),
            Section("Expected behavior", _expected),
            Section("Environment", _environment(environments.of_xformers)),
            Section("Additional context", _environment(environments.of_collect_env)),
        ),
    ),
}
