"""Read the answers of nodes, one after the other: of each report only the parts that a comparison needs.

A section of facts whose bytes were already read in another report is not read again: in most fleets all nodes have the same
packages.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from typing import Any, NamedTuple, TypeVar

import msgspec

from attn_doctor import __version__
from attn_doctor.fleet.again import Again
from attn_doctor.fleet.flat import Difference, Leaf, differences, table
from attn_doctor.fleet.names import shortened
from attn_doctor.knowledge.tables import knowledge_date
from attn_doctor.model import foreign_text, listed_values
from attn_doctor.model.fact_names import Home, by_name, home
from attn_doctor.model.facts import Facts, Grade
from attn_doctor.model.findings import Finding, Fix, Goal, Severity
from attn_doctor.model.fleet import NodeAnswer, NodeEnd
from attn_doctor.model.machine import usable_gpus
from attn_doctor.model.report import SCHEMA_VERSION, Outcome, Report, Seen, Tool, Unreadable, decode_report

T = TypeVar("T")
LARGEST = 8 << 20  # bytes of a report; one of an environment with 1,000 packages has 0.4 million
_KEPT = 48  # sections of one name, and lists of findings, that are remembered
_LONGEST_NAME = 256  # characters of the name of a node; of a longer one the beginning and the end are kept
_LONGEST_TEXT = 2000  # characters of what a report says of a finding
_MOST_CURES = 500  # different cures whose first report is kept
_OTHER_SECTIONS = frozenset(("schema_version", "grade", "sources", "probes"))  # they say nothing of the machine
_SECTIONS = tuple(name for name in Facts.__struct_fields__ if name not in _OTHER_SECTIONS)
_TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Facts) if field.name in _SECTIONS}


class Said(NamedTuple):
    """Hold the part of a report about one finding."""

    code: str
    slug: str
    severity: Severity
    message: str
    root: bool  # a root cause, or a note that no other finding explains
    paths: tuple[
        str, ...
    ]  # of the facts in its evidence, with names in place of numbers: "packages.distributions.torch.version"
    cure: str  # the key of its first fix in `Reader.cures`; empty: it has none


class Read(NamedTuple):
    """Hold everything that is stored about one node. Equal values are the same objects in all nodes."""

    name: str
    labels: tuple[tuple[str, str], ...]  # of the scheduler: ("partition", "gpu")
    end: NodeEnd
    said: str  # why there is no report; empty for "answered"
    delta: tuple[
        Difference, ...
    ] = ()  # what differs from the facts of the first node: (path, text here, text on the first node)
    findings: tuple[Said, ...] = ()
    outcome: Outcome = "unknown"
    trained: bool = False  # a training step of the model was seen
    unexamined: tuple[str, ...] = ()
    gpus: int | None = None  # how many a program can use; None: not known
    model: str = ""  # of the GPUs, "NVIDIA A100-SXM4-80GB"; two models: "A and B"; empty: not known, or none
    machine: str = ""  # "x86_64"


class Cure(NamedTuple):
    """Hold the first fix of a root cause, and the first report that has it."""

    code: str
    slug: str
    fix: Fix
    report: bytes  # JSON, compressed by zlib


class _Header(msgspec.Struct):
    """Describe the parts of a report that are read. All other parts are skipped."""

    tool: Tool
    goal: Goal
    exit_code: int
    facts: dict[str, msgspec.Raw]
    findings: msgspec.Raw
    recommendation: msgspec.Raw
    schema_version: int = SCHEMA_VERSION
    outcome: Outcome = "unknown"
    seen: tuple[Seen, ...] = ()
    unexamined: tuple[str, ...] = ()


_Sections = dict[str, tuple[tuple[Difference, ...], Any]]  # name -> (what differs in it, its record)
_Findings = tuple[tuple[Finding, str], ...]  # with the key of the first fix of each
_Parts = tuple[_Header, _Sections, _Findings]


class Reader:
    """Read answers one after the other.

    `first`: section -> its facts, of the first report that has this section. `cures`: key of a fix -> the fix.
    """

    def __init__(self) -> None:
        self.first: dict[str, dict[str, Leaf]] = {}
        self.cures: dict[str, Cure] = {}
        self.again = Again()
        self._sections: dict[tuple[str, bytes, Home], tuple[tuple[Difference, ...], Any]] = {}
        self._findings: dict[bytes, tuple[tuple[Finding, str], ...]] = {}
        self._same: dict[Any, Any] = {}
        self._own = Tool(version=__version__, knowledge_date=knowledge_date())

    def read(self, answer: NodeAnswer) -> Read:
        """Return the stored parts of a node. A report that cannot be read becomes "unreadable", with the reason."""
        name = shortened(foreign_text.text(answer.node.name), _LONGEST_NAME) or "?"
        labels = self._one(tuple(sorted(answer.node.labels.items())))
        if answer.end != "answered" or answer.report is None:
            end = "silent" if answer.end == "answered" else answer.end
            return Read(name, labels, end, _cut(foreign_text.text(answer.said)) or "it gave no report")
        try:
            return self._report(answer.report)._replace(name=name, labels=labels)
        except Unreadable as error:
            return Read(name, labels, "unreadable", self._one(_cut(str(error))))

    def _report(self, data: bytes) -> Read:
        if len(data) > LARGEST:
            raise Unreadable(f"it is larger than {LARGEST >> 20} MB: it is no report")
        header, sections, findings = self._quickly(data) or self._slowly(data)
        delta = [one for found, _ in sections.values() for one in found]
        facts = Facts(**{name: record for name, (_, record) in sections.items()}, grade=_grade(header))
        outcome = header.outcome
        if header.tool.version != self._own.version or header.tool.knowledge_date != self._own.knowledge_date:
            findings = self._again(header, facts, findings)
            outcome = _outcome(findings, outcome)
        usable = usable_gpus(facts)
        return Read(
            name="",
            labels=(),
            end="answered",
            said="",
            delta=self._one(tuple(map(self._one, delta))),
            findings=self._one(tuple(self._said(finding, key, facts, data) for finding, key in findings)),
            outcome=outcome,
            trained="eager trained" in header.seen,
            unexamined=self._one(tuple(header.unexamined)),
            gpus=usable if isinstance(usable, int) else None,
            model=self._one(_model(facts)),
            machine=sys.intern(facts.system.machine if isinstance(facts.system.machine, str) else ""),
        )

    def _quickly(self, data: bytes) -> _Parts | None:
        """Return the parts of a report; None if it must be read by `_slowly`.

        None is returned for an old report, a report with values of a newer version, a text that is not UTF-8, and a text that is no
        report.
        """
        try:
            header = msgspec.json.decode(data, type=_Header)
            if header.schema_version != SCHEMA_VERSION:
                return None
            _grade(header)  # the other values of the facts are read below
            sections = self._facts({name: bytes(raw) for name, raw in header.facts.items()})
            return header, sections, self._told(bytes(header.findings))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None

    def _slowly(self, data: bytes) -> _Parts:
        """Return the parts of any report that `show` can read. Raises Unreadable for others."""
        report = decode_report(data, "it")
        header = _header_of(report)
        sections = self._facts({name: bytes(raw) for name, raw in header.facts.items()})
        return header, sections, self._told(msgspec.json.encode(report.findings))

    def _facts(self, raw: dict[str, bytes]) -> _Sections:
        """Return the differences of each section from the first node, and the record of the section."""
        places: Home = ()
        found = {}
        fresh: dict[str, dict[str, Leaf]] = {}
        for name in ("interpreter", *(one for one in _SECTIONS if one != "interpreter")):
            if name not in raw:
                continue
            key = (name, hashlib.blake2b(raw[name], digest_size=16).digest(), places)
            known = self._sections.get(key)
            if known is None:
                record = _decoded(raw[name], _TYPES[name])
                made = table(record, name, home(record) if name == "interpreter" else places)
                fresh[name] = made
                known = (tuple(differences(made, self.first.get(name, made))), record)
                self._sections[key] = known
                self._forget(self._sections, _KEPT * len(_SECTIONS))
            if name == "interpreter":
                places = home(known[1])
            found[name] = known
        for name, made in fresh.items():
            self.first.setdefault(name, made)  # now that the whole report was read
        return found

    def _told(self, raw: bytes) -> _Findings:
        """Return the findings, each with the key of its first fix."""
        digest = hashlib.blake2b(raw, digest_size=16).digest()
        if digest not in self._findings:
            self._findings[digest] = tuple(map(_with_key, _decoded(raw, tuple[Finding, ...])))
            self._forget(self._findings, _KEPT)
        return self._findings[digest]

    def _said(self, finding: Finding, key: str, facts: Facts, data: bytes) -> Said:
        paths = tuple(dict.fromkeys(by_name(facts, e.path) for e in finding.evidence if e.kind == "fact" and e.path))
        if key and finding.root_cause and key not in self.cures:
            if len(self.cures) >= _MOST_CURES:
                key = ""
            else:
                self.cures[key] = Cure(finding.code, finding.slug, finding.fixes[0], zlib.compress(data, 1))
        root = finding.root_cause or (finding.severity is Severity.INFO and not finding.explained_by)
        return self._one(
            Said(
                _cut(finding.code),
                _cut(finding.slug),
                finding.severity,
                _cut(finding.message),
                root,
                paths,
                key if finding.root_cause else "",
            )
        )

    def _again(self, header: _Header, facts: Facts, before: _Findings) -> _Findings:
        """Return the findings of today's rules; findings from a log or a trial are copied from the report."""
        raw = {name: bytes(value) for name, value in header.facts.items()}
        found = self.again.judge(facts, raw, header.goal, sys.intern(header.tool.version))
        codes = {finding.code for finding in found}
        seen = [f for f, _ in before if f.code not in codes and any(e.kind != "fact" for e in f.evidence)]
        return tuple(map(_with_key, (*found, *seen)))

    def _one(self, value: T) -> T:
        """Return the object that is stored for a value. Equal values have one object, so that many nodes need little memory."""
        return self._same.setdefault(value, value)  # type: ignore[no-any-return]

    @staticmethod
    def _forget(kept: dict[Any, Any], most: int) -> None:
        while len(kept) > most:
            del kept[next(iter(kept))]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _header_of(report: Report) -> _Header:
    return _Header(
        tool=report.tool,
        goal=report.goal,
        exit_code=report.exit_code,
        facts={name: msgspec.Raw(msgspec.json.encode(getattr(report.facts, name))) for name in (*_SECTIONS, "grade")},
        findings=msgspec.Raw(b"[]"),
        recommendation=msgspec.Raw(b"{}"),
        outcome=report.outcome,
        seen=report.seen,
        unexamined=report.unexamined,
    )


