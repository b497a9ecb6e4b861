"""Make the state of a study from the events in its journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from attn_doctor.model.study import Cell, Event, Study

CUT = "its process was killed; the same command goes on"


def study_of(events: Sequence[Event], *, runs: bool = False) -> Study:
    """Return the study that the events of a journal describe.

    `runs`: a process works on it now; if not, a cell without an "end" was killed. Raises ValueError for a journal without a
    design.
    """
    if not events or events[0].design is None:
        raise ValueError("a journal begins with its design")
    first = events[0].design
    design = next(event.design for event in reversed(events) if event.design is not None)
    cells = {(arm, seed): Cell(arm=arm, seed=seed, state="waiting") for arm in design.arms for seed in design.seeds}
    for event in events[1:]:
        key = event.arm, event.seed
        if key in cells:
            cells[key] = _after(cells[key], event)
    if not runs:
        cells = {key: _cut(cell) if cell.state == "running" else cell for key, cell in cells.items()}
    added = design.seeds[len(first.seeds) :]
    return Study(design=design, cells=tuple(cells.values()), created=events[0].when, added=added)


def _after(cell: Cell, event: Event) -> Cell:
    replace = msgspec.structs.replace
    if event.at == "begin":
        kept = tuple(epoch for epoch in cell.epochs if epoch.number <= event.kept)
        proven = cell.proven if event.kept else None
        spent = cell.seconds if event.kept else None
        return replace(
            cell, state="running", epochs=kept, said="", where=event.where or cell.where, proven=proven, seconds=spent
        )
    if event.at == "proof":
        # Every process of a cell is proven: one that was not is not made good by another.
        proven = event.proven if cell.proven is None else bool(cell.proven and event.proven)
        said = event.said or cell.said
        return replace(cell, kernels=event.kernels, proven=proven, layers=event.layers, said=said)
    if event.at == "epoch" and event.epoch is not None:
        others = (epoch for epoch in cell.epochs if epoch.number != event.epoch.number)
        return replace(cell, epochs=tuple(sorted((*others, event.epoch), key=lambda epoch: epoch.number)))
    if event.at == "end":
        spent = event.seconds if cell.seconds is None else cell.seconds + (event.seconds or 0.0)
        return replace(
            cell,
            state=event.state,
            said=event.said or cell.said,
            seconds=spent,
            sizes=event.sizes,
            weights=event.weights,
        )
    return cell


def _cut(cell: Cell) -> Cell:
    return msgspec.structs.replace(cell, state="stopped", said=CUT)


def left_to_do(cells: Iterable[Cell], *, retry: bool = False) -> list[Cell]:
    """Return the cells that are not finished, seed by seed, so that a study that ends early has complete pairs.

    A cell that failed is returned only with `retry`.
    """
    ended = ("done",) if retry else ("done", "failed")
    every = list(cells)
    seeds = list(dict.fromkeys(cell.seed for cell in every))
    waiting = [cell for cell in every if cell.state not in ended]
    return sorted(waiting, key=lambda cell: seeds.index(cell.seed))
