"""Build the part of the outline of `attn-doctor trial --tune` about settings other than attention: the measurements, and the lines to copy. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.model.facts import Facts
from attn_doctor.model.trials import Gain, Interval
from attn_doctor.prescription.changes.table import CHANGES, PREDICTING, TRAINING
from attn_doctor.report.blocks import Block, Cell, Command, Cure, Notes, Table, Tone, Verdict
from attn_doctor.trials.tuning.advice import Tuning, beyond, caveats, line, runtime_lines, summary
from attn_doctor.trials.tuning.judged import FLOAT32, SIXTEEN_BITS
from attn_doctor.trials.tuning.loader_settings import LoaderSettings
from attn_doctor.trials.tuning.rows import Checked, Pass, Row, RuntimeRow
from attn_doctor.trials.tuning.runtimes import RUNTIMES

_TONES: dict[str, Tone] = {"ok": "good", "wrong": "bad", "failed": "bad"}
_NAMED = {TRAINING: "training step", PREDICTING: "prediction of a batch of one, batch norms folded as ultralytics does"}


def tuning_outline(tuning: Tuning, loader: LoaderSettings | None, facts: Facts, file: str | None) -> list[Block]:
    """Return the blocks about what `--tune` measured, then the lines to copy. In both parts training comes before predicting.

    `loader`: batch, workers and cache; None: not measured. `facts`: of the target, for its commands. `file`: the file with the
    prescription; None: the usual file.
    """
    blocks: list[Block] = []
    for found in (tuning.training, tuning.predicting):
        if found:
            blocks += _pass(found)
    blocks += _runtimes(tuning)
    if tuning.failed:
        blocks.append(Notes("Not measured", tuple(f"{f.change}: {f.why}" for f in tuning.failed)))
    for found in (tuning.training, tuning.predicting):
        if found:
            blocks += _answer(found, loader if found.what == TRAINING else None, file, facts)
    if tuning.predicting:
        blocks += _runtime_answer(tuning.predicting, tuning.runtimes, facts)
    return blocks


def _runtimes(tuning: Tuning) -> list[Block]:
    tried = [row for row in tuning.runtimes if not row.missing]
    if not tried or not tuning.predicting:
        return []
    columns = ("runtime", "numbers", "ms", "n", "against torch as shipped", "export, s", "errors", "result")
    rows = tuple(
        (
            Cell(row.name, "strong"),
            Cell(row.precision or ""),
            Cell(_milliseconds(row.ms)),
            Cell(str(row.ms.n) if row.ms else ""),
            _gain(row.gain),
            Cell("" if row.export_seconds is None else f"{row.export_seconds:.0f}"),
            Cell(_errors(row.checked)),
            Cell(
                "fastest" if row.advised else "" if row.checked.status == "ok" else row.checked.status,
                _TONES[row.checked.status],
            ),
        )
        for row in tried
    )
    notes = [f"{row.name}: {row.checked.reason}" for row in tried if row.checked.reason]
    notes += [
        f"{row.name} computes in {row.precision} by its own default here"
        for row in tried
        if row.precision in ("bfloat16", "float16") and row.format
    ]
    notes += [
        f"{row.name}: ultralytics has no argument for it, and it is shown for comparison alone"
        for row in tried
        if not row.by_argument
    ]
    caption = f"What the model can be exported to, predicting a batch of one, image size {tuning.predicting.imgsz}"
    return [Table(caption, columns, rows, tuple(notes))]


def _runtime_answer(found: Pass, rows: Sequence[RuntimeRow], facts: Facts) -> list[Block]:
    blocks: list[Block] = []
    shell = commands.shell_of(facts)
    best = next((row for row in rows if row.advised and row.format), None)
    if best and best.format and best.gain:
        text = f"Predict with {best.name}, if an exported file will do: {best.gain.ratio:.2f} times as fast as torch as shipped."
        lines = runtime_lines(found, best.format, program=commands.yolo(facts))
        blocks.append(Verdict(text, "good"))
        why = ("once for these weights and this image size", "put your data in")
        made = tuple(Command(shlex.join(argv), note) for argv, note in zip(lines, why, strict=True))
        blocks.append(Cure("Export and predict", made))
    others = [r for r in rows if r.gain and r.gain.verdict == "faster" and r.format and r.by_argument and not r.advised]
    notes = [
        f"{row.name} was {row.gain.ratio:.2f} times as fast in {row.precision}: --allow precision advises it"
        for row in others
        if row.gain
        and row.precision in ("bfloat16", "float16")
        and (best is None or row.gain.ratio > (best.gain.ratio if best.gain else 0))
    ]
    if any(row.format and row.ms for row in rows):
        notes.append("an exported file stays under the licence of the model that it was made from")
    if notes:
        blocks.append(Notes("About exported files", tuple(notes)))
    missing = [row for row in rows if row.missing and row.format]
    if missing:
        ways: list[Command] = []
        for row in missing:
            step = commands.install(*RUNTIMES[row.format or ""].packages, why=row.name, changes=f"adds {row.name}")
            line_ = commands.shown(commands.rendered(facts, step), shell)
            ways.append(Command(line_, f"{row.name}, then attn-doctor trial --tune --runtimes measures it"))
        blocks.append(Cure("To measure another runtime for predicting", tuple(ways)))
    return blocks


def _pass(found: Pass) -> list[Block]:
    columns = ("changes", "ms", "n", "against as shipped", "errors", "result")
    rows = tuple(_row(row) for row in found.rows)
    errors = (
        "outputs, gradients"
        if found.what == TRAINING
        else "outputs; overlap (IoU) with their own that 95 of 100 boxes have at least"
    )
    notes = [
        f"errors against float64: {errors}; the limits are {_limits(found.what)}",
        *(
            f"{' + '.join(row.changes) or 'as shipped'}: {row.checked.reason}"
            for row in found.rows
            if row.checked.reason
        ),
        *_compiled(found),
        *found.notes,
    ]
    caption = f"{_NAMED[found.what]}, {found.model}, image size {found.imgsz}, batch {found.batch}, {found.device}"
    blocks: list[Block] = [Table(caption[0].upper() + caption[1:], columns, rows, tuple(notes))]
    if found.steps:
        blocks.append(Notes(f"How the changes for {found.what} were chosen", tuple(_steps(found))))
    if found.not_tried:
        items = tuple(f"{n.change}: {n.why}" for n in found.not_tried)
        blocks.append(Notes(f"Not tried for {found.what}", items))
    return blocks


def _compiled(found: Pass) -> list[str]:
    """Return the costs of compiling, and the number of steps after which it pays."""
    said = []
    for row in found.rows:
        if "compile" not in row.changes or not row.ms or not row.checked.first_ms:
            continue
        seconds = row.checked.first_ms / 1e3
        without = tuple(name for name in row.changes if name != "compile")
        other = next((r for r in found.rows if r.changes == without and r.ms), None) or found.rows[0]
        saved = (other.ms.median - row.ms.median) / 1e3 if other.ms else 0.0
        named = " + ".join(other.changes) or "as shipped"
        worth = (
            f"worth it from {seconds / saved:,.0f} steps on, against {named}"
            if saved > 0
            else f"never worth it against {named}"
        )
        said.append(f"compile: {seconds:.0f} s before the first step; {worth}")
    return said


def _limits(what: str) -> str:
    parts = []
    for words, most in (("in float32", FLOAT32), ("with fewer bits", SIXTEEN_BITS)):
        second = f"{most.gradient:.0e}" if what == TRAINING else f"{most.overlap:.0%} (scores {most.score:.0e})"
        parts.append(f"{most.output:.0e}, {second} {words}")
    return "; ".join(parts)


def _row(row: Row) -> tuple[Cell, ...]:
    name = " + ".join(row.changes) or "as shipped"
    verdict: Cell
    if row.checked.status != "ok":
        verdict = Cell(row.checked.status, _TONES[row.checked.status])
    else:
        verdict = Cell("prescribed" if row.applied else "", "good")
    return (
        Cell(name, "strong"),
        Cell(_milliseconds(row.ms)),
        Cell(str(row.ms.n) if row.ms else ""),
        _gain(row.gain),
        Cell(_errors(row.checked)),
        verdict,
    )


def _errors(seen: Checked) -> str:
    if seen.output_error is None:
        return ""
    second = f", {seen.gradient_error:.0e}" if seen.gradient_error is not None else ""
    overlap = f"; {seen.box_overlap:.1%}" if seen.box_overlap is not None else ""
    return f"{seen.output_error:.0e}{second}{overlap}"


def _milliseconds(interval: Interval | None) -> str:
    if interval is None:
        return ""
    digits = 1 if interval.median < 1000 else 0
    return f"{interval.median:.{digits}f} ({interval.low:.{digits}f}–{interval.high:.{digits}f})"


def _gain(gain: Gain | None) -> Cell:
    if gain is None:
        return Cell("")
    tone: Tone = "good" if gain.verdict == "faster" else "bad" if gain.verdict == "slower" else ""
    return Cell(f"{gain.ratio:.2f}× ({gain.low:.2f}–{gain.high:.2f}) {gain.verdict}", tone)


def _steps(found: Pass) -> list[str]:
    shown = []
    for on in dict.fromkeys(step.on for step in found.steps):
        mine = [step for step in found.steps if step.on == on]
        ratios = ", ".join(f"{s.change} {s.ratio:.2f}×{' (taken)' if s.taken else ''}" for s in mine)
        shown.append(
            f"on {' + '.join(on) or 'the program as shipped'}: {ratios}; {min(s.n for s in mine)} rounds at least"
        )
    return shown


def _answer(found: Pass, loader: LoaderSettings | None, file: str | None, facts: Facts) -> list[Block]:
    row = found.chosen
    what = "Train" if found.what == TRAINING else "Predict"
    if row is None:
        return [Verdict(f"{what}: nothing is advised, because no combination was right.", "warn")]
    argv = line(found, loader, file=file, program=commands.yolo(facts))
    command = Command(shlex.join(argv), "put your data in")
    blocks: list[Block] = []
    if not row.changes:
        blocks.append(Verdict(f"{what} as shipped: no combination that was tried is faster beyond doubt.", "good"))
    elif row.gain:
        named = ", ".join(f"{name} {value}".strip() for name, value in summary(found).items())
        blocks.append(Verdict(f"{what} with {named}: {row.gain.ratio:.2f} times as fast as shipped.", "good"))
    blocks.append(Cure(f"{what} with it" if row.changes else what, (command,)))
    notes = caveats(found, row.changes)
    notes += [f"{name}: {CHANGES[name].words}; `--without {name}` switches it off" for name in row.changes]
    notes += _more(found)
    notes += [
        f"{' + '.join(r.changes)} was {r.gain.ratio:.2f} times as fast in {r.gain.n} rounds, which do not decide it: --seconds gives it more"
        for r in found.rows
        if r.gain and r.gain.verdict == "undecided" and r.gain.ratio > 1 and r not in beyond(found)
    ]
    if notes:
        blocks.append(Notes(f"What it changes for {found.what}", tuple(notes)))
    return blocks


def _more(found: Pass) -> Sequence[str]:
    """Return a sentence for each combination that was faster than the prescribed one, and was left out for its precision.

    One that was slower was left out for its speed, also with --allow precision.
    """
    gain = found.chosen.gain if found.chosen else None
    least = gain.ratio if gain else 1.0
    return [
        f"{' + '.join(row.changes)} was {row.gain.ratio:.2f} times as fast, and is left out because it computes with fewer bits"
        f"{' (not proven over a training)' if found.what == TRAINING else ''}: --allow precision prescribes it"
        for row in beyond(found)
        if row.gain and row.gain.verdict == "faster" and row.gain.ratio > least
    ]
