"""Say which settings of pip and uv stop a step of a plan: constraints, and an index that may not be asked. Pure."""

from __future__ import annotations

from attn_doctor.commands.installers import own
from attn_doctor.fixes.pins import excluded
from attn_doctor.model.facts import Facts
from attn_doctor.model.steps import Install, Step


def blocks(facts: Facts, step: Step) -> str | None:
    """Return why the settings of the user stop this step, and what to change; None where they do not.

    A constraint makes the installer refuse another version, and PIP_NO_INDEX makes it find nothing, whatever the command says.
    """
    if not isinstance(step, Install):
        return None
    off = _off(facts)
    if (
        off
        and not step.from_folder
        and not _links(facts)
        and not all(text.endswith(".whl") for text in step.requirements)
    ):
        return (
            f"{off} keeps {own(facts)} from asking any index: unset it for this command, or put the wheels into a folder that "
            f"{'UV' if own(facts) == 'uv' else 'PIP'}_FIND_LINKS names"
        )
    return next(
        (f"{text}: change that line, or leave it out for this command" for text in _constrained(facts, step)), None
    )


def notes(facts: Facts) -> tuple[str, ...]:
    """Return what the reader of a plan has to know of the settings that hold for all of its steps."""
    off, links = _off(facts), _links(facts)
    return (f"{off} is set: only wheels that lie in {', '.join(links)} are found",) if off and links else ()


def _off(facts: Facts) -> str | None:
    """Return the setting by which the installer of the target asks no index; None where there is none."""
    told = facts.interpreter.no_index
    of_uv = own(facts) == "uv"
    return next((name for name in (told if isinstance(told, tuple) else ()) if of_uv is _is_uvs(name)), None)


def _is_uvs(name: str) -> bool:
    return name.startswith("UV_") or name.endswith(("uv.toml", "pyproject.toml"))


def _links(facts: Facts) -> tuple[str, ...]:
    return facts.interpreter.find_links if isinstance(facts.interpreter.find_links, tuple) else ()


def _constrained(facts: Facts, step: Install) -> tuple[str, ...]:
    told = facts.interpreter.constraints
    of_uv = own(facts) == "uv"
    return tuple(
        text
        for pin in (told if isinstance(told, tuple) else ())
        if of_uv or ("-dependencies" not in pin.file and "UV_" not in pin.file)
        for text in excluded(pin, step)
    )
