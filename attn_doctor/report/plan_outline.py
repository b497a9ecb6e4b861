"""Build the outlines of plans, of applying and of undoing. Pure; renderers decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from attn_doctor import commands
from attn_doctor.fixes.apply import Applied, ApplyOutcome
from attn_doctor.fixes.plan import Change, Plan, PlannedStep, Unsigned, Way
from attn_doctor.model.findings import Goal
from attn_doctor.model.steps import RISKS, RunByHand, SetVariable, Uninstall
from attn_doctor.report.blocks import (
    Block,
    Cell,
    Command,
    Cure,
    Field,
    Fields,
    Heading,
    Notes,
    Paragraph,
    Problem,
    Table,
    Tone,
    Verdict,
)
from attn_doctor.report.machine_summary import size
from attn_doctor.report.wheel_proof_outline import proof_blocks

_MOST_CHANGES = 8


def plan(made: Plan, shell: str) -> tuple[Block, ...]:
    """Return the blocks of a whole plan. `shell`: "bash", "powershell" or another name of `commands.shells`, for its commands."""
    blocks: list[Block] = [
        Heading("Plan"),
        Fields(
            (
                Field("target", made.target),
                Field("goal", made.goal.value),
                Field("installer", f"{made.installer} ({made.installer_why})"),
            )
        ),
        _verdict(made),
    ]
    if made.causes:
        blocks.append(Notes("Root causes", _causes(made)))
    if len(made.ways) > 1:
        blocks.append(side_by_side(made.ways))
    for one in made.ways:
        blocks += [way(one, shell, None if made.elsewhere else made.target), *proven(one)]
    notes = (*made.notes, *_not_asked(made.ways))
    if notes:
        blocks.append(Notes("Good to know", notes))
    return tuple(blocks)


def _not_asked(ways: Sequence[Way]) -> tuple[str, ...]:
    """Return the reasons why the versions before and after some steps are not known, each reason once."""
    reasons = (s.unresolved for w in ways for s in w.steps if s.unresolved and not s.impossible)
    return tuple(
        dict.fromkeys(f"For some steps the versions before and after are not known: {reason}." for reason in reasons)
    )


def _verdict(made: Plan) -> Verdict:
    if not made.causes and not made.ways:
        return Verdict("Nothing needs a fix here.", "good")
    if not made.ways:
        return Verdict("No known step helps against this; `attn-doctor explain CODE` says what is known.", "bad")
    verified = next((w for w in made.ways if w.attempt and w.attempt.verified), None)
    if verified and verified.attempt:
        return Verdict(
            f"{verified.name} was tried in a copy of this environment and works: {verified.attempt.summary}.", "good"
        )
    if any(w.attempt for w in made.ways):
        return Verdict("No way of this plan worked in a copy of this environment.", "bad")
    if made.goal is Goal.FLASH_ATTN and not made.causes:
        return Verdict("Nothing prevents flash-attn here; this plan installs it.", "good")
    if all(w.impossible() for w in made.ways):
        return Verdict("No known cure can be installed here: the installer was asked, and finds no solution.", "bad")
    number = len(made.ways)
    how = "One way" if number == 1 else f"{number} ways, the best first"
    if made.elsewhere:
        return Verdict(f"{how}; nothing was tried: on that machine --verify tries it in a throw-away copy.", "")
    return Verdict(f"{how}; nothing was tried yet: --verify tries it in a throw-away copy.", "")


def chosen(made: Plan, one: Way, shell: str) -> tuple[Block, ...]:
    """Return the blocks about the way that will be applied, with a note on the other ways."""
    blocks: list[Block] = [Heading("Plan"), Fields((Field("target", made.target), Field("goal", made.goal.value)))]
    blocks += [Notes("Root causes", _causes(made))] if made.causes else []
    blocks.append(way(one, shell, made.target))
    others = tuple(f"{w.name}: {w.title} (to {w.intent})" for w in made.ways if w is not one)
    if others:
        blocks.append(Notes("Instead, with --way NAME", others))
    return tuple(blocks)


def _causes(made: Plan) -> tuple[str, ...]:
    return tuple(f"{c.code} {c.slug} ({c.severity}): {c.message}" for c in made.causes)


def side_by_side(ways: Sequence[Way]) -> Table:
    """Return a table with a column for each way."""
    rows = (
        ("to", [w.intent for w in ways]),
        ("how", [w.title for w in ways]),
        ("changes", [_summed(w) for w in ways]),
        ("downloads", [_download(w) for w in ways]),
        ("risk", [_risk(w) for w in ways]),
        ("left to you", [_number(w.by_hand()) for w in ways]),
        ("against", ["; ".join(w.breaks) for w in ways]),
        ("tried", [w.attempt.summary if w.attempt else "" for w in ways]),
    )
    cells = tuple((Cell(label, "dim"), *(Cell(text) for text in texts)) for label, texts in rows if any(texts))
    return Table("Side by side", ("", *(w.name for w in ways)), cells)


def _number(steps: Sequence[PlannedStep]) -> str:
    return f"{len(steps)} step{'s' if len(steps) > 1 else ''}" if steps else ""


def way(one: Way, shell: str, target: str | None = None) -> Problem:
    """Return the block of one way, with the commands of all its steps for `shell`.

    `target`: the Python to which the plan can be applied; None: the plan is only shown.
    """
    lines = [line for number, steps in enumerate(_together(one.steps), 1) for line in _steps(number, steps, shell)]
    lines += [Command(None, f"goes against: {text}") for text in one.breaks]
    lines += [Command(None, note) for note in one.notes]
    if one.unsigned is not None:
        lines += _unsigned(one, one.unsigned, shell, target)
    verify = one.steps[-1].verify if one.steps else ()
    if verify:
        lines.append(Command(commands.quoted(verify, shell), "then see whether it helped"))
    tone: Tone = "" if one.attempt is None else "good" if one.attempt.verified else "bad"
    message = one.attempt.summary if one.attempt else _summed(one)
    return Problem(
        mark=one.name,
        tone=tone,
        code=f"to {one.intent}",
        slug=one.title,
        qualifiers=_for(one),
        message=message or "Its changes are not known beforehand.",
        evidence=(),
        consequences=one.attempt.left if one.attempt else (),
        cures=(Cure("as follows", tuple(lines)),),
        docs="",
    )


def _unsigned(one: Way, wheel: Unsigned, shell: str, target: str | None) -> list[Command]:
    """Return the sentence about a way with an unsigned wheel, and the command that applies it."""
    if wheel.sha256 is not None:
        return [Command(None, f"the file was fetched from {wheel.url}; its SHA-256 is {wheel.sha256}")]
    said = Command(None, f"{wheel.builder} built this wheel and nobody signed it. {_MEANING}")
    if target is None:
        return [said]
    trust = ("--way", one.name, "--allow-unsigned", wheel.builder)
    check = one.steps[-1].verify
    gpu = check[check.index("--gpu") :][:2] if "--gpu" in check else ()
    line = ("attn-doctor", "fix", "--apply", "--goal", one.goal.value, *trust, "--target", target, *gpu)
    note = f"if you trust {wheel.builder}: fetches it aside, reads it, tries it in a copy, and imports it without your credentials"
    return [said, Command(commands.quoted(line, shell), note)]


_MEANING = "A proof says that the file fits, never that it is harmless."


def proven(one: Way) -> tuple[Block, ...]:
    """Return the result of the check of a way's unsigned wheel; empty for a way without such a wheel."""
    wheel = one.unsigned
    if wheel is None or wheel.proof is None:
        return ()
    tried = (Paragraph(f"In a copy: {one.attempt.summary}."),) if one.attempt and one.attempt.verified else ()
    return (*proof_blocks(wheel.proof, Path(str(wheel.file))), *tried)


