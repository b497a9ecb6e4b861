"""Build the outline of `attn-doctor inspect`: wording and order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attn_doctor.model.facts import Binary, BinaryVerdict, ChosenPython, Unknown
from attn_doctor.report.blocks import Block, Field, Fields, Heading, Notes, Paragraph, Tone, Verdict
from attn_doctor.report.inspection import runs_on
from attn_doctor.wheels.whole import parted, whole

_HEADS: dict[BinaryVerdict | None, tuple[str, Tone]] = {
    "loads": ("would load", "good"),
    "fails": ("would not load", "bad"),
    None: ("nothing to load", "dim"),
}


def outline(
    choice: ChosenPython, by_file: Iterable[tuple[str, Sequence[Binary]]], gpus: Sequence[str] = ()
) -> list[Block]:
    """Return all blocks: the target, then each file with its verdict, the reasons, its needs and its GPU code.

    `by_file`: (path of a file, the records of its extensions). `gpus`: compute capabilities, "8.9". A wheel has one verdict. Below it
    are its main extensions in full, and one line for each other extension that cannot be loaded or could not be judged.
    """
    blocks: list[Block] = [Fields((Field("against", f"{choice.python} ({choice.why})"),))]
    for path, records in by_file:
        if path.endswith(".whl"):
            blocks += _wheel(path, records, gpus)
        else:
            blocks += [block for record in records for block in _file(record, gpus)]
    return blocks


_WHEEL_TONES: dict[BinaryVerdict | None, Tone] = {"loads": "good", "fails": "bad", None: "dim"}
_NAMED = 20  # extensions


def _wheel(path: str, records: Sequence[Binary], gpus: Sequence[str]) -> Iterator[Block]:
    judged = whole(path, records)
    yield Heading(path)
    tone: Tone = "warn" if isinstance(judged.verdict, Unknown) else _WHEEL_TONES[judged.verdict]
    yield Verdict(judged.summary[0].upper() + judged.summary[1:] + ".", tone)
    main, others = parted(records)
    for record in main:
        if ".whl/" in record.path:  # an extension, not the wheel as a whole
            yield from _file(record, gpus)
        elif record.because[1:]:
            yield Notes("because", tuple(record.because))
    failing = [
        f"{r.module}: {r.because[0] if r.because else 'no reason given'}" for r in others if r.verdict == "fails"
    ]
    unknown = [f"{r.module}: {r.verdict.why}" for r in others if isinstance(r.verdict, Unknown)]
    for what, lines in (("that would not load", failing), ("that could not be judged", unknown)):
        if lines:
            yield Notes(f"optional extensions {what}; --json has their details", tuple(lines))
    loading = [record.module for record in others if record.verdict == "loads"]
    if loading:
        shown = ", ".join(loading[:_NAMED]) + (f" and {len(loading) - _NAMED} more" if len(loading) > _NAMED else "")
        yield Notes("optional extensions that would load; --json has their details", (shown,))


def _file(record: Binary, gpus: Sequence[str]) -> Iterator[Block]:
    verdict = record.verdict
    told: tuple[str, Tone] = ("not known: " + verdict.why, "warn") if isinstance(verdict, Unknown) else _HEADS[verdict]
    head, tone = told
    yield Heading(record.path)
    yield Verdict(head, tone)
    if record.because:
        yield Notes("because", record.because)
    if not isinstance(record.needs, Unknown) and record.needs:
        yield Notes("needs", tuple(_needs(record)))
    held = tuple(
        Field(title, value)
        for title, value in (
            ("was compiled for", record.built_for_torch),
            ("needs glibc", record.glibc),
            ("needs GLIBCXX", record.glibcxx),
            ("was built for macOS", record.macos),
            ("code signature", _signed(record)),
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
        yield Notes("on a GPU of compute capability", tuple(_on(record, gpu) for gpu in gpus))


def _signed(record: Binary) -> str | None:
    words = {"none": "none", "ad hoc": "names no signer (ad hoc)", "of a certificate": "of a certificate; not checked"}
    return words.get(record.signature) if isinstance(record.signature, str) else None


def _needs(record: Binary) -> Iterator[str]:
    for need in () if isinstance(record.needs, Unknown) else record.needs:
        place = need.found or "nowhere" + (f" ({need.package})" if isinstance(need.package, str) else "")
        yield f"{need.name} -> {place}"


def _on(record: Binary, gpu: str) -> str:
    answer = runs_on(record, gpu)
    said = "not known" if isinstance(answer, Unknown) else "yes" if answer.yes else "no"
    return f"{gpu}: {said}: {answer.why}"


def _joined(prefix: str, capabilities: object) -> str | None:
    if not isinstance(capabilities, tuple) or not capabilities:
        return None
    return ", ".join(prefix + capability.replace(".", "") for capability in capabilities)
