"""Build the outline of `attn-doctor study`: wording and order, the same for every format. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from attn_doctor import commands
from attn_doctor.model.study import Cell as Training
from attn_doctor.model.study import Comparison, Study
from attn_doctor.report import study_texts as texts
from attn_doctor.report.blocks import (
    Block,
    Cell,
    Command,
    Cure,
    Details,
    Field,
    Fields,
    Heading,
    Notes,
    Table,
    Tone,
    Verdict,
)
from attn_doctor.report.pictures import Picture
from attn_doctor.report.study_pictures import charts
from attn_doctor.study.metrics import BY_NAME, METRICS, PRIMARY, Metric

_ADDED = "seeds that are added until the answer pleases make a false answer more frequent than the level says"
_STATE_TONES: dict[str, Tone] = {"done": "good", "failed": "bad", "stopped": "warn"}


def outline(study: Study, comparisons: Sequence[Comparison], shell: str = "bash") -> list[Block]:
    """Return all blocks, in the order in which a reader sees them.

    `comparisons`: what `study.comparisons.compared` returned. `shell`: "bash" or "powershell", for the command that repeats the study.
    """
    blocks: list[Block] = [_verdict(study, comparisons), _summary(study, comparisons)]
    blocks += _comparison_table(study, comparisons, "difference")
    blocks += _comparison_table(study, comparisons, "ratio")
    blocks += _sizes(study)
    blocks += _seeds_needed(comparisons)
    blocks += _left_out(study, comparisons)
    blocks += _trainings(study)
    blocks += _to_repeat(study, shell)
    return blocks


def pictures(study: Study, comparisons: Sequence[Comparison]) -> tuple[Picture, ...]:
    """Return the pictures of the page: differences with the margin, learning curves over the seeds, costs."""
    return charts(study, comparisons)


def _verdict(study: Study, comparisons: Sequence[Comparison]) -> Verdict:
    """Return one sentence about mAP50-95 of each arm."""
    rows = [row for row in comparisons if row.metric == PRIMARY.name]
    if not rows:
        return Verdict("Nothing is compared: the study has one attention only.", "warn")
    said = "; ".join(f"{row.arm} against {row.base}: {texts.outcome(row)}" for row in rows)
    tones = [texts.tone(row) for row in rows]
    tone: Tone = "bad" if "bad" in tones else "warn" if "warn" in tones else "good" if set(tones) == {"good"} else ""
    running = sum(cell.state in ("waiting", "running", "stopped") for cell in study.cells)
    unfinished = f" {running} of {len(study.cells)} trainings have not ended." if running else ""
    return Verdict(f"{PRIMARY.title}: {said}.{unfinished}", tone)


def _done(study: Study, arm: str) -> list[Training]:
    return [cell for cell in study.cells if cell.arm == arm and cell.state == "done"]


def _summary(study: Study, comparisons: Sequence[Comparison]) -> Table:
    """Return the table of the arms, with a row for each arm."""
    design = study.design
    rows = []
    for arm in design.arms:
        done = _done(study, arm)
        mine = {row.metric: row for row in comparisons if row.arm == arm}
        primary = mine.get(PRIMARY.name)
        rows.append(
            (
                Cell(arm, "strong"),
                Cell(texts.kernels(done) if done else ""),
                Cell(f"{len(done)} of {len(design.seeds)}"),
                Cell(_mean(PRIMARY, done)),
                Cell("compared with" if primary is None else texts.between(primary)),
                Cell("") if primary is None else Cell(texts.outcome(primary), texts.tone(primary)),
                *(Cell(_cost(metric, done)) for metric in METRICS if metric.scale == "ratio"),
            )
        )
    columns = (
        "attention",
        "proven kernel",
        "seeds",
        "mAP50-95, mean ± sd",
        f"difference ({1 - design.level:.0%} interval)",
        "verdict",
        *(metric.title for metric in METRICS if metric.scale == "ratio"),
    )
    caption = f"{design.model} on {design.data}, {design.epochs} epochs, image size {design.imgsz}, batch {design.batch}, {design.device}"
    notes = (
        f"A difference of less than {design.margin:g} in mAP50-95 counts as none; this margin was stated before the first training.",
        "mAP, precision and recall are those of the last epoch. Time and images/s are the median over the epochs after the first, memory is the highest.",
    )
    return Table(caption, columns, tuple(rows), (*notes, *_same_weights(study)))


def _same_weights(study: Study) -> tuple[str, ...]:
    """Return a sentence with the arms that ended with exactly the weights of the first arm, for every seed of both."""
    base = {cell.seed: cell.weights for cell in _done(study, study.design.arms[0]) if cell.weights}
    same = []
    for arm in study.design.arms[1:]:
        pairs = [(cell.weights, base[cell.seed]) for cell in _done(study, arm) if cell.weights and cell.seed in base]
        if pairs and all(mine == first for mine, first in pairs):
            same.append(
                f"{arm}: the last weights are those of {study.design.arms[0]}, bit for bit, with {texts.seeds(len(pairs))}."
            )
    return tuple(same)


def _mean(metric: Metric, cells: Sequence[Training]) -> str:
    values = [found for cell in cells if (found := metric.of(cell)) is not None]
    if not values:
        return ""
    mean = texts.value(metric.name, statistics.fmean(values))
    return f"{mean} ± {texts.value(metric.name, statistics.stdev(values))}" if len(values) > 1 else mean


def _cost(metric: Metric, cells: Sequence[Training]) -> str:
    values = [found for cell in cells if (found := metric.of(cell)) is not None]
    return texts.value(metric.name, statistics.fmean(values)) if values else ""


def _comparison_table(study: Study, comparisons: Sequence[Comparison], scale: str) -> list[Block]:
    shown = [row for row in comparisons if row.scale == scale and row.estimate is not None]
    if not shown:
        return []
    ratio = scale == "ratio"
    rows = tuple(
        (
            Cell(row.arm, "strong"),
            Cell(texts.title(row)),
            Cell(str(len(row.seeds))),
            Cell(texts.value(row.metric, row.base_mean)),
            Cell(texts.value(row.metric, row.arm_mean)),
            Cell(texts.between(row)),
            Cell(texts.probability(row.p)),
            Cell(texts.probability(row.p_equivalence)),
            Cell("" if row.effect is None or ratio else f"{row.effect:+.2f}".replace("-", "−")),
            Cell(texts.outcome(row), texts.tone(row)),
        )
        for row in shown
    )
    interval = f"({1 - study.design.level:.0%} interval)"
    columns = (
        "attention",
        "metric",
        "pairs",
        study.design.arms[0],
        "this attention",
        f"{'ratio' if ratio else 'difference'} {interval}",
        "p, a difference",
        "p, equivalence",
        "effect",
        "verdict",
    )
    caption = "Time, memory and energy" if ratio else "Accuracy"
    return [
        Table(
            f"{caption} against {study.design.arms[0]}, pair by pair of the same seed",
            columns,
            rows,
            _how(shown, ratio=ratio),
        )
    ]


def _how(rows: Sequence[Comparison], *, ratio: bool) -> tuple[str, ...]:
    """Return how to read the table; only for the tests that were made. docs/study.md explains it with examples."""
    tested = [row for row in rows if row.p is not None]
    notes = []
    if ratio:
        notes.append(
            "The ratio is the geometric mean over the pairs: 0.9× is a tenth less. Within 2 % counts as the same."
        )
    if not tested:
        return tuple(notes)
    notes.append(
        "An interval is of its row alone; both p are corrected for the number of comparisons (Holm), and the verdict follows them."
    )
    if not ratio:
        notes.append("Effect: the mean difference in units of its spread over the seeds, corrected for few pairs.")
    few = min(len(row.seeds) for row in tested)
    if few < 6:
        notes.append(f"Differences are taken as normally distributed; {texts.seeds(few)} are too few to check it.")
    return tuple(notes)


def _sizes(study: Study) -> list[Block]:
    """Return mAP50-95 by the size of the objects: means over the seeds. No test is made of them."""
    names = list(dict.fromkeys(name for cell in study.cells for name in cell.sizes))
    if not names:
        return []
    rows = []
    for arm in study.design.arms:
        cells = []
        for name in names:
            values = [cell.sizes[name] for cell in _done(study, arm) if name in cell.sizes]
            spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
            cells.append(Cell(f"{statistics.fmean(values):.4f}{spread}" if values else ""))
        rows.append((Cell(arm, "strong"), *cells))
    note = "Mean ± sd over the seeds, of the last weights. No test is made of these numbers."
    return [Table("mAP50-95 by the size of the objects", ("attention", *names), tuple(rows), (note,))]


def _seeds_needed(comparisons: Sequence[Comparison]) -> list[Block]:
    items = tuple(text for row in comparisons if (text := texts.needed_roughly(row)))
    how = "To add seeds: the same command with more of them at the end of --seeds, in the same folder. Only the new ones are trained."
    return [Notes("Seeds that would tell, with a probability of 80 %", (*items, how))] if items else []


def _left_out(study: Study, comparisons: Sequence[Comparison]) -> list[Block]:
    items: dict[str, None] = {}
    for row in comparisons:
        for pair in row.unpaired:
            if row.metric == PRIMARY.name or row.scale == "ratio":
                about = "" if row.metric == PRIMARY.name else f", {texts.title(row)}"
                if about and any(other.startswith(f"{row.arm}, seed {pair.seed}: {pair.why}") for other in items):
                    continue
                items[f"{row.arm}, seed {pair.seed}{about}: {pair.why}"] = None
    if study.added:
        seeds = ", ".join(map(str, study.added))
        items[f"the seeds {seeds} were added after others had been trained: {_ADDED}"] = None
    unproven = [arm for arm in study.design.arms if any(cell.proven is None for cell in _done(study, arm))]
    for arm in unproven:
        items[f"{arm}: which kernel ran was not seen in every training"] = None
    return [Notes("Left out of the comparison, or to be read with care", tuple(items))] if items else []


def _trainings(study: Study) -> list[Block]:
    """Return the table of all trainings."""
    somewhere = any(cell.where for cell in study.cells)
    rows = tuple(
        (
            Cell(cell.arm, "strong"),
            Cell(str(cell.seed)),
            Cell(cell.state, _STATE_TONES.get(cell.state, "")),
            Cell(f"{len(cell.epochs)} of {study.design.epochs}"),
            Cell(texts.value(PRIMARY.name, PRIMARY.of(cell))),
            Cell(texts.value("epoch_seconds", BY_NAME["epoch_seconds"].of(cell))),
            Cell(texts.value("peak_memory", BY_NAME["peak_memory"].of(cell))),
            Cell({True: "proven", False: "another kernel ran", None: ""}[cell.proven]),
            Cell(cell.where if somewhere else ""),
            Cell(cell.said),
        )
        for cell in study.cells
    )
    columns = (
        "attention",
        "seed",
        "state",
        "epochs",
        PRIMARY.title,
        "time an epoch",
        "peak memory",
        "kernel",
        "machine",
        "said",
    )
    return [Table("The trainings", columns, rows)]


def _to_repeat(study: Study, shell: str) -> list[Block]:
    """Return everything that is needed to run the study again."""
    design = study.design
    blocks: list[Block] = [Heading("To repeat it")]
    if design.command:
        blocks.append(
            Cure(
                "run the same study again",
                (
                    Command(
                        commands.quoted(design.command, shell),
                        "in the same folder it goes on; in another one (--folder) it begins anew",
                    ),
                ),
            )
        )
    fields = [
        Field("model", design.model),
        Field("data", design.data),
        Field("attentions", ", ".join(design.arms)),
        Field("seeds", ", ".join(map(str, design.seeds))),
        Field("epochs, image size, batch", f"{design.epochs}, {design.imgsz}, {design.batch}"),
        Field("device", design.device + (f", {design.threads} threads" if design.threads else "")),
        *([Field("settings", " ".join(f"{k}={v}" for k, v in design.settings.items()))] if design.settings else []),
        Field("margin, level", f"{design.margin:g} of mAP50-95, {design.level:g}"),
        *([Field("begun", study.created)] if study.created else []),
        *(Field(name, version) for name, version in design.versions.items()),
        *(Field(f"SHA-256 of {name}", digest) for name, digest in design.hashes.items()),
    ]
    blocks.append(Details("Versions, settings, and hashes of data and configuration", (Fields(tuple(fields)),)))
    kernels = [
        Field(f"{arm}", ", ".join(dict.fromkeys(name for cell in _done(study, arm) for name in cell.kernels)))
        for arm in design.arms
    ]
    seen = tuple(field for field in kernels if field.text)
    if seen:
        blocks.append(Details("Kernels that ran, as the profiler named them", (Fields(seen),)))
    return blocks
