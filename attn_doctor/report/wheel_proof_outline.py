"""Build the outline of `attn-doctor wheels --prove`: the verdict on one file, and its reasons. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.report.blocks import Block, Command, Cure, Field, Fields, Heading, Notes, Paragraph, Tone, Verdict
from attn_doctor.wheels.proof import Proof
from attn_doctor.wheels.proof import Verdict as Judged

_HEADS: Mapping[Judged, tuple[str, Tone]] = {
    "fits": ("This file fits: its extension would load here, and its content agrees with its name.", "good"),
    "refused": ("This file is refused.", "bad"),
    "cannot be told": ("It is not known whether this file fits.", "warn"),
}


def outline(proof: Proof, path: Path, facts: Facts) -> tuple[Block, ...]:
    """Return the verdict on a wheel, and the command that installs the file if it fits."""
    blocks = proof_blocks(proof, path)
    if proof.verdict != "fits":
        return blocks
    step = commands.rendered(facts, commands.install(str(path), why="", changes=""))
    line = commands.shown(step, commands.shell_of(facts))
    cure = Cure("install the file that was read", (Command(line, "and no other file of the same name"),))
    return (*blocks[:-1], cure, blocks[-1])


def proof_blocks(proof: Proof, path: Path) -> tuple[Block, ...]:
    """Return the verdict on one wheel and its reasons. Unless the file is refused, the last block explains what the verdict means."""
    head, tone = _HEADS[proof.verdict]
    main = ", ".join(proof.main) or "none"
    others = f"{proof.loads} of {proof.others} other extensions would load" if proof.others else ""
    fields = [
        Field("file", str(path)),
        Field("sha256", proof.sha256),
        Field("main extension", main),
    ]
    blocks: list[Block] = [
        Heading("One wheel, judged by its content"),
        Fields((*fields, *([Field("beside it", others)] if others else []))),
    ]
    blocks.append(Verdict(head, tone))
    for title, items in (
        ("because", proof.against),
        ("not known", proof.open_questions),
        ("know before you install it", proof.notices),
    ):
        if items:
            blocks.append(Notes(title, tuple(items)))
    return (*blocks, *([] if proof.verdict == "refused" else [Paragraph(proof.meaning)]))
