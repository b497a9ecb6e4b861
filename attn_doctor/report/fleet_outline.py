"""Build the outline of `attn-doctor fleet`: wording and order, the same for every format. Pure.

The ill nodes come first, with one line each: the cause, and the fact that explains it. Equal nodes share a line.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from attn_doctor import commands
from attn_doctor.fleet.names import folded, natural, shortened
from attn_doctor.fleet.outliers import COUNT_CODE
from attn_doctor.model.fleet import Cured, Fleet, Outlier, Row, Standing, Undecided
from attn_doctor.model.steps import RunByHand, Step
from attn_doctor.report import alike_gpus
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
    Paragraph,
    Table,
    Tone,
    Verdict,
)
from attn_doctor.report.pictures import Heat, HeatRow, Warmth

# (number of the cure in `Fleet.cures`, a step of it) -> why attn-doctor's own rules would not print the step's command; empty: they would
Doubts = Callable[[int, Step], str]

_LABEL = 24  # characters of the names at the beginning of a line
_LINES = 40  # of nodes
_ALIKE = 3
_CURES = 12
_FACTS = 400  # rows of the table of all facts
_VALUE = 40  # characters of a value in a line
_LONG = 160  # and in a table
_OPEN = 8  # facts without a majority
_TONES: dict[Standing, Tone] = {
    **dict.fromkeys(("sick", "died", "silent", "refused", "unreadable"), "bad"),
    **dict.fromkeys(("unknown", "warned"), "warn"),
    "differs": "",
    "healthy": "good",
}
_ENDS: dict[Standing, str] = {
    "died": "died",
    "silent": "no answer",
    "refused": "not examined",
    "unreadable": "unreadable",
    "unknown": "not examined",
}
_PREFIXES = ("graphics.", "system.", "toolchain.", "interpreter.", "environment.")
_COLUMNS, _ROWS = 24, 150  # of the picture


def outline(fleet: Fleet, doubts: Doubts) -> list[Block]:
    """Return all blocks, in the order in which a reader sees them. `doubts`: about the commands, which are quoted from reports."""
    fleet = alike_gpus.once(fleet)
    blocks: list[Block] = [Heading("attn-doctor fleet"), Fields(tuple(_summary(fleet))), _verdict(fleet)]
    lines = _lines(fleet.rows)
    well = [_line(row) for row in fleet.rows if row.standing == "healthy"]
    if lines:
        left = len(lines) - _LINES
        blocks += [
            Heading("Nodes, the ill ones first; (+3): three more facts differ"),
            Fields((*lines[:_LINES], *well)),
        ]
        if left > 0:
            blocks.append(Paragraph(f"{left} more lines: --json has them all", "dim"))
    elif well:
        blocks += [Heading("Nodes"), Fields(tuple(well))]
    if fleet.cures or any(_lacks(row) for row in fleet.rows):
        blocks += [Heading("What to do"), *_cures(fleet, doubts)]
    blocks += _open(fleet.undecided)
    if fleet.notes:
        blocks.append(Notes("To know", fleet.notes))
    blocks += _every_fact(fleet.rows)
    return blocks


def names_in_files(numbers: Iterable[tuple[str, str]]) -> Details:
    """Return a folded table for the screen: which node is "node-1" in the output files (--json, --markdown, --html) of this run.

    `numbers`: pairs of the real name and the name in the files, ("gpu-17", "node-1").
    """
    rows = tuple((Cell(number, "strong"), Cell(name)) for name, number in sorted(numbers, key=lambda n: natural(n[1])))
    return Details("Names of the nodes in files", (Table("", ("in files", "node"), rows),))


def _summary(fleet: Fleet) -> Iterable[Field]:
    silent = fleet.nodes - fleet.answered
    yield Field("nodes", f"{fleet.nodes}" + (f", {silent} without a report" if silent else ""))
    if fleet.kinds:
        kinds = ", ".join(f"{kind.name} ({kind.nodes})" for kind in fleet.kinds)
        compared = "compared within each kind" if len(fleet.kinds) > 1 else "compared with each other"
        single_nodes = all(not kind.compared for kind in fleet.kinds)
        yield Field(
            "kinds", f"{kinds}; {'one node: there is nothing to compare it with' if single_nodes else compared}"
        )


def _verdict(fleet: Fleet) -> Verdict:
    counts: Counter[Standing] = Counter()
    for row in fleet.rows:
        counts[row.standing] += len(row.nodes)
    ill = [row for row in fleet.rows if row.standing == "sick"]
    parts = []
    if counts["sick"]:
        names = folded([name for row in ill for name in row.nodes], 60)
        parts.append(f"{_count(counts['sick'], fleet.nodes)} {'is' if counts['sick'] == 1 else 'are'} ill: {names}")
    silent = [row for row in fleet.rows if row.standing in ("died", "silent", "refused", "unreadable", "unknown")]
    if silent:
        missing = [name for row in silent for name in row.nodes]
        parts.append(f"{_count(len(missing), fleet.nodes)} gave no whole answer: {folded(missing, 60)}")
    if not parts and counts["warned"]:
        parts.append(f"No node is ill; {_count(counts['warned'], fleet.nodes)} have warnings".replace("1 of", "one of"))
    if not parts:
        differ = counts["differs"]
        more = f"; {_count(differ, fleet.nodes)} {'differs' if differ == 1 else 'differ'} in a fact" if differ else ""
        return Verdict(f"No node is ill{more}{_untried(fleet)}.", "good")
    tone: Tone = "bad" if counts["sick"] or silent else "warn"
    return Verdict(". ".join(part[0].upper() + part[1:] for part in parts) + ".", tone)


def _untried(fleet: Fleet) -> str:
    """Return the words for reports in which the model was not tried: they are healthy by imports and facts alone."""
    if fleet.trained == fleet.answered:
        return ""
    return (
        f"; the model was tried on {_count(fleet.trained, fleet.answered)}"
        if fleet.trained
        else "; the model was not tried"
    )


def _count(some: int, of: int) -> str:
    return f"{some} of {of} node{'' if of == 1 else 's'}"


def _lines(rows: Iterable[Row]) -> list[Field]:
    """Return a line for each group of nodes that is not healthy.

    Healthy groups that differ from the others in the same facts share one line, if they would need more than three.
    """
    alike: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    made = []
    for row in rows:
        if row.standing == "differs" and not row.causes:
            alike[tuple(outlier.path for outlier in row.outliers)].append(row)
        elif row.standing != "healthy":
            made.append(_line(row))
    for group in alike.values():
        if len(group) <= _ALIKE:
            made += map(_line, group)
            continue
        names = [name for row in group for name in row.nodes]
        first = group[0].outliers[0]
        more = f" (+{len(group[0].outliers) - 1})" if len(group[0].outliers) > 1 else ""
        values = len({row.outliers[0].here for row in group})
        said = f"differ: {fact_name(first.path)} has {values} other value{'' if values == 1 else 's'}, most: {_pair(first, _VALUE)[1]}{more}"
        made.append(Field(folded(names, _LABEL), said))
    return made


def _line(row: Row) -> Field:
    return Field(folded(row.nodes, _LABEL), _what(row), _TONES[row.standing])


def _what(row: Row) -> str:
    """Return the cause of a group of nodes, and the fact that explains it, in one line."""
    if row.standing in ("died", "silent", "refused", "unreadable"):
        return f"{_ENDS[row.standing]}: {row.said}"
    parts = []
    if row.causes:
        first = row.causes[0]
        more = f" and {len(row.causes) - 1} more" if len(row.causes) > 1 else ""
        parts.append(f"{first.slug}{more}{' (as most nodes)' if first.usual else ''}")
    elif row.standing == "unknown":
        parts.append(f"{_ENDS['unknown']}{': ' + row.said if row.said else ''}")
    elif row.standing == "differs":
        parts.append("differs")
    elif row.standing == "sick":
        parts.append("ill, by its report")
    else:
        return f"{len(row.nodes)} as most nodes" if len(row.nodes) > 1 else "as most nodes"
    if row.outliers and not (row.causes and row.causes[0].usual):
        more = f" (+{len(row.outliers) - 1})" if len(row.outliers) > 1 else ""
        parts.append(f"{_difference(row.outliers[0])}{more}")
    elif row.causes and row.causes[0].severity != "info":
        parts.append(_value(row.causes[0].message, _LONG))
    return ": ".join(parts)


def _more(facts: int) -> str:
    return "one more fact" if facts == 1 else f"{facts} more facts"


def fact_name(path: str) -> str:
    """Return the words for a fact: "package torch" for "packages.distributions.torch", "driver" for "graphics.driver"."""
    if path.startswith("packages.distributions."):
        return f"package {path.removeprefix('packages.distributions.')}"
    return next((path.removeprefix(start) for start in _PREFIXES if path.startswith(start)), path)


def _difference(outlier: Outlier) -> str:
    here, usual = _pair(outlier, _VALUE)
    return (
        f"{fact_name(outlier.path)} {here}, most: {usual}"
        if outlier.of_most
        else f"{fact_name(outlier.path)} {here}, no majority"
    )


def _pair(outlier: Outlier, most: int) -> tuple[str, str]:
    """Return the value of these nodes and the usual value. Of two long lists, only the items that the other list lacks are shown."""
    here, usual = outlier.here, outlier.usual
    if here and usual and len(here) > most and len(usual) > most and ", " in here and ", " in usual:
        some, other = here.split(", "), usual.split(", ")
        here = ", ".join(part for part in some if part not in set(other)) or "the same without what most have"
        usual = ", ".join(part for part in other if part not in set(some)) or "without it"
    return _value(here, most), (_value(usual, most) if outlier.of_most else "no majority")


def _value(text: str | None, most: int) -> str:
    if text is None:
        return "not there"
    return shortened(" ".join(text.split()), most)


def _lacks(row: Row) -> bool:
    return any(cause.code == COUNT_CODE and cause.message.startswith("A program") for cause in row.causes)


def _cures(fleet: Fleet, doubts: Doubts) -> Iterable[Block]:
    """Yield each fix once, with the nodes for which it is.

    The commands come from the reports. A command that our own rules would not print has the reason beside it.
    """
    for place, cured in enumerate(fleet.cures[:_CURES]):
        yield _cure(cured, place, doubts)
    if len(fleet.cures) > _CURES:
        yield Paragraph(f"{len(fleet.cures) - _CURES} more cures: --json has them all", "dim")
    lacking = [row for row in fleet.rows if _lacks(row)]
    if lacking:
        names = folded([name for row in lacking for name in row.nodes], 60)
        outlier = next((o for o in lacking[0].outliers if o.path in ("torch.devices", "graphics.gpus")), None)
        number = (outlier.usual or "").partition(" ")[0] if outlier else ""
        line = f"attn-doctor check --expect-gpus {number if number.isdigit() else 1}"
        yield Cure(f"on {names}: ask why GPUs are missing", (Command(line, "says where they are"),))


def _cure(cured: Cured, place: int, doubts: Doubts) -> Cure:
    lines = tuple(
        Command(commands.shown(step, "bash"), step.why, isinstance(step, RunByHand), doubts(place, step))
        for step in cured.fix.steps
    )
    return Cure(f"on {folded(cured.nodes, 60)}, {cured.slug}: {cured.fix.title}", lines, said=True)


def _open(undecided: Sequence[Undecided]) -> Iterable[Block]:
    if not undecided:
        return
    # A fact with few values divides the fleet; one with a value for each node is a name.
    ways: dict[frozenset[tuple[str, ...]], list[Undecided]] = defaultdict(list)
    for one in sorted(undecided, key=lambda one: one.different):
        ways[frozenset(nodes for _, nodes in one.values)].append(one)
    items = []
    for same in list(ways.values())[:_OPEN]:
        more = f"; {_more(len(same) - 1)} divide the nodes so" if len(same) > 1 else ""
        items.append(_divided(same[0]) + more.replace("one more fact divide", "one more fact divides"))
    if len(ways) > _OPEN:
        items.append(f"{sum(map(len, list(ways.values())[_OPEN:]))} more facts: --json has them all")
    title = "No majority: no value is that of more than half of the nodes, so none of these facts is called an outlier"
    yield Notes(title, tuple(items))


def _divided(one: Undecided) -> str:
    said = "; ".join(f"{_value(value, _VALUE)} on {folded(nodes, 40)}" for value, nodes in one.values[:3])
    left = one.different - 3
    return f"{fact_name(one.path)}: {said}" + (f"; {left} more values" if left > 0 else "")


def _every_fact(rows: Sequence[Row]) -> Iterable[Block]:
    """Yield the folded part with all facts that differ, and with the messages of the causes."""
    told = tuple(
        f"{folded(row.nodes, 60)}: {cause.code} {cause.slug}: {cause.message}"
        for row in rows[:_LINES]
        for cause in row.causes
    )
    if told:
        yield Details("What the reports say", (Notes("", told),))
    cells = []
    for row in rows:
        for outlier in row.outliers:
            here, usual = _pair(outlier, _LONG)
            names = folded(row.nodes, 40)
            cells.append(
                (
                    Cell(names, "strong"),
                    Cell(fact_name(outlier.path)),
                    Cell(here),
                    Cell(usual),
                    Cell(", ".join(outlier.behind), "warn"),
                )
            )
    if cells:
        notes = (f"{len(cells) - _FACTS} more: --json has them all",) if len(cells) > _FACTS else ()
        table = Table("", ("nodes", "fact", "here", "most have", "behind"), tuple(cells[:_FACTS]), notes)
        yield Details(f"Every fact that is not as in most nodes ({len(cells)})", (table,))


def picture(fleet: Fleet) -> tuple[Heat, ...]:
    """Return the map of nodes and differing facts; an empty tuple if no fact differs."""
    fleet = alike_gpus.once(fleet)
    rows = [row for row in fleet.rows if row.outliers or row.standing != "healthy"]
    rank: dict[str, tuple[int, int]] = {}
    weights = ("explains", "beside", "other")
    for row in rows:
        for outlier in row.outliers:
            weight, count = rank.get(outlier.path, (len(weights), 0))
            rank[outlier.path] = min(weight, weights.index(outlier.weight)), count - len(row.nodes)
    if not rank:
        return ()
    columns = sorted(rank, key=lambda path: (rank[path], path))
    shown, left = columns[:_COLUMNS], max(0, len(columns) - _COLUMNS)
    made = [_heat_row(row, shown) for row in (*rows[:_ROWS], *(r for r in fleet.rows if r not in rows))]
    about = "Each row is a group of equal nodes, each column a fact. Empty: as in most nodes of the kind. The values stand in the table below."
    if left:
        about += f" Not drawn: {_more(left)}."
    if len(rows) > _ROWS:
        about += f" Of {len(rows)} rows the first {_ROWS} are drawn."
    return (Heat("What differs, node by node", about, tuple(map(fact_name, shown)), tuple(made)),)


def _heat_row(row: Row, paths: Sequence[str]) -> HeatRow:
    by_path = {outlier.path: outlier for outlier in row.outliers}
    answered = bool(row.kind_name)
    cells: list[Warmth] = [
        "unknown" if not answered else by_path[path].weight if path in by_path else "same" for path in paths
    ]
    said = row.causes[0].slug if row.causes else _ENDS.get(row.standing, row.standing)
    return HeatRow(folded(row.nodes, 28), len(row.nodes), said, _TONES[row.standing], tuple(cells))
