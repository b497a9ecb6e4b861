"""Read the lines in which pip throws away a file whose metadata has another version, or name, than the file's name. Pure.

pip compares them only for a file that it chose from an index: a file that is asked for by its address is installed as it is (pip's LinkCandidate, whose
`version` is then None): https://github.com/pypa/pip/blob/main/src/pip/_internal/resolution/resolvelib/candidates.py
"""

from __future__ import annotations

from packaging.utils import canonicalize_name

from attn_doctor import commands
from attn_doctor.commands import new_pythons
from attn_doctor.failure_modes.mode import Hit, Sign, Variant
from attn_doctor.failure_modes.shared import building, torch_steps
from attn_doctor.knowledge import built_packages
from attn_doctor.logs.reader import Seen
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.versions import pair

SIGNS = (
    # The setup of these sources adds a local part, "+cu121": the archive's name cannot have it, because PyPI takes no such version.
    Sign(
        pattern=r"has inconsistent version: (?:expected|filename has) '(?P<bare>[\w.]{1,40})', but metadata has '(?P<labelled>(?P=bare)\+[\w.]{1,40})'",
        literal="has inconsistent version",
        sample="Requested auto-gptq has inconsistent version: expected '0.7.1', but metadata has '0.7.1+cu121'",
        strength="hint",
    ),
    Sign(
        pattern=r"Discarding (?P<archive>(?:https?|file)://\S{1,300}/(?P<sources>[A-Za-z][\w.]{0,60}?)-\d[\w.]{0,30}\.(?:tar\.gz|zip))(?![\w.])",
        literal="Discarding ",
        sample="Discarding https://files.pythonhosted.org/packages/90/auto_gptq-0.7.1.tar.gz (from https://pypi.org/simple/auto-gptq/): Requested auto-gptq",
        strength="context",
    ),
    Sign(
        pattern=r"has inconsistent [Nn]ame: expected '(?P<name>[\w.-]{1,80})', but metadata has '(?P<spelled>[\w.-]{1,80})'",
        literal="has inconsistent ",
        sample="has inconsistent Name: expected 'typing-extensions', but metadata has 'typing_extensions'",
        strength="hint",
    ),
)


class Discarded(Variant, frozen=True, kw_only=True):
    """Hold a file that pip threw away. `address`: of the newest archive, whose setup adds a label; None: only the spelling of the name differs."""

    package: str
    address: str | None = None


def told(facts: Facts, seen: Seen) -> Hit | None:
    """Return the hit for sources whose setup adds a label to the version, or for a pip that takes two spellings for two names; None for other logs."""
    labelled = [m for m in seen.matches if m.groups.get("labelled")]
    address, sources = seen.group("archive"), seen.group("sources")
    if labelled and address is not None and sources is not None:
        first = labelled[0].groups  # pip tries the newest release first
        name = canonicalize_name(sources)
        return Hit(
            message=f"The sources of {name} {first['bare']} call themselves {first['labelled']}, because their setup.py adds the CUDA of torch to the version. pip chose the archive as "
            f"{first['bare']}, found the version inconsistent, and threw it away.",
            evidence=building.lines(labelled),
            variant=Discarded(package=name, address=address),
        )
    named = [m for m in seen.matches if m.groups.get("spelled")]
    same = [m for m in named if canonicalize_name(m.groups["name"]) == canonicalize_name(m.groups["spelled"])]
    if not same:
        return None
    wanted = same[0].groups["name"]
    message = (
        f"This pip is old: it takes {wanted} and {same[0].groups['spelled']} for two names, and threw the file away."
    )
    return Hit(message=message, evidence=building.lines(same), variant=Discarded(package=wanted))


def fixes(facts: Facts, found: Discarded) -> tuple[Fix, ...]:
    verify = commands.check(facts)
    if found.address is None:
        newer = commands.install("pip", upgrade=True, why="a newer pip reads both spellings as one name", changes="pip")
        again = commands.by_hand((), "then repeat the installation that failed", "the packages of that command", "none")
        return (Fix(title="Upgrade pip", steps=(newer, again), verify=verify),)
    row = built_packages.row_of(found.package)
    made: list[Fix] = []
    python = pair(facts.interpreter.version) if isinstance(facts.interpreter.version, str) else None
    last = row.pythons[-1] if row is not None and row.wheels == "pypi" and row.pythons else None
    if last is not None and (python is None or python > (pair(last) or python)):
        why = f"{found.package} has finished wheels for Python up to {last}; then install it there"
        made.append(Fix(title=f"Use Python {last}, for which {found.package} has wheels", steps=new_pythons.another(facts, last, why), verify=verify))  # fmt: skip
    needed = row.imports if row is not None else ("setuptools", "wheel")
    imports = [name for name in needed if name not in torch_steps.bare()]
    tools = commands.install(
        *imports,
        why="its setup.py imports them",
        changes="adds small packages",
    )
    build = commands.install(
        found.address,
        why="the same archive by its address: pip then does not compare the versions. It is built with the torch of this environment (--no-build-isolation)",
        changes=f"adds {found.package}",
        no_build_isolation=True,
        takes="minutes to an hour",
    )
    made.append(Fix(title="Install the archive by its address", steps=(tools, build), verify=verify))
    if row is not None and row.note is not None:
        other = commands.by_hand((), f"{row.note}; the program has to import the other name", "nothing", "none")
        made.append(Fix(title="Use its successor", steps=(other,), verify=verify))
    return tuple(made)
