"""Build the outline and the charts of `attn-doctor matrix`. Pure.

The outline has one table of all machines, and a decision matrix for each kind of machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attn_doctor.model.matrix import Choice, Matrix, Measured
from attn_doctor.model.trials import Range
from attn_doctor.report.blocks import Block, Cell, Heading, Notes, Table, Verdict
from attn_doctor.report.machine_summary import size
from attn_doctor.report.outline import STATUS_TONE
from attn_doctor.report.pictures import Bar, Bars

_COLUMNS = (
    "machine",
    "trial",
    "backend",
    "FPS, predicting",
    "pre + inference + post, ms",
    "images/s, model alone",
    "images/s, training",
    "forward, ms",
    "forward and backward, ms",
    "memory",
    "watts",
    "°C",
    "cores busy",
    "result",
)
_NOTES = (
    "FPS, predicting: images a second through ultralytics' whole predictor; pre, inference and post are its stages, for an image",
    "images/s, training: a step without its optimiser; memory: what that step needs above what was held before it",
    "watts, °C and the share of the cores that was busy are of the whole machine, for all backends of a report together",
    "an empty cell was not measured: only `attn-doctor trial` measures the predictor, and only NVIDIA GPUs tell watts and °C",
)


def outline(found: Matrix) -> list[Block]:
    """Return all blocks, in the order in which a reader sees them."""
    blocks: list[Block] = [Heading("attn-doctor matrix"), _verdict(found)]
    blocks += [
        _decisions(kind, [choice for choice in found.choices if _kind(choice) == kind])
        for kind in dict.fromkeys(map(_kind, found.choices))
    ]
    if found.measured:
        blocks.append(Table("What was measured", _COLUMNS, tuple(map(_row, found.measured)), _NOTES))
    if found.without:
        blocks.append(Notes("Reports without a measurement", found.without))
    return blocks


def _verdict(found: Matrix) -> Verdict:
    decided = sum(choice.backend is not None for choice in found.choices)
    if not found.choices:
        return Verdict("Nothing was measured in these reports.", "warn")
    said = f"{decided} of {len(found.choices)} cells are decided"
    return Verdict(
        f"{said}; an empty cell has its reason below its table." if decided < len(found.choices) else f"{said}.",
        "good" if decided else "warn",
    )


def _kind(choice: Choice) -> tuple[str, str]:
    """Return (kind of machine, subject). The subject is a model or the attention alone. Each table is about one such pair."""
    threads = f", {choice.threads} thread{'' if choice.threads == 1 else 's'}" if choice.threads else ""
    return f"{choice.machine}, torch {choice.torch or 'unknown'}{threads}", choice.subject


def _decisions(kind: tuple[str, str], choices: Sequence[Choice]) -> Table:
    """Return the decision matrix of one kind of machine: a row for each number of tokens and batch, a column for each dtype."""
    dtypes = list(dict.fromkeys(choice.dtype for choice in choices))
    lines = sorted({(choice.tokens or 0, choice.batch) for choice in choices})
    by_place = {(choice.tokens or 0, choice.batch, choice.dtype): choice for choice in choices}
    rows, why = [], []
    for tokens, batch in lines:
        cells = [Cell(f"{tokens:,}" if tokens else "", "strong"), Cell(str(batch))]
        for dtype in dtypes:
            choice = by_place.get((tokens, batch, dtype))
            cells.append(_cell(choice))
            if choice and choice.backend is None:
                where = f"{tokens:,} tokens, " if tokens else ""
                why.append(f"{where}batch {batch}, {dtype}: {choice.why}")
        rows.append(tuple(cells))
    notes = ["times as fast as eager in a training step, with the interval of the paired rounds", *why]
    return Table(f"Which attention: {kind[1]} on {kind[0]}", ("tokens", "batch", *dtypes), tuple(rows), tuple(notes))


def _cell(choice: Choice | None) -> Cell:
    if choice is None or choice.backend is None:
        return Cell("")
    gain = choice.gain
    if gain is None:
        return Cell(f"{choice.backend} ({choice.why})", "good")
    right = f", {choice.why}" if "wrong" in choice.why else ""
    return Cell(f"{choice.backend} {gain.ratio:.2f}× ({gain.low:.2f}–{gain.high:.2f}){right}", "good")


def _row(row: Measured) -> tuple[Cell, ...]:
    size_of = f"{row.imgsz} pixels" if row.imgsz else f"{row.tokens:,} tokens" if row.tokens else ""
    trial = (row.subject, size_of, f"batch {row.batch}", row.dtype)
    stages = (row.preprocess_ms, row.inference_ms, row.postprocess_ms)
    return (
        Cell(f"{row.machine}, torch {row.torch or 'unknown'} ({row.report})"),
        Cell(", ".join(filter(None, trial))),
        Cell(row.backend, "strong"),
        _number(row.predicted_a_second, "{:.1f}"),
        Cell(" + ".join(f"{taken:.2f}" for taken in stages if taken is not None)),
        _number(row.forward_a_second, "{:.1f}"),
        _number(row.trained_a_second, "{:.1f}"),
        *(
            _number(taken if row.trained_a_second is None else None, "{:.2f}")
            for taken in (row.forward_ms, row.step_ms)
        ),
        Cell("" if row.memory is None else size(row.memory)),
        _number(row.watts, "{:.0f}"),
        Cell(_range(row.celsius)),
        _number(row.processor_load, "{:.0%}"),
        Cell(row.status, STATUS_TONE.get(row.status, "bad")),
    )


def _number(value: float | None, form: str) -> Cell:
    return Cell("" if value is None else form.format(value))


def _range(found: Range | None) -> str:
    if found is None:
        return ""
    return f"{found.low}" if found.low == found.high else f"{found.low}–{found.high}"


def charts(found: Matrix) -> tuple[Bars, ...]:
    """Return three charts of images a second: in training, through the model alone, through ultralytics' predictor.

    Each has a group of bars for each machine, model, image size, batch and dtype. A chart with fewer than two bars is
    left out.
    """
    speeds: dict[str, Callable[[Measured], float | None]] = {
        "Images a second in training": lambda row: row.trained_a_second,
        "Images a second through the model alone": lambda row: row.forward_a_second,
        "Images a second through ultralytics' predictor": lambda row: row.predicted_a_second,
    }
    made = []
    for caption, of in speeds.items():
        groups: dict[str, list[Bar]] = {}
        for row in found.measured:
            speed = of(row)
            if speed is not None:
                group = (
                    f"{row.machine}, {row.subject}, {row.imgsz} pixels, batch {row.batch}, {row.dtype} ({row.report})"
                )
                groups.setdefault(group, []).append(_bar(row, speed))
        if sum(map(len, groups.values())) > 1:
            most = max(bar.value for bars in groups.values() for bar in bars)
            named = tuple((group, tuple(bars)) for group, bars in groups.items())
            made.append(Bars(caption, "Longer is faster.", named, most))
    return tuple(made)


def _bar(row: Measured, speed: float) -> Bar:
    text = f"{speed:.1f}"
    return (
        Bar(row.backend, speed, text)
        if row.status == "ok"
        else Bar(row.backend, speed, text, tone="bad", remark=row.status)
    )
