"""Say which of two pins that contradict each other has to change, and how, for pip, uv, Poetry and conda. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from attn_doctor import commands
from attn_doctor.failure_modes.shared import torch_steps
from attn_doctor.failure_modes.shared.contradicting_pins import Contradicting, Pin
from attn_doctor.knowledge import torch_choice
from attn_doctor.model.facts import Facts
from attn_doctor.model.findings import Fix
from attn_doctor.model.steps import Step


def fixes(facts: Facts, found: Contradicting) -> tuple[Fix, ...]:
    """Return two fixes: change the pin that needs another version, or change the version that the rest of the list asks for."""
    verify = commands.check(facts)
    names = ", ".join(pin.name for pin in found.wrong)
    if found.conda:
        return _of_conda_file(facts, found)
    changed = tuple(commands.by_hand((), _change(found, pin), "your list of packages", "none") for pin in found.wrong)
    right = {f"{pin.name}=={pin.version}": _fitting(found, pin) for pin in found.wrong}
    other = _release(found.needs[0])
    other_pin = {f"{found.name}=={found.kept}": f"{found.name}{found.needs[0]}"}
    follows = _family(other) if found.name == "torch" and other else ""
    takes = commands.by_hand(
        (),
        f"write {found.name}{found.needs[0]} in the place of {found.name}=={found.kept}{follows}",
        "your list of packages",
        "none",
    )
    return (
        Fix(
            title=f"Change the pin of {names}, and keep {found.name} {found.kept}",
            steps=(*changed, *(_pair(facts, found, found.kept) or _again(facts, right))),
            verify=verify,
        ),
        Fix(
            title=f"Keep {names}, and change the pin of {found.name}",
            steps=(takes, *(_pair(facts, found, other) or _again(facts, other_pin))),
            verify=verify,
        ),
    )


def _pair(facts: Facts, found: Contradicting, release: str | None) -> tuple[Step, ...]:
    """Return the step that installs a torch with what belongs to it, where the user's own line is unknown, or would bring a CPU build."""
    line = facts.subject.command
    whole = isinstance(line, str) and ("index" in line or facts.system.os != "windows")
    family = {pin.name for pin in found.wrong} <= {"torchvision", "torchaudio"} and not any(
        p.place for p in found.wrong
    )
    if whole or release is None or found.name != "torch" or not family:
        return ()
    names = tuple(dict.fromkeys(pin.name for pin in found.wrong))
    return torch_steps.with_family(facts, release.partition("+")[0], *names)


def _fitting(found: Contradicting, pin: Pin) -> str:
    """Return the requirement that fits the kept version: "torchvision==0.16.0" for torch 2.1.0; without a version if none is known."""
    if found.name == "torch" and pin.name in ("torchvision", "torchaudio"):
        same = torch_choice.same(found.kept, pin.name)
        return next((text for text in same if text.startswith(pin.name)), pin.name)
    return pin.name


def _change(found: Contradicting, pin: Pin) -> str:
    where, right = f"{pin.place}: " if pin.place else "in your list: ", _fitting(found, pin)
    if "==" in right:
        return (
            f"{where}write {right} in the place of {pin.name}=={pin.version}: it is the release for torch {found.kept}"
        )
    return (
        f"{where}write {pin.name} without a version in the place of {pin.name}=={pin.version}: the installer then takes the newest release that accepts "
        f"{found.name} {found.kept}"
    )


def _family(torch: str) -> str:
    same = [
        text
        for text in torch_choice.same(torch, "torchvision", "torchaudio")
        if "==" in text and not text.startswith("torch==")
    ]
    return f", and the releases that belong to it, as far as they are in the list: {', '.join(same)}" if same else ""


def _release(limits: str) -> str | None:
    return limits.removeprefix("==") if limits.startswith("==") and "," not in limits else None


def _again(facts: Facts, right: Mapping[str, str]) -> tuple[Step, ...]:
    """Return the step that repeats the user's own installation, if the log shows it. `right`: pins, and what takes their place."""
    command = facts.subject.command
    known = r"(?:pip3?|uv|python[\d.]*|py|poetry|pdm|conda|mamba|micromamba)\b"
    if not isinstance(command, str) or not re.match(known, command):
        return (commands.by_hand((), "then repeat the installation", "the packages", "none"),)
    try:
        words = shlex.split(command, posix=facts.system.os != "windows")
    except ValueError:
        words = []
    right = {**right, **{_for_poetry(pin): _for_poetry(other) for pin, other in right.items()}}
    argv = tuple(right.get(word, word) for word in words)
    return (commands.by_hand(argv, "then repeat the installation", "the packages"),)


def _for_poetry(pin: str) -> str:
    return pin.replace("==", "@")


def _of_conda_file(facts: Facts, found: Contradicting) -> tuple[Fix, ...]:
    pin, verify = found.wrong[0], commands.check(facts)
    newest = max(found.needs, key=lambda text: [int(part) for part in re.findall(r"\d+", text)])
    takes = commands.by_hand(
        (),
        f"in the list: write {found.name}={newest} in the place of {found.name}={found.kept}, without a build string: {pin.name} {pin.version} exists for it",
        "your list of packages",
        "none",
    )
    drops = commands.by_hand(
        (),
        f"in the list: write {pin.name} without version and build in the place of {pin.name}={pin.version}: conda then looks for the release that fits "
        f"{found.name} {found.kept}. pytorch, torchvision and torchaudio belong together: take the versions away from all that are in the list",
        "your list of packages",
        "none",
    )
    again = _again(facts, {})
    return (
        Fix(
            title=f"Change {found.name} to {newest}, and keep {pin.name} {pin.version}",
            steps=(takes, *again),
            verify=verify,
        ),
        Fix(
            title=f"Keep {found.name} {found.kept}, and take the pin of {pin.name} away",
            steps=(drops, *again),
            verify=verify,
        ),
    )
