"""Build the outline of `attn-doctor trial`: wording and order, the same for every format. Pure."""

from __future__ import annotations

import re

from attn_doctor.failure_modes.shared.fact_queries import message
from attn_doctor.model.facts import Facts
from attn_doctor.model.trials import Gain, GainVerdict, Interval, Trial
from attn_doctor.report.blocks import Block, Cell, Field, Fields, Notes, Table, Tone, Verdict
from attn_doctor.report.kernel_notes import by_reason, kernels, ranges, repeats, wrong_reference
from attn_doctor.report.machine_summary import size, watched
from attn_doctor.report.memory_outline import memory_outline
from attn_doctor.report.outline import STATUS_TONE
from attn_doctor.report.tuning_outline import tuning_outline
from attn_doctor.trials.long_trial import Study
from attn_doctor.trials.tuning.loader_settings import LoaderSettings

_SHAPE = re.compile(r"(?P<batch>[0-9]{1,9})x[0-9]{1,9}x(?P<tokens>[0-9]{1,9})x[0-9]{1,9}")
_GAIN_TONES: dict[GainVerdict, Tone] = {"faster": "good", "slower": "bad"}


def outline(study: Study, facts: Facts | None = None, prescription: str | None = None) -> list[Block]:
    """Return all blocks of `attn-doctor trial`, in the order in which a reader sees them.

    `study`: its results (`trials.long_trial.Study`). `facts`: the facts of the target, for commands that install
    something. `prescription`: the prescription file; None: the usual file.
    """
    blocks: list[Block] = []
    if study.trials_skipped:
        blocks.append(Notes("Attention backends: not tried", (study.trials_skipped,)))
    groups = list(dict.fromkeys(_group(row) for row in study.trials))
    blocks += [_table(study, key, last=key == groups[-1]) for key in groups]
    blocks += kernels(study.trials)
    blocks += _mlx(study)
    blocks += _stages(study)
    blocks += _optimised(study)
    blocks += memory_outline(study.memory, study.memory_notes)
    blocks += _pipeline_notes(study)
    blocks += _ceilings(study)
    blocks += _growth(study)
    if any(row.scope == "model" and row.shape is None for row in study.trials) and not study.trials_skipped:
        blocks.append(_verdict(study))
    if study.loader_skipped:
        blocks.append(Notes("Batch, workers and cache: not measured", (study.loader_skipped,)))
    if study.loader:
        blocks += _loader(study.loader)
    if study.tuning:
        blocks += tuning_outline(study.tuning, study.loader, facts or Facts(), prescription)
    return blocks


def _verdict(study: Study) -> Verdict:
    """Return the verdict; `check` gives the same advice from the same rows."""
    if study.best is None:
        lost = "eager, with which all others are compared, gave no numbers"
        return Verdict(
            f"No backend is named: {lost if study.best_why == 'lost' else 'none ended with right numbers'}.", "warn"
        )
    if study.best_why == "right":
        return Verdict(f"Use {study.best} to get right numbers: eager's numbers are wrong here.", "warn")
    if study.best_why == "only":
        return Verdict(f"Use {study.best}, the fastest of the requested backends; eager was not tried.", "")
    if study.best_why == "kept":
        return Verdict("Keep eager: no other backend is measurably faster.", "good")
    return Verdict(f"Use {study.best}.", "good")


def _group(row: Trial) -> tuple[str | None, int | None]:
    """Return the key of a table: an image size, or the same key for all shapes of a grid."""
    return (None, row.imgsz) if row.shape is None else ("grid", None)


def _table(study: Study, key: tuple[str | None, int | None], *, last: bool) -> Table:
    rows = [row for row in study.trials if _group(row) == key]
    ran = [row for row in rows if row.status != "ruled-out"]
    ruled_out = [row for row in rows if row.status == "ruled-out"]
    first = (ran or rows)[0]
    alone = first.shape is not None
    where = "attention alone" if alone else f"{first.model or 'YOLO12 attention alone'}, image size {first.imgsz}"
    batch = "" if alone else f", batch {first.batch}"
    threads = (
        f", {first.threads} thread{'s' if first.threads > 1 else ''}" if first.threads and first.device == "cpu" else ""
    )
    columns = [
        "backend",
        "dtype",
        *(["shape"] if alone else []),
        "forward, ms",
        "training step, ms",
        "n",
        "step against eager",
    ]
    columns += ["tokens/s"] if alone else ["calls"]
    columns += ["memory", "errors", "result"]
    return Table(
        f"{where}{batch}, {first.device}{threads}",
        tuple(columns),
        tuple(_row(row, alone=alone) for row in ran),
        (*by_reason(ran), *repeats(ran), *ranges(ran), *(by_reason(ruled_out) if last else ())),
    )


