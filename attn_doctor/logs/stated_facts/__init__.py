"""Read the facts that a log states about its machine, each with its line. Judges nothing.

The reader searches for `PATTERNS` together with all other signs. `stated_facts` makes facts from the matches. `as_facts` uses
them for the unknown facts of a machine. `facts_of_logs` returns them if nothing else is known about the machine.
"""

from collections.abc import Iterable

from attn_doctor.logs.errors import log_end
from attn_doctor.logs.reader import Log
from attn_doctor.logs.stated_facts.merge import Filled, as_facts
from attn_doctor.logs.stated_facts.package_lists import package_lists
from attn_doctor.logs.stated_facts.read import PATTERNS, stated_facts
from attn_doctor.model.facts import Facts

__all__ = ["PATTERNS", "Filled", "as_facts", "describes_environment", "facts_of_logs", "is_environment", "stated_facts"]


def is_environment(logs: Iterable[Log]) -> bool:
    """Return whether each of these texts describes an environment, as `pip list` does, and none contains an error.

    All rules then judge the environment.
    """
    logs = tuple(logs)
    return describes_environment(logs) and not any(log_end(log).errors for log in logs)


def describes_environment(logs: Iterable[Log]) -> bool:
    """Return whether each of these texts contains a description of an environment, beside an error or alone."""
    return all(log_end(log).pasted or any(package_lists(log.end, log.file)) for log in logs)


def facts_of_logs(logs: Iterable[Log]) -> Facts:
    """Return all facts that these logs state about their machine, with the grade "stated"."""
    return as_facts(stated_facts(logs), Facts(grade="stated")).facts
