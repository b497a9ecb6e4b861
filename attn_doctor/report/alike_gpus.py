"""Say once what differs in the same way in several GPUs of a node: "gpus.0 to 7.power_limit_watts". Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from attn_doctor.model.fleet import Fleet, Outlier, Row

_OF_A_GPU = re.compile(r"((?:graphics\.gpus|torch\.devices)\.)(\d{1,4})(\..+)")


def once(fleet: Fleet) -> Fleet:
    """Return the fleet for people: a fact that differs in the same way in several GPUs of a node is listed once.

    Its path then has the numbers of all these GPUs: "graphics.gpus.0 to 7.power_limit_watts".
    """
    rows = tuple(msgspec.structs.replace(row, outliers=_merged(row)) for row in fleet.rows)
    return msgspec.structs.replace(fleet, rows=rows)


def _merged(row: Row) -> tuple[Outlier, ...]:
    alike: dict[tuple[object, ...], list[tuple[Outlier, int]]] = defaultdict(list)
    for outlier in row.outliers:
        found = _OF_A_GPU.fullmatch(outlier.path)
        where = (found[1], found[3]) if found else (outlier.path, "")
        key = (*where, outlier.here, outlier.usual)
        alike[key].append((outlier, int(found[2]) if found else 0))
    return tuple(_one(group) for group in alike.values())


def _one(group: Sequence[tuple[Outlier, int]]) -> Outlier:
    first = group[0][0]
    if len(group) == 1:
        return first
    numbers = sorted(number for _, number in group)
    said = f"{numbers[0]} to {numbers[-1]}" if numbers == list(range(numbers[0], numbers[-1] + 1)) else ""
    return msgspec.structs.replace(
        first,
        path=_OF_A_GPU.sub(lambda found: f"{found[1]}{said or ', '.join(map(str, numbers))}{found[3]}", first.path),
        of_most=min(outlier.of_most for outlier, _ in group),
        behind=tuple(dict.fromkeys(slug for outlier, _ in group for slug in outlier.behind)),
    )
