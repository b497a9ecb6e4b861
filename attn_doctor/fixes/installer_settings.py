"""Find the settings of pip and uv that stop a step of a plan: constraints, and a setting that forbids the index. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from attn_doctor.fixes.pins import excluded
from attn_doctor.model.facts import Facts, InstallerSettings
from attn_doctor.model.steps import Install, Step


def blocks(facts: Facts, step: Step) -> str | None:
    """Return why the user's settings stop this step, and how to change them; None if no setting is known to stop it.

    A constraint makes the installer refuse another version, and PIP_NO_INDEX makes it find nothing, whatever the command says. A
    constraint under a condition (`numpy<2; python_version < "3.12"`) is left to the installer.
    """
    settings = _of(facts, step)
    if settings is None or not isinstance(step, Install):
        return None
    off = settings.no_index
    folders = settings.find_links or step.find_links or step.from_folder
    if off and not folders and not all(text.endswith(".whl") for text in step.requirements):
        away = "unset it for this command" if off == "PIP_NO_INDEX" else "take no-index out of it"
        links = f"{settings.installer.upper()}_FIND_LINKS"
        return f"{off} keeps {settings.installer} from asking any index: {away}, or name a folder with the wheels in {links}"
    said = next(
        (text for pin in settings.constraints if ";" not in pin.requirement for text in excluded(pin, step)), None
    )
    return None if said is None else f"{said}: {settings.installer} obeys that line until you change it"


def notes(facts: Facts, steps: Iterable[Step]) -> tuple[str, ...]:
    """Return a sentence for each installer of these steps whose settings allow only the wheels of a few folders."""
    found = dict.fromkeys(one for step in steps if (one := _of(facts, step)) and one.no_index and one.find_links)
    return tuple(
        f"{one.no_index} keeps {one.installer} from asking any index: it finds only wheels in {', '.join(one.find_links)}"
        for one in found
    )


def confined(facts: Facts, step: Step) -> str | None:
    """Return the first folder to which the settings confine the installer of this step; None if it may ask an index."""
    one = _of(facts, step)
    return one.find_links[0] if one is not None and one.no_index and one.find_links else None


def _of(facts: Facts, step: Step) -> InstallerSettings | None:
    """Return the settings of the installer that carries out a step; None if it has none.

    pipx runs pip and obeys pip's settings; Poetry and PDM do not.
    """
    told = facts.interpreter.settings
    if not isinstance(step, Install) or not isinstance(told, tuple):
        return None
    by_pip = step.argv[:1] == ("pipx",) or ("-m", "pip") in itertools.pairwise(step.argv)
    name = "uv" if step.argv[:1] == ("uv",) else "pip" if by_pip else None
    return next((one for one in told if one.installer == name), None)