def _decoded(raw: bytes, kind: Any) -> Any:
    """Return the record in a JSON text. Raises msgspec.DecodeError."""
    return listed_values.decode(raw, kind)


def _grade(header: _Header) -> Any:
    """Return how the facts were collected. Raises msgspec.DecodeError for a word that is not known."""
    grade = header.facts.get("grade")
    return "dynamic" if grade is None else _decoded(bytes(grade), Grade)


def _with_key(finding: Finding) -> tuple[Finding, str]:
    if not finding.fixes:
        return finding, ""
    return finding, hashlib.sha256(finding.code.encode() + msgspec.json.encode(finding.fixes[0])).hexdigest()[:24]


def _outcome(findings: _Findings, before: Outcome) -> Outcome:
    if any(finding.severity is Severity.ERROR for finding, _ in findings):
        return "sick"
    return "unknown" if before == "sick" else before


def _model(facts: Facts) -> str:
    """Return the names of the GPUs, each once; empty if none is known."""
    gpus, amd = facts.graphics.gpus, facts.graphics.amd
    names = {gpu.name for gpu in gpus if isinstance(gpu.name, str)} if isinstance(gpus, tuple) else set()
    if not names and isinstance(amd, tuple):
        names = {gpu.name for gpu in amd if isinstance(gpu.name, str)}
    return " and ".join(sorted(names))
