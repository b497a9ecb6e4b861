"""Turn facts, logs and trials into findings, ordered by cause and effect. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeGuard

import msgspec

from attn_doctor import commands
from attn_doctor.failure_modes import ALL, consequences
from attn_doctor.failure_modes.mode import FailureMode, FromFacts, FromLog, FromTrials, Hit, Module, Unsure, Usual
from attn_doctor.failure_modes.shared.numpy_1 import with_opencv
from attn_doctor.judging import foresight
from attn_doctor.judging.chained import chained
from attn_doctor.judging.stated_gpu import ELSEWHERE
from attn_doctor.judging.unrecognised import unrecognised
from attn_doctor.logs.reader import Log, Seen
from attn_doctor.logs.stated_facts import describes_environment, is_environment
from attn_doctor.model.facts import Facts, Unknown, paths_of_unknown
from attn_doctor.model.findings import (
    Certainty,
    Confidence,
    Diagnosis,
    Evidence,
    Finding,
    Fix,
    Goal,
    Severity,
    Undetermined,
)
from attn_doctor.model.steps import Step, action
from attn_doctor.model.trials import Trials


class _Doubt(NamedTuple):
    """Hold a failure mode that could not be judged, and why. `rule_failed`: its rule raised an exception."""

    mode: FailureMode
    why: str
    unknowns: tuple[Unknown, ...] = ()  # the facts that are not known
    rule_failed: bool = False

    def entry(self, paths: Mapping[int, Sequence[str]]) -> Undetermined:
        """Return the entry of the diagnosis. `paths`: see `paths_of_unknown`."""
        needs = [path for unknown in self.unknowns for path in paths.get(id(unknown), ())]
        return Undetermined(code=self.mode.code, slug=self.mode.slug, needs=tuple(dict.fromkeys(needs)), why=self.why)


class _Met(NamedTuple):
    module: Module
    hit: Hit
    severity: Severity

    @property
    def explains(self) -> tuple[str, ...]:
        return consequences(self.module.MODE) if self.hit.explains is None else self.hit.explains


def diagnose(
    facts: Facts,
    goal: Goal,
    *,
    logs: Iterable[Log] = (),
    trials: Trials | None = None,
    modules: Iterable[Module] = ALL,
) -> Diagnosis:
    """Return all findings, root causes first, and the failure modes that could not be judged.

    The facts may come from an examined machine or only from a log. On an examined machine, `foresight` predicts the result of
    each fix, and a fix that would not cure is left out. With facts from a log, the fixes are for the machine of the log, and
    nothing is predicted. In both cases the steps are rendered for the installer of the target.
    """
    modules, logs = tuple(modules), tuple(logs)
    rules = facts.grade != "stated" or is_environment(logs)
    made = _diagnosis(facts, goal, logs, trials, modules, rules=rules)
    if not rules and made.unrecognised and describes_environment(logs):
        # Nobody knows the error. So what stands beside it is judged too, and the error is still named.
        whole = _diagnosis(facts, goal, logs, trials, modules, rules=True)
        made = msgspec.structs.replace(whole, unrecognised=made.unrecognised)
    findings = made.findings
    if facts.grade != "stated" and any(f.fixes and f.severity.rank > 0 for f in findings):
        findings = _judged_again(facts, goal, made, modules)
    return msgspec.structs.replace(made, findings=tuple(_prepared(facts, finding) for finding in findings))


def implied(facts: Facts, goal: Goal, modules: Iterable[Module] = ALL) -> tuple[Finding, ...]:
    """Return the findings from facts alone, without logs and trials.

    Their fixes are raw: `foresight` has not judged them, and their steps have no commands yet.
    """
    return _diagnosis(facts, goal, (), None, tuple(modules), rules=True).findings


def _judged_again(facts: Facts, goal: Goal, made: Diagnosis, modules: tuple[Module, ...]) -> tuple[Finding, ...]:
    """Return the findings with only the fixes that cure, as `foresight` predicts it from the facts."""
    now = foresight.Now(
        facts=facts, findings=implied(facts, goal, modules), diagnose=lambda then: implied(then, goal, modules)
    )
    slugs = {finding.slug for finding in now.findings}

    def cures(finding: Finding) -> tuple[Fix, ...]:
        if finding.severity.rank == 0 or finding.slug not in slugs:
            return finding.fixes
        told = (foresight.completed(now, fix, finding.slug) for fix in finding.fixes)
        return tuple(fix for fix in told if fix is not None)

    return tuple(msgspec.structs.replace(finding, fixes=cures(finding)) for finding in made.findings)


def _prepared(facts: Facts, finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, fixes=once(commands.prepared(facts, fix) for fix in finding.fixes))


def once(fixes: Iterable[Fix]) -> tuple[Fix, ...]:
    """Return the fixes without repetitions: of fixes with the same actions only the first, even if their titles differ."""
    first: dict[tuple[Step, ...], Fix] = {}
    for fix in fixes:
        first.setdefault(tuple(map(action, fix.steps)), fix)
    return tuple(first.values())


def _diagnosis(
    facts: Facts, goal: Goal, logs: tuple[Log, ...], trials: Trials | None, modules: tuple[Module, ...], *, rules: bool
) -> Diagnosis:
    """Return what `diagnose` returns, with fixes that are not rendered. `rules`: judge the facts too."""
    met: dict[str, _Met] = {}
    doubts: list[_Doubt] = []
    for module in sorted(modules, key=lambda m: m.MODE.catch_all):
        theirs = _nobody_elses(module.MODE, goal, logs, met) if module.MODE.catch_all else logs
        hit, doubt = _judge(module, facts, theirs, trials, rules=rules)
        if hit is not None:
            severity = hit.severity or module.MODE.severity(goal)
            met[module.MODE.slug] = _Met(module, hit, severity)
        elif (
            facts.grade != "stated" and doubt is not None and (module.MODE.severity(goal).rank > 0 or doubt.rule_failed)
        ):
            # A mode that would be a mere note is not listed, unless its rule failed.
            doubts.append(doubt)
    paths = paths_of_unknown(facts) if doubts else {}
    undetermined = [doubt.entry(paths) for doubt in doubts]
    explained = _explanations(met, frozenset(chained(logs, met)))
    met = _as_grave_as_their_effects(met, explained)
    findings = [_finding(m, explained.get(slug), met, facts) for slug, m in met.items()]
    findings.sort(key=lambda finding: _order(finding, met[finding.slug], explained))
    if facts.graphics.stated is True:  # a user who states a GPU of another machine does not need this doubt
        undetermined = [u for u in undetermined if ELSEWHERE not in u.why]
    moot = {slug for m in met.values() if m.severity.rank > 0 for slug in m.explains}
    return Diagnosis(
        findings=tuple(findings),
        undetermined=tuple(u for u in undetermined if u.slug not in moot),
        unrecognised=unrecognised(logs, met),
    )


def _nobody_elses(mode: FailureMode, goal: Goal, logs: tuple[Log, ...], met: Mapping[str, _Met]) -> tuple[Log, ...]:
    """Return the logs that a catch-all mode may judge: the logs without a finding that explains the mode.

    A finding from facts alone may explain every log: then no log is returned. A finding of severity info explains only findings
    of severity info.
    """
    causes = [
        cause
        for cause in met.values()
        if mode.slug in cause.explains and (cause.severity.rank > 0 or mode.severity(goal).rank == 0)
    ]
    files = [{e.file for e in cause.hit.evidence if e.kind == "log"} for cause in causes]
    return () if not all(files) else tuple(log for log in logs if not any(log.file in named for named in files))


def _judge(
    module: Module, facts: Facts, logs: tuple[Log, ...], trials: Trials | None, *, rules: bool
) -> tuple[Hit | None, _Doubt | None]:
    """Judge one failure mode by facts, logs and trials. Return (hit, doubt): at most one of them, neither if the mode does not apply.

    Every exception is caught, because a rule may have a bug.
    """
    try:
        seen = _seen_in_logs(module, facts, logs)
        proven = module.observe(facts, trials) if trials is not None and isinstance(module, FromTrials) else None
        if proven is not None:
            return _join(_observed(proven), seen), None
        try:
            rule = module if rules and _has_rule(module) else None
            implied = _in_lines(rule.detect(facts), facts) if rule else None
        except Unsure as unsure:
            if seen is not None:
                return seen, None
            return None, _Doubt(module.MODE, str(unsure), tuple(unsure.unknowns))
        if implied is None:
            return seen, None
        return _join(implied, seen), None
    except Exception as error:  # noqa: BLE001 - recorded as undetermined, and asks to be reported
        why = f"the rule itself failed ({type(error).__name__}: {error}); please report this"
        return None, _Doubt(module.MODE, why, rule_failed=True)


def _has_rule(module: Module) -> TypeGuard[FromFacts]:
    """Return whether facts can show this failure mode. `isinstance` says the same, and took half the time of a diagnosis."""
    return hasattr(module, "detect")


def _in_lines(hit: Hit | None, facts: Facts) -> Hit | None:
    """Return the hit with the log lines that contain its evidence, if the facts come from a log; else the hit unchanged."""
    if hit is None or facts.grade != "stated":
        return hit
    return msgspec.structs.replace(hit, evidence=tuple(_in_line(one, facts) for one in hit.evidence))


def _in_line(evidence: Evidence, facts: Facts) -> Evidence:
    path = evidence.path or ""
    while path and path not in facts.sources:
        path = path.rpartition(".")[0]
    file, _, line = facts.sources.get(path, "").rpartition(":")
    if not file:
        return evidence
    return msgspec.structs.replace(evidence, kind="log", path=None, file=file, line=int(line))


def _seen_in_logs(module: Module, facts: Facts, logs: tuple[Log, ...]) -> Hit | None:
    """Return the hit for a failure mode in these logs; None if there is none.

    Every line of the kind "proof" is evidence. Lines of the kind "hint" alone are weak evidence.
    """
    lines = [match for log in logs for match in log.matches if match.slug == module.MODE.slug]
    proofs = [m for m in lines if m.strength == "proof"]
    if not proofs and not any(m.strength == "hint" for m in lines):
        return None
    shown = proofs or [m for m in lines if m.strength == "hint"]
    once = {(m.file, m.line): m for m in reversed(shown)}  # two signs may match one line
    evidence = tuple(
        Evidence(kind="log", file=m.file, line=m.line, text=m.text)
        for m in [m for m in shown if once[m.file, m.line] is m][:_MOST_LINES]
    )
    seen = Seen(tuple(lines), logs)
    if isinstance(module, FromLog):
        worded = module.from_log(facts, seen, evidence)
        return worded and _observed(worded)
    says = module.MODE.says
    return Hit(
        message=f"{module.MODE.title}: the log says so." if says is None else says.format_map(seen.captured()),
        evidence=evidence,
        certainty=Certainty.OBSERVED,
        confidence=Confidence.HIGH if proofs else Confidence.LOW,
    )


_MOST_LINES = 4


def _observed(hit: Hit) -> Hit:
    return msgspec.structs.replace(hit, certainty=Certainty.OBSERVED)


def _join(hit: Hit, seen: Hit | None) -> Hit:
    """Join two hits of one failure mode: one from facts, one from a log.

    The result counts as observed, and has the evidence of both. Its variant is that of the facts, because they describe the
    machine to repair. If the facts have no variant, it is that of the log.
    """
    if seen is None:
        return hit
    best = max(hit.confidence, seen.confidence, key=lambda c: c.rank)
    return msgspec.structs.replace(
        hit,
        evidence=(*seen.evidence, *hit.evidence),
        variant=seen.variant if hit.variant is None else hit.variant,
        certainty=Certainty.OBSERVED,
        confidence=best,
    )


def _explanations(met: Mapping[str, _Met], chains: Container[tuple[str, str]]) -> dict[str, str]:
    """Map the slug of each explained finding to the slug of its root cause.

    A finding of severity info explains only findings of severity info. `chains`: pairs (cause, effect) from the chains of
    exceptions in a log.
    """
    direct: dict[str, str] = {}
    for slug, effect in met.items():
        causes = [
            cause
            for cause in met
            if cause != slug
            and (slug in met[cause].explains or (cause, slug) in chains)
            and (met[cause].severity.rank > 0 or effect.severity.rank == 0)
        ]
        if causes:
            direct[slug] = max(causes, key=lambda cause: _weight(met[cause], effect))
    roots = {slug: _root(slug, direct, met) for slug in direct}
    return {slug: root for slug, root in roots.items() if root != slug}


def _as_grave_as_their_effects(met: Mapping[str, _Met], explained: Mapping[str, str]) -> dict[str, _Met]:
    """Raise the severity of each cause to the highest severity of its effects, so that no error is hidden below a warning."""
    graver = dict(met)
    for effect, cause in explained.items():
        if met[effect].severity.rank > graver[cause].severity.rank > 0:
            graver[cause] = graver[cause]._replace(severity=met[effect].severity)
    return graver


def _root(slug: str, direct: Mapping[str, str], met: Mapping[str, _Met]) -> str:
    """Return the root cause of a finding: the end of its chain of explanations.

    If the explanations form a circle, the most severe member counts as the root cause.
    """
    chain = [slug]
    while chain[-1] in direct:
        following = direct[chain[-1]]
        if following in chain:
            circle = chain[chain.index(following) :]
            return max(circle, key=lambda member: (*_weight(met[member], met[slug]), member))
        chain.append(following)
    return chain[-1]


def _weight(cause: _Met, effect: _Met) -> tuple[int, bool, int, bool]:
    """Return the rank of a cause among several causes of one effect.

    In this order: severity; whether cause and effect have the same kind of evidence (a log, facts); confidence; whether it was
    observed.
    """
    shared_kinds = {e.kind for e in cause.hit.evidence} & {e.kind for e in effect.hit.evidence}
    return cause.severity.rank, bool(shared_kinds), cause.hit.confidence.rank, cause.hit.certainty is Certainty.OBSERVED


def _finding(met: _Met, explained_by: str | None, all_met: Mapping[str, _Met], facts: Facts) -> Finding:
    mode, hit = met.module.MODE, met.hit
    return Finding(
        code=mode.code,
        slug=mode.slug,
        title=mode.title,
        message=hit.message,
        severity=met.severity,
        certainty=hit.certainty,
        confidence=hit.confidence,
        root_cause=explained_by is None and met.severity is not Severity.INFO,
        explained_by=all_met[explained_by].module.MODE.code if explained_by else None,
        blocks=mode.blocked if hit.blocks is None else hit.blocks,
        evidence=hit.evidence,
        fixes=_fixes(met.module, facts, hit),
        docs="",  # examination.with_pages fills it
    )


def _fixes(module: Module, facts: Facts, hit: Hit) -> tuple[Fix, ...]:
    """Return the fixes of a finding.

    A fix that needs an unknown fact is left out, because a wrong suggestion is worse than none. If torch is unknown, or only a
    log contains its version, the usual fixes are described in words instead.
    """
    try:
        made = module.fixes(facts, hit)
    except Unsure:
        made = ()
    little = facts.grade == "stated" or isinstance(facts.torch.version, Unknown)
    if not made and little and isinstance(module, Usual):
        made = module.usual(facts)
    return tuple(with_opencv(facts, fix) for fix in made)


def _order(
    finding: Finding, met: _Met, explained: Mapping[str, str]
) -> tuple[bool, int, int, bool, bool, int, int, int, str]:
    """Return the sort key of a finding: root causes come first.

    Then by severity, confidence, specific mode, observed, severity for training, number of explained findings, first line.
    """
    for_training = met.hit.severity or met.module.MODE.severity(Goal.TRAIN)
    return (
        not finding.root_cause,
        -finding.severity.rank,
        -finding.confidence.rank,
        met.module.MODE.catch_all,
        finding.certainty is not Certainty.OBSERVED,
        -for_training.rank,
        -sum(root == finding.slug for root in explained.values()),
        min((e.line for e in finding.evidence if e.line is not None), default=0),
        finding.code,
    )
