"""Compare two reports: findings gained and lost, facts, and the times of the backends. Pure.

The reports may be of two environments, of two machines, or from before and after an installation. Values that always differ (the
clock, free memory, the folder of an environment) do not count.
"""

from __future__ import annotations

from collections.abc import Iterator

from attn_doctor.model.fact_names import (
    NOISE,
    NOT_RECORDED,
    SECTIONS,
    Home,
    evidence_paths,
    home,
    is_list_of_records,
    named,
    shown,
)
from attn_doctor.model.facts import Facts, Fault, Record
from attn_doctor.model.findings import Finding
from attn_doctor.model.report import Report
from attn_doctor.model.trials import Interval, Trial


class Change(Record, frozen=True, kw_only=True):
    """Describe one fact with two different values. None as a value: this report's list does not have the item."""

    path: str  # "packages.distributions.torch.version": items of lists by their names
    before: str | None
    after: str | None
    behind: tuple[str, ...] = ()  # slugs of findings gained or lost that have this fact as evidence


class Pace(Record, frozen=True, kw_only=True):
    """Describe the speed of one backend on the same work in both reports. Times of a training step in milliseconds."""

    backend: str
    dtype: str
    model: str | None
    imgsz: int | None
    batch: int
    shape: str | None
    device: str
    status_before: str
    status_after: str
    before_ms: Interval | None
    after_ms: Interval | None
    ratio: float | None  # before / after: 2.0 means twice as fast after
    differs: bool  # the intervals do not overlap, or the status changed


class Comparison(Record, frozen=True, kw_only=True):
    """Hold all differences between a first and a second report."""

    gained: tuple[Finding, ...]  # only in the second report
    lost: tuple[Finding, ...]
    kept: tuple[Finding, ...]  # as in the second report
    changes: tuple[Change, ...]
    paces: tuple[Pace, ...]
    backend_before: str | None
    backend_after: str | None


def compare(before: Report, after: Report) -> Comparison:
    """Compare two reports: findings by their codes, facts by their paths, and the rows of trials that measured the same work.

    Same work: the same backend, dtype, model, image size, batch, shape and kind of device.
    """
    codes = {f.code for f in before.findings}, {f.code for f in after.findings}
    gained = tuple(f for f in after.findings if f.code not in codes[0])
    lost = tuple(f for f in before.findings if f.code not in codes[1])
    return Comparison(
        gained=gained,
        lost=lost,
        kept=tuple(f for f in after.findings if f.code in codes[0]),
        changes=_changes(before.facts, after.facts, lost, gained),
        paces=tuple(_paces(before.trials, after.trials)),
        backend_before=before.recommendation.backend,
        backend_after=after.recommendation.backend,
    )


def _changes(before: Facts, after: Facts, lost: tuple[Finding, ...], gained: tuple[Finding, ...]) -> tuple[Change, ...]:
    blamed = [*evidence_paths(before, lost), *evidence_paths(after, gained)]
    found = []
    for path, *texts in _differences(before, after, "", (home(before.interpreter), home(after.interpreter))):
        behind = {slug for place, slug in blamed if place == path or place.startswith(path + ".")}
        found.append(Change(path=path, before=texts[0], after=texts[1], behind=tuple(sorted(behind))))
    order = {name: place for place, name in enumerate(SECTIONS)}
    return tuple(sorted(found, key=lambda c: (not c.behind, order.get(c.path.partition(".")[0], len(order)))))


def _differences(
    some: object, other: object, path: str, homes: tuple[Home, Home]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield (path, text before, text after) of every value that differs; a missing item is one difference."""
    if isinstance(some, Record) and type(some) is type(other) and not isinstance(some, Fault):
        for name in some.__struct_fields__:
            if name not in NOISE:
                below = f"{path}.{name}" if path else name
                yield from _differences(getattr(some, name), getattr(other, name), below, homes)
        return
    if is_list_of_records(some) and is_list_of_records(other):
        items = dict(named(some)), dict(named(other))  # type: ignore[arg-type]
        for name in dict.fromkeys((*items[0], *items[1])):
            pair = items[0].get(name), items[1].get(name)
            if None in pair:
                yield f"{path}.{name}", shown(pair[0], homes[0]), shown(pair[1], homes[1])
            else:
                yield from _differences(*pair, f"{path}.{name}", homes)
        return
    if NOT_RECORDED in (some, other):
        return
    texts = shown(some, homes[0]), shown(other, homes[1])
    if texts[0] != texts[1]:
        yield path, texts[0] or "none", texts[1] or "none"


def _paces(before: tuple[Trial, ...], after: tuple[Trial, ...]) -> Iterator[Pace]:
    def key(row: Trial) -> tuple[object, ...]:
        return (
            row.backend,
            row.dtype,
            row.scope,
            row.model,
            row.imgsz,
            row.batch,
            row.shape,
            row.device.partition(":")[0],
        )

    others = {key(row): row for row in after}
    for row in before:
        other = others.get(key(row))
        if other is None or {row.status, other.status} == {"ruled-out"}:
            continue
        times = row.step_ms, other.step_ms
        ratio, apart = None, False
        if times[0] and times[1]:
            ratio = times[0].median / times[1].median
            apart = times[0].low > times[1].high or times[1].low > times[0].high
        yield Pace(
            backend=row.backend,
            dtype=row.dtype,
            model=row.model,
            imgsz=row.imgsz,
            batch=row.batch,
            shape=row.shape,
            device=row.device,
            status_before=row.status,
            status_after=other.status,
            before_ms=times[0],
            after_ms=times[1],
            ratio=ratio,
            differs=apart or row.status != other.status,
        )