def _row(row: Trial, *, alone: bool) -> tuple[Cell, ...]:
    calls = row.attention_calls
    kinds = [(calls.fused, "fused"), (calls.math, "math"), (calls.eager, "eager")] if calls else []
    errors = "" if row.output_error is None else f"{row.output_error:.0e}, {row.gradient_error or 0:.0e}"
    return (
        Cell(row.backend, "strong"),
        Cell(row.dtype),
        *([Cell(row.shape or "")] if alone else []),
        Cell(_milliseconds(row.forward_ms)),
        Cell(_milliseconds(row.step_ms)),
        Cell(str(row.step_ms.n) if row.step_ms else ""),
        _gain(row.step_gain),
        Cell(_tokens(row) if alone else ", ".join(f"{n} {kind}" for n, kind in kinds if n)),
        Cell(size(row.peak_bytes) if row.peak_bytes is not None else ""),
        Cell(errors),
        Cell(row.status, STATUS_TONE.get(row.status, "bad")),
    )


def _gain(gain: Gain | None) -> Cell:
    if gain is None:
        return Cell("")
    tone = _GAIN_TONES.get(gain.verdict, "") if gain.verdict else ""
    return Cell(f"{gain.ratio:.2f}× ({gain.low:.2f}–{gain.high:.2f}) {gain.verdict}", tone)


def _tokens(row: Trial) -> str:
    shape = _SHAPE.fullmatch(row.shape or "")
    if shape is None or row.step_ms is None or row.step_ms.median <= 0:
        return ""
    return f"{int(shape['batch']) * int(shape['tokens']) / row.step_ms.median * 1e3:,.0f}"


def _milliseconds(interval: Interval | None) -> str:
    if interval is None:
        return ""
    digits = 2 if interval.median < 10 else 1 if interval.median < 1000 else 0
    return f"{interval.median:.{digits}f} ({interval.low:.{digits}f}–{interval.high:.{digits}f})"


def _mlx(study: Study) -> list[Block]:
    """Return the table of MLX. The first call at a shape has a column of its own, apart from the later ones."""
    if study.mlx is None:
        return []
    rows = tuple(
        (
            Cell(str(row.shape)),
            Cell(f"mlx-{row.kind}", "strong"),
            Cell(_milliseconds(row.ms)),
            Cell(f"{row.tokens_per_second:,.0f}"),
            Cell(f"{row.first_ms:.1f}"),
            Cell(f"{row.error:.0e}", "" if row.right else "bad"),
        )
        for row in study.mlx.rows
    )
    columns = ("shape", "computed by", "forward, ms", "tokens/s, forward", "first call, ms", "error")
    blocks: list[Block] = []
    if rows:
        about = "the first call compiles and allocates, and says nothing of the speed afterwards"
        blocks.append(Table(f"MLX on {study.mlx.rows[0].device}, float32", columns, rows, (about,)))
    if study.mlx.notes:
        blocks.append(Notes("MLX", study.mlx.notes))
    return blocks


def _stages(study: Study) -> list[Block]:
    """Return a table for each image size: the milliseconds of each stage of predicting one image."""
    blocks: list[Block] = []
    for run in study.runs:
        rows = tuple(
            (
                Cell(s.backend, "strong"),
                Cell(s.dtype),
                *(Cell(f"{taken:.2f}") for taken in (s.preprocess_ms, s.model_ms, s.postprocess_ms)),
                Cell(str(s.n)),
            )
            for s in run.stages
        )
        columns = ("backend", "dtype", "pre-processing, ms", "model, ms", "post-processing, ms", "calls")
        if rows:
            blocks.append(
                Table(f"Inference by ultralytics' predictor, an image, image size {run.imgsz}", columns, rows)
            )
    return blocks


