"""Make the facts of the installed packages, from the answer of the target: distributions, duplicates, remnants, conflicts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from attn_doctor.model.facts import Conflict, Distribution, Packages, Wanted
from attn_doctor.model.requirements import allows, holds, read_requirement
from attn_doctor.probes.ask import Installed, Metadata


def packages(inventory: Installed, markers: Mapping[str, str]) -> tuple[Packages, dict[str, str]]:
    """Return the facts of the installed packages, and the source of each field (see `probes`).

    `markers`: the values for markers such as `python_version < "3.11"`.
    """
    by_name: dict[str, list[Metadata]] = defaultdict(list)
    for item in inventory.found:
        by_name[canonicalize_name(item.name)].append(item)
    record = Packages(
        distributions=distributions_of(inventory),
        duplicates=tuple(sorted(f"{name} {_versions(items)}" for name, items in by_name.items() if _doubled(items))),
        remnants=tuple(sorted({Path(p).name for p in inventory.remnants})),
        broken=tuple(sorted(Path(p).name for p in inventory.broken)),
        conflicts=tuple(_conflicts(by_name, markers, frozenset(inventory.present))),
        of_ultralytics=tuple(_wanted(by_name, markers, frozenset(inventory.present))),
        conda=inventory.conda,
    )
    return record, {"": "metadata of the folders on the target's sys.path"}


def distributions_of(inventory: Installed) -> tuple[Distribution, ...]:
    """Return all distributions by name. If two distributions have one name, the first on sys.path comes first, because Python imports it."""
    return tuple(sorted((_distribution(item) for item in inventory.found), key=lambda d: d.name))


def _distribution(item: Metadata) -> Distribution:
    return Distribution(
        name=canonicalize_name(item.name),
        version=item.version,
        location=item.location,
        installer=item.installer,
        direct_url=item.direct_url,
        wheel_tag=" ".join(item.wheel_tags) or None,
    )


def _doubled(items: Sequence[Metadata]) -> bool:
    """Return whether one folder has two records of a distribution, because it was installed twice.

    If the records are in two folders, Python uses the first one: this is not a fault.
    """
    return max(Counter(i.location for i in items).values()) > 1


def _versions(items: Sequence[Metadata]) -> str:
    return "and ".join(f"{i.version} " for i in items).strip()


def _conflicts(
    by_name: Mapping[str, list[Metadata]], markers: Mapping[str, str], present: frozenset[str]
) -> list[Conflict]:
    """Return the unmet requirements of installed distributions, as `pip check` reports them.

    `present`: requirements whose module exists, although no distribution of that name does. They count as met.
    """
    conflicts = []
    for items in by_name.values():
        item = items[0]  # Python imports the first one on sys.path
        for text in item.requires:
            met, found = _met(text, by_name, markers, present)
            if not met:
                label = f"{canonicalize_name(item.name)} {item.version}"
                conflicts.append(Conflict(package=label, requires=text, found=found))
    return sorted(conflicts, key=lambda c: (c.package, c.requires))


def _wanted(
    by_name: Mapping[str, list[Metadata]], markers: Mapping[str, str], present: frozenset[str]
) -> Iterator[Wanted]:
    """Yield the requirements of ultralytics without its extras, in its own order, as `yolo checks` lists them."""
    for text in by_name["ultralytics"][0].requires if "ultralytics" in by_name else ():
        requirement = read_requirement(text)
        if requirement and holds(requirement, markers):
            found = by_name.get(canonicalize_name(requirement.name))
            met, _ = _met(text, by_name, markers, present)
            yield Wanted(requires=text.partition(";")[0].strip(), found=found[0].version if found else None, met=met)


def _met(
    text: str, by_name: Mapping[str, list[Metadata]], markers: Mapping[str, str], present: frozenset[str]
) -> tuple[bool, str | None]:
    """Return whether a requirement is met, and the installed version."""
    requirement = read_requirement(text)
    if requirement is None or not holds(requirement, markers):
        return True, None  # unreadable metadata shows no conflict
    name = canonicalize_name(requirement.name)
    if name not in by_name:
        return name in present, None
    found = by_name[name][0].version
    met = allows(requirement.specifier, found)
    return (True, None) if met is None else (met, found)
