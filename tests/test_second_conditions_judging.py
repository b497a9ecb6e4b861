"""The second of two conditions in the judging: order, cause and effect, doubts, and the errors of a log that nothing explains."""

from __future__ import annotations

import msgspec
import pytest
from whole_machines import RTX_4090, changed

from attn_doctor.failure_modes.mode import FailureMode, Hit, Unsure
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.judging.stated_gpu import elsewhere
from attn_doctor.logs.reader import Log, Match
from attn_doctor.model.facts import Facts, Unknown
from attn_doctor.model.findings import (
    Certainty,
    Confidence,
    Diagnosis,
    Evidence,
    Goal,
    Severity,
    fact,
)
from attn_doctor.model.trials import Trial, Trials

STATED = msgspec.structs.replace(Facts(), grade="stated")  # nothing but what a log says


class Rule:
    """A failure mode made of parts. Without a hit it has a doubt; with an error its rule fails."""

    def __init__(self, slug: str, hit: Hit | None = None, *, error: Exception | None = None, **mode):
        self.__name__ = slug
        given = {"train": Severity.ERROR, "flash_attn": Severity.ERROR, "title": slug, **mode}
        self.MODE = FailureMode(code=f"AD9{slug[-2:]}", slug=slug, **given)
        self._hit, self._error = hit, error

    def detect(self, facts: Facts) -> Hit | None:
        if self._error is not None:
            raise self._error
        if self._hit is None:
            raise Unsure(facts.torch.version)
        return self._hit

    def fixes(self, facts: Facts, hit: Hit) -> tuple:
        return ()


class InLogs:
    """A failure mode that logs alone show."""

    def __init__(self, slug: str, **mode):
        self.__name__ = slug
        given = {"train": Severity.ERROR, "flash_attn": Severity.ERROR, "title": slug, **mode}
        self.MODE = FailureMode(code=f"AD9{slug[-2:]}", slug=slug, **given)

    def fixes(self, facts: Facts, hit: Hit) -> tuple:
        return ()


def hit(*logged: tuple[str, int], **options) -> Hit:
    """A hit of facts, or of the lines (file, line) of logs."""
    lines = tuple(Evidence(kind="log", file=file, line=line, text="t") for file, line in logged)
    return Hit(message="m", evidence=lines or (fact(Facts(), "torch.version"),), **options)


def log(file: str, *matches: tuple[str, int, str], lines: int = 100) -> Log:
    """A log with matches (slug, line, strength)."""
    return Log(
        file=file,
        lines=lines,
        size=1,
        matches=tuple(Match(slug=s, file=file, line=n, text=f"{s} {n}", strength=how) for s, n, how in matches),
    )


def judged(*rules, facts: Facts = RTX_4090, goal: Goal = Goal.TRAIN, logs: tuple[Log, ...] = ()) -> Diagnosis:
    return diagnose(facts, goal, modules=rules, logs=logs)


# -- doubts


@pytest.mark.parametrize(
    ("severity", "told"), [(Severity.ERROR, True), (Severity.WARNING, True), (Severity.INFO, False)]
)
def test_a_doubt_counts_from_a_warning_upwards(severity, told):
    assert bool(judged(Rule("asks-01", train=severity), facts=Facts()).undetermined) is told


def test_a_doubt_counts_only_under_the_goal_under_which_it_would_be_grave():
    asks = Rule("asks-01", train=Severity.INFO)
    assert judged(asks, facts=Facts(), goal=Goal.TRAIN).undetermined == ()
    assert len(judged(asks, facts=Facts(), goal=Goal.FLASH_ATTN).undetermined) == 1


def test_a_rule_that_fails_is_told_though_its_finding_were_a_note():
    crash = Rule("crash-01", train=Severity.INFO, error=ZeroDivisionError("oops"))
    assert [u.slug for u in judged(crash).undetermined] == ["crash-01"]


def test_of_logs_alone_no_doubt_about_a_machine_is_told():
    assert judged(Rule("asks-01"), facts=STATED).undetermined == ()
    assert judged(Rule("crash-01", error=ZeroDivisionError("oops")), facts=STATED).undetermined == ()


@pytest.mark.parametrize(("stated", "told"), [(True, []), (False, ["asks-01"])])
def test_a_driver_that_nobody_could_see_is_no_doubt_where_the_gpu_is_elsewhere(stated, told):
    class AsksDriver(Rule):
        def detect(self, facts):
            raise Unsure(facts.graphics.kernel_module)

    facts = elsewhere(RTX_4090, "8.9")
    if not stated:
        facts = changed(facts, graphics__stated=False)
    assert [u.slug for u in judged(AsksDriver("asks-01"), facts=facts).undetermined] == told


# -- logs


def test_what_a_log_shows_says_the_title_or_the_words_of_the_record():
    told = judged(InLogs("shown-01", title="A title"), logs=(log("a", ("shown-01", 3, "proof")),)).findings[0]
    assert told.message == "A title: the log says so."
    worded = InLogs("shown-01", says="{file} is not there")
    match = Match(slug="shown-01", file="a", line=3, text="x", strength="proof", groups={"file": "cuda.h"})
    said = judged(worded, logs=(Log(file="a", lines=9, size=1, matches=(match,)),)).findings[0]
    assert said.message == "cuda.h is not there"


