"""The three-valued reading of facts, cause and effect, and what must hold for every rule on every machine."""

from __future__ import annotations

import re

import msgspec
import pytest

from attn_doctor.failure_modes import ALL, find, patterns
from attn_doctor.failure_modes.mode import FailureMode, Hit, Unsure, every, known, some
from attn_doctor.judging.diagnose import diagnose
from attn_doctor.model.facts import Facts, Record, Unknown, lookup, paths_of_unknown, walk
from attn_doctor.model.findings import Certainty, Confidence, Goal, Severity, fact


def yes() -> bool:
    return True


def no() -> bool:
    return False


def dunno() -> bool:
    return bool(known(Unknown("who knows")))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), True),
        ((yes, yes), True),
        ((yes, no), False),
        ((dunno, no), False),
        ((no, dunno), False),
        ((yes, dunno), None),
    ],
)
def test_every(parts, expected):
    if expected is None:
        with pytest.raises(Unsure, match="who knows"):
            every(*parts)
    else:
        assert every(*parts) is expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), False),
        ((no, no), False),
        ((no, yes), True),
        ((dunno, yes), True),
        ((yes, dunno), True),
        ((no, dunno), None),
    ],
)
def test_some(parts, expected):
    if expected is None:
        with pytest.raises(Unsure):
            some(*parts)
    else:
        assert some(*parts) is expected


class Rule:
    """A failure mode made of parts, for tests of the judging alone."""

    def __init__(self, slug, hit=None, explains=(), train=Severity.ERROR, error=None):
        self.__name__ = slug
        self.MODE = FailureMode(
            code=f"AD9{slug[-2:]}",
            slug=slug,
            title=slug,
            train=train,
            flash_attn=Severity.ERROR,
            explains=tuple(explains),
        )
        self.hit, self.error = hit, error

    def detect(self, facts):
        if self.error:
            raise self.error
        return self.hit

    def fixes(self, facts, evidence):
        return ()


def hit(**options) -> Hit:
    return Hit(message="m", evidence=(fact(Facts(), "torch.version"),), **options)


def judged(*rules, goal=Goal.TRAIN):
    return diagnose(Facts(), goal, modules=rules)


def test_a_consequence_points_at_its_root_not_at_the_link_between():
    diagnosis = judged(
        Rule("effect-01", hit()),
        Rule("link-02", hit(), explains=["effect-01"]),
        Rule("root-03", hit(), explains=["link-02"]),
    )
    assert [(f.slug, f.root_cause, f.explained_by) for f in diagnosis.findings] == [
        ("root-03", True, None),
        ("effect-01", False, "AD903"),
        ("link-02", False, "AD903"),
    ]


def test_of_two_explanations_the_graver_and_surer_one_counts_wherever_it_stands_in_the_list():
    effect = Rule("effect-01", hit())
    weak = Rule("weak-02", hit(confidence=Confidence.LOW), explains=["effect-01"])
    strong = Rule("strong-03", hit(certainty=Certainty.OBSERVED), explains=["effect-01"])
    for order in ((effect, weak, strong), (strong, weak, effect), (weak, strong, effect)):
        found = {f.slug: f for f in judged(*order).findings}
        assert found["effect-01"].explained_by == "AD903"


def test_of_two_that_explain_each_other_the_graver_is_to_blame():
    hen = Rule("hen-01", hit(), explains=["egg-02"])
    egg = Rule("egg-02", hit(certainty=Certainty.OBSERVED), explains=["hen-01"])
    for order in ((hen, egg), (egg, hen)):
        assert [(f.slug, f.root_cause) for f in judged(*order).findings] == [("egg-02", True), ("hen-01", False)]


def test_what_a_finding_would_explain_is_not_wondered_about():
    class Asks(Rule):
        def detect(self, facts):
            known(facts.torch.cuda)

    assert judged(Asks("asks-01")).undetermined
    assert not judged(Asks("asks-01"), Rule("root-02", hit(), explains=["asks-01"])).undetermined


def test_an_info_explains_no_error():
    diagnosis = judged(Rule("note-01", hit(), explains=["error-02"], train=Severity.INFO), Rule("error-02", hit()))
    assert [(f.slug, f.root_cause) for f in diagnosis.findings] == [("error-02", True), ("note-01", False)]


def test_a_rule_that_crashes_is_undetermined_and_asks_to_be_reported():
    diagnosis = judged(Rule("crash-01", error=ZeroDivisionError("oops")), Rule("fine-02", hit()))
    assert [f.slug for f in diagnosis.findings] == ["fine-02"]
    assert diagnosis.undetermined[0].slug == "crash-01"
    assert "please report" in diagnosis.undetermined[0].why


def test_what_would_decide_is_named():
    facts = msgspec.structs.replace(Facts(), torch=msgspec.structs.replace(Facts().torch, cuda=Unknown("not asked")))

    class Asks(Rule):
        def detect(self, facts):
            known(facts.torch.cuda)

    diagnosis = diagnose(facts, Goal.TRAIN, modules=[Asks("asks-01")])
    assert diagnosis.undetermined[0].needs == ("torch.cuda",)
    assert diagnosis.undetermined[0].why == "not asked"


def test_every_mode_is_whole():
    """What the contract promises of each, and no two of them share a name."""
    modes = [m.MODE for m in ALL]
    assert len({m.code for m in modes}) == len({m.slug for m in modes}) == len(modes)
    for module in ALL:
        mode = module.MODE
        assert module.__name__.rpartition(".")[2] == mode.slug.replace("-", "_")
        assert find(mode.slug) is find(mode.code) is module
        for heading in ("What it is", "How it shows", "Why it happens", "What to do", "How to reproduce", "References"):
            assert f"\n{heading}\n" in module.__doc__, f"{mode.slug} lacks {heading}"


def test_every_sign_matches_its_sample_and_holds_its_literal():
    for module in ALL:
        for sign in module.MODE.signs:
            assert sign.literal in sign.sample, sign
            assert len(sign.literal.encode()) >= 3, sign  # a shorter one stands in half of all lines
    for pattern, sample in zip(patterns(), [s.sample for m in ALL for s in m.MODE.signs], strict=True):
        assert re.search(pattern.pattern, sample), pattern


def test_knowing_nothing_finds_nothing():
    for goal in Goal:
        diagnosis = diagnose(Facts(), goal)
        assert diagnosis.findings == ()
        assert not [u for u in diagnosis.undetermined if "please report" in u.why]


def test_paths_lead_to_values():
    facts = Facts()
    unknown = facts.torch.cuda
    assert isinstance(unknown, Unknown)
    assert paths_of_unknown(facts)[id(unknown)] == ["torch.cuda"]
    assert lookup(facts, "torch.cuda") is unknown
    with pytest.raises(LookupError):
        lookup(facts, "torch.nonsense")
    assert all(isinstance(lookup(facts, path), type(value)) for path, value in walk(facts))


def test_records_are_immutable():
    with pytest.raises(AttributeError):
        Facts().torch.version = "2.0"
    assert issubclass(Facts, Record)
