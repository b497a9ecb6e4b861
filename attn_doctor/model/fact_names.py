"""Give the facts of two machines the same names, show their values in a few words, and list the facts that are noise. Pure.

An item of a list is named by its own name, not by its index: `packages.distributions.torch.version`, not
`packages.distributions.3.version`. Noise: facts that differ between healthy machines too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attn_doctor.model.facts import Facts, Fault, Interpreter, Record, Unknown
from attn_doctor.model.findings import Finding, show
from attn_doctor.model.record import index_in

# Noise: fields whose values differ between two machines, or two moments, without meaning anything.
_OF_A_MOMENT = "seconds seconds_ago available_bytes free_bytes used_bytes free celsius watts busy_percent pcie_generation sm_megahertz memory_megahertz lowered_by processes pid traceback"
_OF_ONE_MACHINE = "uuid device bus_id"
_OF_THE_EXAMINATION = "why installer line sources probes schema_version"
_REPEATED = "of_ultralytics bundled build platform_name"  # other facts say the same
NOISE = frozenset(f"{_OF_A_MOMENT} {_OF_ONE_MACHINE} {_OF_THE_EXAMINATION} {_REPEATED}".split())
# Fields that identify an item of a list.
_KEYS = ("index", "name", "module", "root", "purpose", "package", "folder", "file", "device")
# The field that describes an item in one word.
_TELLING = ("version", "verdict", "value", "ok", "compute_capability", "requirement", "requires")
# The sections of facts, those first that explain most.
SECTIONS = (
    "torch flash_attention yolo packages graphics interpreter toolchain environment imports binaries system cpu project"
).split()
Home = tuple[tuple[str, str], ...]
NOT_RECORDED = Unknown("not recorded")


def home(interpreter: Interpreter) -> Home:
    """Return the folders of the environment, each with a placeholder for it, the longest folder first.

    Two machines may have the environment in different folders: with placeholders, such paths are equal.
    """
    places = ((interpreter.site_packages, "<site-packages>"), (interpreter.prefix, "<env>"))
    return tuple((place, name) for place, name in places if isinstance(place, str) and len(place) > len("/usr"))


def is_list_of_records(value: object) -> bool:
    """Return whether a value is a tuple of records. An empty tuple is one."""
    return isinstance(value, tuple) and all(isinstance(item, Record) for item in value)


def told_by(item: Record) -> str | None:
    """Return the name of the field that describes an item best in one word, such as "version" for a package; None if it has no such field."""
    return next((name for name in _TELLING if isinstance(getattr(item, name, None), (str, bool))), None)


def shown(value: object, places: Home) -> str | None:
    """Return a value in a few words; None for None. `places`: folders that are replaced by placeholders, see `home`."""
    if value is None:
        return None
    if isinstance(value, Fault):
        value = value.message or value.signal or value.kind
    elif isinstance(value, Record):
        name = told_by(value)
        value = "there" if name is None else getattr(value, name)
    elif isinstance(value, tuple):
        value = f"{len(value)} of them" if is_list_of_records(value) else tuple(sorted(value))
    text = "unknown" if isinstance(value, Unknown) else show(value)
    for place, name in places:
        text = text.replace(place, name)
    return text


def named(items: Iterable[object]) -> Iterator[tuple[str, object]]:
    """Yield (name, item) for each item of a list.

    The second item with the name "torch" is "torch#2"; an item without a name is "item".
    """
    seen: dict[str, int] = {}
    for item in items:
        key = next((str(getattr(item, name)) for name in _KEYS if hasattr(item, name)), "item")
        seen[key] = seen.get(key, 0) + 1
        yield (key if seen[key] == 1 else f"{key}#{seen[key]}"), item


def by_name(facts: Facts, path: str) -> str:
    """Return the path of a fact with the names of list items in the place of their numbers.

    Example: `packages.distributions.torch.version` for `packages.distributions.3.version`. An item that is no record is
    left out, with all that follows it.
    """
    value: object = facts
    made = []
    for part in path.split("."):
        if isinstance(value, tuple) and (index := index_in(value, part)) is not None:
            item = value[index]
            if not isinstance(item, Record):
                break
            made.append(next(name for name, one in named(value) if one is item))
            value = item
        else:
            made.append(part)
            value = getattr(value, part, None)
    return ".".join(made)


def evidence_paths(facts: Facts, findings: Iterable[Finding]) -> Iterator[tuple[str, str]]:
    """Yield (path with names, slug of the finding) for each fact that is evidence of a finding."""
    for finding in findings:
        for evidence in finding.evidence:
            if evidence.kind == "fact" and evidence.path:
                yield by_name(facts, evidence.path), finding.slug
