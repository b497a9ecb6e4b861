"""Make two tables of the trials of several saved reports: what was measured, and for each size the attention to use. Pure.

Speeds are not compared here: `best` chooses a backend, by the verdicts of each trial.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from attn_doctor.model.matrix import Choice, Matrix, Measured
from attn_doctor.model.trials import Gain, Trial, TrialRun
from attn_doctor.trials.best import best
from attn_doctor.trials.saved_trials import SavedTrial
from attn_doctor.trials.shapes import shapes

_SHAPE = re.compile(r"([0-9]{1,9})x([0-9]{1,9})x([0-9]{1,9})x([0-9]{1,9})")
_YOLO12 = re.compile(r"yolov?12[nsmlx](\.ya?ml|\.pt)?")


def matrix(saved: Sequence[SavedTrial]) -> Matrix:
    """Return two tables, in the order of the reports: what was measured, and which attention to use on each machine at each size.

    `without` of the result has a line for each report in which nothing was measured.
    """
    choices: dict[tuple[object, ...], list[Choice]] = {}
    for one in saved:
        for choice in _choices(one):
            key = (
                choice.machine,
                choice.torch,
                choice.threads,
                choice.subject,
                choice.tokens,
                choice.batch,
                choice.dtype,
            )
            choices.setdefault(key, []).append(choice)
    return Matrix(
        measured=tuple(_measured(one, row) for one in saved for row in one.rows if row.forward_ms or row.step_ms),
        choices=tuple(_agreed(found) for found in choices.values()),
        without=tuple(
            f"{one.name}: {one.skipped or 'it has no trial'}"
            for one in saved
            if not any(row.forward_ms or row.step_ms for row in one.rows)
        ),
    )


def _machine(saved: SavedTrial, row: Trial, run: TrialRun) -> str:
    """Return the name of the processor or GPU that ran a row, as the report gives it."""
    if row.device.startswith("cuda"):
        return run.gpu_name or _gpu(saved) or "a GPU without a name"
    name = run.cpu or "a processor without a name"
    return f"GPU of {name}" if row.device == "mps" else name


def _gpu(saved: SavedTrial) -> str | None:
    """Return the name of the visible GPU in the report's facts; None if there is no GPU, or if there are several kinds."""
    gpus = saved.facts.graphics.gpus if saved.facts else ()
    names = {gpu.name for gpu in gpus if gpu.visible is not False} if isinstance(gpus, tuple) else set()
    name = next(iter(names), None) if len(names) == 1 else None
    return name if isinstance(name, str) else None


def _subject(row: Trial) -> str:
    parts = _SHAPE.fullmatch(row.shape or "")
    if parts:
        return f"attention alone, heads: {parts[2]} of {parts[4]}"
    return row.model or "YOLO12's attention alone"


def _tokens(row: Trial) -> int | None:
    """Return the tokens of the largest attention call; None if the report does not contain the calls of the model."""
    parts = _SHAPE.fullmatch(row.shape or "")
    if parts:
        return int(parts[3])
    if row.tokens or not row.imgsz:
        return row.tokens
    model = row.model or "yolo12n"
    if not _YOLO12.fullmatch(model):
        return None
    return max(tokens for _, _, tokens, _ in shapes(model.removesuffix(".pt"), row.imgsz))


def _measured(saved: SavedTrial, row: Trial) -> Measured:
    run = saved.run_of(row)
    alone = row.shape is not None or row.scope == "attention"
    stages = next((s for s in run.stages if (s.backend, s.dtype) == (row.backend, row.dtype)), None)
    whole = stages.preprocess_ms + stages.model_ms + stages.postprocess_ms if stages else 0.0
    return Measured(
        report=saved.name,
        machine=_machine(saved, row, run),
        torch=run.torch or _torch(saved),
        subject=_subject(row),
        backend=row.backend,
        dtype=row.dtype,
        status=row.status,
        batch=row.batch,
        imgsz=row.imgsz,
        tokens=_tokens(row),
        threads=row.threads if row.device == "cpu" else None,
        predicted_a_second=_a_second(1, whole),
        preprocess_ms=stages.preprocess_ms if stages else None,
        inference_ms=stages.model_ms if stages else None,
        postprocess_ms=stages.postprocess_ms if stages else None,
        forward_a_second=None if alone or not row.forward_ms else _a_second(row.batch, row.forward_ms.median),
        trained_a_second=None if alone or not row.step_ms else _a_second(row.batch, row.step_ms.median),
        forward_ms=row.forward_ms.median if row.forward_ms else None,
        step_ms=row.step_ms.median if row.step_ms else None,
        memory=row.peak_bytes,
        watts=run.gpu.watts if run.gpu else None,
        celsius=run.gpu.celsius if run.gpu else None,
        processor_load=run.processor_load,
    )