def test_proof_is_sure_and_a_hint_is_not_and_both_were_observed():
    proof = judged(InLogs("shown-01"), logs=(log("a", ("shown-01", 3, "proof"), ("shown-01", 5, "hint")),)).findings[0]
    assert (proof.confidence, proof.certainty) == (Confidence.HIGH, Certainty.OBSERVED)
    assert [e.line for e in proof.evidence] == [3]
    hint = judged(InLogs("shown-01"), logs=(log("a", ("shown-01", 5, "hint"), ("shown-01", 6, "context")),)).findings[0]
    assert (hint.confidence, hint.certainty) == (Confidence.LOW, Certainty.OBSERVED)
    assert [e.line for e in hint.evidence] == [5]
    assert judged(InLogs("shown-01"), logs=(log("a", ("shown-01", 6, "context")),)).findings == ()
    assert judged(InLogs("shown-01"), logs=(log("a", ("other-02", 6, "proof")),)).findings == ()


def test_four_lines_of_a_log_are_shown():
    many = log("a", *(("shown-01", line, "proof") for line in range(1, 9)))
    assert [e.line for e in judged(InLogs("shown-01"), logs=(many,)).findings[0].evidence] == [1, 2, 3, 4]


class Worded(InLogs):
    """A failure mode with its own reading of a log."""

    def from_log(self, facts, seen, evidence):
        return Hit(message="in its own words", evidence=evidence)


def test_a_log_that_a_rule_reads_itself_was_observed_too():
    found = judged(Worded("shown-01"), logs=(log("a", ("shown-01", 3, "hint")),)).findings[0]
    assert (found.message, found.certainty) == ("in its own words", Certainty.OBSERVED)


def test_facts_that_cannot_decide_leave_the_word_to_the_log():
    class Asks(Rule):
        def detect(self, facts):
            raise Unsure(Unknown("nobody knows"))

    both = judged(Asks("shown-01"), logs=(log("a", ("shown-01", 3, "proof")),))
    assert [f.slug for f in both.findings] == ["shown-01"]
    assert both.undetermined == ()


@pytest.mark.parametrize(
    ("of_facts", "of_log", "joined"),
    [
        (Confidence.LOW, "proof", Confidence.HIGH),
        (Confidence.HIGH, "hint", Confidence.HIGH),
        (Confidence.MEDIUM, "hint", Confidence.MEDIUM),
    ],
)
def test_facts_and_a_log_together_are_as_sure_as_the_surer(of_facts, of_log, joined):
    rule = Rule("shown-01", hit(confidence=of_facts))
    found = judged(rule, logs=(log("a", ("shown-01", 3, of_log)),)).findings[0]
    assert (found.confidence, found.certainty) == (joined, Certainty.OBSERVED)
    assert [e.kind for e in found.evidence] == ["log", "fact"]


def test_a_trial_was_observed_and_goes_before_the_facts():
    class Tried(Rule):
        def observe(self, facts, trials):
            return Hit(message="the trial", evidence=(fact(Facts(), "torch.version"),)) if trials.rows else None

    rule = Tried("tried-01", hit())
    rows = Trials(rows=(Trial(backend="eager", status="failed", dtype="float32"),))
    seen = diagnose(RTX_4090, Goal.TRAIN, modules=[rule], trials=rows).findings[0]
    assert (seen.message, seen.certainty) == ("the trial", Certainty.OBSERVED)
    alone = diagnose(RTX_4090, Goal.TRAIN, modules=[rule], trials=Trials()).findings[0]
    assert (alone.message, alone.certainty) == ("m", Certainty.PREDICTED)


# -- a catch-all


def left(*rules, files=("a", "b")) -> list[str]:
    """Return the logs in which a catch-all is seen beside other findings."""
    logs = tuple(log(file, ("rest-09", 50, "proof")) for file in files)
    caught = judged(*rules, InLogs("rest-09", catch_all=True), logs=logs).findings
    return [e.file for f in caught if f.slug == "rest-09" for e in f.evidence]


def cause(*logged, **options) -> Rule:
    return Rule("cause-01", hit(*logged), **{"explains": ("rest-09",), **options})


def test_a_catch_all_is_judged_of_the_logs_in_which_no_cause_was_found():
    assert left() == ["a", "b"]
    assert left(cause(("a", 3))) == ["b"]
    assert left(cause(("a", 3), ("b", 4))) == []
    assert left(cause(("a", 3)), Rule("other-02", hit(("b", 7)), explains=("rest-09",))) == []


def test_a_finding_that_explains_something_else_is_no_cause_of_it():
    assert left(cause(("a", 3), explains=("other-02",))) == ["a", "b"]


def test_a_cause_that_facts_alone_imply_leaves_no_log():
    assert left(cause()) == []
    assert left(cause(), Rule("other-02", hit(("a", 7)), explains=("rest-09",))) == []


