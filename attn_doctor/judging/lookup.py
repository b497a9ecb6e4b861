"""Find failure modes by words, or by a line of a log. Pure.

Results are in this order: failure modes that the judging of logs finds in the text; those with a sign in the text; those whose
pages contain the words. A rare word counts more, and a word in a title counts more than one in a paragraph.
"""

from __future__ import annotations

import functools
import io
import math
import re
from typing import NamedTuple

from attn_doctor.failure_modes import ALL, patterns
from attn_doctor.failure_modes.mode import Module
from attn_doctor.failure_modes.page import page
from attn_doctor.logs.reader import Log, Reader
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Goal

_NAME, _SIGN, _SUMMARY, _TEXT = 5.0, 4.0, 3.0, 1.0  # what a word is worth where it is found
_LEAST = 0.4  # of the best: what has less is left out
_LONG_ENOUGH = 4  # letters from which a word also stands for a longer word that begins with it
_ENDS = re.compile(r"(?<=[a-z]{4})(?:ations?|ings?|ions?|ers?|ed|es|e|s)$")
_WORDS = re.compile(r"[a-z0-9]+(?:[._+][a-z0-9]+)*")
_EMPTY = frozenset(
    "a an and are as at be but by can cannot do does error failed for from has have how i in is it my no not of on or so that the this to "
    "was what when while why with".split()
)


class _Text(NamedTuple):
    text: str
    words: frozenset[str]
    worth: float


def search(words: str, most: int = 8) -> tuple[Module, ...]:
    """Return the failure modes that fit the words, the best first. Empty if none fits. `most`: how many are returned at most."""
    by_slug = {m.MODE.slug: m for m in ALL}
    log = Reader(patterns(), keeps_end=True).read(io.BytesIO(words.encode("utf-8", "replace")), "typed")
    signs = sorted(log.matches, key=lambda match: match.strength != "proof")
    signs = [m for m in signs if m.strength != "context" and m.slug in by_slug and not by_slug[m.slug].MODE.catch_all]
    found = dict.fromkeys([*(_of_a_log(log) if signs else ()), *(match.slug for match in signs), *_by_words(words)])
    return tuple(by_slug[slug] for slug in list(found)[:most])


def _of_a_log(log: Log) -> list[str]:
    from attn_doctor.judging.diagnose import diagnose  # a quarter of a second, which a search for words does not need

    judged = diagnose(Facts(grade="stated"), Goal.FLASH_ATTN, logs=[log]).findings
    ordered = sorted(judged, key=lambda finding: not finding.root_cause)
    return [f.slug for f in ordered if any(e.kind == "log" for e in f.evidence)]


def _by_words(words: str) -> list[str]:
    phrase = " ".join(words.lower().split())
    rare = {word: _rarity(word) for word in _words(phrase)}
    rare = {word: worth for word, worth in rare.items() if worth}
    scores: dict[str, float] = {}
    for slug, texts in _texts().items():
        in_several_texts = sum(
            worth * max((text.worth for text in texts if _has(text, word)), default=0.0) for word, worth in rare.items()
        )
        # Words that stand together count more than the same words in several places, and the whole phrase counts most.
        in_one_text = max(
            sum(worth for word, worth in rare.items() if _has(text, word))
            * text.worth
            * (2 if len(rare) > 1 and phrase in text.text else 1)
            for text in texts
        )
        met = sum(worth for word, worth in rare.items() if any(_has(text, word) for text in texts))
        scores[slug] = (in_several_texts + in_one_text) * met / max(sum(rare.values()), 1.0)
    least = _LEAST * max(scores.values(), default=0.0)
    return [slug for slug in sorted(scores, key=lambda slug: (-scores[slug], slug)) if scores[slug] >= least > 0]


def _words(text: str) -> list[str]:
    """Return the meaningful words, without endings: "compil" for compile, compiler and compiling. Words such as "the" are left out."""
    return [_ENDS.sub("", word) for word in _WORDS.findall(text.lower()) if word not in _EMPTY]


def _has(text: _Text, word: str) -> bool:
    return word in text.words or (len(word) >= _LONG_ENOUGH and any(longer.startswith(word) for longer in text.words))


@functools.cache
def _rarity(word: str) -> float:
    """Return the weight of a word: larger if fewer pages have it; 0 if no page has it."""
    having = sum(any(_has(text, word) for text in held) for held in _texts().values())
    return math.log(1 + len(_texts()) / having) if having else 0.0


@functools.cache
def _texts() -> dict[str, tuple[_Text, ...]]:
    """Return the texts of each failure mode, by slug.

    Each text has a weight: a title weighs more than a paragraph.
    """

    def text(content: str, worth: float) -> _Text:
        return _Text(" ".join(content.lower().split()), frozenset(_words(content)), worth)

    made: dict[str, tuple[_Text, ...]] = {}
    for module in ALL:
        mode, shown = module.MODE, page(module)
        made[mode.slug] = (
            text(mode.title, _NAME),
            text(mode.slug.replace("-", " "), _NAME),
            *(text(sign.sample, _SIGN) for sign in mode.signs if sign.strength != "context"),
            text(shown.summary, _SUMMARY),
            *(
                text(paragraph, _TEXT)
                for heading, paragraphs in shown.sections.items()
                if heading != "References"
                for paragraph in paragraphs
            ),
        )
    return made