def _a_second(images: int, milliseconds: float) -> float | None:
    """Return images a second; None for a time that no trial measures (a saved report can say 0)."""
    return 1e3 * images / milliseconds if milliseconds > 0 else None


def _torch(saved: SavedTrial) -> str | None:
    version = saved.facts.torch.version if saved.facts else None
    return version if isinstance(version, str) else None


def _choices(saved: SavedTrial) -> Iterable[Choice]:
    groups: dict[tuple[object, ...], list[Trial]] = {}
    for row in saved.rows:
        groups.setdefault((row.model, row.imgsz, row.batch, row.shape, row.dtype), []).append(row)
    for rows in groups.values():
        first = next((row for row in rows if row.step_ms), rows[0])
        if all(row.status == "ruled-out" for row in rows):
            continue
        backend, gain, why = _decided(rows)
        run = saved.run_of(first)
        yield Choice(
            machine=_machine(saved, first, run),
            torch=run.torch or _torch(saved),
            threads=first.threads if first.device == "cpu" else None,
            subject=_subject(first),
            tokens=next((tokens for row in rows if (tokens := _tokens(row))), None),
            batch=first.batch,
            dtype=first.dtype,
            backend=backend,
            gain=gain,
            why=why,
            reports=(saved.name,),
        )


def _decided(rows: Sequence[Trial]) -> tuple[str | None, Gain | None, str]:
    """Return (backend to use, its gain, reason). The backend is None if these rows do not decide."""
    found = best(rows, rows[0].dtype)
    if found.row is None:
        return (
            None,
            None,
            "eager gave no numbers to compare with" if found.why == "lost" else "no backend has right numbers",
        )
    if found.why == "only":
        return None, None, "eager was not tried, so there is nothing to compare with"
    if found.why == "faster":
        return found.row.backend, found.row.step_gain, "faster than eager beyond doubt"
    if found.why == "right":
        return found.row.backend, found.row.step_gain, "eager's numbers are wrong"
    others = [row for row in rows if row is not found.row and row.status != "ruled-out"]
    open_rows = [row for row in others if row.status == "ok" and _is_open(row.step_gain)]
    if open_rows:
        return None, None, _question(max(open_rows, key=lambda row: row.step_gain.ratio if row.step_gain else 0.0))
    if not others:
        return None, None, "only eager was tried"
    right = [row for row in others if row.status == "ok"]
    return found.row.backend, None, "no other backend is faster" if right else "no other backend has right numbers"


def _is_open(gain: Gain | None) -> bool:
    return gain is None or gain.verdict in (None, "undecided")


def _question(row: Trial) -> str:
    gain = row.step_gain
    if gain is None:
        return f"{row.backend} was not compared with eager"
    more = f"; about {gain.more_rounds} more rounds would decide it" if gain.more_rounds else ""
    return f"{row.backend} is {gain.ratio:.2f}× ({gain.low:.2f}–{gain.high:.2f}) in {gain.n} rounds: undecided{more}"


def _agreed(found: Sequence[Choice]) -> Choice:
    """Return one choice for all reports of one kind of machine.

    It names no backend if two reports decided differently.
    """
    reports = tuple(dict.fromkeys(name for choice in found for name in choice.reports))
    decided = [choice for choice in found if choice.backend]
    if not decided:
        return msgspec.structs.replace(found[0], reports=reports)
    if len({choice.backend for choice in decided}) > 1:
        said = ", ".join(f"{choice.reports[0]} says {choice.backend}" for choice in decided)
        return msgspec.structs.replace(
            decided[0], backend=None, gain=None, why=f"the reports disagree: {said}", reports=reports
        )
    surest = max(decided, key=lambda choice: choice.gain.n if choice.gain else 0)
    return msgspec.structs.replace(surest, reports=reports)