def test_an_info_is_the_cause_of_an_info_only():
    note = cause(("a", 3), train=Severity.INFO)
    assert left(note) == ["a", "b"]
    logs = tuple(log(file, ("rest-09", 50, "proof")) for file in ("a", "b"))
    rest = InLogs("rest-09", catch_all=True, train=Severity.INFO)
    caught = next(f for f in judged(note, rest, logs=logs).findings if f.slug == "rest-09")
    assert [e.file for e in caught.evidence] == ["b"]
    warned = cause(("a", 3), train=Severity.WARNING)
    assert left(warned) == ["b"]


def test_a_catch_all_comes_last_wherever_it_stands():
    rest = InLogs("rest-09", catch_all=True)
    found = judged(rest, cause(("a", 3)), logs=(log("a", ("rest-09", 50, "proof")),)).findings
    assert [f.slug for f in found] == ["cause-01"]


# -- cause and effect


def test_a_cause_is_as_grave_as_its_gravest_effect():
    warns = Rule("cause-01", hit(), explains=("effect-02", "effect-03"), train=Severity.WARNING)
    effects = Rule("effect-02", hit()), Rule("effect-03", hit(), train=Severity.WARNING)
    for order in ((warns, *effects), (*effects, warns), (effects[1], warns, effects[0])):
        found = {f.slug: f for f in judged(*order).findings}
        assert found["cause-01"].severity is Severity.ERROR
        assert found["effect-03"].severity is Severity.WARNING


def test_a_note_stays_one_whatever_it_explains():
    note = Rule("cause-01", hit(), explains=("effect-02",), train=Severity.INFO)
    found = judged(note, Rule("effect-02", hit(), train=Severity.INFO)).findings
    assert [(f.slug, f.severity, f.root_cause, f.explained_by) for f in found] == [
        ("cause-01", Severity.INFO, False, None),
        ("effect-02", Severity.INFO, False, "AD901"),
    ]


def test_the_cause_that_was_seen_where_the_effect_was_seen_counts_more_than_a_surer_one():
    effect = Rule("effect-01", hit(("a", 9)))
    there = Rule("there-02", hit(("a", 3), confidence=Confidence.MEDIUM), explains=("effect-01",))
    fact_alone = Rule("fact-03", hit(), explains=("effect-01",))
    for order in ((there, fact_alone), (fact_alone, there)):
        found = {f.slug: f for f in judged(effect, *order).findings}
        assert found["effect-01"].explained_by == "AD902"


def test_a_hit_may_explain_other_things_than_its_record():
    nothing = Rule("cause-01", hit(explains=()), explains=("effect-02",))
    assert {f.slug: f.root_cause for f in judged(nothing, Rule("effect-02", hit())).findings} == {
        "cause-01": True,
        "effect-02": True,
    }


def test_a_hit_may_be_of_another_severity_than_its_record():
    found = judged(Rule("mild-01", hit(severity=Severity.WARNING))).findings[0]
    assert found.severity is Severity.WARNING


def test_what_a_hit_blocks_goes_before_what_its_record_blocks():
    assert judged(Rule("blocks-01", hit(), blocks=("eager",))).findings[0].blocks == ("eager",)
    assert judged(Rule("blocks-01", hit(blocks=()), blocks=("eager",))).findings[0].blocks == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"rule": {"train": Severity.ERROR}}, {"rule": {"train": Severity.WARNING}}),
        ({"hit": {"confidence": Confidence.HIGH}}, {"hit": {"confidence": Confidence.MEDIUM}}),
        ({"hit": {"certainty": Certainty.OBSERVED}}, {"hit": {"certainty": Certainty.PREDICTED}}),
    ],
)
def test_the_first_of_two_roots(first, second):
    """The codes say the opposite order, so that they decide nothing but a tie."""

    def rule(slug, parts):
        return Rule(slug, hit(**parts.get("hit", {})), **parts.get("rule", {}))

    for order in ((0, 1), (1, 0)):
        made = rule("first-09", first), rule("second-01", second)
        assert [f.slug for f in judged(*(made[i] for i in order)).findings] == ["first-09", "second-01"]


def test_of_two_equal_roots_the_one_that_explains_more_comes_first_and_then_the_lower_code():
    explains = Rule("many-09", hit(), explains=("effect-05",))
    effect, single = Rule("effect-05", hit()), Rule("single-01", hit())
    assert [f.slug for f in judged(single, explains, effect).findings] == ["many-09", "single-01", "effect-05"]
    assert [f.slug for f in judged(Rule("b-02", hit()), Rule("a-01", hit())).findings] == ["a-01", "b-02"]


def test_under_the_goal_of_flash_attn_that_which_stops_training_too_comes_first():
    both, build = Rule("both-09", hit()), Rule("build-01", hit(), train=Severity.INFO)
    assert [f.slug for f in judged(build, both, goal=Goal.FLASH_ATTN).findings] == ["both-09", "build-01"]
