"""Translate messages of shells and of the system, from the table of translated messages. Pure.

bash, gcc, ld, make and Windows print messages in the language of the user. Python, pip, uv and the dynamic loader always print
English, because Python sets no LC_MESSAGES.
"""

from __future__ import annotations

import functools
import re
from typing import ClassVar

from attn_doctor.knowledge.rows import Row
from attn_doctor.knowledge.tables import load


class TranslatedMessage(Row, frozen=True, kw_only=True):
    """Hold one message in other languages."""

    TABLE: ClassVar[str] = "translated_messages"

    english: str
    translations: tuple[str, ...]


@functools.cache
def translations(english: str) -> tuple[str, ...]:
    """Return a message in all other languages of the table. Raises LookupError if the table does not have it."""
    found = next((row.translations for row in load(TranslatedMessage) if row.english == english), None)
    if found is None:
        raise LookupError(english)
    return found


@functools.cache
def pattern(*english: str) -> str:
    """Return a regular expression for these messages in any language, English among them."""
    words = [*english, *(word for text in english for word in translations(text))]
    return "(?:" + "|".join(re.escape(word) for word in words) + ")"
