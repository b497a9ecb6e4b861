"""Build the outline of `attn-doctor inspect`: wording and order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attn_doctor.model import foreign_text
from attn_doctor.model.facts import Binary, BinaryVerdict, ChosenPython, Unknown
from attn_doctor.report.blocks import Block, Field, Fields, Heading, Notes, Paragraph, Tone, Verdict
from attn_doctor.report.inspection import runs_on

_HEADS: dict[BinaryVerdict | None, tuple[str, Tone]] = {
    "loads": ("would load", "good"),
    "fails": ("would not load", "bad"),
    None: ("nothing to load", "dim"),
}


def outline(choice: ChosenPython, records: Iterable[Binary], gpus: Sequence[str] = ()) -> list[Block]:
    """Return all blocks: the target, then each file with its verdict, the reasons, and its needs and GPU code."""
    blocks: list[Block] = [Fields((Field("against", printable(f"{choice.python} ({choice.why})")),))]
    for record in records:
        blocks += _file(record, gpus)
    return blocks


def _file(record: Binary, gpus: Sequence[str]) -> Iterator[Block]:
    verdict = record.verdict
    told: tuple[str, Tone] = ("not known: " + verdict.why, "warn") if isinstance(verdict, Unknown) else _HEADS[verdict]
    head, tone = told
    yield Heading(printable(record.path))
    yield Verdict(printable(head), tone)
    if record.because:
        yield Notes("because", tuple(printable(reason) for reason in record.because))
    if not isinstance(record.needs, Unknown) and record.needs:
        yield Notes("needs", tuple(printable(line) for line in _needs(record)))
    held = tuple(
        Field(title, printable(value))
        for title, value in (
            ("was compiled for", record.built_for_torch),
            ("needs glibc", record.glibc),
            ("needs GLIBCXX", record.glibcxx),
            ("was built for macOS", record.macos),
            ("machine code for", _joined("sm_", record.sm)),
            ("PTX for", _joined("compute_", record.ptx)),
        )
        if isinstance(value, str)
    )
    if held:
        yield Fields(held)
    if gpus and record.sm == record.ptx == ():
        yield Paragraph("contains no GPU code")
    elif gpus:
        yield Notes("on a GPU of compute capability", tuple(printable(_on(record, gpu)) for gpu in gpus))


def _needs(record: Binary) -> Iterator[str]:
    for need in () if isinstance(record.needs, Unknown) else record.needs:
        place = need.found or "nowhere" + (f" ({need.package})" if isinstance(need.package, str) else "")
        yield f"{need.name} -> {place}"


def _on(record: Binary, gpu: str) -> str:
    answer = runs_on(record, gpu)
    said = "not known" if isinstance(answer, Unknown) else "yes" if answer.yes else "no"
    return f"{gpu}: {said}: {answer.why}"


def printable(line: str) -> str:
    """Return a line without control characters: names come from untrusted files."""
    return "".join(c if c.isprintable() else "\ufffd" for c in foreign_text.text(line))


def _joined(prefix: str, capabilities: object) -> str | None:
    if not isinstance(capabilities, tuple) or not capabilities:
        return None
    return ", ".join(prefix + capability.replace(".", "") for capability in capabilities)
