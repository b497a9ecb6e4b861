"""Find the facts in which nodes of one kind differ from most of them. Facts that explain a finding come first. Pure.

Most means: more than half of the nodes of the kind that have a report. If no value of a fact is on so many nodes, the fact is
called undecided, and no node is an outlier.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from attn_doctor.fleet.flat import Leaf
from attn_doctor.fleet.names import natural
from attn_doctor.fleet.reading import Read, Said
from attn_doctor.model.fact_names import SECTIONS
from attn_doctor.model.findings import Severity
from attn_doctor.model.fleet import Cause, Outlier, Undecided, Weight

_VALUES = 8  # of an undecided fact that are listed
_MISSING = "not there"
COUNT_CODE, COUNT_SLUG = "AD440", "gpu-count-differs"  # the failure mode of --expect-gpus
_COUNT_PATHS = ("torch.devices", "graphics.gpus", "graphics.amd", "torch.available")
# What follows from other facts: of two facts in the same evidence it is the second one to look at.
_EFFECTS = frozenset(
    f"torch.{name}" for name in "importable available devices fault cuda_fault cuda_error works_without".split()
)
_ORDER = {name: place for place, name in enumerate(SECTIONS)}
_WEIGHTS: tuple[Weight, ...] = ("explains", "beside", "other")
_RANKS = {"error": 0, "warning": 1, "info": 2}


class Usual(NamedTuple):
    """Hold the facts that most nodes of one kind have. A kind: nodes of the fleet that are compared with each other.

    `values`: for each fact that differs between nodes, path -> (usual text, number of nodes with it). Text None with a number above
    0: most nodes do not have this item of a list. (None, 0): no value is on most nodes, the fact is undecided.
    """

    kind_name: str
    nodes: int
    values: Mapping[str, tuple[str | None, int]]
    codes: frozenset[str]  # of the findings that most nodes have, "AD101"
    gpus: int | None  # that a program can use; None: no majority
    undecided: tuple[Undecided, ...]


def usual(kind: str, nodes: Sequence[Read], first: Mapping[str, Leaf]) -> Usual:
    """Return the usual facts of these nodes. `kind`: its name.

    `first`: the facts of the first node of the fleet. `Read.delta` of each node has the differences from these.
    """
    counts: dict[str, Counter[str | None]] = defaultdict(Counter)
    for delta, times in Counter(node.delta for node in nodes).items():
        for path, here, _ in delta:
            counts[path][here] += times
    total = len(nodes)
    values: dict[str, tuple[str | None, int]] = {}
    open_paths = []
    for path, counted in counts.items():
        leaf = first.get(path)
        rest = total - sum(counted.values())
        if rest:
            counted[leaf.text if leaf else None] += rest
        value, times = counted.most_common(1)[0]
        most = times * 2 > total
        values[path] = (value, times) if most else (None, 0)
        if not most:
            open_paths.append(path)
    codes = Counter(said.code for node in nodes for said in set(node.findings))
    gpus = Counter(node.gpus for node in nodes if node.gpus is not None).most_common(1)
    return Usual(
        kind,
        total,
        values,
        frozenset(code for code, times in codes.items() if times * 2 > total),
        gpus[0][0] if gpus and gpus[0][1] * 2 > total else None,
        tuple(_undecided(_telling(open_paths, counts), kind, nodes, counts, first)),
    )


def _telling(paths: Iterable[str], counts: Mapping[str, Counter[str | None]]) -> list[str]:
    """Return the paths of the undecided facts, causes before effects.

    If the number of GPUs is undecided, single GPUs that are present or missing are left out.
    """
    return sorted(
        (path for path in paths if not (None in counts[path] and path.rpartition(".")[0] in counts)),
        key=lambda path: (_is_effect(path), _place(path)),
    )


def _is_effect(path: str) -> bool:
    return path in _EFFECTS or path.startswith(("torch.devices.", "imports."))


def _undecided(
    paths: Sequence[str],
    kind: str,
    nodes: Sequence[Read],
    counts: Mapping[str, Counter[str | None]],
    first: Mapping[str, Leaf],
) -> Iterable[Undecided]:
    if not paths or len(nodes) < 2:
        return
    having: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    wanted = {path: {value for value, _ in counts[path].most_common(_VALUES)} for path in paths}
    for node in nodes:
        own = {path: here for path, here, _ in node.delta if path in wanted}
        for path, listed in wanted.items():
            leaf = first.get(path)
            value = own.get(path, leaf.text if leaf else None)
            if value in listed:
                having[path, value].append(node.name)
    for path in paths:
        found = [
            (value, tuple(sorted(having[path, value], key=natural))) for value, _ in counts[path].most_common(_VALUES)
        ]
        yield Undecided(
            path=path,
            kind_name=kind,
            values=tuple((_MISSING if value is None else value, names) for value, names in found),
            different=len(counts[path]),
        )


def causes(node: Read, most: Usual) -> tuple[Cause, ...]:
    """Return the root causes of a node, and the notes (severity info) that most nodes do not have.

    The most severe come first; of one severity, first those that most nodes do not have. A node with fewer GPUs than most has the
    cause `COUNT_CODE`, unless an error about its GPUs already explains it.
    """
    found = [
        Cause(
            code=said.code,
            slug=said.slug,
            severity=said.severity.value,
            message=said.message,
            usual=said.code in most.codes,
        )
        for said in node.findings
        if said.root and (said.severity is not Severity.INFO or said.code not in most.codes)
    ]
    lacking = most.gpus is not None and node.gpus is not None and node.gpus < most.gpus
    if lacking and most.nodes > 1 and not any(c.severity == "error" and _is_about_gpus(node, c.code) for c in found):
        message = f"A program can use {_gpus(node.gpus)} here; most nodes of this kind have {most.gpus}."
        found.append(Cause(code=COUNT_CODE, slug=COUNT_SLUG, severity="error", message=message))
    return tuple(sorted(found, key=lambda cause: (_RANKS[cause.severity], cause.usual)))


def _gpus(number: int | None) -> str:
    return {0: "no GPU", 1: "one GPU"}.get(number or 0, f"{number} GPUs")


def _is_about_gpus(node: Read, code: str) -> bool:
    """Return whether an error of the node is about its GPUs: the GPUs, or torch's list of GPUs, are in the evidence.

    Then the error already explains why GPUs are missing.
    """
    sections = ("graphics", "torch")
    return any(path.partition(".")[0] in sections for said in node.findings if said.code == code for path in said.paths)


def outliers(node: Read, most: Usual, found: Sequence[Cause], first: Mapping[str, Leaf]) -> tuple[Outlier, ...]:
    """Return the facts of a node that differ from those of most nodes. Facts that explain a finding come first.

    An undecided fact is returned only if it is evidence of a finding that most nodes do not have. `found`: what `causes` returned.
    `first`: as for `usual`.
    """
    own = {path: here for path, here, _ in node.delta}
    explaining = _explaining(node, most, found)
    sections = {path.partition(".")[0] for path, _ in explaining}
    made: list[tuple[tuple[int, bool, bool, int], Outlier]] = []
    for path, (value, times) in most.values.items():
        leaf = first.get(path)
        here = own.get(path, leaf.text if leaf else None)
        if times and here == value:
            continue
        behind = [(place, slug) for place, (evidence, slug) in enumerate(explaining) if _touch(path, evidence)]
        if (not times and not behind) or _is_counted(path, here, most, own, first):
            continue
        weight: Weight = "explains" if behind else "beside" if path.partition(".")[0] in sections else "other"
        outlier = Outlier(
            path=path,
            here=here,
            usual=value,
            of_most=times,
            weight=weight,
            behind=tuple(dict.fromkeys(slug for _, slug in behind)),
        )
        made.append(((_WEIGHTS.index(weight), _is_effect(path), not times, behind[0][0] if behind else 0), outlier))
    made.sort(key=lambda pair: (pair[0], _place(pair[1].path)))
    return tuple(outlier for _, outlier in made)


def _is_counted(
    path: str, here: str | None, most: Usual, own: Mapping[str, str | None], first: Mapping[str, Leaf]
) -> bool:
    """Return whether a fact is a single GPU that is present or missing, and the number of GPUs differs too.

    Then the number is enough.
    """
    around = path.rpartition(".")[0]
    if around not in most.values or (here is not None and most.values[path][0] is not None):
        return False
    value, times = most.values[around]
    leaf = first.get(around)
    counted = own.get(around, leaf.text if leaf else None)
    return bool(times) and counted != value and "of them" in f"{counted} {value}"


def _explaining(node: Read, most: Usual, found: Sequence[Cause]) -> list[tuple[str, str]]:
    """Return (path, slug of the finding) for the evidence of findings that most nodes do not have. Root causes come first."""
    order = {cause.code: place for place, cause in enumerate(found)}
    saids: list[Said] = sorted(
        (said for said in node.findings if said.code not in most.codes),
        key=lambda said: (order.get(said.code, len(order)), -said.severity.rank),
    )
    made = [(path, said.slug) for said in saids for path in said.paths]
    if any(cause.code == COUNT_CODE for cause in found) and COUNT_SLUG not in {slug for _, slug in made}:
        made += [(path, COUNT_SLUG) for path in _COUNT_PATHS]
    return made


def _touch(path: str, evidence: str) -> bool:
    """Return whether a fact is the same as the evidence, a part of it, or contains it."""
    return path == evidence or path.startswith(f"{evidence}.") or evidence.startswith(f"{path}.")


def _place(path: str) -> tuple[int, str]:
    return _ORDER.get(path.partition(".")[0], len(_ORDER)), path