def _optimised(study: Study) -> list[Block]:
    blocks: list[Block] = []
    columns = ("backend", "dtype", "step without it, ms", "with it, ms", "rounds")
    for run in study.runs:
        rows = tuple(
            (
                Cell(s.backend, "strong"),
                Cell(s.dtype),
                Cell(_milliseconds(s.step_ms)),
                Cell(_milliseconds(s.optimised_ms)),
                Cell(str(s.optimised_ms.n)),
            )
            for s in run.optimised
        )
        if rows:
            caption = f"Training step with its optimiser ({run.optimised[0].optimiser}), image size {run.imgsz}"
            blocks.append(Table(caption, columns, rows))
    return blocks


def _pipeline_notes(study: Study) -> list[Block]:
    blocks: list[Block] = []
    wrong = wrong_reference(run.reference for run in study.runs)
    if wrong:
        blocks.append(Notes("torch itself computes wrong gradients here (finite differences)", wrong))
    faults = {
        "The model could not be built: YOLO12's attention shapes alone were tried": [r.model_fault for r in study.runs],
        "A pass through the model fails: YOLO12's attention shapes alone were tried": [
            r.forward_fault for r in study.runs
        ],
    }
    for title, found in faults.items():
        items = tuple(dict.fromkeys(message(fault) for fault in found if fault is not None))
        if items:
            blocks.append(Notes(title, items))
    fixed = sum(r.fixed_seconds or 0 for r in study.runs)
    measured = sum(r.measured_seconds or 0 for r in study.runs)
    if measured:
        text = f"{fixed:.0f} s to import, build and check, {measured:.0f} s to measure"
        blocks.append(Fields((Field("time taken", text),)))
    notes = tuple(
        dict.fromkeys([*(watched(r.gpu) for r in study.runs if r.gpu), *(n for r in study.runs for n in r.notes)])
    )
    if notes:
        blocks.append(Notes("Notes", notes))
    return blocks


def _ceilings(study: Study) -> list[Block]:
    items = tuple(
        f"{c.imgsz} pixels, {c.dtype}: attention is {c.share:.0%} of a training step with eager; an attention that needed no time would"
        f" make the step about {c.most:.2f} times as fast"
        for c in study.ceilings
    )
    return [Notes("What a free attention would gain (an estimate)", items)] if items else []


def _growth(study: Study) -> list[Block]:
    """Return one line for each backend and dtype."""
    items = []
    for backend, dtype in dict.fromkeys((g.backend, g.dtype) for g in study.growth):
        mine = [g for g in study.growth if (g.backend, g.dtype) == (backend, dtype)]
        items.append(f"{backend} ({dtype}): " + ", ".join(f"{g.cost} to the power {g.exponent:.2f}" for g in mine))
    return (
        [
            Notes(
                "Growth with the side of the image (exponent 2: as the pixels; 4: as attention over all pixels)",
                tuple(items),
            )
        ]
        if items
        else []
    )


def _loader(loader: LoaderSettings) -> list[Block]:
    rows = tuple(
        (
            Cell(g.backend, "strong"),
            Cell(size(g.fixed_bytes) if g.fixed_bytes > 0 else ""),
            Cell(size(g.bytes_an_image)),
            Cell("" if g.largest_batch is None else str(max(0, g.largest_batch))),
        )
        for g in loader.growth
    )
    notes = [loader.measured.stopped] if loader.measured.stopped else []
    if not loader.verified:
        ran = max((p.batch for p in loader.measured.points), default=0)
        notes.append(f"batches up to {ran} were run; larger ones are computed from their memory")
    columns = ("backend", "memory of a step", "more for an image", "largest batch")
    blocks: list[Block] = []
    if rows:
        blocks.append(Table(f"Memory of training, image size {loader.measured.imgsz}", columns, rows, tuple(notes)))
    blocks.append(Fields(tuple(Field(f"{s.name}={s.value}", s.why) for s in loader.settings)))
    return blocks
