"""The shape of an answer. Nothing here knows a fact."""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor.model.facts import Record, Unknown


class Answer(Record, frozen=True, kw_only=True):
    """Yes or no, and why. `verified` is False where the row behind it is inferred or reported once."""

    yes: bool
    why: str
    verified: bool = True


Judgement = Answer | Unknown


def yes(why: str, *, verified: bool = True) -> Answer:
    return Answer(yes=True, why=_nuance(why, verified), verified=verified)


def no(why: str, *, verified: bool = True) -> Answer:
    return Answer(yes=False, why=_nuance(why, verified), verified=verified)


def _nuance(why: str, verified: bool) -> str:
    return why if verified else f"{why} (not verified)"


def all_of(parts: Iterable[Judgement]) -> Judgement:
    """No as soon as one part is no, else unknown as soon as one is, else yes. The reasons of the deciding parts."""
    answers = list(parts)
    against = [part for part in answers if isinstance(part, Answer) and not part.yes]
    if against:
        return Answer(yes=False, why="; ".join(part.why for part in against), verified=any(p.verified for p in against))
    unknown = [part.why for part in answers if isinstance(part, Unknown)]
    if unknown:
        return Unknown("; ".join(unknown))
    known = [part for part in answers if isinstance(part, Answer)]
    return Answer(yes=True, why="; ".join(part.why for part in known), verified=all(p.verified for p in known))


def names(items: Iterable[str]) -> str:
    """Names in a row, as a sentence has them: "a", "a and b", "a, b and c"; "nothing" for none."""
    listed = list(items)
    if not listed:
        return "nothing"
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
