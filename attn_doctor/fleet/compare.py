"""Compare the reports of a fleet: the status of each node, and one fix for each group of nodes.

Pure, except that it reads the answers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from attn_doctor import __version__
from attn_doctor.errors import FINDINGS, NOT_EXAMINED, OK
from attn_doctor.fleet.kinds import kinds
from attn_doctor.fleet.names import apart, natural
from attn_doctor.fleet.outliers import causes, outliers, usual
from attn_doctor.fleet.reading import Cure, Read, Reader
from attn_doctor.knowledge.tables import knowledge_date
from attn_doctor.model.findings import Severity
from attn_doctor.model.fleet import Cause, Cured, Fleet, Kind, NodeAnswer, Outlier, Row, Standing, Undecided
from attn_doctor.model.report import Tool

FailOn = Literal["error", "warning", "never"]
_ORDER: tuple[Standing, ...] = (
    "sick",
    "died",
    "silent",
    "refused",
    "unreadable",
    "unknown",
    "warned",
    "differs",
    "healthy",
)
_NO_ANSWER: tuple[Standing, ...] = ("died", "silent", "refused", "unreadable", "unknown")


class Compared(NamedTuple):
    """Hold the result, and the reports that contain its fixes: key of a fix -> the first report with this fix."""

    fleet: Fleet
    cures: Mapping[str, Cure]
    keys: tuple[str, ...]  # of `fleet.cures`, in their order


def compare(answers: Iterable[NodeAnswer], fail_on: FailOn = "error") -> Compared:
    """Read the answers one after the other, and compare them within each kind of node. No content of an answer raises an exception.

    `fail_on`: the least severity for which `Fleet.exit_code` is 1.
    """
    reader = Reader()
    nodes = [reader.read(answer) for answer in answers]
    twice = [name for name, times in Counter(node.name for node in nodes).items() if times > 1]
    nodes = [node._replace(name=name) for node, name in zip(nodes, apart([n.name for n in nodes]), strict=True)]
    answered = [node for node in nodes if node.end == "answered"]
    first = {path: leaf for section in reader.first.values() for path, leaf in section.items()}
    rows: list[Row] = []
    listed: list[Kind] = []
    undecided: list[Undecided] = []
    for kind, members in kinds(answered).items():
        most = usual(kind, members, first)
        listed.append(Kind(name=kind, nodes=len(members), compared=len(members) > 1))
        undecided += most.undecided
        # Nodes with the same differences and findings have the same answer: it is worked out once.
        alike: dict[tuple[object, ...], list[Read]] = defaultdict(list)
        for node in members:
            alike[node.delta, node.findings, node.gpus, node.outcome, node.unexamined].append(node)
        for group in alike.values():
            found = causes(group[0], most)
            differing = outliers(group[0], most, found, first) if len(members) > 1 else ()
            rows.append(
                Row(
                    nodes=tuple(node.name for node in group),
                    standing=_standing(group[0], found, differing),
                    kind_name=kind,
                    said="; ".join(group[0].unexamined),
                    causes=found,
                    outliers=differing,
                )
            )
    rows += [Row(nodes=(n.name,), standing=n.end, kind_name="", said=n.said) for n in nodes if n.end != "answered"]
    rows = _together(rows)
    cured = _cures(answered, reader.cures)
    counted = Counter(
        {standing: sum(len(row.nodes) for row in rows if row.standing == standing) for standing in _ORDER}
    )
    fleet = Fleet(
        tool=Tool(version=__version__, knowledge_date=knowledge_date()),
        nodes=len(nodes),
        answered=len(answered),
        healthy=counted["healthy"] + counted["differs"],
        trained=sum(node.trained for node in answered),
        fail_on=fail_on,
        exit_code=_exit_code(counted, fail_on, len(answered)),
        kinds=tuple(listed),
        rows=tuple(rows),
        undecided=tuple(undecided),
        cures=tuple(one for one, _ in cured),
        notes=tuple(_notes(twice, reader)),
    )
    return Compared(fleet, reader.cures, tuple(key for _, key in cured))


def _standing(node: Read, found: Sequence[Cause], differing: Sequence[Outlier]) -> Standing:
    severities = {cause.severity for cause in found}
    if "error" in severities or node.outcome == "sick":
        return "sick"
    if node.unexamined or (node.outcome == "unknown" and not severities):
        return "unknown"
    if "warning" in severities:
        return "warned"
    return "differs" if differing or "info" in severities else "healthy"


def _together(rows: Iterable[Row]) -> list[Row]:
    """Return one row for each group of equal nodes. The groups that need attention come first: a fault of few nodes before a fault of most."""
    same: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        codes = tuple((cause.code, cause.usual) for cause in row.causes)
        same[row.standing, row.kind_name, row.said, codes, row.outliers].append(row)
    made = [
        msgspec.structs.replace(
            group[0], nodes=tuple(sorted((name for row in group for name in row.nodes), key=natural))
        )
        for group in same.values()
    ]

    def order(row: Row) -> tuple[object, ...]:
        rare = any(not cause.usual and cause.severity != "info" for cause in row.causes)
        explained = any(outlier.weight == "explains" for outlier in row.outliers)
        place = float(_ORDER.index(row.standing))
        if row.standing == "sick" and not rare and not row.outliers:
            # Ill in the way of most nodes: a node that died or did not answer is the one that is not like the others.
            place = _ORDER.index("unreadable") + 0.5
        return place, not rare, not explained, natural(row.nodes[0])

    return sorted(made, key=order)


def _cures(nodes: Iterable[Read], known: Mapping[str, Cure]) -> list[tuple[Cured, str]]:
    """Return (fix, its key in `known`) for each fix once. The fix that most nodes need comes first.

    Only fixes of root causes that are warnings or errors are returned.
    """
    having: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        for said in node.findings:
            if said.cure in known and said.severity is not Severity.INFO:
                having[said.cure].append(node.name)
    made = [
        (
            Cured(
                code=known[key].code,
                slug=known[key].slug,
                nodes=tuple(sorted(names, key=natural)),
                fix=known[key].fix,
            ),
            key,
        )
        for key, names in having.items()
    ]
    return sorted(made, key=lambda pair: (-len(pair[0].nodes), pair[0].code, natural(pair[0].nodes[0])))


def _exit_code(counted: Mapping[Standing, int], fail_on: FailOn, answered: int) -> int:
    """Return the exit code: 3 if there is no report; 1 if a node fails; else 0.

    A node fails if it has a finding at or above `fail_on`, gave no report, or could not be examined completely ("unknown"). With
    "never" no node fails.
    """
    if not answered:
        return NOT_EXAMINED
    if fail_on == "never":
        return OK
    failing: set[Standing] = {"sick", *_NO_ANSWER, *(("warned",) if fail_on == "warning" else ())}
    return FINDINGS if any(counted[standing] for standing in failing) else OK


def _notes(twice: Sequence[str], reader: Reader) -> Iterable[str]:
    if twice:
        shown = ", ".join(sorted(twice, key=natural)[:3]) + (", …" if len(twice) > 3 else "")
        yield f"more than one answer has the same name ({shown}): each is a node of its own here, with a number behind its name"
    for version, times in sorted(reader.again.times.items()):
        reports = "one report is" if times == 1 else f"{times} reports are"
        yield f"{reports} of attn-doctor {version} with other rules: judged again from the facts by the rules of {__version__}"
