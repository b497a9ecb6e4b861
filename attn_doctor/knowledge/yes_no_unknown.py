"""Define the answer of a question: yes or no with a reason, or Unknown. Holds no knowledge itself."""

from __future__ import annotations

from collections.abc import Iterable

from attn_doctor.model.facts import Record, Unknown


class Answer(Record, frozen=True, kw_only=True):
    """Hold the answer yes or no, and the reason.

    `verified` is False if the table's row is inferred, or was reported by one person.
    """

    yes: bool
    why: str
    verified: bool = True


Judgement = Answer | Unknown


def yes(why: str, *, verified: bool = True) -> Answer:
    """Return the answer yes. If it is not verified, the reason ends in "(not verified)"."""
    return Answer(yes=True, why=_marked(why, verified), verified=verified)


def no(why: str, *, verified: bool = True) -> Answer:
    """Return the answer no. If it is not verified, the reason ends in "(not verified)"."""
    return Answer(yes=False, why=_marked(why, verified), verified=verified)


def _marked(why: str, verified: bool) -> str:
    return why if verified else f"{why} (not verified)"


def all_of(parts: Iterable[Judgement]) -> Judgement:
    """Combine judgements: "no" if any part is "no", else unknown if any part is unknown, else "yes".

    The answer has the reasons of the parts that decided. Example: "yes", unknown and "no" together are "no", with the reason of
    that part.
    """
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
    """Join names as in a sentence: "a", "a and b", "a, b and c"; "nothing" for no names."""
    listed = list(items)
    if not listed:
        return "nothing"
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
