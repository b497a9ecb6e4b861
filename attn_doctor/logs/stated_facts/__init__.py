"""Reads the facts of a machine that its log states, each with its line. Judges nothing.

`PATTERNS` go into the reader with all other signs, `stated_facts` makes the facts of what it found, `as_facts` puts them
where the facts of a machine are unknown, and `facts_of_logs` returns them where nothing else is known.
"""

from collections.abc import Iterable

from attn_doctor.logs.errors import log_end
from attn_doctor.logs.reader import Log
from attn_doctor.logs.stated_facts.merge import Filled, as_facts
from attn_doctor.logs.stated_facts.package_lists import package_lists
from attn_doctor.logs.stated_facts.read import PATTERNS, stated_facts
from attn_doctor.model.facts import Facts

__all__ = ["PATTERNS", "Filled", "as_facts", "facts_of_logs", "is_environment", "stated_facts"]


def is_environment(logs: Iterable[Log]) -> bool:
    """Return whether these texts describe an environment, as `pip list` does, and hold no error: then all rules judge it."""
    ends = [(log, log_end(log)) for log in logs]
    return all(not end.errors and (end.pasted or any(package_lists(log.end, log.file))) for log, end in ends)


def facts_of_logs(logs: Iterable[Log]) -> Facts:
    """Return all that these logs state of their machine as facts of the grade "stated"."""
    return as_facts(stated_facts(logs), Facts(grade="stated")).facts