def with_way(made: Plan, one: Way) -> Plan:
    """Return the plan in which this way replaces the way of the same name."""
    return msgspec.structs.replace(made, ways=tuple(one if w.name == one.name else w for w in made.ways))


def _for(one: Way) -> str:
    return f"for {', '.join(one.cures)}" if one.cures else "nothing has to be cured for it"


def _together(steps: Sequence[PlannedStep]) -> list[list[PlannedStep]]:
    """Return the steps in groups: variables with the same reason are one group."""
    made: list[list[PlannedStep]] = []
    for planned in steps:
        before = made[-1][0].step if made else None
        both = isinstance(planned.step, SetVariable) and isinstance(before, SetVariable)
        if both and before is not None and planned.step.why == before.why:
            made[-1].append(planned)
        else:
            made.append([planned])
    return made


def _steps(number: int, steps: Sequence[PlannedStep], shell: str) -> list[Command]:
    planned, step = steps[0], steps[0].step
    download = f"downloads {size(planned.download_bytes)}" if planned.download_bytes else ""
    parts = [_changed(planned), download, step.takes or "", f"risk {step.risk_in_words}"]
    made = [Command(None, f"{number}. {step.why}", isinstance(step, RunByHand))]
    made.append(Command(_line(planned, shell), "; ".join(p for p in parts if p)))
    made += [Command(_line(more, shell), "and") for more in steps[1:]]
    made += [Command(f"# {commands.quoted(argv, shell)}", "to undo it by hand") for argv in planned.undo]
    return made


def _line(planned: PlannedStep, shell: str) -> str | None:
    return planned.shown.get(shell) or commands.shown(planned.step, shell)


def _changed(planned: PlannedStep) -> str:
    what = planned.step.changes
    if planned.changes is None:
        return f"{what}; cannot be done: {planned.unresolved}" if planned.impossible else what
    if isinstance(planned.step, Uninstall):
        return listed(planned.changes) or f"{what}, if any of it is still installed"
    return listed(planned.changes) or "changes nothing: all of it is installed already"


