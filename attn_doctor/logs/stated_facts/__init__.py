"""Reads the facts of a machine that its log states, each with its line. Judges nothing.

`PATTERNS` go into the reader with all other signs, `stated_facts` makes the facts of what it found, and `as_facts` puts them
where the facts of a machine are unknown.
"""

from attn_doctor.logs.stated_facts.merge import Filled, as_facts
from attn_doctor.logs.stated_facts.read import PATTERNS, stated_facts

__all__ = ["PATTERNS", "Filled", "as_facts", "stated_facts"]