def listed(changes: Sequence[Change]) -> str:
    """Return the first eight changes as text: removals and updates first, then new packages."""
    ordered = sorted(changes, key=lambda change: change.before is None)
    shown = [str(change) for change in ordered[:_MOST_CHANGES]]
    rest = len(changes) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _summed(one: Way) -> str:
    if one.attempt and one.attempt.changes:
        return listed(one.attempt.changes)
    known = [change for step in one.steps for change in step.changes or ()]
    told = [p.step for p in one.steps if p.changes is None and not isinstance(p.step, SetVariable)]
    words = [step.changes for step in told if step.changes]
    variables = one.variables()
    if variables:
        words.append(
            f"sets {', '.join(variables)} in your shell"
            if any(variables.values())
            else f"unsets {', '.join(variables)} in your shell"
        )
    return "; ".join([*([listed(known)] if known else []), *dict.fromkeys(words)])


def _download(one: Way) -> str:
    sizes = [planned.download_bytes for planned in one.steps if planned.download_bytes is not None]
    words = [planned.step.takes for planned in one.steps if planned.step.takes]
    return ", ".join([*([size(sum(sizes))] if sum(sizes) else []), *words])


def _risk(one: Way) -> str:
    return max((planned.step.risk for planned in one.steps), key=RISKS.index, default="")


def applied(result: Applied, one: Way, made: Plan, shell: str) -> tuple[Block, ...]:
    """Return the blocks that say how applying ended (refused, applied, rolled back, not undone), and what to do next.

    `one`: the way that was applied. `made`: the plan that it belongs to. `shell`: the shell for which commands are written.
    """
    target, goal = made.target, made.goal
    heads: dict[ApplyOutcome, tuple[str, Tone, str]] = {
        "refused": ("×", "bad", f"{one.name} is refused, and nothing was changed"),
        "applied": ("✓", "good", f"{one.name} is applied: {one.title}"),
        "rolled back": ("!", "warn", f"{one.name} did not work and was undone: everything is as it was"),
        "not undone": ("×", "bad", f"{one.name} failed, and not everything could be restored"),
    }
    mark, tone, head = heads[result.outcome]
    cures = []
    if result.outcome == "applied":
        exports = tuple(Command(_line(p, shell), p.step.why) for p in one.steps if isinstance(p.step, SetVariable))
        if exports:  # a program cannot change the variables of the shell that started it
            cures.append(Cure("put this into your shell yourself", exports))
        if result.by_hand:
            cures.append(Cure("left to you", tuple(Command(None, text, by_hand=True) for text in result.by_hand)))
    if result.undo:
        cures.append(Cure("undo it", (Command(commands.quoted(result.undo, shell), "file by file"),)))
        gone = Command(commands.quoted(("rm", "-r", str(result.kept)), shell), "frees the space of the old files")
        cures.append(Cure("keep it, and delete the backup", (gone,)))
    if result.outcome == "rolled back":
        look = ("attn-doctor", "fix", "--suggest", "--verify", "--goal", goal.value, "--target", target)
        cures.append(
            Cure(
                "see which way works, in a throw-away copy",
                (Command(commands.quoted(look, shell), "your environment is not changed"),),
            )
        )
    if result.outcome == "not undone":
        again = Command(commands.quoted((target, f"{result.kept}/undo.py"), shell), "any Python from 3.8 on will do")
        cures.append(Cure("try again to undo it", (again,)))
    block = Problem(
        mark=mark,
        tone=tone,
        slug=head,
        code=f"to {one.intent}",
        qualifiers=_for(one),
        message=f"{result.summary.rstrip('.')}.",
        evidence=(),
        consequences=result.left,
        cures=tuple(cures),
        docs="",
    )
    return (block, Notes(f"Not restored; the backup is in {result.kept}", result.wrong)) if result.wrong else (block,)


def changed_since(paths: Sequence[str]) -> tuple[Block, ...]:
    """Return a warning that an undo also reverts these files, which were changed after the plan was applied."""
    shown = tuple(paths[:10]) + ((f"and {len(paths) - 10} more",) if len(paths) > 10 else ())
    return (
        Verdict(
            "The environment was changed after the plan was applied. Undo takes these later changes back too.", "warn"
        ),
        Notes("Changed since", shown),
    )


def undone(title: str, wrong: Sequence[str], kept: str | None) -> tuple[Block, ...]:
    """Return the blocks that say how an undo ended.

    `title`: of the plan. `wrong`: paths that could not be restored. `kept`: the folder with the changes that were made after the plan;
    None: there are none.
    """
    if wrong:
        return (
            Verdict("Undone, except for files that were changed in place.", "bad"),
            Notes("Not restored", tuple(wrong)),
        )
    blocks: list[Block] = [Verdict(f"Undone ({title}): the environment is as it was before, file by file.", "good")]
    if kept:
        blocks.append(Notes("Changes made after the plan were not deleted", (f"they are in {kept}",)))
    return tuple(blocks)
